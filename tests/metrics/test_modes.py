"""Modes where the truth is known."""

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from ensgan import metrics
from ensgan.metrics import mode_scores

CENTERS = np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], axis=1)


def mixture(num, modes=8, std=0.01, seed=0):
    rng = np.random.default_rng(seed)
    return CENTERS[rng.integers(modes, size=num)] + std * rng.standard_normal((num, 2))


def test_a_perfect_sampler():
    scores = mode_scores(mixture(100_000), CENTERS, 0.01)
    assert scores.modes == 8
    assert scores.hq == pytest.approx(1 - np.exp(-4.5), abs=0.0015)  # 98.89 %: P(radius <= 3) in the plane
    assert scores.kl < 1e-3
    assert scores.spread == pytest.approx(1.0, abs=0.01)


def test_contracted_modes_show_in_the_spread_and_push_quality_too_high():
    scores = mode_scores(mixture(20_000, std=0.002), CENTERS, 0.01)
    assert scores.hq == 1.0
    assert scores.spread == pytest.approx(0.2, rel=0.05)


def test_half_of_the_modes():
    scores = mode_scores(mixture(20_000, modes=4), CENTERS, 0.01)
    assert scores.modes == 4
    assert scores.kl == pytest.approx(np.log(2.0), abs=0.001)


def test_shares_of_modes_by_hand():
    x = CENTERS[[0, 0, 1, 2]]
    scores = mode_scores(np.concatenate([x, [[5.0, 5.0]] * 4]), CENTERS[:4], 0.01)
    assert scores.modes == 3
    assert scores.hq == 0.5
    # Shares of high-quality samples ½, ¼, ¼, 0 against ¼: ½ log 2 + ¼ log 1 + ¼ log 1.
    assert scores.kl == pytest.approx(0.5 * np.log(2.0))
    assert scores.spread == 0.0


def test_no_sample_near_any_mode():
    scores = mode_scores(np.full((10, 2), 9.0), CENTERS, 0.01)
    assert scores[:2] == (0.0, 0.0)
    assert np.isnan(scores.kl)
    assert np.isnan(scores.spread)


def test_both_divergences_of_modes():
    centers = np.eye(3)
    mode = metrics.mode_scores(centers[[0, 0, 1, 2]], centers, 0.01)
    share = np.array([0.5, 0.25, 0.25])
    assert mode.kl == pytest.approx(scipy.stats.entropy(share, np.full(3, 1 / 3)))
    assert mode.kl_forward == pytest.approx(scipy.stats.entropy(np.full(3, 1 / 3), share))
    assert metrics.mode_scores(centers[[0, 1]], centers, 0.01).kl_forward == np.inf
    weighed = metrics.mode_scores(centers[[0, 0, 1, 2]], centers, 0.01, np.array([0.25, 0.25, 0.5]))
    assert weighed.kl == pytest.approx(0.5 * np.log(2.0) + 0.25 * np.log(0.5))
    assert weighed.kl_forward == pytest.approx(0.25 * np.log(0.5) + 0.5 * np.log(2.0))
