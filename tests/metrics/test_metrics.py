"""Metrics against brute force, by hand, and where the truth is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensgan import metrics
from ensgan.evaluation.selection import _mean_score
from ensgan.metrics import class_floor, class_scores, coverage, mmd, mode_scores, placements


def test_placements_by_hand_with_ties():
    by_real, by_fake = placements(jnp.array([1.0, 2.0]), jnp.array([0.0, 1.0, 1.0, 3.0]))
    # Real 1: one fake below, two ties of a half; real 2: three fakes below.
    np.testing.assert_allclose(by_real, [2 / 4, 3 / 4])
    # Fake 0: both reals above; fakes 1: one tie and one above; fake 3: none.
    np.testing.assert_allclose(by_fake, [1.0, 0.75, 0.75, 0.0])


def test_their_mean_is_the_auc_over_all_pairs():
    rng = np.random.default_rng(0)
    r, s = rng.integers(0, 12, 70).astype(np.float32), rng.integers(-3, 9, 50).astype(np.float32)  # many ties
    brute = np.mean((r[:, None] > s[None]) + 0.5 * (r[:, None] == s[None]))
    by_real, by_fake = placements(jnp.asarray(r), jnp.asarray(s))
    assert float(by_real.mean()) == pytest.approx(brute, abs=1e-6)
    assert float(by_fake.mean()) == pytest.approx(brute, abs=1e-6)


def test_delongs_error_of_a_mean_of_aucs_is_that_of_the_bootstrap():
    # Two discriminators see the same samples with half of their noise in common. The error of the mean is neither that
    # of independent AUCs, which is 18 % less, nor that of one of them, which is 15 % more.
    rng = np.random.default_rng(1)
    n, noise = 250, lambda: rng.standard_normal((2, 250))
    real, fake = rng.standard_normal(n) + 0.8 + noise(), rng.standard_normal(n) + noise()

    def auc(r, s):
        below = np.searchsorted(np.sort(s), r, side="left")
        return below.mean() / len(s)

    placed = [placements(jnp.asarray(real[j]), jnp.asarray(fake[j])) for j in range(2)]
    by_real, by_fake = (np.array([p[side] for p in placed])[None] for side in (0, 1))  # [1, 2, n]
    got = _mean_score(by_real.mean(-1), by_real, by_fake, axis=1)
    draws = []
    for _ in range(1500):
        a, b = rng.integers(n, size=(2, n))
        draws.append(np.mean([auc(real[j][a], fake[j][b]) for j in range(2)]))
    assert got.error[0] == pytest.approx(np.std(draws), rel=0.1)
    assert got.value[0] == pytest.approx(np.mean([auc(real[j], fake[j]) for j in range(2)]), abs=1e-6)


def kernel(x, y, scale):
    d = ((x - y) ** 2).sum()
    return np.mean([np.exp(-d / (2 * h * scale)) for h in (0.25, 1.0, 4.0)])


def test_mmd_is_its_double_loop():
    rng = np.random.default_rng(2)
    x, y, n = rng.normal(size=(9, 3)), rng.normal(size=(9, 3)) + 1.0, 9
    pairs = [(a, b) for a in range(n) for b in range(n) if a != b]
    h = [
        kernel(x[a], x[b], 2.0) + kernel(y[a], y[b], 2.0) - kernel(x[a], y[b], 2.0) - kernel(x[b], y[a], 2.0)
        for a, b in pairs
    ]
    got = mmd(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32), 2.0)
    assert float(got.value) == pytest.approx(np.mean(h), abs=1e-5)


def test_mmd_is_unbiased_for_equal_laws_and_positive_for_different_ones():
    x, y = jax.random.normal(jax.random.key(3), (2, 100, 60, 2))
    same = jax.vmap(lambda a, b: mmd(a, b, 2.0))(x, y)
    spread = float(same.value.std()) / 10
    assert abs(float(same.value.mean())) < 4 * spread
    assert float(same.value.min()) < 0 < float(same.value.max())
    other = jax.vmap(lambda a, b: mmd(a, b, 2.0))(x, y + 1.0)
    assert float((other.value / other.error).mean()) > 3
    assert float(other.error.mean()) == pytest.approx(float(other.value.std()), rel=0.25)


def test_the_bandwidth_is_the_median_squared_distance():
    # Distances between 0, 1 and 3 are 1, 2, 3, so their squares have median 4; a point's distance to itself is no pair.
    assert float(metrics.bandwidth(jnp.array([[0.0], [1.0], [3.0]]))) == pytest.approx(4.0)
    assert float(metrics.bandwidth(jnp.zeros((3, 2)))) > 0


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
