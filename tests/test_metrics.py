"""Metrics against brute force, by hand, and where the truth is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensgan import metrics
from ensgan.metrics import coverage, mmd, mode_scores, placements
from ensgan.selection import _mean_score


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
