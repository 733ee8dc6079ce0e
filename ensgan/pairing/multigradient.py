"""The pairing that looks at gradients: each generator goes where no opponent's loss rises."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from optax.projections import projection_simplex

from ensgan.pairing.matching import _fraction
from ensgan.pairing.weights import discriminator_weights, normalize
from ensgan.types import Array, Evidence, InputError, Pairing, Tree


def mgd(own: float = 0.0, iterations: int = 100) -> Pairing:
    """Multiple gradient descent: W_i is the point of smallest norm in the convex hull of the gradients of G_i's losses.

    To first order, a step along it lowers every loss at the same rate, or raises none (Désidéri 2012; Albuquerque et
    al. 2019, arXiv 1901.08680). The gradients are those at the samples, ∂loss_g_ij/∂x_i over the batch, not at the
    generator's parameters: their Gram matrix costs one pullback and holds for the generator as a set of free samples.
    It needs full coverage and takes two pullbacks a step.

    Args:
        own: share of each discriminator's weight on its own generator, in [0, 1].
        iterations: steps of the solver, at least 1.

    Raises:
        InputError: `own` or `iterations` is out of range.
    """
    _fraction("own", own)
    if iterations < 1:
        raise InputError(f"iterations is {iterations}; the solver takes at least 1 step")

    def after(state: Tree, evidence: Evidence, key: Array) -> tuple[Array, Array, Tree]:
        del key
        assert evidence.gram is not None
        W = jax.vmap(lambda gram, mask: smallest_norm(gram, mask, iterations))(evidence.gram, evidence.mask)
        return normalize(W, evidence.mask, axis=1), discriminator_weights(evidence.mask, own), state

    members = "complete" if own > 0.0 else "parts"
    return Pairing(lambda M, N: (), after, members=members, asks=frozenset({"gram"}))


def smallest_norm(gram: Array, mask: Array, iterations: int) -> Array:
    """argmin wᵀ Gram w over shares w `[N]` of the opponents in `mask`, for a Gram matrix `[N, N]`.

    Accelerated projected gradient, restarted wherever momentum points uphill (O'Donoghue & Candès 2015, arXiv
    1204.3982), on the matrix over its trace. Gradients that all vanish give equal shares.
    """
    gram = jnp.where(mask[:, None] & mask[None], gram, 0.0)
    trace = jnp.trace(gram)
    gram = gram / jnp.where(trace > 0, trace, 1.0)
    bound = jnp.sqrt(jnp.sum(gram**2))  # of the largest eigenvalue
    rate = 1.0 / jnp.where(bound > 0, bound, 1.0)
    project = lambda w: projection_simplex(jnp.where(mask, w, -1e9))

    def turn(_: int, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        w, ahead, t = carry
        new = project(ahead - rate * jnp.sum(gram * ahead[None], axis=1))
        t = jnp.where(jnp.sum((ahead - new) * (new - w)) > 0, 1.0, t)
        later = 0.5 * (1.0 + jnp.sqrt(1.0 + 4.0 * t**2))
        return new, new + (t - 1.0) / later * (new - w), later

    start = project(jnp.zeros(mask.shape))
    return jax.lax.fori_loop(0, iterations, turn, (start, start, jnp.ones(())))[0]
