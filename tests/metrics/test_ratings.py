"""Ratings: Glickman's published example, hand-computed Elo, identities of GAM and GMAM, and batches."""

import numpy as np
import pytest

from ensgan.metrics import ratings
from ensgan.metrics.ratings import Ratings, elo, fresh, gam, glicko2, gmam, matches, rate, win_rates

RNG = np.random.default_rng(0)
PAYOFF = RNG.uniform(size=(3, 4))


def test_glicko2_gives_the_numbers_of_glickmans_example():
    # Player 0 beats one opponent and loses to two; what those three know of each other is left out.
    rating, deviation = [1500.0, 1400.0, 1550.0, 1700.0], [200.0, 30.0, 100.0, 300.0]
    score, games = np.full((4, 4), 0.5), np.zeros((4, 4))
    score[0, 1:], games[0, 1:] = [1.0, 0.0, 0.0], 1.0
    new = glicko2(rating, deviation, np.full(4, 0.06), score, games, tau=0.5)
    assert new[0][0] == pytest.approx(1464.06, abs=0.01)
    assert new[1][0] == pytest.approx(151.52, abs=0.01)
    assert new[2][0] == pytest.approx(0.05999, abs=1e-5)
    # The others met nobody in this table: they keep rating and volatility, and are less sure.
    np.testing.assert_allclose(new[0][1:], rating[1:])
    np.testing.assert_allclose(new[2][1:], 0.06)
    np.testing.assert_allclose(new[1][1:], np.hypot(deviation[1:], 0.06 * ratings.SCALE))


def test_volatility_solves_its_equation_and_grows_with_surprise():
    phi, variance, sigma, tau = np.full(3, 0.3), np.full(3, 0.5), np.full(3, 0.06), 0.5
    delta = np.array([0.0, 1.0, 8.0])
    new = ratings._volatility(delta, phi, variance, sigma, tau)
    x = np.log(new**2)
    total = phi**2 + variance + np.exp(x)
    f = np.exp(x) * (delta**2 - total) / (2 * total**2) - (x - np.log(sigma**2)) / tau**2
    np.testing.assert_allclose(f, 0.0, atol=1e-9)
    assert new[0] < 0.06 < new[1] < new[2]


def test_elo_by_hand_and_its_sum():
    # 400 points ahead, 10/11 is expected; a draw costs 32 · (10/11 − 1/2).
    score, games = matches([[0.5]])
    np.testing.assert_allclose(elo([1900.0, 1500.0], score, games), [1900 - 32 * (10 / 11 - 0.5), 1500 + 32 * 9 / 22])
    score, games = matches(PAYOFF)
    start = RNG.normal(1500, 200, 7)
    assert elo(start, score, games).sum() == pytest.approx(start.sum())
    expected = 1 / (1 + 10 ** ((start[None] - start[:, None]) / 400))
    np.testing.assert_allclose(elo(start, expected, games), start)  # nothing new, nothing moves


def test_ratings_order_members_and_settle():
    payoff = np.array([[0.9, 0.6], [0.6, 0.3], [0.2, 0.1]])  # generator 0 fools most, D1 sees most
    now = None
    for _ in range(200):
        before, now = now, rate(payoff, now)
    for values in (now.elo, now.glicko):
        assert values[0] > values[1] > values[2]
        assert values[4] > values[3]
    np.testing.assert_allclose(before.elo, now.elo, atol=0.01)
    assert (now.deviation < 200).all()


def test_ratings_are_batched_and_do_not_depend_on_numbering():
    many = RNG.uniform(size=(5, 3, 4))
    got = rate(many)
    for k in range(5):
        np.testing.assert_allclose(np.stack(rate(many[k])), np.stack([field[k] for field in got]))
    g, d = np.array([2, 0, 1]), np.array([3, 1, 0, 2])
    moved = rate(PAYOFF[np.ix_(g, d)])
    np.testing.assert_allclose(np.stack(moved), np.stack(rate(PAYOFF))[:, [*g, *(3 + d)]])


def test_who_is_absent_meets_nobody():
    rows = np.array([True, False, True])
    holed = np.where(rows[:, None], PAYOFF, np.nan)
    got = rate(holed, rows=rows)
    here = [0, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(np.stack(got)[:, here], np.stack(rate(PAYOFF[rows])))
    assert got.elo[1] == got.glicko[1] == 1500
    assert got.deviation[1] > 350


def test_many_opponents_do_not_make_elo_overshoot():
    now = fresh(80)
    for _ in range(300):
        before, now = now, rate(np.full((40, 40), 0.75), now)
    np.testing.assert_allclose(before.elo, now.elo, atol=0.01)
    # ¾ are odds of 3 to 1
    np.testing.assert_allclose(now.elo[:40] - now.elo[40:], 400 * np.log10(3), rtol=1e-3)


def test_win_rates_count_matches():
    g, d = win_rates([[0.9, 0.5, 0.2], [0.6, 0.7, 0.8]])
    np.testing.assert_allclose(g, [0.5, 1.0])
    np.testing.assert_allclose(d, [0.0, 0.25, 0.5])


def test_gam_and_gmam_compare_games_with_swapped_judges():
    sample = np.array([[0.3, 0.2], [0.1, 0.4]])  # D_0 takes 10 % of G_1's fakes for real, D_1 20 % of G_0's
    r_test, r_samples = gam([0.1, 0.2], sample)
    assert r_test[0, 1] == 0.5
    assert r_samples[0, 1] == pytest.approx(0.1 / 0.2)  # below 1: game 0 wins, were it not for r_test
    np.testing.assert_allclose(r_samples * r_samples.T, 1.0)
    # G_1 gets more than G_0 out of both discriminators: log(3/1) − log(2/4) > 0.
    value = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(gmam(value), [[0.0, np.log(6.0)], [-np.log(6.0), 0.0]], atol=1e-12)
    np.testing.assert_allclose(gmam(7.0 * value), gmam(value))
    batch = np.stack([value, value.T])
    np.testing.assert_allclose(gmam(batch)[1], gmam(value.T))


def test_matches_are_two_sided():
    score, games = matches(PAYOFF)
    np.testing.assert_allclose(score + score.T, 1.0)
    np.testing.assert_allclose(score[:3, 3:], PAYOFF)
    assert games.sum() == 24
    assert isinstance(rate(PAYOFF), Ratings)


def test_a_long_upset_keeps_the_root_of_the_note():
    """Eight against eight: twenty periods in which nobody fools anybody, then one in which all are even."""
    now = None
    for _ in range(20):
        now = rate(np.zeros((8, 8)), now)
    assert now.glicko[0] == pytest.approx(981, abs=1)
    after = rate(np.full((8, 8), 0.5), now)
    # A larger root of the same equation would give 19,705 and 11.6.
    assert after.glicko[0] == pytest.approx(1323, abs=1)
    assert after.volatility[0] == pytest.approx(0.060, abs=1e-3)
    assert after.volatility[0] == pytest.approx(_by_the_note(now, 8), rel=1e-6)


def _by_the_note(now, opponents, tau=0.5):
    """Step 5 of Glickman's note as it stands, with the Illinois rule, for player 0 after draws with all opponents."""
    mu, phi = (now.glicko - 1500) / ratings.SCALE, now.deviation / ratings.SCALE
    g = 1 / np.sqrt(1 + 3 * phi[-1] ** 2 / np.pi**2)
    e = 1 / (1 + np.exp(-g * (mu[0] - mu[-1])))
    v = 1 / (opponents * g**2 * e * (1 - e))
    delta, a = v * opponents * g * (0.5 - e), np.log(now.volatility[0] ** 2)

    def f(x):
        total = phi[0] ** 2 + v + np.exp(x)
        return np.exp(x) * (delta**2 - total) / (2 * total**2) - (x - a) / tau**2

    if delta**2 > phi[0] ** 2 + v:
        low, high = a, np.log(delta**2 - phi[0] ** 2 - v)
    else:
        k = 1
        while f(a - k * tau) < 0:
            k += 1
        low, high = a, a - k * tau
    f_low, f_high = f(low), f(high)
    while abs(high - low) > 1e-10:
        new = low + (low - high) * f_low / (f_high - f_low)
        f_new = f(new)
        if f_new * f_high <= 0:
            low, f_low = high, f_high
        else:
            f_low /= 2
        high, f_high = new, f_new
    return np.exp(low / 2)
