"""Gradients of least norm against other solvers, and training with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from paired import trained
from scipy.optimize import minimize

from ensgan import pairing
from ensgan.pairing.multigradient import smallest_norm


def shares(vectors, mask=None):
    """The shares of least norm for gradients [N, F]."""
    vectors = jnp.asarray(vectors, jnp.float32)
    mask = jnp.ones(len(vectors), bool) if mask is None else jnp.asarray(mask)
    return np.asarray(jax.jit(smallest_norm, static_argnums=2)(vectors @ vectors.T, mask, 100))


def test_two_gradients_have_the_analytic_point_of_least_norm():
    rng = np.random.default_rng(0)
    for _ in range(5):
        a, b = rng.normal(size=(2, 3)) * [[1.0], [3.0]]
        w = np.clip((b - a) @ b / ((a - b) @ (a - b)), 0.0, 1.0)
        np.testing.assert_allclose(shares([a, b]), [w, 1.0 - w], atol=1e-4)
    # Same direction: the shorter one alone. Opposite: they cancel. None at all: equal shares.
    np.testing.assert_allclose(shares([[1.0, 0.0], [2.0, 0.0]]), [1, 0], atol=1e-4)
    np.testing.assert_allclose(shares([[1.0, 0.0], [-2.0, 0.0]]), [2 / 3, 1 / 3], atol=1e-4)
    np.testing.assert_allclose(shares([[0.0, 0.0], [0.0, 0.0]]), 1 / 2)
    # Units do not matter.
    np.testing.assert_allclose(shares(1e-12 * np.eye(2)), 1 / 2, rtol=1e-5)
    np.testing.assert_allclose(shares(1e12 * np.eye(2)), 1 / 2, rtol=1e-5)


@pytest.mark.parametrize("longest", [1.0, 5.0, 30.0])  # how long the last gradient is, the first one being 1
def test_the_point_of_least_norm_is_that_of_a_general_solver(longest):
    x = np.random.default_rng(int(longest)).normal(size=(5, 8)) * np.geomspace(1.0, longest, 5)[:, None] + 0.7
    gram = x @ x.T
    want = minimize(
        lambda w: w @ gram @ w / np.trace(gram),
        np.full(5, 0.2),
        jac=lambda w: 2.0 * gram @ w / np.trace(gram),
        bounds=[(0, 1)] * 5,
        constraints=[{"type": "eq", "fun": lambda w: w.sum() - 1.0}],
        options={"ftol": 1e-14, "maxiter": 500},
    )
    w = shares(x)
    np.testing.assert_allclose(w, want.x, atol=1e-3)
    # A step along the direction lowers no loss less than its squared norm.
    assert (gram @ w >= w @ gram @ w - 1e-3 * np.trace(gram)).all()
    # With one of them away, it is the point of the others.
    keep = np.arange(5) != w.argmax()
    masked = shares(np.where(keep[:, None], x, 0.0), keep)
    np.testing.assert_allclose(masked[keep], shares(x[keep]), atol=1e-4)
    assert masked[~keep] == 0.0


@pytest.mark.slow
def test_mgd_trains():
    _, _, info = trained(pairing.mgd())
    assert np.asarray(info.weight_g).std(axis=1).min() > 1e-3  # not the mean
