"""Shares of classes and the inception score, by hand."""

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from ensgan import metrics
from ensgan.metrics import class_floor, class_scores
from ensgan.types import InputError

UNIFORM = np.full(4, 0.25)


def test_shares_of_classes_by_hand():
    # Shares ½, ½, 0, 0 against the law ½, ¼, ¼, 0 and against uniform.
    scores = class_scores(np.array([0, 1, 1, 0]), np.array([0.5, 0.25, 0.25, 0.0]))
    assert scores.modes == 2
    assert scores.kl == pytest.approx(np.log(2.0))
    assert scores.kl_law == pytest.approx(0.5 * np.log(2.0))
    assert scores.tv == pytest.approx(0.25)
    # A class that the data do not have is infinitely far in KL, and its share in total variation.
    scores = class_scores(np.array([0, 0, 1, 3]), np.array([0.5, 0.25, 0.25, 0.0]))
    assert scores.kl_law == np.inf
    assert scores.tv == pytest.approx(0.25)
    assert class_scores(np.arange(4), UNIFORM) == (4.0, 0.0, 0.0, 0.0)
    assert class_scores(np.zeros(5, int), UNIFORM) == pytest.approx((1.0, np.log(4.0), np.log(4.0), 0.75))


def test_the_floor_of_classes_by_hand():
    # Two samples of a fair coin: both classes half of the time; shares are off by ½ the other half.
    floor = class_floor(np.array([0.5, 0.5]), 2)
    assert floor.modes == pytest.approx(1.5)
    assert floor.tv == pytest.approx(0.25)
    assert floor.kl_law == floor.kl == pytest.approx(1 / 4)
    # Classes without data are not among those that are counted.
    floor = class_floor(np.array([0.75, 0.25, 0.0]), 1000)
    assert floor.kl_law == pytest.approx(1 / 2000)
    assert floor.kl - floor.kl_law == pytest.approx(0.75 * np.log(2.25) + 0.25 * np.log(0.75))
    assert floor.modes == pytest.approx(2.0)
    assert class_floor(np.full(1000, 1e-3), 25_600).kl == pytest.approx(0.0195, abs=5e-5)
    assert class_floor(np.ones(1), 5) == pytest.approx((1.0, 0.0, 0.0, 0.0))


def test_samples_of_the_law_itself_get_the_floor():
    rng = np.random.default_rng(4)
    law = rng.dirichlet(np.full(50, 4.0))
    found = np.mean([class_scores(rng.choice(50, size=2000, p=law), law) for _ in range(100)], axis=0)
    np.testing.assert_allclose(found, class_floor(law, 2000), rtol=0.03)


def test_the_inception_score_by_hand_and_in_parts():
    sure = np.eye(4)[np.arange(80) % 4]
    assert metrics.inception_score(sure, 1) == pytest.approx((4.0, 0.0))
    assert metrics.inception_score(np.full((80, 4), 0.25)).value == pytest.approx(1.0)
    halves = np.eye(4)[[0, 1] * 20 + [2, 2] * 20]  # the first split sees two classes, the second one
    assert metrics.inception_score(halves, 2) == pytest.approx((1.5, 0.5))
    p = np.random.default_rng(3).dirichlet(np.ones(5), 50)
    want = np.exp(np.mean([scipy.stats.entropy(row, p.mean(0)) for row in p]))
    assert metrics.inception_score(p, 1).value == pytest.approx(want, rel=1e-10)
    with pytest.raises(InputError, match="sum 1 in every row"):
        metrics.inception_score(2 * p)
    with pytest.raises(InputError, match="splits is 60"):
        metrics.inception_score(p, 60)
