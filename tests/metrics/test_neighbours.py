"""How samples cover each other, by hand and against scikit-learn."""

import numpy as np
import pytest
from normals import FAKE, REAL

from ensgan import metrics
from ensgan.metrics import coverage
from ensgan.types import InputError


def test_coverage_by_hand():
    line = np.arange(7.0)[:, None]
    at = lambda *xs: np.array(xs, np.float64)[:, None]
    # With k = 1 every radius is 1: a fake covers its place and both neighbours. With k = 2 the ends have radius 2.
    assert coverage(line, at(0.0), k=1) == pytest.approx(2 / 7)
    assert coverage(line, at(3.0), k=1) == pytest.approx(3 / 7)
    assert coverage(line, at(3.0, 3.1, 2.9), k=1) == pytest.approx(3 / 7)
    assert coverage(line, at(2.0), k=2) == pytest.approx(4 / 7)  # 0 as well
    assert coverage(line, line, k=1) == 1.0
    assert coverage(line, at(100.0), k=5) == 0.0


def test_neighbours_by_hand():
    line = np.arange(7.0)[:, None]
    at = lambda *xs: np.array(xs)[:, None]
    # With k = 1 every real's ball has radius 1. Fakes: 3.5 lies in two balls, 20 and 22 in none; their own balls have
    # the radii 16.5, 2 and 2, and the first holds all reals.
    got = metrics.neighbours(line, at(3.5, 20.0, 22.0), manifold=1, ball=1)
    assert got == pytest.approx((1 / 3, 1.0, 2 / 3, 2 / 7))
    # The reals themselves: each lies in its own ball and those of its neighbours, two or three; 6 × 2 + 7 = 19.
    assert metrics.neighbours(line, line, manifold=1, ball=1) == pytest.approx((1.0, 1.0, 19 / 7, 1.0))
    assert metrics.neighbours(line, line + 100.0, manifold=2, ball=2) == (0.0, 0.0, 0.0, 0.0)
    with pytest.raises(InputError, match="there are 5 fakes; this needs at least 6"):
        metrics.neighbours(line, line[:5])


def test_neighbours_are_scikit_learns():
    search = pytest.importorskip("sklearn.neighbors").NearestNeighbors

    def radius(x, k):
        return search(n_neighbors=k + 1).fit(x).kneighbors(x)[0][:, k]

    gap = np.sqrt(((REAL[:, None] - FAKE[None]) ** 2).sum(-1))
    three, five, own = radius(REAL, 3), radius(REAL, 5), radius(FAKE, 3)
    want = (
        (gap <= three[:, None]).any(0).mean(),
        (gap <= own[None]).any(1).mean(),
        (gap <= five[:, None]).sum(0).mean() / 5,
        (gap <= five[:, None]).any(1).mean(),
    )
    got = metrics.neighbours(REAL, FAKE)
    assert got == pytest.approx(want, abs=1e-12)
    assert 0.0 < got.recall < 1.0
    assert metrics.coverage(REAL, FAKE) == pytest.approx(got.coverage, abs=1e-12)
    other = metrics.neighbours(FAKE, REAL)
    assert (other.precision, other.recall) == (got.recall, got.precision)
