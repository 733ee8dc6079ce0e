"""Penalties of a step: the samples on which each discriminator pays them, and the gradients that they add."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ensgan.devices.mesh import ALONE, Place
from ensgan.game import execution, meeting, population, scoring
from ensgan.game.common import Both, divided
from ensgan.game.game import Game
from ensgan.game.population import Group, Joined, Members
from ensgan.game.round import Round
from ensgan.game.state import State
from ensgan.types import Array, Loss, Penalty, Roster, Tree


def penalize(
    game: Game, state: State, met: Round, grad_d: tuple[Tree, ...], key: Array, place: Place = ALONE
) -> tuple[Array, tuple[Tree, ...]]:
    """The values of the penalties, `[N]`, and the discriminators' gradients with those of the penalties added.

    Both are this device's part of a sum over the devices that hold other samples.
    """
    value_N = jnp.zeros(met.keys_N.shape)
    for index, penalty in enumerate(game.penalties):

        def compute(penalty: Penalty = penalty, index: int = index) -> tuple[Array, tuple[Tree, ...]]:
            return _penalty(game, state, met, penalty, jax.random.fold_in(key, index), place)

        if penalty.interval == 1:
            value, grads = compute()
        else:
            idle = jax.tree.map(jnp.zeros_like, jax.eval_shape(compute))
            value, grads = jax.lax.cond(state.step % penalty.interval == 0, compute, lambda idle=idle: idle)
        value_N = value_N + value
        grad_d = jax.tree.map(jnp.add, grad_d, grads)
    return value_N, grad_d


class _Samples(NamedTuple):
    """The samples on which the discriminators of a group pay a penalty."""

    real: Array  # [R, ...], or [n, R, ...] if each sees separate ones
    fake: Any  # [n, R, ...], or [R, ...] for the heads of a trunk together; None if the penalty needs none
    label: Array | None  # classes of both, [R] or [n, R]
    numbers: Array  # of the samples on this device, [R]
    size: int  # samples on all devices


def _penalty(
    game: Game, state: State, met: Round, penalty: Penalty, key: Array, place: Place
) -> tuple[Array, tuple[Both, ...]]:
    key_value, key_choice = jax.random.split(key)
    columns, groups = population.numbers(game.groups_d, place.of_d), game.groups_d
    each_N = {  # one entry per discriminator
        "strength": _strength(game, state, penalty, met.weights.P[:, columns], columns),
        "rng": met.keys_N,
        "key": population.member_keys(key_value, columns),
        "j": columns,
    }
    alone = met.reals.x.ndim == len(game.sample_shape) + 2 or met.view.own
    values, grads = [], []
    pieces = population.pieces(groups, place.of_d)
    for mine, group, members in zip(pieces, groups, state.discriminators, strict=True):
        each_n = population.take(each_N, mine)
        heads = penalty.quadratic and not alone and group.has_trunk
        samples = _samples(game, state, met, key_choice if penalty.fakes else None, mine, place, together=heads)
        if isinstance(members, Joined) and heads:
            value_n, grad = _of_heads(game.loss, penalty, group, members, samples, each_n)
        else:
            whole = population.whole(members)
            value_n, grad = _of_members(game.loss, penalty, group, whole, samples, each_n, place)
        values.append(value_n)
        grads.append(grad)
    return jnp.concatenate(values), tuple(grads)


def _samples(
    game: Game, state: State, met: Round, key: Array | None, mine: slice, place: Place, together: bool
) -> _Samples:
    """The samples for one group; without a key no fakes are drawn."""
    view, real, label = jax.lax.stop_gradient((met.view.fake, met.reals.x, met.reals.label))
    part = lambda leaf, axes: leaf[mine] if leaf is not None and leaf.ndim > axes else leaf
    axes = len(game.sample_shape) + 1
    real, label, size = part(real, axes), part(label, 1), game.reals // game.hands
    numbers = place.samples(size)
    portion: Any = lambda leaf, samples: None if leaf is None else place.portion(leaf, leaf.ndim - samples)
    ready = lambda real, fake, label: _Samples(portion(real, axes), fake, portion(label, 1), portion(numbers, 1), size)
    if key is None:
        return ready(real, None, label)
    P_Kn, rows_KN, own = met.weights.here.d[:, mine], met.view.rows_KN, met.view.own
    n, first = jnp.arange(P_Kn.shape[1])[:, None], 0
    if place.apart:  # the fakes are chosen among those of all devices
        P_Kn, rows_KN = met.weights.P[:, mine], jnp.arange(game.M)[:, None]
        if together and _even(game, state):  # the places of this device's portion are those of its own fakes
            first = population.numbers(game.groups_g, place)[0]
        else:
            view = place.gather(view, population.counts(game.groups_g))
    if together:
        k, b = places_in_turn(key, P_Kn.mean(axis=1), len(numbers), view.shape[1])
    else:
        columns = population.numbers(game.groups_d, place.of_d)[mine]
        k = places_by_weight(key, P_Kn, columns, numbers)
        b = jnp.arange(len(numbers)) * view.shape[2 if own else 1] // len(numbers)  # on a mesh the same fakes
    if label is not None and met.view.size != size:  # fake n has the class of another real than real n
        index = meeting.numbers(rows_KN, met.view.size, size, place)
        at = index[k, 0 if index.shape[1] == 1 else n + mine.start, b]
        met_by = lambda x, axes: place.all_samples(x, x.ndim - axes)[(at,) if x.ndim == axes else (n, at)]
        real, label = met_by(real, axes), met_by(label, 1)
    k, b = portion(k, 1), portion(b, 1)
    fake = view[mine][n, k, b] if own else view[k - first, b]
    return ready(real, fake, label)


def _even(game: Game, state: State) -> bool:
    """Whether all generators have the same total weight in P at every step, and follow each other on a device."""
    always = game.pairing.even and game.pairing.before is None and game.M == game.N
    return always and len(game.groups_g) == 1 and not isinstance(state.roster, Roster)


def _critic(samples: _Samples, logit: Callable[[Array, Array | None], Array]) -> Callable[[Array], Array]:
    """A critic of samples alone; there may be several for each real, which have its class."""

    def critic(x: Array) -> Array:
        label = samples.label
        return logit(x, None if label is None else jnp.tile(label, x.shape[0] // samples.real.shape[0]))

    return critic


def _of_members(
    loss: Loss, penalty: Penalty, group: Group, members: Members, samples: _Samples, each: Tree, place: Place
) -> tuple[Array, Both]:
    """The penalty of every discriminator of a group, `[n]`, and its gradient."""

    def value(params: Tree, net: Tree, real: Array, fake: Any, label: Array | None, own: Tree) -> Array:
        logit = lambda x, tags: group.apply(params, net, x, label=tags, train=True, rng=own["rng"])[0]
        mine = samples._replace(real=real, fake=fake, label=label)
        critic = _critic(mine, lambda x, tags: scoring.judged_alone(loss, logit(x, tags), own["j"]))
        keys = population.member_keys(own["key"], samples.numbers)
        return own["strength"] * jnp.sum(penalty.value(critic, real, fake, keys)) / samples.size

    real, fake, label = samples[:3]
    alone = real.ndim == len(group.network.in_shape) + 2, fake is not None, label is not None and label.ndim == 2
    one = execution.over_members(
        jax.value_and_grad(value),
        "remat" if group.streams else group.execution_on_shared_input,  # a loop computes no penalty twice
        place.of_d.here(group.count),
        (0, 0, *(0 if each else None for each in alone), 0),
    )
    value_n, grad = one(members.params, members.state, real, fake, label, each)
    return value_n, divided(group, grad)


def _of_heads(
    loss: Loss, penalty: Penalty, group: Group, members: Joined, samples: _Samples, each: Tree
) -> tuple[Array, Both]:
    """The penalty of all heads of a trunk in one pullback, with a random sign for each; `[n]` shows their mean."""
    parts, count = group.parts, group.count
    assert parts is not None
    trunk, head = group.stage(parts.common), group.stage(parts.own)
    weights, net = population.take((members.common.params, members.common.state), 0)
    sign_n = jax.random.rademacher(each["key"][0], (count,), jnp.float32) * jnp.sqrt(each["strength"])

    def value(own: Tree, common: Tree) -> Array:
        def logit(x: Array, tags: Array | None) -> Array:
            h, _ = trunk(common, net, x, label=tags, train=True, rng=each["rng"][0])

            def one(params: Tree, state: Tree, j: Array) -> Array:
                out, _ = head(params, state, h, label=tags, train=True, rng=each["rng"][0])
                return scoring.judged_alone(loss, out, j)

            return jnp.einsum("n,nb->b", sign_n, jax.vmap(one)(own, members.state, each["j"]))

        keys = population.member_keys(each["key"][0], samples.numbers)
        return jnp.sum(penalty.value(_critic(samples, logit), samples.real, samples.fake, keys)) / samples.size

    total, (own, common) = jax.value_and_grad(value, argnums=(0, 1))(members.params, weights)
    return jnp.full(count, total / count), Both(own, jax.tree.map(lambda leaf: leaf[None] / count, common))


def _strength(game: Game, state: State, penalty: Penalty, P_KN: Array, columns: Array) -> Array:
    """The strength at this step, times the interval, for each of these discriminators, `[N]`."""
    strength = penalty.strength(state.step) if callable(penalty.strength) else penalty.strength
    strength_N = jnp.broadcast_to(jnp.asarray(strength, jnp.float32) * penalty.interval, (game.N,))[columns]
    if "penalty" in state.hyper:
        strength_N = strength_N * state.hyper["penalty"][columns]
    if isinstance(state.roster, Roster):
        strength_N = jnp.where(state.roster.plays_d[columns], strength_N, 0.0)
    if penalty.fakes:  # a discriminator that plays nobody has no fakes
        strength_N = jnp.where(jnp.sum(P_KN, axis=0) > 0, strength_N, 0.0)
    return strength_N


def places_by_weight(key: Array, P_KN: Array, columns: Array, samples: Array) -> Array:
    """The places of fakes for each discriminator, `[N, R]`: k with probability P_kj for sample b, keyed by (j, b).

    Args:
        key: the key of all draws.
        P_KN: weights of the places, at least 0.
        columns: the numbers j of the discriminators, `[N]`.
        samples: the numbers b of the samples, `[R]`.
    """
    K, N = P_KN.shape
    if K == 1:
        return jnp.zeros((N, len(samples)), jnp.int32)

    def choose(j: Array, p_K: Array) -> Array:
        keys = population.member_keys(jax.random.fold_in(key, j), samples)
        return jax.vmap(lambda k: jax.random.categorical(k, jnp.log(p_K)))(keys)

    return jax.vmap(choose)(columns, P_KN.T)


def places_in_turn(key: Array, p_K: Array, num: int, fakes: int) -> tuple[Array, Array]:
    """The places and numbers of `num` fakes, `[num]` each: place k about num·p_k times, its fakes one after the other.

    The expected number of times is exact. If all weights are equal and num = K·fakes, each fake is there once.
    """
    ends_K = jnp.cumsum(p_K / jnp.maximum(jnp.sum(p_K), 1e-30)) * num
    at = jnp.arange(num)
    # Rounding must not move an end below a whole number of samples.
    k = jnp.minimum(jnp.searchsorted(ends_K - 1e-3, at + 0.998 * jax.random.uniform(key), side="right"), len(p_K) - 1)
    turn = at - jnp.searchsorted(k, k, side="left")
    return k, turn * fakes * len(p_K) // num % fakes  # spread over all fakes, on a mesh over the same ones
