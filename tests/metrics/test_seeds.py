"""Numbers over seeds: hand-computed means, intervals that hold what they should, and pairs."""

import numpy as np
import pytest

from ensgan.metrics.seeds import FEWEST, band, difference, over_seeds


def test_the_mean_and_an_interval_around_it():
    found = over_seeds([1.0, 2.0, 4.0, 5.0])
    assert found.mean == 3.0
    assert found.num == 4
    assert 1.0 <= found.low < 3.0 < found.high <= 5.0
    assert str(found).startswith("3 [")


def test_one_seed_has_no_interval_and_equal_seeds_have_one_of_width_zero():
    one, same = over_seeds([2.5]), over_seeds([2.5, 2.5, 2.5])
    assert np.isnan([one.low, one.high]).all()
    assert str(one) == "2.5"
    assert (same.low, same.mean, same.high) == (2.5, 2.5, 2.5)


def test_what_is_not_finite_is_left_out():
    assert over_seeds([1.0, np.nan, 3.0, np.inf]) == over_seeds([1.0, 3.0])
    assert over_seeds([np.nan]).num == 0


def test_an_interval_contains_the_mean_of_normal_seeds_about_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(size=(400, 12))
    _, low, high = band(draws.T)
    assert 0.88 < np.mean((low <= 0) & (high >= 0)) < 0.98  # somewhat below .95 for 12 seeds


def test_a_band_is_the_intervals_of_its_points():
    values = np.array([[1.0, 2.0, np.nan], [2.0, 2.0, 1.0], [4.0, 2.0, 1.0]])
    mean, low, high = band(values)
    np.testing.assert_allclose(mean[:2], [7 / 3, 2.0])
    assert low[0] < mean[0] < high[0]
    assert np.isnan([mean[2], low[1], low[2], high[1]]).all()  # nothing varies, or a seed is missing


def test_seeds_that_both_sides_have_are_paired():
    ours, theirs = {0: 1.0, 1: 5.0, 2: 9.0, 7: 100.0}, {0: 1.5, 1: 5.6, 2: 9.7, 8: -100.0}
    found = difference(ours, theirs)
    assert found.paired
    assert found.interval == over_seeds([1.0 - 1.5, 5.0 - 5.6, 9.0 - 9.7])
    assert found.apart
    assert not found.carried  # three pairs are no claim
    back = difference(theirs, ours)
    np.testing.assert_allclose(back.interval.mean, -found.interval.mean)
    np.testing.assert_allclose((back.interval.low, back.interval.high), (-found.interval.high, -found.interval.low))


def test_sides_without_a_common_seed_are_resampled_on_their_own():
    found = difference({k: 10.0 + k % 2 for k in range(6)}, {k: 1.0 + k % 3 for k in range(10, 16)})
    assert not found.paired
    assert found.carried
    np.testing.assert_allclose(found.interval.mean, 10.5 - 2.0)
    assert difference({0: np.nan}, {1: 2.0}).interval.num == 0


@pytest.mark.parametrize(
    ("count", "shift", "carried"), [(FEWEST, 1.0, True), (FEWEST - 1, 1.0, False), (8, 0.0, False)]
)
def test_a_claim_needs_seeds_and_an_interval_without_zero(count, shift, carried):
    noise = 0.1 * (-1.0) ** np.arange(count)
    found = difference(dict(enumerate(noise + shift)), dict.fromkeys(range(count), 0.0))
    assert found.carried == bool(carried)
