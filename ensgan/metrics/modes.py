"""How samples cover the modes of a Gaussian mixture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import rel_entr

from ensgan.metrics.checks import as_numbers
from ensgan.types import InputError


class ModeScores(NamedTuple):
    """How samples cover the modes of a Gaussian mixture."""

    modes: float  # modes with at least one high-quality sample
    hq: float  # share of samples within three standard deviations of a mode
    kl: float  # KL of the modes' shares of high-quality samples to uniform, nats
    spread: float  # standard deviation within modes, per axis, over the true one; 1 is right
    kl_forward: float = float("nan")  # KL of uniform to the modes' shares, nats; infinite where a mode is missed


def mode_scores(x: np.ndarray, centers: np.ndarray, std: float, weights: np.ndarray | None = None) -> ModeScores:
    """Modes, high-quality share and KL after PacGAN (Lin et al. 2018, arXiv 1712.04086), and the spread.

    A high-quality share above a perfect sampler's means contracted modes, which is a fault; the spread shows it. It is
    taken over high-quality samples and held against the true law's within the same radius. So it saturates for modes
    that are too wide: those of 1.25 times the width read 1.17. The high-quality share shows them.

    Args:
        x: samples `[n, D]`.
        centers: `[K, D]`.
        std: standard deviation of every mode.
        weights: shares of the modes, `[K]` with sum 1, which then stand for uniform; uniform if not given.

    Raises:
        InputError: samples of another shape than the centers, or none.
    """
    x, centers = as_numbers(x, "samples"), as_numbers(centers, "centers")
    if x.ndim != 2 or centers.ndim != 2 or not x.size or not centers.size or x.shape[1] != centers.shape[1]:
        raise InputError(f"samples are {list(x.shape)} and centers {list(centers.shape)}; expected [n, D] and [K, D]")
    distance = np.sqrt(((x[:, None] - centers[None]) ** 2).sum(-1))
    nearest, radius = distance.argmin(1), distance.min(1)
    good = radius <= 3.0 * std
    counts = np.bincount(nearest[good], minlength=len(centers))
    share = counts / max(counts.sum(), 1)
    law = np.full(len(centers), 1 / len(centers)) if weights is None else np.asarray(weights)
    kl = forward = float("nan")
    if good.any():
        kl, forward = (float(rel_entr(p, q).sum()) for p, q in ((share, law), (law, share)))
    spread = float("nan")
    if good.any():
        centred = x[good] - centers[nearest[good]]
        spread = float(np.sqrt((centred**2).mean()) / (std * _truncated_std(x.shape[1])))
    return ModeScores(float((counts > 0).sum()), float(good.mean()), kl, spread, forward)


def _truncated_std(dim: int) -> float:
    """Standard deviation per axis of a standard normal in `dim` dimensions, given that it is within radius 3."""
    from scipy.stats import chi2

    return float(np.sqrt(chi2.cdf(9.0, dim + 2) / chi2.cdf(9.0, dim)))
