"""Pairings that weigh opponents by what they cost: softmax, the harshest alone, the mildest alone.

The discriminators' weights P are `own` on the own generator and the rest spread over all.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ensgan.pairing.matching import _fraction
from ensgan.pairing.weights import discriminator_weights, normalize
from ensgan.types import Array, Evidence, InputError, Pairing, Tree


def _by_loss(weigh: Callable[[Array, Array], Array], own: float) -> Pairing:
    _fraction("own", own)

    def after(state: Tree, evidence: Evidence, key: Array) -> tuple[Array, Array, Tree]:
        del key
        W = normalize(weigh(evidence.loss_g, evidence.mask), evidence.mask, axis=1)
        return W, discriminator_weights(evidence.mask, own), state

    return Pairing(lambda M, N: (), after, members="complete" if own > 0.0 else "parts")


def softmax(lam: float = 1.0, own: float = 0.0) -> Pairing:
    """W_ij ∝ exp(λ · loss_g_ij): the harsher a discriminator, the more it counts (GMAN, arXiv 1611.01673, section 4).

    Args:
        lam: λ, finite; 0 is the mean, large values come close to `max`, negative ones listen to the mild.
        own: share of each discriminator's weight on its own generator, in [0, 1].

    Raises:
        InputError: `lam` is not finite, or `own` is outside [0, 1].
    """
    if not math.isfinite(lam):
        raise InputError(f"lam is {lam}; it must be finite, and its limit is the pairing max")

    def weigh(loss: Array, mask: Array) -> Array:
        scaled = jnp.where(mask, lam * loss, -jnp.inf)
        top = scaled.max(axis=1, keepdims=True)
        return jnp.exp(scaled - jnp.where(jnp.isfinite(top), top, 0.0))

    return _by_loss(weigh, own)


def max(own: float = 0.0) -> Pairing:
    """Each generator listens to its harshest discriminator alone (GMAN-max, arXiv 1611.01673, section 4.1).

    Args:
        own: share of each discriminator's weight on its own generator, in [0, 1].

    Raises:
        InputError: `own` is outside [0, 1].
    """
    return _by_loss(lambda loss, mask: _first_largest(jnp.where(mask, loss, -jnp.inf)), own)


def min(own: float = 0.0) -> Pairing:
    """Each generator listens to its mildest discriminator alone.

    Args:
        own: share of each discriminator's weight on its own generator, in [0, 1].

    Raises:
        InputError: `own` is outside [0, 1].
    """
    return _by_loss(lambda loss, mask: _first_largest(jnp.where(mask, -loss, -jnp.inf)), own)


def _first_largest(value_MN: Array) -> Array:
    return jax.nn.one_hot(value_MN.argmax(axis=1), value_MN.shape[1])
