"""Ranks of scores: placements, whose means are the area under the ROC curve."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ensgan.metrics.checks import check_row
from ensgan.types import Array


def placements(real_N: Array, fake_M: Array) -> tuple[Array, Array]:
    """For each real the share of fakes below it, for each fake the share of reals above it; ties count one half.

    The mean of either is the Mann-Whitney AUC P(r > s) + ½P(r = s), and their variances give its standard error (DeLong
    et al. 1988, Biometrics 44). Sorting and a two-sided search: exact, and n log n where comparing all pairs is n².

    Args:
        real_N: scores of reals `[n]`.
        fake_M: scores of fakes `[m]`.

    Returns:
        `[n]` and `[m]`, in [0, 1].

    Raises:
        InputError: no arrays of real numbers, or of other shapes.
    """
    check_row(real_N=real_N, fake_M=fake_M)

    def below(sorted_scores: Array, scores: Array) -> Array:
        left = jnp.searchsorted(sorted_scores, scores, side="left")
        right = jnp.searchsorted(sorted_scores, scores, side="right")
        # Compiled, it is a product with the rounded reciprocal, which may be above 1.
        return jnp.minimum((left + right) / (2.0 * sorted_scores.shape[0]), 1.0)

    return below(jnp.sort(fake_M), real_N), 1.0 - below(jnp.sort(real_N), fake_M)


def auc(fake_MNn: Array, real_Nn: Array) -> Array:
    """`fool` `[M, N]` of logits: P(a fake of G_i is above a real), ties count half."""
    return auc_with_placements(fake_MNn, real_Nn)[0]


@jax.jit
def auc_with_placements(fake_MNn: Array, real_Nn: Array) -> tuple[Array, Array, Array]:
    """`fool` `[M, N]` and the placements of reals `[M, N, n]` and of fakes `[M, N, n]`, as shares that fool."""
    above = jax.vmap(jax.vmap(placements), in_axes=(None, 0))  # over discriminators, then generators
    detect_r, detect_f = above(real_Nn, fake_MNn)
    return jnp.minimum((1.0 - detect_r).mean(-1), 1.0), 1.0 - detect_r, 1.0 - detect_f


@jax.jit
def pairwise_probability(fake_MNn: Array, real_Nn: Array) -> Array:
    """Mean σ(s_a − r_b) over all pairs (a, b), one row of fakes at a time."""
    over = lambda s, r: jax.lax.map(lambda a: jax.nn.sigmoid(a - r).mean(), s).mean()
    return jax.vmap(jax.vmap(over), in_axes=(0, None))(fake_MNn, real_Nn)
