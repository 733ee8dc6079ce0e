"""The pairing that uses gradients: each generator moves in a direction in which no loss rises."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ensgan.pairing.weights import discriminator_weights, driven, normalize
from ensgan.types import Array, Evidence, InputError, Pairing, Tree


def mgd(own: float = 0.0, iterations: int = 100) -> Pairing:
    """Multiple gradient descent: W_i is the point of least norm in the convex hull of the gradients of G_i's losses.

    To first order, a step in this direction lowers every loss at the same rate, or raises none (Désidéri 2012;
    Albuquerque et al. 2019, arXiv 1901.08680). The gradients are taken at the samples, ∂loss_g_ij/∂x_i over the batch,
    not at the generator's parameters: their Gram matrix costs one pullback, and treats the samples as free to move.
    The pairing needs full coverage and two pullbacks per step.

    Args:
        own: share of each discriminator's weight on its own generator, in [0, 1].
        iterations: iterations of the solver, at least 1; 100 are enough for 16 opponents.

    Raises:
        InputError: `own` or `iterations` is out of range.
    """
    if iterations < 1:
        raise InputError(f"iterations is {iterations}; the solver needs at least 1")

    def after(state: Tree, evidence: Evidence, key: Array) -> tuple[Array, Array, Tree]:
        del key
        assert evidence.gram is not None
        W = jax.vmap(lambda gram, mask: smallest_norm(gram, mask, iterations))(evidence.gram, evidence.mask)
        return normalize(W, evidence.mask, axis=1), discriminator_weights(evidence.mask, own), state

    return Pairing(lambda M, N: (), after, members=driven(own), even=True, asks=frozenset({"gram"}))


def smallest_norm(gram: Array, mask: Array, iterations: int) -> Array:
    """argmin wᵀ Gram w over shares w `[N]` of the opponents in `mask`, for a Gram matrix `[N, N]`.

    Each iteration moves share between two opponents, by the amount that minimises the norm: to the opponent with the
    smallest slope, from the one with the largest gain (the pairs of Fan, Chen & Lin 2005, JMLR 6). Unlike projected
    gradients, this does not get slower if the gradients differ much in length. If all are 0, the shares are equal.
    """
    gram = jnp.where(mask[:, None] & mask[None], gram, 0.0)
    trace = jnp.trace(gram)
    gram = gram / jnp.where(trace > 0, trace, 1.0)
    square, number = jnp.diag(gram), jnp.arange(len(mask))

    def turn(_: int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        w, slope = carry
        to = jnp.where(mask, slope, jnp.inf).argmin()
        gain = jnp.where(w > 0, slope - slope[to], 0.0)
        curve = jnp.maximum(square + square[to] - 2.0 * gram[to], 1e-12)
        move = jnp.minimum(gain / curve, w)
        source = (move * gain - 0.5 * move**2 * curve).argmax()
        step = move[source] * ((number == to) * 1.0 - (number == source))
        return w + step, slope + move[source] * (gram[to] - gram[source])

    start = mask / jnp.maximum(mask.sum(), 1)
    return jax.lax.fori_loop(0, iterations, turn, (start, jnp.sum(gram * start[None], axis=1)))[0]
