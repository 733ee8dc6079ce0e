"""Samples from averaged generators: one member, or a mixture that picks a member for every sample; and their labels."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensgan import population
from ensgan.data.checks import checked_labels
from ensgan.game import Game, State
from ensgan.population import Group, Members
from ensgan.types import Array, InputError

CHUNK = 1024
SAMPLING, LABELS = 0x5A, 0x5B  # set these draws apart from those of a game that was started with the same key


def sample(
    game: Game,
    state: State,
    key: Array,
    num: int,
    *,
    weights: Any = None,
    average: bool = True,
    label: Any = None,
) -> Array:
    """Draws samples from the ensemble.

    Sample b is a function of `key` and b alone, so more samples begin with the same ones.

    Args:
        game: what was played.
        state: the trained state.
        key: a key; nothing of the training key is reused.
        num: how many samples, at least 1.
        weights: probabilities of the M generators, for example `select(...).mixture`, a one-hot vector for one member,
            or None for the mixture that the pairing learned, uniform where it learns none.
        average: whether to use the exponential averages (else the raw weights of the last step).
        label: the class of all samples, or of each, int32 `[num]`. None lets conditional generators draw each class
            with the same probability, whatever its share of the data; others need none.

    Returns:
        float32 `[num, *sample_shape]`.

    Raises:
        InputError: `num` below 1, weights that are not M finite numbers ≥ 0 with a positive sum, or labels that are
            not `num` whole numbers below the number of classes.
    """
    if num < 1:
        raise InputError(f"asked for {num} samples; give at least 1")
    p = probabilities(game, state, weights)
    key_member, key_noise = jax.random.split(jax.random.fold_in(key, SAMPLING))
    member = np.asarray(_members(key_member, jnp.asarray(p, jnp.float32), num))
    label = labels(game, key, num, label)

    out = np.zeros((num, *game.sample_shape), np.float32)
    for first, group, members in zip(population.offsets(game.groups_g), game.groups_g, state.generators, strict=True):
        for k in range(group.count):
            index = np.flatnonzero(member == first + k)
            for start in range(0, len(index), CHUNK):
                part = index[start : start + CHUNK]
                padded = np.resize(part, min(CHUNK, _power_of_two(len(index))))
                tags = None if label is None else jnp.asarray(label[padded])
                fake = _one_member(group, members, average, k, key_noise, jnp.asarray(padded), tags)
                out[part] = np.asarray(fake)[: len(part)]
    return jnp.asarray(out)


def probabilities(game: Game, state: State, weights: Any = None) -> np.ndarray:
    """Weights of generators as `sample` takes them, `[M]`, that sum to 1.

    Raises:
        InputError: they are not M finite numbers ≥ 0 with a positive sum.
    """
    p = game.mixture(state) if weights is None else np.asarray(weights, np.float64)
    if p.shape != (game.M,) or not np.isfinite(p).all() or (p < 0).any() or p.sum() <= 0:
        raise InputError(
            f"weights are {p.tolist()}; give {game.M} numbers ≥ 0 that do not all vanish, one per generator"
        )
    return p / p.sum()


def labels(game: Game, key: Array, num: int, label: Any = None) -> np.ndarray | None:
    """The classes of `num` samples, int32 `[num]`, as `sample` takes them; None where there are none.

    Raises:
        InputError: as in `sample`.
    """
    if label is not None:
        label = np.asarray(label)
        return checked_labels(np.full(num, label) if label.ndim == 0 else label, num, "label", game.classes)
    return None if game.classes is None else np.asarray(_labels(jax.random.fold_in(key, LABELS), game.classes, num))


def every_member(game: Game, state: State, key: Array, num: int, label: Any = None, average: bool = True) -> Array:
    """`num` samples of every generator from common noise and labels, float32 `[M, num, *sample_shape]`.

    `label` is as in `sample`.
    """
    tags = labels(game, key, num, label)
    parts = [
        _all_members(group, members, average, key, num, None if tags is None else jnp.asarray(tags))
        for group, members in zip(game.groups_g, state.generators, strict=True)
    ]
    return jnp.concatenate(parts)


def _power_of_two(num: int) -> int:
    """Sizes that are compiled: few of them, and never much larger than what is asked."""
    return 1 << max(num - 1, 0).bit_length()


@partial(jax.jit, static_argnums=2)
def _members(key: Array, p_M: Array, num: int) -> Array:
    """The generator of each sample, `[num]`, each drawn from a key of its own."""
    pick = lambda k: jax.random.categorical(k, jnp.log(p_M))
    return jax.vmap(pick)(population.member_keys(key, jnp.arange(num)))


@partial(jax.jit, static_argnums=(1, 2))
def _labels(key: Array, classes: int, num: int) -> Array:
    """The class of each sample, int32 `[num]`, each drawn from a key of its own."""
    pick = lambda k: jax.random.randint(k, (), 0, classes, jnp.int32)
    return jax.vmap(pick)(population.member_keys(key, jnp.arange(num)))


@partial(jax.jit, static_argnums=(0, 2))
def _one_member(
    group: Group, members: Members, average: bool, k: int, key: Array, index: Array, label: Array | None
) -> Array:
    take = lambda tree: jax.tree.map(lambda leaf: leaf[k], tree)
    z = jax.vmap(lambda b: group.latent.draw(jax.random.fold_in(key, b), group.network.in_shape))(index)
    scale = jnp.broadcast_to(jnp.asarray(group.latent.scale, jnp.float32), (group.count,))[k]
    params = take(members.average if average else members.params)
    return group.apply(params, take(members.state), z * scale, label=label, train=False, rng=None)[0]


@partial(jax.jit, static_argnums=(0, 2, 4))
def _all_members(group: Group, members: Members, average: bool, key: Array, num: int, label: Array | None) -> Array:
    z = population.noise(group, key, 0, num, common=True)
    params = members.average if average else members.params

    def one(params: Any, state: Any, z: Array) -> Array:
        return group.apply(params, state, z, label=label, train=False, rng=None)[0]

    return population.over_members(one, group.how, group.count, (0, 0, 0))(params, members.state, z)
