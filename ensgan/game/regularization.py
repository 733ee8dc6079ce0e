"""Penalties of a step: on which samples each discriminator pays them, and the gradients they add."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ensgan.devices.mesh import ALONE, Place
from ensgan.game import execution, population, scoring
from ensgan.game.game import Game
from ensgan.game.round import Round
from ensgan.game.state import State
from ensgan.types import Array, Penalty, Tree


def penalize(
    game: Game, state: State, met: Round, grad_d: tuple[Tree, ...], key: Array, place: Place = ALONE
) -> tuple[Array, tuple[Tree, ...]]:
    """Adds the gradients of the penalties to the discriminators'; also gives their values `[N]`.

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
    strength = penalty.strength(state.step) if callable(penalty.strength) else penalty.strength
    fake, real = jax.lax.stop_gradient((met.view.fake, met.real))
    B = fake.shape[2 if met.view.own else 1]
    own_reals = real.ndim == len(game.sample_shape) + 2
    own_labels = met.label is not None and met.label.ndim == 2
    key_value, key_choice = jax.random.split(key)
    columns, samples = population.numbers(game.groups_d, place), place.samples(met.view.size)
    fake_NB = None
    if penalty.fakes:
        fake_NB = fakes_by_weight(key_choice, met.weights.d, fake, met.view.own, columns, samples)
    strength_N = jnp.broadcast_to(jnp.asarray(strength, jnp.float32) * penalty.interval, (game.N,))[columns]
    if "penalty" in state.hyper:
        strength_N = strength_N * state.hyper["penalty"][columns]
    if penalty.fakes:  # a discriminator that plays nobody has no fakes to be regular on
        strength_N = jnp.where(jnp.sum(met.weights.d, axis=0) > 0, strength_N, 0.0)

    values, grads = [], []
    groups = game.groups_d
    for mine, group, members in zip(population.pieces(groups, place), groups, state.discriminators, strict=True):

        def value(
            params: Tree,
            net: Tree,
            real: Array,
            fake: Array,
            strength: Array,
            rng: Array,
            key: Array,
            j: Array,
            label: Array | None,
            apply=group.apply,
        ) -> Array:
            def critic(x: Array) -> Array:
                tags = None if label is None else jnp.tile(label, x.shape[0] // B)
                logit = scoring.at_least_float32(apply(params, net, x, label=tags, train=True, rng=rng)[0])
                return logit if game.loss.judge is None else game.loss.judge(logit[None], j[None])[0]

            keys = population.member_keys(key, samples)
            return strength * jnp.sum(penalty.value(critic, real, fake, keys)) / met.view.size

        one = execution.over_members(
            jax.value_and_grad(value),
            group.how_shared,
            place.here(group.count),
            (0, 0, 0 if own_reals else None, 0 if penalty.fakes else None, 0, 0, 0, 0, 0 if own_labels else None),
        )
        value_n, grad = one(
            members.params,
            members.state,
            real[mine] if own_reals else real,
            None if fake_NB is None else fake_NB[mine],
            strength_N[mine],
            met.keys_N[mine],
            population.member_keys(key_value, columns[mine]),
            columns[mine],
            met.label[mine] if own_labels and met.label is not None else met.label,
        )
        values.append(value_n)
        grads.append(grad)
    return jnp.concatenate(values), tuple(grads)


def fakes_by_weight(key: Array, P_KN: Array, fake: Array, own: bool, columns: Array, samples: Array) -> Array:
    """B fakes for each discriminator, `[N, B, ...]`: sample b is of place k with probability P_kj, keyed by (j, b).

    Args:
        key: of all draws.
        P_KN: weights of the places, at least 0.
        fake: `[K, B, ...]`, or `[N, K, B, ...]` if every discriminator has its own.
        own: whether it has.
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
