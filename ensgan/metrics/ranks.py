"""Ranks of scores: placements, whose means are the area under the ROC curve."""

from __future__ import annotations

import jax.numpy as jnp

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
    """

    def below(sorted_scores: Array, scores: Array) -> Array:
        left = jnp.searchsorted(sorted_scores, scores, side="left")
        right = jnp.searchsorted(sorted_scores, scores, side="right")
        return (left + right) / (2.0 * sorted_scores.shape[0])

    return below(jnp.sort(fake_M), real_N), 1.0 - below(jnp.sort(real_N), fake_M)
