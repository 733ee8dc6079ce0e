"""Distances by kernels: the maximum mean discrepancy with Gaussian kernels, and with a cubic one (KID)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.metrics.checks import check_pair, check_rows
from ensgan.metrics.measurement import Estimate
from ensgan.types import Array, InputError


def squared_distances(x: Any, y: Any) -> Array:
    """‖x_a − y_b‖², `[n, m]`, for rows of `x` `[n, D]` and `y` `[m, D]`.

    Raises:
        InputError: no arrays of real numbers, or of other shapes.
    """
    check_rows(x=x, y=y)
    return _squared_distances(x, y)


@jax.jit
def _squared_distances(x: Array, y: Array) -> Array:
    origin = x.mean(axis=0, keepdims=True)  # far from it, the difference of squares would lose its digits
    x, y = x - origin, y - origin
    product = jnp.matmul(x, y.T, precision="highest")
    return jnp.maximum((x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2.0 * product, 0.0)


def bandwidth(real: Any) -> Array:
    """The median of squared distances between reals `[n, D]`, n ≥ 2: the unit of the MMD's kernels.

    Raises:
        InputError: no array of real numbers, or of another shape.
    """
    check_rows(2, real=real)
    return _bandwidth(real)


@jax.jit
def _bandwidth(real: Array) -> Array:
    d = squared_distances(real, real)
    n = d.shape[0]
    off = jnp.where(jnp.eye(n, dtype=bool), jnp.nan, d)
    return jnp.maximum(jnp.nanmedian(off), 1e-12)


def mmd(real: Any, fake: Any, scale: Any) -> Estimate:
    """Squared maximum mean discrepancy, unbiased, with its standard error (Gretton et al. 2012, JMLR 13, lemma 6).

    The kernel is the mean of three Gaussians exp(−‖x − y‖²/(2 h)) with h = ¼, 1 and 4 times `scale`. 0 for equal laws;
    an unbiased estimate may be negative. The error is that of a U-statistic of pairs (x_b, y_b).

    Args:
        real: `[n, D]`.
        fake: `[n, D]`, as many.
        scale: scalar, from `bandwidth`.

    Raises:
        InputError: no arrays of real numbers, or of other shapes, or not as many of both.
    """
    check_rows(2, real=real, fake=fake)
    if len(real) != len(fake):
        raise InputError(f"there are {len(real)} reals and {len(fake)} fakes; give as many of both")
    return _mmd(real, fake, scale)


@jax.jit
def _mmd(real: Array, fake: Array, scale: Array) -> Estimate:
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


def cubic_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(⟨x, y⟩/D + 1)³, `[n, m]`, the kernel of KID (Bińkowski et al. 2018, arXiv 1801.01401)."""
    return (x @ y.T / x.shape[1] + 1.0) ** 3


def unbiased_mmd(real_NN: np.ndarray, fake_MM: np.ndarray, cross_NM: np.ndarray) -> float:
    """Squared maximum mean discrepancy from kernel matrices, unbiased (Gretton et al. 2012, JMLR 13, lemma 6).

    Args:
        real_NN: the kernel between reals.
        fake_MM: the kernel between fakes; their number may differ.
        cross_NM: the kernel between reals and fakes.
    """

    def within(kernel: np.ndarray) -> float:
        n = len(kernel)
        return (kernel.sum() - np.trace(kernel)) / (n * (n - 1))

    return float(within(real_NN) + within(fake_MM) - 2.0 * cross_NM.mean())


def kid(real: Any, fake: Any, *, subsets: int = 100, size: int = 1000, seed: int = 0) -> Estimate:
    """The kernel distance of Bińkowski et al. 2018 (arXiv 1801.01401): unbiased MMD² with a cubic kernel.

    It is the Kernel Inception Distance where features are Inception's, and only there. Defaults are torch-fidelity's.
    One subset of all samples gives the mean over all subsets.

    Args:
        real: features `[n, D]`.
        fake: features `[m, D]`.
        subsets: how many subsets the mean is taken over.
        size: samples of each kind in a subset, at least 2 and at most n and m.
        seed: the seed of the subsets.

    Returns:
        The mean over subsets, and their standard deviation: how one subset varies, which is no error of the mean.

    Raises:
        InputError: fewer samples than `size`, features that are not finite, or `subsets` below 1.
    """
    if subsets < 1 or size < 2:
        raise InputError(f"subsets is {subsets} and size {size}; give at least 1 subset of 2 samples")
    real, fake = check_pair(real, fake)
    if min(len(real), len(fake)) < size:
        raise InputError(
            f"there are {len(real)} reals and {len(fake)} fakes, fewer than a subset of {size}: "
            f"give more, or size={min(len(real), len(fake))}"
        )
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(subsets):
        x, y = (samples[rng.permutation(len(samples))[:size]] for samples in (real, fake))
        found.append(unbiased_mmd(cubic_kernel(x, x), cubic_kernel(y, y), cubic_kernel(x, y)))
    return Estimate(float(np.mean(found)), float(np.std(found)))
