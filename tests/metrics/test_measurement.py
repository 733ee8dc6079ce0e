"""Intervals from halves of the samples cover what they should."""

import numpy as np
import pytest
from normals import normal

from ensgan import metrics
from ensgan.types import InputError


def test_half_samples_give_the_interval_of_a_mean():
    x = normal(400, seed=2)
    low, high = metrics.half_intervals(lambda i: x[i].mean(), x.mean(), (400,), repeats=2000)
    assert high - low == pytest.approx(2 * 1.96 * x.std() / 20, rel=0.06)
    assert (low + high) / 2 == pytest.approx(x.mean(), abs=0.01)
    two = metrics.half_intervals(lambda i, j: np.array([x[i].mean() - x[j].mean(), 0.0]), np.zeros(2), (400, 100))
    assert two[1][0] - two[0][0] == pytest.approx(2 * 1.96 * np.sqrt(1 / 400 + 1 / 100), rel=0.2)
    assert two[1][1] == 0.0
    with pytest.raises(InputError, match="repeats is 1"):
        metrics.half_intervals(np.mean, 0.0, (9,), repeats=1)
    with pytest.raises(InputError, match="1 samples have no half"):
        metrics.half_intervals(np.mean, 0.0, (1,))


def test_intervals_of_a_frechet_distance_cover_what_they_should():
    # Of 60 experiments with the true value 1, 95 % intervals should miss about three. Half the width would miss twenty.
    hits = 0
    for seed in range(60):
        x, y = normal(200, 2, seed=seed), normal(200, 2, seed=1000 + seed) + np.array([[1.0, 0.0]])
        of = lambda i, j, x=x, y=y: metrics.frechet_distance(metrics.moments(x[i]), metrics.moments(y[j]))
        everything = np.arange(200)
        low, high = metrics.half_intervals(of, of(everything, everything), (200, 200), repeats=60, seed=seed)
        hits += low <= 1.0 <= high
    assert hits >= 51
