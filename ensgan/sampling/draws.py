"""The random choices behind samples: weights, members, classes and latents, by key and number."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.data.checks import checked_labels
from ensgan.data.law import shares
from ensgan.game import population
from ensgan.game.game import Game
from ensgan.game.state import State
from ensgan.types import Array, InputError

CHUNK = 1024  # samples in one compiled call
SAMPLING, LABELS = 0x5A, 0x5B  # set these draws apart from those of a game that was started with the same key


def probabilities(game: Game, state: State, weights: Any = None) -> np.ndarray:
    """Weights of generators as `sample` takes them, `[M]`, that sum to 1.

    Raises:
        InputError: they are not M finite numbers ≥ 0 with a positive sum.
    """
    p = game.mixture(state) if weights is None else np.asarray(weights, np.float64)
    if p.shape != (game.M,) or not np.isfinite(p).all() or (p < 0).any() or not p.any():
        raise InputError(f"weights are {p.tolist()}; give {game.M} numbers ≥ 0, one per generator, not all 0")
    return shares(p)


def labels(game: Game, key: Array, num: int, label: Any = None, law: Any = None) -> np.ndarray | None:
    """The classes of `num` samples, int32 `[num]`, as `sample` takes them; None where there are none.

    They are `label` if it is given, else drawn with the probabilities `law` `[K]`, or all alike.

    Raises:
        InputError: as in `sample`.
    """
    if label is not None:
        label = np.asarray(label)
        return checked_labels(np.full(num, label) if label.ndim == 0 else label, num, "label", game.classes)
    if game.classes is None:
        return None
    return np.asarray(classes(key, jnp.asarray(class_shares(game, law), jnp.float32), jnp.arange(num)))


def class_shares(game: Game, law: Any = None) -> np.ndarray:
    """The law of the labels of a conditional game, `[K]`, with sum 1; all classes alike where none is given.

    Raises:
        InputError: not K finite numbers ≥ 0 with a positive sum, or a game without classes.
    """
    if game.classes is None:
        raise InputError("classes is given, but the generators are not conditional; leave it out")
    p = np.ones(game.classes) if law is None else np.asarray(law, np.float64)
    if p.shape != (game.classes,) or not np.isfinite(p).all() or (p < 0).any() or not p.any():
        raise InputError(f"classes is {p.tolist()}; give {game.classes} numbers ≥ 0, one per class, not all 0")
    return shares(p)


def power_of_two(num: int) -> int:
    """Sizes that are compiled: few of them, and never much larger than what is asked."""
    return 1 << max(num - 1, 0).bit_length()


def chunks(num: int) -> np.ndarray:
    """Numbers of `num` samples in rows of one size, at most CHUNK, for one program; the last one fills the end."""
    count = max(-(-num // CHUNK), 1)
    return np.minimum(np.arange(count * -(-num // count)), num - 1).reshape(count, -1)


@jax.jit
def components(key: Array, p_M: Array, number: Array) -> Array:
    """The generator of each of the samples `number` `[b]`, int32 `[b]`."""
    pick = lambda k: jax.random.categorical(k, jnp.log(p_M))
    return jax.vmap(pick)(population.member_keys(keys(key)[0], number))


@partial(jax.jit, static_argnums=(1, 2))
def strata(key: Array, p: tuple[float, ...], n: int) -> Array:
    """Generators of n samples, int32 `[n]` in random order: shares p, none of them 0, rounded up or down at random."""
    key_u, key_order = jax.random.split(key)
    return jax.random.permutation(key_order, in_order(key_u, p, n))


def in_order(key: Array, p: tuple[float, ...], n: int) -> Array:
    """The same in the order of generators, by systematic sampling: points 1/n apart, and one offset for all."""
    point = (jnp.arange(n) + jax.random.uniform(key)) / n
    return jnp.searchsorted(jnp.asarray(np.cumsum(p)[:-1], jnp.float32), point, side="right")


@jax.jit
def classes(key: Array, p_K: Array, number: Array) -> Array:
    """A class for each of the samples `number` `[b]`, int32 `[b]`, with the probabilities p."""
    pick = lambda k: jax.random.categorical(k, jnp.log(p_K)).astype(jnp.int32)
    return jax.vmap(pick)(population.member_keys(jax.random.fold_in(key, LABELS), number))


def keys(key: Array) -> Array:
    """The key that picks members, and that of the latents."""
    return jax.random.split(jax.random.fold_in(key, SAMPLING))
