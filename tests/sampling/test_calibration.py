"""Calibrators against logits with known log odds, and measures of calibration by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from ensgan.reporting.figures import wilson
from ensgan.sampling import calibration
from ensgan.types import InputError

RNG = np.random.default_rng(0)
REAL = np.arange(8000) % 2 == 0
# Reals are N(1, 1) and fakes N(0, 1), so that the log density ratio is x − ½.
X = RNG.normal(size=8000) + REAL
RATIO = X - 0.5


@pytest.mark.parametrize(
    ("method", "score", "tolerance"),
    [
        ("temperature", 4.0 * RATIO, 0.12),  # too sure of itself
        ("temperature", 1e-4 * RATIO, 0.12),
        ("logistic", 300.0 * RATIO - 700.0, 0.12),  # a critic of another unit
        ("logistic", -0.1 * RATIO, 0.12),  # upside down
        ("isotonic", np.arctan(RATIO), 0.5),  # bent
    ],
)
def test_what_was_done_to_a_ratio_is_undone(method, score, tolerance):
    calibrated = calibration.fit(method, score, REAL)
    middle = np.abs(RATIO) < 1.5
    np.testing.assert_allclose(calibrated(jnp.asarray(score, jnp.float32))[middle], RATIO[middle], atol=tolerance)


@pytest.mark.parametrize("method", sorted(calibration.CALIBRATORS))
def test_unequal_numbers_of_reals_and_fakes_do_not_tilt_the_ratio(method):
    few = ~REAL | (np.arange(8000) % 8 == 0)
    calibrated = calibration.fit(method, RATIO[few], REAL[few])  # one real to four fakes: log 4 is 1.4
    at = np.array([-1.0, 0.0, 1.0])
    np.testing.assert_allclose(calibrated(jnp.asarray(at, jnp.float32)), at, atol=0.5)


def test_temperature_keeps_the_offset_and_isotonic_the_order():
    shifted = calibration.temperature(RATIO + 3.0, REAL)
    assert float(shifted(jnp.zeros(1))[0]) == 0.0
    scores = jnp.linspace(-9.0, 9.0, 50)
    rising = np.asarray(calibration.isotonic(RATIO, REAL)(scores))
    assert (np.diff(rising) >= 0).all()
    assert np.isfinite(rising).all()


def test_isotonic_ratios_are_no_larger_than_what_was_seen_of_them():
    """Reals and fakes of one law: the few that happen to lie above all others are no proof of anything."""
    rng = np.random.default_rng(3)
    score, real = rng.normal(size=2000), np.arange(2000) < 1000
    above = int((score[real] > score[~real].max()).sum())
    below = int((score[~real] < score[real].min()).sum())
    calibrated = calibration.isotonic(score, real)
    most, least = (float(calibrated(jnp.array([x], jnp.float32))[0]) for x in (score.max(), score.min()))
    assert most == pytest.approx(np.log(max(above, 1)), abs=1.0)
    assert least == pytest.approx(-np.log(max(below, 1)), abs=1.0)
    # Where all reals lie above all fakes, each kind is seen as often as it was, and one of the other.
    apart = calibration.isotonic(np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), np.arange(6) > 2)
    np.testing.assert_allclose(apart(jnp.array([0.0, 5.0])), [-np.log(3), np.log(3)], rtol=1e-5)


def test_the_regression_inside_programs_is_that_of_the_library():
    x = np.stack([X, 3.0 * RATIO + RNG.normal(size=8000)])[:, :400]
    weight, bias = calibration.logistic_regression(x.T, REAL[:400])
    found = calibration.regression(jnp.asarray(x[:, ~REAL[:400]]), jnp.asarray(x[:, REAL[:400]]), jnp.ones(200))
    np.testing.assert_allclose(found[0], weight, atol=2e-3)
    np.testing.assert_allclose(found[1], bias, atol=2e-3)
    # A real of weight 3 counts as three.
    few, thrice = x[:, REAL[:400]][:, :50], jnp.full(50, 3.0)
    repeated = calibration.regression(jnp.asarray(x[:, ~REAL[:400]]), jnp.asarray(np.repeat(few, 3, 1)), jnp.ones(150))
    weighted = calibration.regression(jnp.asarray(x[:, ~REAL[:400]]), jnp.asarray(few), thrice)
    np.testing.assert_allclose(np.append(*repeated), np.append(*weighted), atol=1e-3)


def test_a_regression_on_noise_is_shrunk_to_nothing():
    rng, real = np.random.default_rng(3), np.arange(80) < 40
    plain, shrunk, seen, unseen, turned = [], [], [], [], 0
    loss = lambda score: np.logaddexp(0.0, np.where(real, -score, score)).mean()
    auc = lambda score: (score[real][:, None] > score[~real]).mean()
    for seed in range(20):
        x, new = rng.normal(size=(2, 80, 8))
        weight, bias = calibration.logistic_regression(x, real)
        outside = calibration.unseen(x, real, seed)
        calibrated = calibration.fit("logistic", outside, real, 0.01)
        plain.append(loss(new @ weight + bias))
        shrunk.append(loss(np.asarray(calibrated(jnp.asarray(new @ weight + bias, jnp.float32)))))
        seen.append(auc(x @ weight))
        unseen.append(auc(outside))
        slope = float(calibrated(jnp.ones(1))[0] - calibrated(jnp.zeros(1))[0])
        assert slope >= 0.01 - 1e-6  # never turned round
        turned += slope < 0.01 + 1e-6
    assert turned > 2
    assert np.mean(plain) > np.log(2) + 0.05 > np.mean(shrunk)
    assert np.mean(seen) > 0.65 > 0.55 > np.mean(unseen)


def test_a_regression_that_has_seen_enough_is_hardly_shrunk():
    x = np.stack([X, 3.0 * RATIO + RNG.normal(size=8000)])
    weight, bias = calibration.logistic_regression(x.T, REAL)
    np.testing.assert_allclose(calibration.unseen(x.T, REAL), weight @ x + bias, atol=0.2)
    calibrated = calibration.logistic(calibration.unseen(x.T, REAL), REAL)
    np.testing.assert_allclose(calibrated(jnp.array([0.0, 1.0])), [0.0, 1.0], atol=0.02)
    fewest = calibration.unseen(np.array([[0.0], [1.0], [2.0], [3.0]]), np.arange(4) > 1)
    assert np.isfinite(fewest).all()


def test_measures_of_four_samples_by_hand():
    p = np.array([0.2, 0.2, 0.9, 0.6])
    real = np.array([False, True, True, False])
    got = calibration.quality(np.log(p / (1 - p)), real, bins=2)
    assert got.brier == pytest.approx((0.04 + 0.64 + 0.01 + 0.36) / 4)
    # Bins [0, ½) and [½, 1]: two samples each, of mean probability 0.2 and 0.75, and a share of ½ in both.
    np.testing.assert_allclose(got.predicted, [0.2, 0.75])
    np.testing.assert_allclose(got.observed, [0.5, 0.5])
    np.testing.assert_array_equal(got.count, [2, 2])
    assert got.error == pytest.approx(0.5 * 0.3 + 0.5 * 0.25)
    assert got.z == pytest.approx((2 - 1.9) / np.sqrt(0.16 + 0.16 + 0.09 + 0.24))
    # Bins without a sample are not counted.
    got = calibration.quality(np.log(p / (1 - p)), real, bins=10)
    assert np.isnan(got.predicted[[0, 1, 3, 4, 5, 7, 8]]).sum() == 7
    assert got.error == pytest.approx(0.5 * 0.3 + 0.25 * 0.1 + 0.25 * 0.6)


def test_a_calibrated_judge_has_little_error_and_a_sure_one_has_much():
    good, sure = calibration.quality(RATIO, REAL), calibration.quality(4 * RATIO + 1, REAL)
    assert abs(good.z) < 3 < abs(sure.z)
    assert good.error < 0.03 < 0.1 < sure.error
    assert good.brier < sure.brier
    assert good.brier == pytest.approx(np.mean((expit(RATIO) - REAL) ** 2))


@pytest.mark.parametrize(
    ("score", "real", "message"),
    [
        (np.zeros(4), np.array([True] * 3 + [False]), "there are 3 reals and 1 fakes; calibration needs at least 2"),
        (np.array([0, 1, np.nan, np.inf]), np.array([True, True, False, False]), "2 of 4 scores are not finite"),
        (np.zeros((2, 2)), np.zeros((2, 2), bool), "give both as"),
    ],
)
def test_scores_that_cannot_be_calibrated_are_refused(score, real, message):
    with pytest.raises(InputError, match=message):
        calibration.fit("logistic", score, real)
    with pytest.raises(InputError, match=message):
        calibration.quality(score, real)


def test_an_unknown_calibration_lists_the_known():
    with pytest.raises(InputError, match="unknown calibration 'beta'; known: isotonic, logistic, temperature"):
        calibration.fit("beta", RATIO, REAL)


def test_whiskers_of_the_reliability_diagram_are_wilsons_intervals():
    low, high = wilson(np.array([0.0, 0.5, 1.0]), np.array([4, 4, 4]))
    np.testing.assert_allclose(low, [0.0, 0.5 - 0.125**0.5, 0.5])
    np.testing.assert_allclose(high, [0.5, 0.5 + 0.125**0.5, 1.0])
