"""Evolution: copies of fit members replace unfit ones, and change their learning rate, loss or penalty."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ensgan.data import Source
from ensgan.game.execution import over_members
from ensgan.game.game import Game
from ensgan.game.population import Group, Population, member_keys, offsets, whole
from ensgan.game.scoring import judged_alone
from ensgan.game.state import State
from ensgan.sampling.inference import held_out_logits
from ensgan.schedules.members import FITNESS, become, changed, check_every, copyable, group_numbers, groups_of, key_of
from ensgan.schedules.members import fitness as measured
from ensgan.types import Array, Claims, InputError, Schedule, Tree, check_range, unknown


def tournament(
    every: int = 500,
    size: int = 2,
    replace: int = 1,
    learning_rate: float = 0.0,
    mutate_loss: bool = False,
    fitness: str = "score",
) -> Schedule:
    """The worst members of a side become copies of tournament winners, and all members may mutate.

    With the pairing `grid` this is the evolution of Lipizzaner (Schmiedlechner et al. 2018, arXiv 1811.12843), with
    `mutate_loss` that of Mustangs (Toutouh et al. 2019, arXiv 1905.12702). Here fitness does not depend on the loss,
    and is measured on held-out reals and common noise; those papers compare training losses on fresh noise.

    Args:
        every: number of steps between two selections.
        size: number of members in a tournament, drawn with replacement from those of the same network.
        replace: number of the worst members of each side to replace, at least 0; the only member of a network stays.
        learning_rate: standard deviation of the noise added to the logarithm of every member's learning rate.
        mutate_loss: whether every member draws a new loss; needs a loss per member (`mixed`).
        fitness: `score` (|S(G) − ½| and S(D)) or `distance` (the generators' MMD to held-out reals).

    Raises:
        InputError: a number is out of range, the fitness is unknown, the settings would change no member, or members
            are to be replaced but no two have the same network.
    """
    check_every(every)
    _check_kind(fitness)
    check_range("learning_rate", learning_rate)
    for name, value, least in (("size", size, 1), ("replace", replace, 0)):
        if not isinstance(value, int) or value < least:
            raise InputError(f"{name} is {value}; give a whole number, at least {least}")
    if not replace:
        for name, value, default in (("size", size, 2), ("fitness", fitness, "score")):
            if value != default:
                raise InputError(f"{name} is {value}, but with replace = 0 there are no tournaments; leave it out")
        if not learning_rate and not mutate_loss:
            raise InputError("replace is 0 and nothing mutates, so no member would ever change; set one of the three")

    def init(game: Game) -> Tree:
        copyable(game, "g", "d")
        if replace and max(group.count for group in game.groups) < 2:
            raise InputError(
                "a tournament replaces members by others of the same network, but no two share one; give a group of at "
                "least 2, or replace = 0"
            )
        if mutate_loss:
            _check_redrawable(game)
        return ()

    def between(game: Game, state: State, source: Source, num: int) -> State:
        for side, fit in measured(game, state, source, num, fitness).items():
            kind, count = group_numbers(groups_of(game, side)), len(fit)
            key = key_of(state, ord(side))
            rivals = _rivals(key, kind, size)
            winner = rivals[np.arange(count), fit[rivals].argmax(axis=1)]
            worst = np.argsort(fit, kind="stable")
            worst = worst[np.bincount(kind)[kind[worst]] > 1][:replace]
            chosen = np.arange(count)
            chosen[worst] = np.where(fit[winner[worst]] > fit[worst], winner[worst], worst)
            state = become(game, state, side, chosen)
            if learning_rate > 0:
                noise = jax.random.normal(jax.random.fold_in(key, 1), (count,))
                state = changed(game, state, side, "learning_rate", lambda r, n=noise: r * jnp.exp(learning_rate * n))
            if mutate_loss:
                kinds = _kinds(game)
                drawn = jax.random.randint(jax.random.fold_in(key, 2), (count,), 0, kinds)
                state = changed(game, state, side, "loss", lambda old, new=drawn: new.astype(old.dtype))
        return state

    return Schedule(every, between, init, Claims(hyper=frozenset({"learning_rate"} if learning_rate > 0 else ())))


def population_based(
    every: int = 1000,
    share: float = 0.25,
    factor: float = 1.2,
    hyper: tuple[str, ...] = ("learning_rate",),
    fitness: str = "score",
) -> Schedule:
    """Population-based training (Jaderberg et al. 2017, arXiv 1711.09846, section 4.1.1) on the score matrix.

    Exploit: members in the lowest `share` of a side become copies of members in the highest `share`, drawn at random
    from those of the same network. Explore: each hyper-parameter of a copy is multiplied or divided by `factor`.

    Args:
        every: number of steps between two rounds.
        share: share of a group, in (0, ½].
        factor: above 1.
        hyper: the hyper-parameters to explore: numbers of `optim.per_member`, `penalty` (the discriminators'), or none.
        fitness: `score` (|S(G) − ½| and S(D)) or `distance` (the generators' MMD to held-out reals).

    Raises:
        InputError: a number is out of range, the fitness is unknown, or `share` of every group is below one member.
    """
    check_every(every)
    _check_kind(fitness)
    if not 0.0 < share <= 0.5:
        raise InputError(
            f"share is {share}; it must be above 0 and at most ½, or the two shares of a side would overlap"
        )
    if not 1.0 < factor < np.inf:
        raise InputError(f"factor is {factor}; hyper-parameters are multiplied or divided by it, so give more than 1")

    def init(game: Game) -> Tree:
        copyable(game, "g", "d")
        largest = max(group.count for group in game.groups)
        if int(largest * share) < 1:
            raise InputError(
                f"a share of {share:g} of {largest} members is less than one member, so none would ever copy another; "
                f"give a group of at least {int(np.ceil(1 / share))}, or a larger share"
            )
        return ()

    def between(game: Game, state: State, source: Source, num: int) -> State:
        for side, fit in measured(game, state, source, num, fitness).items():
            groups, count = groups_of(game, side), len(fit)
            key, kind = key_of(state, ord(side)), group_numbers(groups)
            chosen = np.arange(count)
            for group in range(len(groups)):
                order = np.flatnonzero(kind == group)
                order = order[np.argsort(fit[order], kind="stable")]
                few = int(len(order) * share)
                if few:
                    best = jax.random.choice(jax.random.fold_in(key, group), order[-few:], (few,))
                    chosen[order[:few]] = np.asarray(best)
            copies = jnp.asarray(chosen != np.arange(count))
            state = become(game, state, side, chosen)
            for k, name in enumerate(hyper):
                up = jax.random.bernoulli(jax.random.fold_in(key, 100 + k), 0.5, (count,))
                scale = jnp.where(copies, jnp.where(up, factor, 1.0 / factor), 1.0)
                state = changed(game, state, side, name, lambda old, scale=scale: (old * scale).astype(old.dtype))
        return state

    return Schedule(every, between, init, Claims(hyper=frozenset(hyper)))


def children(every: int = 1, size: int = 3, gamma: float = 0.001) -> Schedule:
    """E-GAN: the best generator of every family of `size` replaces the others (Wang et al. 2019, arXiv 1803.00657).

    The children of a family start with equal weights and train for `every` steps, each with its own loss (loss `mixed`,
    one per generator). The fittest becomes the next parent. Fitness is quality E σ(D(G(z))) plus `gamma` times
    diversity −log‖∇_D L_D‖, both means over discriminators, on held-out reals and common noise (sections 3.2 and 3.3).
    Generator i is in family i // size.

    Args:
        every: number of steps that children train; 1 in the paper.
        size: number of children per family; 3 in the paper (minimax, non-saturating, least squares).
        gamma: γ ≥ 0, weight of diversity.

    Raises:
        InputError: a number is out of range, `size` does not divide a group of generators, or all have the same loss.
    """
    check_every(every)
    check_range("gamma", gamma)
    if not isinstance(size, int) or size < 1:
        raise InputError(f"size is {size}; give the number of children per family, a whole number, at least 1")

    def init(game: Game) -> Tree:
        copyable(game, "g")
        for group in game.groups_g:
            if group.count % size:
                raise InputError(
                    f"a group of {group.count} generators cannot be split into families of {size}; give it "
                    f"{-(-group.count // size) * size}"
                )
        _check_loss_per_member(game, "the children of a family differ by their losses")
        return ()

    def between(game: Game, state: State, source: Source, num: int) -> State:
        if int(state.step) == 0:  # all start from the first of their family
            return _become(game, state, np.arange(game.M) // size * size)
        reals = source.held_out("calibrate", num)
        fit = np.asarray(_quality(game, state, reals) + (gamma * diversity(game, state, reals) if gamma else 0.0))
        best = fit.reshape(-1, size).argmax(axis=1)
        return _become(game, state, np.repeat(np.arange(0, game.M, size) + best, size))

    return Schedule(every, between, init, Claims(at_start=True))


def _become(game: Game, state: State, source: np.ndarray) -> State:
    # A child keeps its loss, because every family has all losses.
    return become(game, state, "g", source, inherit=False)


def _quality(game: Game, state: State, reals: dict[str, Any]) -> Array:
    fake, _, _ = held_out_logits(game, state, reals, average=False)
    return jax.nn.sigmoid(fake).mean(axis=(1, 2))


def diversity(game: Game, state: State, reals: dict[str, Any]) -> Array:
    """−log‖∇ of log σ(r) + log(1 − σ(s)) by all weights of D_j‖, the mean over j, for every generator `[M]`.

    The diversity of E-GAN (arXiv 1803.00657): similar samples cause a large gradient of the discriminators.
    """
    fakes = held_out_logits(game, state, reals, average=False)[2]
    x, label = jnp.asarray(reals["x"]), reals.get("label")
    label = None if label is None else jnp.asarray(label)
    norm_MN = [_norms(game, state.discriminators, fake, x, label) for fake in fakes]  # one by one, to save memory
    return -jnp.log(jnp.stack(norm_MN) + 1e-12).mean(axis=1)


@partial(jax.jit, static_argnums=0)
def _norms(game: Game, discriminators: Population, fake: Array, real: Array, label: Array | None) -> Array:
    parts = []
    every = map(whole, discriminators)
    for first, group, members in zip(offsets(game.groups_d), game.groups_d, every, strict=True):

        def norm(params: Tree, net: Tree, j: Array, group: Group = group) -> Array:
            def value(params: Tree) -> Array:
                def logit(x: Array) -> Array:
                    out = group.apply(params, net, x, label=label, train=False, rng=None)[0]
                    return judged_alone(game.loss, out, j)

                return (jax.nn.log_sigmoid(logit(real)) + jax.nn.log_sigmoid(-logit(fake))).mean()

            return optax.tree.norm(jax.grad(value)(params))

        numbers = first + jnp.arange(group.count)
        parts.append(
            over_members(norm, group.execution, group.count, (0, 0, 0))(members.params, members.state, numbers)
        )
    return jnp.concatenate(parts)


def _check_loss_per_member(game: Game, why: str) -> None:
    if "loss_g" not in (game.loss.roles.start or {}):
        raise InputError(f"{why}, but all members have the same; give losses.per_member(...), or the loss mixed")


def _check_redrawable(game: Game) -> None:
    _check_loss_per_member(game, "the schedule changes the loss of members")
    if game.pairing.positive:
        raise InputError(
            "the schedule draws new losses for members, but the pairing needs generator losses that are never "
            "negative; use another pairing, or leave mutate_loss out"
        )


def _kinds(game: Game) -> int:
    start = game.loss.roles.start or {}
    return 1 + max(int(np.max(value)) for value in start.values())


def _check_kind(kind: str) -> None:
    if kind not in FITNESS:
        raise unknown("fitness", kind, FITNESS)


def _rivals(key: Array, kind: np.ndarray, size: int) -> np.ndarray:
    """For each member the numbers of `size` random members of the same kind, `[members, size]`."""
    pick = lambda k, same: jax.random.categorical(k, jnp.where(same, 0.0, -jnp.inf), shape=(size,))
    same = jnp.asarray(kind[:, None] == kind[None])
    return np.asarray(jax.vmap(pick)(member_keys(key, jnp.arange(len(kind))), same))
