"""Checksums of arrays: one number for each leaf of a tree, the same on the host, on a device and on a mesh.

A checksum is Σ bᵢ·wᵢ modulo 2³², over the bits bᵢ of the numbers and odd weights wᵢ that depend on the position. A
change of one number always changes it, since odd weights have inverses modulo 2³²; any other change does, but for one
in four billion.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.types import Array, Tree

SPREAD = np.uint32(2654435761)
BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint32}  # by the bytes of a number; eight are two parts


def digests(tree: Tree) -> dict[str, int]:
    """The checksum of every leaf by its path. On a mesh of several processes, all of them must call it."""
    leaves = [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]
    plain = [jax.random.key_data(leaf) if _is_key(leaf) else leaf for _, leaf in leaves]
    if all(_at_hand(leaf) for leaf in plain):
        found = [_on_host(np.asarray(leaf)) for leaf in plain]
    else:
        found = jax.device_get(_on_devices(plain))
    return {path: int(value) for (path, _), value in zip(leaves, found, strict=True)}


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _at_hand(leaf: Any) -> bool:
    """Whether the numbers are in this process's memory, in one piece."""
    if not isinstance(leaf, jax.Array):
        return True
    return len(leaf.sharding.device_set) == 1 and next(iter(leaf.sharding.device_set)).platform == "cpu"


def _on_host(x: np.ndarray) -> np.uint32:
    bits = np.ascontiguousarray(x).reshape(-1).view(BITS[x.dtype.itemsize]).astype(np.uint32)
    weights = np.arange(len(bits), dtype=np.uint32) * SPREAD | np.uint32(1)
    return np.sum(bits * weights, dtype=np.uint32)


@jax.jit
def _on_devices(leaves: list[Array]) -> list[Array]:
    return [_one(leaf) for leaf in leaves]


def _one(x: Array) -> Array:
    if x.dtype == bool:
        x = x.astype(np.uint8)
    bits = jax.lax.bitcast_convert_type(x, BITS[x.dtype.itemsize]).astype(np.uint32)
    # Positions without a reshape, which would gather an array that is spread over devices.
    place = jnp.zeros(bits.shape, np.uint32)
    for axis, size in enumerate(bits.shape):
        place = place * np.uint32(size) + jax.lax.broadcasted_iota(np.uint32, bits.shape, axis)
    return jnp.sum(bits * (place * SPREAD | np.uint32(1)), dtype=np.uint32)
