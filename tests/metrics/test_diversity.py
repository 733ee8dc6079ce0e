"""Duplicates count the support."""

import numpy as np
import pytest
from normals import REAL, normal

from ensgan import metrics
from ensgan.types import InputError


def test_duplicates_count_the_support():
    points = 50.0 * normal(20, 3)
    drawn = points[np.random.default_rng(1).integers(20, size=1500)] + 1e-6 * normal(1500, 3)
    share = metrics.duplicates(drawn, 1e-3)
    assert metrics.support(share) == pytest.approx(20, rel=0.05)
    assert metrics.support(metrics.duplicates(normal(50, 3), 0.0)) == np.inf
    # A share of the pairs of reals is that close; four points on a line have six pairs, three of them neighbours.
    radius = metrics.duplicate_radius(normal(300, 2, seed=7), 0.02)
    assert metrics.duplicates(normal(300, 2, seed=7), radius) == pytest.approx(0.02, rel=0.01)
    assert metrics.duplicates(np.arange(4.0)[:, None], 1.0) == 0.5
    with pytest.raises(InputError, match=r"20 reals have 190 pairs, too few for a share of 0.001"):
        metrics.duplicate_radius(REAL[:20])
