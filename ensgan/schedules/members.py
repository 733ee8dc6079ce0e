"""Building blocks of schedules: copies of members, their fitness on held-out data, changes of hyper-parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from ensgan import metrics
from ensgan.data import Source
from ensgan.game import population
from ensgan.game.game import Game
from ensgan.game.population import Groups, Population
from ensgan.game.state import State
from ensgan.metrics import ranks
from ensgan.sampling.inference import held_out_logits
from ensgan.types import Array, InputError, unknown

Side = Literal["g", "d"]
FITNESS = ("score", "distance")
NAMES: dict[Side, str] = {"g": "generators", "d": "discriminators"}  # as fields of a game and of a state


def groups_of(game: Game, side: Side) -> Groups:
    """The groups of one side."""
    return game.groups_g if side == "g" else game.groups_d


def members_of(state: State, side: Side) -> Population:
    """The members of one side."""
    return getattr(state, NAMES[side])


def with_members(state: State, side: Side, members: Population) -> State:
    """The state with other members on one side."""
    return state._replace(generators=members) if side == "g" else state._replace(discriminators=members)


def group_numbers(groups: Groups) -> np.ndarray:
    """The index of each member's group, `[members]`."""
    return np.repeat(np.arange(len(groups)), population.counts(groups))


def copied(groups: Groups, members: Population, source: Array) -> Population:
    """The members after number k became a copy of member `source[k]`, which must be in the same group."""

    def one(first: int, group: Any, mine: Any) -> Any:
        which = jnp.asarray(source)[first : first + group.count] - first
        if not isinstance(mine, population.Joined):
            return population.take(mine, which)
        return mine._replace(**population.take({**mine._asdict(), "common": ()}, which))._replace(common=mine.common)

    return tuple(one(*each) for each in zip(population.offsets(groups), groups, members, strict=True))


def become(game: Game, state: State, side: Side, source: Any, inherit: bool = True) -> State:
    """Makes member k of a side a copy of member `source[k]`, with its rating, payoff and running means.

    `inherit` says whether the copy also gets the loss and the penalty factor of that member. The pairing's own state
    stays with the member's number.
    """
    source = jnp.asarray(source)
    state = with_members(state, side, copied(groups_of(game, side), members_of(state, side), source))
    origin = jnp.arange(game.M + game.N)
    origin = origin.at[: game.M].set(source) if side == "g" else origin.at[game.M :].set(game.M + source)
    of_source = lambda matrix: jnp.take(matrix, source, axis=-2 if side == "g" else -1)
    state = state._replace(
        ratings=population.take(state.ratings, origin),
        payoff=of_source(state.payoff),
        running=jax.tree.map(of_source, state.running),
    )
    if not inherit:
        return state
    names = [name for name in state.hyper if name == f"loss_{side}" or (name == "penalty" and side == "d")]
    return state._replace(hyper={**state.hyper, **{name: state.hyper[name][source] for name in names}})


def key_of(state: State, purpose: int) -> Array:
    """A key for a schedule's draws at this step. The steps themselves use even and odd numbers below 2³¹."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(state.key, 0x8005C4ED), state.step), purpose)


def one_group(game: Game, name: str, sides: tuple[Side, ...] = ("g", "d")) -> None:
    """Raises InputError if the members of one of the sides cannot be copied onto each other."""
    for side in sides:
        if len(groups_of(game, side)) > 1:
            raise InputError(
                f"{name} copies members onto each other, but the {NAMES[side]} have {len(groups_of(game, side))} "
                "networks; give each side one group"
            )


def copyable(game: Game, *sides: Side) -> None:
    """Raises InputError if a copy under another number would be a different member, because its arrays are not all."""
    if "g" in sides and any(np.ndim(group.latent.scale) for group in game.groups_g):
        raise InputError(
            "the schedule copies generators, but each has its own latent scale, which a copy would not get; give all "
            "the same scale"
        )
    for side in sides:
        if side in game.loss.roles.numbered:
            raise InputError(
                f"the schedule copies {NAMES[side]}, but in this loss their number decides their role; use another loss"
            )


def check_every(every: int) -> int:
    """Returns the number of steps of a stretch; raises InputError if it is not a whole number of at least 1."""
    if not isinstance(every, int) or every < 1:
        raise InputError(f"every is {every}; it is a number of steps, so give a whole number, at least 1")
    return every


def fitness(game: Game, state: State, source: Source, num: int, kind: str) -> dict[Side, np.ndarray]:
    """The fitness of each generator `[M]` and each discriminator `[N]` on the calibrate split; higher is fitter.

    `score` is −|S(G) − ½| and S(D), from the AUC matrix of all pairs. `distance` uses minus the squared MMD to held-out
    reals for the generators.

    Raises:
        InputError: an unknown kind.
    """
    if kind not in FITNESS:
        raise unknown("fitness", kind, FITNESS)
    reals = source.held_out("calibrate", num)
    fake, real, fakes = held_out_logits(game, state, reals)
    fool = np.asarray(ranks.auc(fake, real))
    of_g = -np.abs(fool.mean(axis=1) - 0.5)
    if kind == "distance":
        x = jnp.asarray(reals["x"], jnp.float32).reshape(len(reals["x"]), -1)
        scale = metrics.bandwidth(x)
        of_g = -np.array([float(metrics.mmd(x, f.reshape(len(f), -1), scale).value) for f in fakes])
    return {"g": of_g, "d": 1.0 - fool.mean(axis=0)}


def changed(game: Game, state: State, side: Side, name: str, fn: Callable[[Array], Array]) -> State:
    """Applies `fn` to a hyper-parameter of all members of a side, `[members]`; no change if the state has none."""
    if name in ("loss", "penalty"):
        key = f"loss_{side}" if name == "loss" else name
        if key not in state.hyper or (name == "penalty" and side == "g"):
            return state
        return state._replace(hyper={**state.hyper, key: fn(state.hyper[key])})
    groups, members = groups_of(game, side), members_of(state, side)
    values = jnp.concatenate([mine.optimizer.hyperparams[name] for mine in members])
    new, cuts = fn(values), np.cumsum(population.counts(groups))[:-1]
    put = lambda mine, value: mine._replace(
        optimizer=mine.optimizer._replace(hyperparams={**mine.optimizer.hyperparams, name: value})
    )
    return with_members(state, side, tuple(map(put, members, jnp.split(new, cuts))))
