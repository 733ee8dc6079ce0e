"""Pairings that weigh opponents by the loss against them: softmax, max, min, geometric and harmonic means.

Discriminators put `own` of their weight P on their own generator, and spread the rest over all.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ensgan.pairing.weights import discriminator_weights, driven, normalize
from ensgan.types import Array, Evidence, InputError, Pairing, Tree


def _by_loss(weigh: Callable[[Array, Array], Array], own: float) -> Pairing:
    def after(state: Tree, evidence: Evidence, key: Array) -> tuple[Array, Array, Tree]:
        del key
        W = normalize(weigh(evidence.loss_g, evidence.mask), evidence.mask, axis=1)
        return W, discriminator_weights(evidence.mask, own), state

    return Pairing(lambda M, N: (), after, members=driven(own), even=True)


def exponentials(value_MN: Array, mask: Array) -> Array:
    """exp of the values, up to a factor per row that prevents overflow and underflow; 0 where `mask` is False."""
    value_MN = jnp.where(mask, value_MN, -jnp.inf)
    top = value_MN.max(axis=1, keepdims=True)
    return jnp.exp(value_MN - jnp.where(jnp.isfinite(top), top, 0.0))


def softmax(lam: float = 1.0, own: float = 0.0) -> Pairing:
    """W_ij ∝ exp(λ · loss_g_ij): a harsher discriminator has more weight (GMAN, arXiv 1611.01673, section 4).

    Args:
        lam: λ, finite; 0 is the mean, large values come close to `max`, negative values favour mild discriminators.
        own: share of each discriminator's weight on its own generator, in [0, 1].

    Raises:
        InputError: `lam` is not finite, or `own` is outside [0, 1].
    """
    if not math.isfinite(lam):
        raise InputError(f"lam is {lam}; it must be finite; for the limit of large lam use the pairing max")

    return _by_loss(lambda loss, mask: exponentials(lam * loss, mask), own)


def max(own: float = 0.0) -> Pairing:
    """Each generator learns from its harshest discriminator only (GMAN-max, arXiv 1611.01673, section 3).

    Args:
        own: share of each discriminator's weight on its own generator, in [0, 1].

    Raises:
        InputError: `own` is outside [0, 1].
    """
    return _by_loss(lambda loss, mask: _first_largest(jnp.where(mask, loss, -jnp.inf)), own)


def min(own: float = 0.0) -> Pairing:
    """Each generator learns from its mildest discriminator only.

    Args:
        own: share of each discriminator's weight on its own generator, in [0, 1].

    Raises:
        InputError: `own` is outside [0, 1].
    """
    return _by_loss(lambda loss, mask: _first_largest(jnp.where(mask, -loss, -jnp.inf)), own)


def geometric(own: float = 0.0) -> Pairing:
    """Each generator pays the geometric mean of its losses (GMAN, arXiv 1611.01673, section 4): W_ij ∝ 1 / loss_g_ij.

    The gradient of (Π_j L_ij)^(1/N) weighs the gradient of L_ij by its own value over N·L_ij. Rows are normalised to
    sum to 1, which drops the factor common to all opponents. Mild discriminators have more weight than in the mean.
    Losses below 1e-6 count as 1e-6.

    Args:
        own: share of each discriminator's weight on its own generator, in [0, 1].

    Raises:
        InputError: `own` is outside [0, 1]. A game with losses that can be negative raises it as well.
    """
    return _by_loss(_inverse, own)._replace(positive=True)


def harmonic(own: float = 0.0) -> Pairing:
    """Each generator pays the harmonic mean of its losses (GMAN, arXiv 1611.01673, section 4): W_ij ∝ 1 / loss_g_ij².

    The gradient of N / Σ_j 1/L_ij weighs the gradient of L_ij by its own value squared over N·L_ij². As in `geometric`,
    the common factor is dropped and losses below 1e-6 count as 1e-6. Mild discriminators have still more weight.

    Args:
        own: share of each discriminator's weight on its own generator, in [0, 1].

    Raises:
        InputError: `own` is outside [0, 1]. A game with losses that can be negative raises it as well.
    """
    return _by_loss(lambda loss, mask: _inverse(loss, mask) ** 2, own)._replace(positive=True)


def _inverse(loss: Array, mask: Array) -> Array:
    """1 / loss, scaled to 1 for the smallest loss of each row, so that squares neither overflow nor all underflow."""
    loss = jnp.where(mask, jnp.maximum(loss, 1e-6), jnp.inf)
    low = loss.min(axis=1, keepdims=True)
    return jnp.where(jnp.isfinite(low), low, 1.0) / loss


def _first_largest(value_MN: Array) -> Array:
    return jax.nn.one_hot(value_MN.argmax(axis=1), value_MN.shape[1])
