"""The Fréchet distance against its closed forms and another square root."""

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from normals import FAKE, REAL, normal, relative

from ensgan import metrics
from ensgan.metrics.gaussian import Moments
from ensgan.types import InputError


def test_the_frechet_distance_is_its_closed_form():
    at = lambda mean, variance: Moments(np.array([mean]), np.array([[variance]]), 100)
    assert metrics.frechet_distance(at(1.0, 4.0), at(-2.0, 9.0)) == pytest.approx(9.0 + 1.0, rel=1e-12)
    # Covariances that commute: the sum of squared differences of standard deviations along common axes.
    turn = np.linalg.qr(normal(6, 6))[0]
    a, b = np.linspace(0.1, 5.0, 6), np.linspace(3.0, 0.5, 6)
    of = lambda s, mean: Moments(np.full(6, mean), turn @ np.diag(s**2) @ turn.T, 100)
    assert metrics.frechet_distance(of(a, 0.0), of(b, 0.5)) == pytest.approx(6 * 0.25 + ((a - b) ** 2).sum(), rel=1e-10)


def test_the_frechet_distance_is_that_of_scipys_square_root():
    x, y = metrics.moments(REAL), metrics.moments(FAKE)
    root = scipy.linalg.sqrtm(x.covariance @ y.covariance).real
    want = ((x.mean - y.mean) ** 2).sum() + np.trace(x.covariance + y.covariance - 2 * root)
    assert relative(metrics.frechet_distance(x, y), want) < 1e-10
    np.testing.assert_allclose(x.covariance, np.cov(REAL.T), rtol=1e-12)
    assert metrics.frechet_distance(x, x) < 1e-12
    turn = np.linalg.qr(normal(4, 4, seed=5))[0]  # neither a rotation nor a shift of both changes it
    moved = [metrics.moments(part @ turn + 7.0) for part in (REAL, FAKE)]
    assert relative(metrics.frechet_distance(*moved), want) < 1e-10


def test_a_frechet_distance_refuses_covariances_without_full_rank():
    with pytest.raises(InputError, match=r"there are 4 fakes with 4 features each; .* give at least 5"):
        metrics.moments(REAL[:4], "fakes")
    assert metrics.moments(REAL[:5]).n == 5
    with pytest.raises(InputError, match="moments are of 4 and 3 features"):
        metrics.frechet_distance(metrics.moments(REAL), metrics.moments(FAKE[:, :3]))
