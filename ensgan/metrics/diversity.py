"""How many different samples there are, by near duplicates: the birthday paradox."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.distance import pdist

from ensgan.metrics.checks import as_numbers, check_samples, check_varied
from ensgan.types import InputError


def duplicate_radius(real: Any, share: float = 1e-3) -> float:
    """The distance below which this share of all pairs of reals lies: closer samples count as duplicates.

    Args:
        real: features `[n, D]`.
        share: share of pairs, in (0, 1). It must be at least one pair, so n(n − 1)/2 ≥ 1/share.

    Raises:
        InputError: too few reals for the share, features that are not finite, or reals that are all equal.
    """
    if not 0.0 < share < 1.0:
        raise InputError(f"share is {share}; it must be in (0, 1)")
    real = check_samples(real, "reals")
    check_varied(real, "reals")
    pairs = len(real) * (len(real) - 1) // 2
    if pairs * share < 1:
        raise InputError(f"{len(real)} reals have {pairs} pairs, too few for a share of {share:g}: give more reals")
    return float(np.quantile(pdist(real), share))


def duplicates(x: Any, radius: float) -> float:
    """The share of pairs within `radius`: the chance that two samples are duplicates.

    Samples from N equally likely ones have the share 1/N. A batch of s then holds a duplicate with probability ½ at
    about s = 1.18 √N, which is how Arora & Zhang 2017 (arXiv 1706.08224) estimate N, with the eye as judge; the share
    uses all pairs. What is a duplicate is a matter of features.

    Args:
        x: features `[n, D]`.
        radius: from `duplicate_radius`.

    Raises:
        InputError: features that are not finite, fewer than two samples, or a radius below 0.
    """
    if not radius >= 0.0:
        raise InputError(f"radius is {radius}; it must be at least 0")
    x = as_numbers(x, "samples")
    if x.ndim != 2 or len(x) < 2 or not np.isfinite(x).all():
        raise InputError(f"samples are {list(x.shape)}; expected at least 2 rows [n, D] of finite numbers")
    return float((pdist(x) <= radius).mean())


def support(share: float) -> float:
    """How many equally likely samples would have this share of duplicate pairs; infinite for none."""
    return 1.0 / share if share > 0 else float("inf")
