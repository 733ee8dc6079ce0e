"""Pieces that pairings are made of: who is whose own opponent, and how rows and columns are made to sum to one."""

from __future__ import annotations

import jax.numpy as jnp

from ensgan.types import Array


def own_MN(M: int, N: int) -> Array:
    """1 where i ≡ j modulo min(M, N): with M = N the identity, else members of the larger side share opponents."""
    k = min(M, N)
    return (jnp.arange(M)[:, None] % k == jnp.arange(N)[None, :] % k).astype(jnp.float32)


def normalize(weight: Array, mask: Array, axis: int) -> Array:
    """`weight` ≥ 0, zero where `mask` is False, summing to 1 along `axis`; all zero where nothing is left to play."""
    weight = jnp.where(mask, weight, 0.0)
    total = weight.sum(axis=axis, keepdims=True)
    return jnp.where(total > 0, weight / jnp.where(total > 0, total, 1.0), 0.0)


def discriminator_weights(mask: Array, own: float, others: Array | None = None) -> Array:
    """P = own · (own opponent) + (1 − own) · others, columns summing to 1 over the pairs that are played, as `[M, N]`.

    `others` `[M, N]` says in what proportion; None is all alike.
    """
    M, N = mask.shape
    others = normalize(jnp.ones((M, N)) if others is None else others, mask, axis=0)
    if own == 0.0:
        return others
    return normalize(own * normalize(own_MN(M, N), mask, axis=0) + (1.0 - own) * others, mask, axis=0)
