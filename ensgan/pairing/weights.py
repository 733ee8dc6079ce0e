"""Building blocks of pairings: shares, own opponents, and weights whose rows or columns sum to 1."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp

from ensgan.types import Array, InputError


def check_share(name: str, value: float) -> None:
    """Raises InputError unless a number is in [0, 1]."""
    if not 0.0 <= value <= 1.0:
        raise InputError(f"{name} is {value}; it must be a share between 0 and 1")


def driven(own: float) -> Literal["alone", "complete", "parts"]:
    """`Pairing.members` if each discriminator puts the share `own` of its weight P on its own generator.

    A share of 1 leaves each generator alone with its discriminator. Any other share above 0 makes generators
    `complete` in games with a whole discriminator for each of them (`Game.members`).

    Raises:
        InputError: `own` is outside [0, 1].
    """
    check_share("own", own)
    return "alone" if own == 1.0 else "complete" if own > 0.0 else "parts"


def own_MN(M: int, N: int) -> Array:
    """1 where i ≡ j modulo min(M, N): the identity if M = N; else members of the larger side share opponents."""
    k = min(M, N)
    return (jnp.arange(M)[:, None] % k == jnp.arange(N)[None, :] % k).astype(jnp.float32)


def normalize(weight: Array, mask: Array, axis: int) -> Array:
    """Normalises `weight` ≥ 0 to sum to 1 along `axis`, 0 where `mask` is False; all 0 if no pair is left."""
    weight = jnp.where(mask, weight, 0.0)
    total = weight.sum(axis=axis, keepdims=True)
    return jnp.where(total > 0, weight / jnp.where(total > 0, total, 1.0), 0.0)


def discriminator_weights(mask: Array, own: float, others: Array | None = None) -> Array:
    """P `[M, N]` = own · (own opponent) + (1 − own) · others; columns sum to 1 over the pairs that are played.

    `others` `[M, N]` are the proportions of all generators; None is uniform.
    """
    M, N = mask.shape
    others = normalize(jnp.ones((M, N)) if others is None else others, mask, axis=0)
    if own == 0.0:
        return others
    return normalize(own * normalize(own_MN(M, N), mask, axis=0) + (1.0 - own) * others, mask, axis=0)
