"""Distances by kernels against double loops and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from normals import FAKE, REAL

from ensgan import metrics
from ensgan.metrics import mmd
from ensgan.metrics.kernels import cubic_kernel, gaussian_kernel, unbiased_mmd
from ensgan.types import InputError


def kernel(x, y, scale):
    d = ((x - y) ** 2).sum()
    return np.mean([np.exp(-d / (2 * h * scale)) for h in (0.25, 1.0, 4.0)])


def test_mmd_is_its_double_loop():
    rng = np.random.default_rng(2)
    x, y, n = rng.normal(size=(9, 3)), rng.normal(size=(9, 3)) + 1.0, 9
    pairs = [(a, b) for a in range(n) for b in range(n) if a != b]
    h = [
        kernel(x[a], x[b], 2.0) + kernel(y[a], y[b], 2.0) - kernel(x[a], y[b], 2.0) - kernel(x[b], y[a], 2.0)
        for a, b in pairs
    ]
    got = mmd(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32), 2.0)
    assert float(got.value) == pytest.approx(np.mean(h), abs=1e-5)


def test_mmd_is_unbiased_for_equal_laws_and_positive_for_different_ones():
    x, y = jax.random.normal(jax.random.key(3), (2, 100, 60, 2))
    same = jax.vmap(lambda a, b: mmd(a, b, 2.0))(x, y)
    spread = float(same.value.std()) / 10
    assert abs(float(same.value.mean())) < 4 * spread
    assert float(same.value.min()) < 0 < float(same.value.max())
    other = jax.vmap(lambda a, b: mmd(a, b, 2.0))(x, y + 1.0)
    assert float((other.value / other.error).mean()) > 3
    assert float(other.error.mean()) == pytest.approx(float(other.value.std()), rel=0.25)


def test_the_bandwidth_is_the_median_squared_distance():
    # Distances between 0, 1 and 3 are 1, 2, 3, so their squares have median 4; a point's distance to itself is no pair.
    assert float(metrics.bandwidth(jnp.array([[0.0], [1.0], [3.0]]))) == pytest.approx(4.0)
    assert float(metrics.bandwidth(jnp.zeros((3, 2)))) > 0


def test_kid_is_its_double_loop_and_scikit_learns_kernel():
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    np.testing.assert_allclose(
        cubic_kernel(REAL, FAKE), pairwise.polynomial_kernel(REAL, FAKE, degree=3, gamma=1 / 4, coef0=1), rtol=1e-12
    )
    k = lambda a, b: (a @ b / 4 + 1) ** 3
    x, y = REAL[:7], FAKE[:9]
    same = lambda z: np.mean([k(z[a], z[b]) for a in range(len(z)) for b in range(len(z)) if a != b])
    want = same(x) + same(y) - 2 * np.mean([k(a, b) for a in x for b in y])
    assert unbiased_mmd(cubic_kernel(x, x), cubic_kernel(y, y), cubic_kernel(x, y)) == pytest.approx(want, rel=1e-10)
    whole = metrics.kid(REAL, FAKE, subsets=1, size=60)
    many = metrics.kid(REAL, FAKE, subsets=400, size=20)
    assert many.value == pytest.approx(whole.value, abs=4 * many.error / np.sqrt(400))
    assert many.error > 0 == whole.error
    with pytest.raises(InputError, match="fewer than a subset of 1000: give more, or size=60"):
        metrics.kid(REAL, FAKE)


def test_the_mmd_of_matrices_is_that_of_samples_but_for_the_diagonal():
    squared = ((REAL[:, None] - FAKE[None]) ** 2).sum(-1)
    cross = gaussian_kernel(squared, 3.0)
    want = np.mean([np.exp(-squared / (2 * h * 3.0)) for h in (0.25, 1.0, 4.0)], axis=0)
    np.testing.assert_allclose(cross, want, rtol=1e-12)
    inside = [gaussian_kernel(((z[:, None] - z[None]) ** 2).sum(-1), 3.0) for z in (REAL, FAKE)]
    got = unbiased_mmd(*inside, cross) + 2 * cross.mean() - 2 * (cross.sum() - np.trace(cross)) / (60 * 59)
    single = metrics.mmd(jnp.asarray(REAL, jnp.float32), jnp.asarray(FAKE, jnp.float32), 3.0)
    assert got == pytest.approx(float(single.value), abs=1e-5)
