"""Pieces that pairings are made of: shares, who is whose own opponent, and rows and columns that sum to one."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp

from ensgan.types import Array, InputError


def check_share(name: str, value: float) -> None:
    """Raises InputError unless a number is in [0, 1]."""
    if not 0.0 <= value <= 1.0:
        raise InputError(f"{name} is {value}; it is a share between 0 and 1")


def driven(own: float) -> Literal["complete", "parts"]:
    """Whether generators are complete or parts where discriminators keep the share `own` of their weight for their own
    generator.

    Any share makes them `complete`, in games with a discriminator for each of them (`Game.members`): of several
    generators that share one, it sees the mixture.

    Raises:
        InputError: `own` is outside [0, 1].
    """
    check_share("own", own)
    return "complete" if own > 0.0 else "parts"


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
