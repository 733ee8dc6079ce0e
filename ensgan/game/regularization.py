"""Penalties of a step: the samples on which each discriminator pays them, and the gradients that they add."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ensgan.devices.mesh import ALONE, Place
from ensgan.game import execution, population, scoring
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.game.round import Round
from ensgan.game.state import State
from ensgan.types import Array, Penalty, Tree


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


def _penalty(
    game: Game, state: State, met: Round, penalty: Penalty, key: Array, place: Place
) -> tuple[Array, tuple[Tree, ...]]:
    fake, real, label = jax.lax.stop_gradient((met.view.fake, met.reals.x, met.reals.label))
    own_reals = real.ndim == len(game.sample_shape) + 2
    own_labels = label is not None and label.ndim == 2
    key_value, key_choice = jax.random.split(key)
    columns, samples = population.numbers(game.groups_d, place), place.samples(met.view.size)
    P_KN, fake_NB = met.weights.here.d, None
    if penalty.fakes:
        fake_NB = fakes_by_weight(key_choice, P_KN, fake, met.view.own, columns, samples)
    each = {  # one entry per discriminator
        "strength": _strength(game, state, penalty, P_KN, columns),
        "rng": met.keys_N,
        "key": population.member_keys(key_value, columns),
        "j": columns,
    }
    values, grads = [], []
    groups = game.groups_d
    axis = lambda own: 0 if own else None
    for mine, group, members in zip(population.pieces(groups, place), groups, state.discriminators, strict=True):
        one = execution.over_members(
            jax.value_and_grad(_value(game, penalty, group, samples, met.view.size)),
            group.execution_on_shared_input,
            place.here(group.count),
            (0, 0, axis(own_reals), axis(penalty.fakes), axis(own_labels), 0),
        )
        value_n, grad = one(
            members.params,
            members.state,
            real[mine] if own_reals else real,
            None if fake_NB is None else fake_NB[mine],
            label[mine] if own_labels and label is not None else label,
            population.take(each, mine),
        )
        values.append(value_n)
        grads.append(grad)
    return jnp.concatenate(values), tuple(grads)


def _strength(game: Game, state: State, penalty: Penalty, P_KN: Array, columns: Array) -> Array:
    """The strength at this step, times the interval, for each of these discriminators, `[N]`."""
    strength = penalty.strength(state.step) if callable(penalty.strength) else penalty.strength
    strength_N = jnp.broadcast_to(jnp.asarray(strength, jnp.float32) * penalty.interval, (game.N,))[columns]
    if "penalty" in state.hyper:
        strength_N = strength_N * state.hyper["penalty"][columns]
    if penalty.fakes:  # a discriminator that plays nobody has no fakes
        strength_N = jnp.where(jnp.sum(P_KN, axis=0) > 0, strength_N, 0.0)
    return strength_N


def _value(game: Game, penalty: Penalty, group: Group, samples: Array, size: int) -> Callable[..., Array]:
    """The penalty of one discriminator of a group, as a function of its parameters."""

    def value(params: Tree, net: Tree, real: Array, fake: Array, label: Array | None, own: dict[str, Array]) -> Array:
        def critic(x: Array) -> Array:
            tags = None if label is None else jnp.tile(label, x.shape[0] // real.shape[0])
            logit = group.apply(params, net, x, label=tags, train=True, rng=own["rng"])[0]
            return scoring.judged_alone(game.loss, logit, own["j"])

        keys = population.member_keys(own["key"], samples)
        return own["strength"] * jnp.sum(penalty.value(critic, real, fake, keys)) / size

    return value


def fakes_by_weight(key: Array, P_KN: Array, fake: Array, own: bool, columns: Array, samples: Array) -> Array:
    """B fakes for each discriminator, `[N, B, ...]`: sample b is from place k with probability P_kj, keyed by (j, b).

    Args:
        key: the key of all draws.
        P_KN: weights of the places, at least 0.
        fake: `[K, B, ...]`, or `[N, K, B, ...]` if every discriminator sees separate fakes.
        own: whether every discriminator sees separate fakes.
        columns: the numbers j of the discriminators, `[N]`.
        samples: the numbers b of the samples, `[B]`.
    """
    K, N = P_KN.shape
    if K == 1:
        return fake[:, 0] if own else jnp.broadcast_to(fake, (N, *fake.shape[1:]))

    def choose(j: Array, p_K: Array) -> Array:
        keys = population.member_keys(jax.random.fold_in(key, j), samples)
        return jax.vmap(lambda k: jax.random.categorical(k, jnp.log(p_K)))(keys)

    index_NB = jax.vmap(choose)(columns, P_KN.T)
    b = jnp.arange(len(samples))[None]
    return fake[jnp.arange(N)[:, None], index_NB, b] if own else fake[index_NB, b]
