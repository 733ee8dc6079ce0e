"""The data-copying test: by hand, its size over seeds, and its power."""

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.stats import mannwhitneyu

from ensgan.metrics import copying
from ensgan.metrics.checks import Undefined
from ensgan.metrics.copying import mann_whitney, smallest_share
from ensgan.types import InputError


def test_ranks_by_hand():
    # Pairs (real, fake): (1, 2) no, (1, 0) yes, (3, 2) yes, (3, 0) yes. One fake is above, where 2 are expected.
    share, z = mann_whitney(np.array([1.0, 3.0]), np.array([2.0, 0.0]))
    assert share == 3 / 4
    assert z == pytest.approx((1 - 2) / np.sqrt(2 * 2 * 5 / 12))
    # A tie counts half: of (1, 1) and (2, 1).
    assert mann_whitney(np.array([1.0, 2.0]), np.array([1.0]))[0] == 3 / 4
    assert mann_whitney(np.ones(3), np.ones(2)) == (0.5, 0.0)


def test_ranks_with_ties_as_scipy_has_them():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, 40).astype(float), rng.integers(-2, 8, 30).astype(float)
    found = mannwhitneyu(y, x, alternative="less", use_continuity=False, method="asymptotic")
    p = copying(x, y).p
    assert p == pytest.approx(found.pvalue, rel=1e-9)


def test_cells_by_hand():
    """Two cells with 20 and 10 reals: their scores have the weights 2/3 and 1/3; a third has too few fakes."""
    real = np.arange(35.0)
    fake = np.concatenate([np.arange(20) - 0.5, np.arange(20, 30) + 100.0, [3.0]])
    where = np.repeat([0, 1, 2], [20, 10, 5])
    there = np.repeat([0, 1, 2], [20, 10, 1])
    found = copying(real, fake, where, there)
    first, second = mann_whitney(real[:20], fake[:20])[1], mann_whitney(real[20:30], fake[20:30])[1]
    assert found.cells == 2
    assert found.statistic == pytest.approx((2 * first + second) / 3)
    assert found.z == pytest.approx(found.statistic / np.sqrt(5 / 9))
    assert second == pytest.approx(50 / np.sqrt(10 * 10 * 21 / 12))  # all are farther


def test_cells_see_what_regions_of_other_scales_hide():
    """Where data are thin, copies are nearer than reals there, and still farther than reals in a dense region."""
    thin, dense = np.linspace(10, 20, 50), np.linspace(1, 2, 50)
    real, fake, cell = np.r_[thin, dense], np.r_[np.linspace(5, 6, 50), dense], np.repeat([0, 1], 50)
    found, whole = copying(real, fake, cell, cell), copying(real, fake)
    assert found.share == whole.share == (1 + 0 + 1 + 0.5) / 4
    score = -50 * 50 / 2 / np.sqrt(50 * 50 * 101 / 12)  # of the thin region; that of the dense one is 0
    assert found.z == pytest.approx(score / 2 / np.sqrt(0.5))
    assert found.z < 1.9 * whole.z < 0


def distances(rng, kind):
    """Distances to the nearest of 150 training samples, and cells that follow from those."""
    train, real = rng.normal(size=(150, 3)), rng.normal(size=(60, 3))
    if kind == "copies":
        fake = train[rng.integers(len(train), size=60)] + 0.01 * rng.normal(size=(60, 3))
    elif kind == "half":
        fake = np.concatenate([train[rng.integers(len(train), size=30)], rng.normal(size=(30, 3))])
    else:
        fake = rng.normal(scale=2.0 if kind == "wide" else 1.0, size=(60, 3))
    tree = cKDTree(train)
    cell = lambda x: (x[:, 0] > np.median(train[:, 0])).astype(int)
    return tree.query(real)[0], tree.query(fake)[0], cell(real), cell(fake)


@pytest.mark.parametrize("cells", [False, True])
def test_a_perfect_generator_is_suspected_as_often_as_the_level_says(cells):
    seen = [distances(np.random.default_rng(seed), "perfect") for seed in range(1000)]
    found = [copying(*(each if cells else each[:2])) for each in seen]
    p = np.array([each.p for each in found])
    for level in (0.01, 0.05, 0.2):
        error = np.sqrt(level * (1 - level) / len(p))
        assert abs((p < level).mean() - level) < 4 * error
    z = np.array([each.z for each in found])
    assert abs(z.mean()) < 0.13
    assert z.std() == pytest.approx(1.0, abs=0.1)
    assert np.mean([each.share for each in found]) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("kind", "low", "high"), [("copies", -np.inf, -7), ("half", -np.inf, -2), ("wide", 3, np.inf)])
def test_copies_are_seen_and_bad_samples_are_none(kind, low, high):
    for seed in range(20):
        found = copying(*distances(np.random.default_rng(seed), kind))
        assert low < found.z < high
        assert (found.share > 0.5) == (kind != "wide")
        assert (found.p < 0.05) == (kind != "wide")


def test_the_least_share_that_is_a_sign_has_that_score():
    """Of 30 reals and 20 fakes, as many pairs as that share says."""
    share = smallest_share(30, 20, 2.5)
    assert (0.5 - share) * 600 / np.sqrt(30 * 20 * 51 / 12) == pytest.approx(-2.5)


@pytest.mark.parametrize(
    ("real", "fake", "error", "text"),
    [
        (np.arange(5.0), np.arange(30.0), Undefined, "there are 5 reals, and at least 20 are needed"),
        (np.arange(30.0), np.arange(19.0), Undefined, "there are 19 fakes"),
        (np.zeros(30), np.zeros(30), Undefined, "all distances to the training samples are equal"),
        (np.full(30, np.nan), np.zeros(30), InputError, "expected one finite number per sample"),
        (np.zeros((30, 1)), np.zeros(30), InputError, r"the shape \[30, 1\]"),
    ],
)
def test_what_is_not_defined(real, fake, error, text):
    with pytest.raises(error, match=text):
        copying(real, fake)


def test_cells_with_too_few_samples_leave_nothing():
    with pytest.raises(Undefined, match="no cell has 10 reals and 10 fakes"):
        copying(np.arange(30.0), np.arange(30.0), np.arange(30), np.arange(30))
