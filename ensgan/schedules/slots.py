"""Members as slots: snapshots, past opponents, branches, newcomers of a double oracle, copies to learn from."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.data import Source
from ensgan.game.game import Game
from ensgan.game.state import State
from ensgan.metrics import metagame
from ensgan.sampling.inference import payoff
from ensgan.schedules.members import Side, become, check_every, copyable, groups_of, key_of, one_group
from ensgan.types import Array, Claims, InputError, Roster, Schedule, Tree, check_range


def _first_pair(M: int, N: int) -> Roster:
    """Generator 0 and discriminator 0 play and learn, and nobody else."""
    first_g, first_d = np.arange(M) == 0, np.arange(N) == 0
    return Roster(first_g, first_d, first_g, first_d)


def snapshots(every: int = 1000) -> Schedule:
    """One generator learns, the others are its snapshots (seGAN; Wang et al. 2016, arXiv 1612.00991).

    Every `every` steps, generator 0 is copied into the slot that was filled longest ago. Slots do not play: all
    discriminators learn from generator 0 only. The mixture consists of generator 0 and the filled slots.

    Args:
        every: number of steps between two snapshots.
    """
    return _archive(every, discriminators=False)


def history(every: int = 1000) -> Schedule:
    """Past members stay as opponents: member 0 of each side learns, the others are its snapshots and go on playing.

    Generator 0 also faces past discriminators, and discriminator 0 past generators, so that neither forgets opponents
    that it once beat (fictitious play over snapshots; compare the buffers of past images in arXiv 1612.07828, section
    2.3). The pairing decides whether members are complete: with `mean`, discriminator 0 sees past and present
    generators as one mixture, and generator 0 becomes a part of it; with `own_and_mean` generator 0 is complete.

    Args:
        every: number of steps between two copies.
    """
    return _archive(every, discriminators=True)


def _archive(every: int, discriminators: bool) -> Schedule:
    sides: tuple[Side, ...] = ("g", "d") if discriminators else ("g",)

    def roster(M: int, N: int) -> Roster:
        first, everybody = _first_pair(M, N), np.ones(N, bool)
        return first if discriminators else first._replace(plays_d=everybody, learns_d=everybody)

    def init(game: Game) -> Tree:
        one_group(game, "an archive of past members", sides)
        copyable(game, *sides)
        if game.M < 2 or (discriminators and game.N < 2):
            text = f"{game.M} generators and {game.N} discriminators leave" if discriminators else "1 generator leaves"
            raise InputError(f"{text} no slots for copies; give at least 2{' of each' if discriminators else ''}")
        return {"filled": jnp.zeros((game.M,), jnp.int32).at[0].set(1)}

    def between(game: Game, state: State, source: Source, num: int) -> State:
        del source, num
        turn, plays = int(state.step) // every - 1, state.roster._asdict()
        for side in sides:
            groups = groups_of(game, side)
            count = groups[0].count
            slot = 1 + turn % (count - 1)
            source_of = jnp.arange(count).at[slot].set(0)
            state = become(game, state, side, source_of)
            if discriminators:
                plays[f"plays_{side}"] = plays[f"plays_{side}"].at[slot].set(True)
        filled = state.schedule["filled"].at[1 + turn % (game.M - 1)].set(1)
        return state._replace(schedule={"filled": filled}, roster=Roster(**plays))

    claims = Claims(
        roster=roster,
        mixture=lambda state: state.schedule["filled"] / state.schedule["filled"].sum(),
        members=None if discriminators else "complete",  # with discriminators, all see the past generators as well
    )
    return Schedule(check_every(every), between, init, claims)


def branch(every: int = 1000) -> Schedule:
    """One pair learns alone for `every` steps; then all members become copies of it, and learn as an ensemble.

    Copies have the weights, averages and optimisers of the pair. They part because each generator has its own noise,
    and by the pairing.

    Args:
        every: number of steps until the pair branches; it does so once.

    Raises:
        InputError: `every` is below 1.
    """

    def init(game: Game) -> Tree:
        one_group(game, "a branch")
        copyable(game, "g", "d")
        return {"share": jnp.zeros((game.M,)).at[0].set(1.0)}

    def between(game: Game, state: State, source: Source, num: int) -> State:
        del source, num
        if bool(state.roster.plays_g.all() & state.roster.plays_d.all()):
            return state
        state = become(game, state, "g", jnp.zeros(game.M, jnp.int32))
        state = become(game, state, "d", jnp.zeros(game.N, jnp.int32))
        everybody = Roster(*(jnp.ones(count, bool) for count in (game.M, game.N, game.M, game.N)))
        return state._replace(roster=everybody, schedule={"share": jnp.full((game.M,), 1.0 / game.M)})

    claims = Claims(roster=_first_pair, mixture=lambda state: state.schedule["share"])
    return Schedule(check_every(every), between, init, claims)


def double_oracle(every: int = 2000, least: float = 0.01) -> Schedule:
    """DO-GAN: populations grow by best responses to the other side's Nash mixture (Aung et al. 2022, CVPR).

    One generator and one discriminator learn at a time, against the mixtures of all present members; the others play
    but do not learn. Every `every` steps the whole payoff matrix is solved, members with a probability below `least`
    are dropped, and the next newcomers start as copies of the most probable member. If no slot is free, the least
    probable member makes room. The mixture consists of the members that stay; newcomers have no share until they have
    learned. Needs the pairing `nash`, which weighs opponents by the same mixtures and solves them at the same steps.

    Args:
        every: number of steps that a newcomer learns.
        least: probability below which a member is dropped, in [0, 1).

    Raises:
        InputError: a number is out of range, another pairing, a pairing that solves the payoff at other steps, or fewer
            than two slots on a side.
    """
    check_every(every)
    check_range("least", least, high=1.0)

    def init(game: Game) -> Tree:
        one_group(game, "the double oracle")
        copyable(game, "g", "d")
        if game.M < 2 or game.N < 2:
            raise InputError(
                f"{game.M} generators and {game.N} discriminators leave no room for newcomers; give at least 2 of each"
            )
        if "payoff" not in game.pairing.asks or game.pairing.mixture is None:
            raise InputError("the double oracle needs a pairing that weighs members by their payoff; use nash")
        if every % game.pairing.payoff_every:
            raise InputError(
                f"the double oracle acts every {every} steps, but the pairing solves the payoff every "
                f"{game.pairing.payoff_every}; newcomers need new mixtures, so give the pairing a number that divides "
                f"{every}"
            )
        return {"mixture": jnp.zeros((game.M,)).at[0].set(1.0)}

    def between(game: Game, state: State, source: Source, num: int) -> State:
        matrix = payoff(game, state, source.held_out("calibrate", num))
        p, q = metagame.linear_program(matrix, state.roster.plays_g, state.roster.plays_d)
        state = state._replace(payoff=matrix)
        roster, share = state.roster._asdict(), {}
        for side, mass in (("g", p), ("d", q)):
            stays = mass >= max(least, 1e-9)
            stays[mass.argmax()] = True
            free = np.flatnonzero(~stays)
            others = np.where(np.arange(len(mass)) == mass.argmax(), np.inf, mass)  # never drop the strongest
            slot = int(free[0]) if len(free) else int(others.argmin())
            stays[slot] = False
            share[side] = np.where(stays, mass, 0.0)
            origin = np.arange(len(mass))
            origin[slot] = mass.argmax()
            state = become(game, state, side, origin)
            stays[slot] = True
            roster[f"plays_{side}"], roster[f"learns_{side}"] = jnp.asarray(stays), jnp.arange(len(mass)) == slot
        return state._replace(
            roster=Roster(**roster),
            schedule={"mixture": jnp.asarray(share["g"] / share["g"].sum(), jnp.float32)},
        )

    claims = Claims(roster=_first_pair, mixture=lambda state: state.schedule["mixture"], members="parts")
    return Schedule(every, between, init, claims)


def messengers(every: int = 1) -> Schedule:
    """SGAN's messengers: copies of the local discriminators that play against the global generator.

    For the pairing `local_and_global`: with L local pairs, discriminators L to 2L − 1 become copies of 0 to L − 1, so
    that the global pair never affects the local ones (Chavdarova & Fleuret 2018, arXiv 1712.02330).

    Args:
        every: number of steps between two copies.
    """

    def init(game: Game) -> Tree:
        one_group(game, "the schedule of messengers", ("d",))
        copyable(game, "d")
        if game.N != 2 * game.M - 1 or game.M < 2:
            raise InputError(
                f"{game.M} generators and {game.N} discriminators do not make local pairs, messengers and a global "
                f"pair; {max(game.M - 1, 1)} local pairs need {max(game.M, 2)} generators and "
                f"{2 * max(game.M, 2) - 1} discriminators"
            )
        return ()

    def between(game: Game, state: State, source: Source, num: int) -> State:
        del source, num
        L = game.M - 1
        origin = jnp.arange(game.N).at[L : 2 * L].set(jnp.arange(L))
        return become(game, state, "d", origin)

    return Schedule(check_every(every), between, init, Claims(at_start=True))


def exchange(every: int = 1000) -> Schedule:
    """Discriminators swap slots at random, and so get another shard of the data and another own generator.

    The swap between workers of MD-GAN, which keeps discriminators from overfitting their shard (Hardy et al. 2019,
    arXiv 1811.03850).

    Args:
        every: number of steps between two exchanges.
    """

    def init(game: Game) -> Tree:
        one_group(game, "an exchange", ("d",))
        copyable(game, "d")
        return ()

    def between(game: Game, state: State, source: Source, num: int) -> State:
        del source, num
        order: Array = jax.random.permutation(key_of(state, 0), game.N)
        return become(game, state, "d", order)

    return Schedule(check_every(every), between, init)
