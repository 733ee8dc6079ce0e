"""The Fréchet distance: two samples compared by their means and covariances."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ensgan.metrics.checks import Undefined, check_finite, check_samples
from ensgan.types import InputError


class Moments(NamedTuple):
    """The statistics of a sample that the Fréchet distance needs. float64."""

    mean: np.ndarray  # [D]
    covariance: np.ndarray  # [D, D], with n − 1
    n: int


def moments(x: Any, what: str = "samples") -> Moments:
    """Mean and covariance of features.

    Args:
        x: `[n, D]`, n > D.
        what: names them in errors.

    Raises:
        InputError: no more samples than dimensions, since the covariance would have no full rank; or numbers that are
            not finite.
    """
    x = check_samples(x, what)
    check_rank(len(x), x.shape[1], what)
    return raw_moments(x)


def moments_of_parts(parts: Iterable[Any], what: str = "samples") -> Moments:
    """`moments` of features that come a part at a time and are not kept (Chan, Golub & LeVeque 1979).

    Args:
        parts: each `[n, D]`, at least one.
        what: names them in errors.

    Raises:
        InputError: as in `moments`.
    """
    n, mean, scatter = 0, np.zeros(0), np.zeros(0)
    for part in parts:
        x = check_finite(part, what)
        if not n:
            mean, scatter = np.zeros(x.shape[1]), np.zeros((x.shape[1], x.shape[1]))
        total, own = n + len(x), x.mean(axis=0)
        away, shift = x - own[None], own - mean
        scatter += away.T @ away + np.outer(shift, shift) * (n * len(x) / total)
        mean = mean + shift * (len(x) / total)
        n = total
    check_rank(n, len(mean), what)
    return Moments(mean, scatter / (n - 1), n)


def check_rank(n: int, features: int, what: str) -> None:
    """Refuses no more samples than features, which have no covariance of full rank."""
    if n <= features:
        raise Undefined(
            f"there are {n} {what} with {features} features each; a Fréchet distance needs more samples than "
            f"features: give at least {features + 1}, or use fewer features (of pixels, smaller images)"
        )


def raw_moments(x: np.ndarray) -> Moments:
    """`moments` without the checks, for parts of a sample that passed them."""
    return Moments(x.mean(axis=0), np.cov(x, rowvar=False).reshape(x.shape[1], x.shape[1]), len(x))


def frechet_distance(real: Moments, fake: Moments) -> float:
    """The squared 2-Wasserstein distance of two Gaussians (Dowson & Landau 1982, J. Multivar. Anal. 12).

    ‖μ₁ − μ₂‖² + tr C₁ + tr C₂ − 2 tr (C₁^½ C₂ C₁^½)^½, as Heusel et al. 2017 (arXiv 1706.08500) use it on Inception's
    features; the name FID belongs to those alone. The root is taken of a symmetric matrix, so nothing becomes complex.
    Finite samples are too far apart: the distance of a law to itself falls as 1/n.

    Args:
        real: from `moments`.
        fake: from `moments`.

    Returns:
        In squared units of the features, ≥ 0 up to rounding, which is cut off.

    Raises:
        InputError: other numbers of features.
    """
    if real.mean.shape != fake.mean.shape:
        raise InputError(
            f"moments are of {len(real.mean)} and {len(fake.mean)} features; give the same features of both"
        )
    value, vector = np.linalg.eigh(real.covariance)
    root = (vector * np.sqrt(np.maximum(value, 0.0))[None]) @ vector.T
    inside = np.linalg.eigvalsh(root @ fake.covariance @ root)
    cross = np.sqrt(np.maximum(inside, 0.0)).sum()
    far = ((real.mean - fake.mean) ** 2).sum()
    return float(max(far + np.trace(real.covariance) + np.trace(fake.covariance) - 2.0 * cross, 0.0))
