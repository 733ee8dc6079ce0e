"""Distances and scores of samples, as pure functions of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.types import Array


class Estimate(NamedTuple):
    """A value and its standard error."""

    value: Any
    error: Any


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


def squared_distances(x: Array, y: Array) -> Array:
    """‖x_a − y_b‖², `[n, m]`, for rows of `x` `[n, D]` and `y` `[m, D]`."""
    origin = x.mean(axis=0, keepdims=True)  # far from it, the difference of squares would lose its digits
    x, y = x - origin, y - origin
    product = jnp.matmul(x, y.T, precision="highest")
    return jnp.maximum((x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2.0 * product, 0.0)


@jax.jit
def bandwidth(real: Array) -> Array:
    """The median of squared distances between reals `[n, D]`: the unit of the MMD's kernels."""
    d = squared_distances(real, real)
    n = d.shape[0]
    off = jnp.where(jnp.eye(n, dtype=bool), jnp.nan, d)
    return jnp.maximum(jnp.nanmedian(off), 1e-12)


@jax.jit
def mmd(real: Array, fake: Array, scale: Array) -> Estimate:
    """Squared maximum mean discrepancy, unbiased, with its standard error (Gretton et al. 2012, JMLR 13, lemma 6).

    The kernel is the mean of three Gaussians exp(−‖x − y‖²/(2 h)) with h = ¼, 1 and 4 times `scale`. 0 for equal laws;
    an unbiased estimate may be negative. The error is that of a U-statistic of pairs (x_b, y_b).

    Args:
        real: `[n, D]`.
        fake: `[n, D]`, as many.
        scale: scalar, from `bandwidth`.
    """

    def kernel(x: Array, y: Array) -> Array:
        return gaussian_kernel(squared_distances(x, y), scale, jnp.exp)

    n = real.shape[0]
    xy = kernel(real, fake)
    h = kernel(real, real) + kernel(fake, fake) - xy - xy.T
    h = jnp.where(jnp.eye(n, dtype=bool), 0.0, h)
    row = h.sum(axis=1) / (n - 1)
    return Estimate(row.mean(), 2.0 * row.std() / jnp.sqrt(n * 1.0))


def gaussian_kernel(squared: Any, scale: Any, exp: Callable[[Any], Any] = np.exp) -> Any:
    """The mean of three Gaussians exp(−d/(2 h)) with h = ¼, 1 and 4 times `scale`, of squared distances d."""
    return (exp(-2.0 * squared / scale) + exp(-0.5 * squared / scale) + exp(-0.125 * squared / scale)) / 3.0


def coverage(real: np.ndarray, fake: np.ndarray, k: int = 5) -> float:
    """Share of reals whose k-nearest-neighbour ball holds at least one fake (Naeem et al. 2020, arXiv 2002.09797, eq.
    5).

    Args:
        real: `[n, D]`, n > k.
        fake: `[m, D]`.
        k: which neighbour sets the radius.
    """
    own = np.array(squared_distances(jnp.asarray(real), jnp.asarray(real)))
    np.fill_diagonal(own, np.inf)
    radius = np.sort(own, axis=1)[:, k - 1]
    nearest = np.asarray(squared_distances(jnp.asarray(real), jnp.asarray(fake))).min(axis=1)
    return float((nearest <= radius).mean())


class ModeScores(NamedTuple):
    """How samples cover the modes of a Gaussian mixture."""

    modes: float  # modes with at least one high-quality sample
    hq: float  # share of samples within three standard deviations of a mode
    kl: float  # KL of the modes' shares of high-quality samples to uniform, nats
    spread: float  # standard deviation within modes, per axis, over the true one; 1 is right


def mode_scores(x: np.ndarray, centers: np.ndarray, std: float) -> ModeScores:
    """Modes, high-quality share and KL after PacGAN (Lin et al. 2018, arXiv 1712.04086, section 4.1), and the spread.

    A high-quality share above a perfect sampler's means contracted modes, which is a fault; the spread shows it. It is
    taken over high-quality samples and held against the true law's within the same radius.

    Args:
        x: samples `[n, D]`.
        centers: `[K, D]`.
        std: standard deviation of every mode.
    """
    distance = np.sqrt(((x[:, None] - centers[None]) ** 2).sum(-1))
    nearest, radius = distance.argmin(1), distance.min(1)
    good = radius <= 3.0 * std
    counts = np.bincount(nearest[good], minlength=len(centers))
    share = counts / max(counts.sum(), 1)
    held = share[share > 0]
    kl = float((held * np.log(held * len(centers))).sum()) if good.any() else float("nan")
    spread = float("nan")
    if good.any():
        centred = x[good] - centers[nearest[good]]
        spread = float(np.sqrt((centred**2).mean()) / (std * _truncated_std(x.shape[1])))
    return ModeScores(float((counts > 0).sum()), float(good.mean()), kl, spread)


def _truncated_std(dim: int) -> float:
    """Standard deviation per axis of a standard normal in `dim` dimensions, given that it is within radius 3."""
    from scipy.stats import chi2

    return float(np.sqrt(chi2.cdf(9.0, dim + 2) / chi2.cdf(9.0, dim)))


class ClassScores(NamedTuple):
    """How samples spread over K classes."""

    modes: float  # classes with at least one sample
    kl: float  # KL of the samples' shares to uniform, nats
    kl_law: float  # KL of the samples' shares to the law of the data, nats; infinite on a class without data
    tv: float  # total variation from the law of the data, in [0, 1]


def class_scores(label: np.ndarray, law: np.ndarray) -> ClassScores:
    """Modes counted and KL to uniform of Metz et al. 2017 (arXiv 1611.02163), and distances to the true law.

    None of them vanishes for a perfect sampler; `class_floor` is what that one gets.

    Args:
        label: the class of each sample, integers `[n]` in 0..K-1, as a classifier finds them.
        law: shares of the classes in the data, `[K]`, with sum 1.
    """
    share = np.bincount(label, minlength=len(law)) / len(label)
    return ClassScores(float((share > 0).sum()), *_class_distances(share, law), 0.5 * float(np.abs(share - law).sum()))


def class_floor(law: np.ndarray, num: int) -> ClassScores:
    """The mean scores of `num` samples from the law itself.

    The KL of n samples' shares to their law is (K − 1)/(2n) on average, K counting classes with data: half a χ², to
    first order in 1/n (Wilks 1938), so too high where n is not well above K. KL to uniform has that of the law on top.
    Modes and total variation are exact, by the mean deviation of a binomial (de Moivre 1730).

    Args:
        law: shares of the classes in the data, `[K]`, with sum 1.
        num: n.
    """
    from scipy.stats import binom

    noise = (np.count_nonzero(law) - 1) / (2 * num)
    above = np.floor(num * law) + 1
    deviation = 2 * above * (1 - law) * binom.pmf(above, num, law) / num  # E|share − law|
    uniform, _ = _class_distances(law, law)
    return ClassScores(float((1 - (1 - law) ** num).sum()), uniform + noise, noise, 0.5 * float(deviation.sum()))


def _class_distances(share: np.ndarray, law: np.ndarray) -> tuple[float, float]:
    """KL to uniform and to the law, in nats."""
    held, there = share[share > 0], law[share > 0]
    with np.errstate(divide="ignore"):
        return float((held * np.log(held * len(law))).sum()), float((held * np.log(held / there)).sum())
