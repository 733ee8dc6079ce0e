"""Ratings of members by their matches: win rates, Elo and Glicko-2; GAM and GMAM for games that were trained apart.

A match of G_i and D_j has a result in [0, 1] for the generator, `payoff` `[M, N]`: the AUC or the probability that a
fake is scored above a real. The discriminator has the rest. A generator that fools more is rated higher; that is not
the same as better samples, for the ideal result is ½. All functions take and give host arrays in float64, and whatever
axes come first are batches. Players are numbered generators first, P = M + N of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

SCALE = 400.0 / np.log(10.0)  # points of Elo and Glicko for one natural logarithm of the odds
START, DEVIATION, VOLATILITY = 1500.0, 350.0, 0.06  # of who has played nobody


class Ratings(NamedTuple):
    """How strong each of P players is. An advantage of 400 points means odds of 10 to 1."""

    elo: np.ndarray  # [..., P]
    glicko: np.ndarray  # [..., P]
    deviation: np.ndarray  # [..., P] standard deviation of `glicko`
    volatility: np.ndarray  # [..., P] how much strength is expected to change in a period, natural logarithms of odds


def fresh(players: int) -> Ratings:
    """The ratings of players that have met nobody."""
    full = lambda value: np.full(players, value)
    return Ratings(full(START), full(START), full(DEVIATION), full(VOLATILITY))


def rate(payoff: Any, before: Ratings | None = None, rows: Any = None, columns: Any = None) -> Ratings:
    """Ratings after a period in which every generator met every discriminator once.

    Elo moves by 32 points times what a player has more than was expected of it, summed over opponents; where the larger
    side has more than eight members, by 256 points over their number, for moves of both sides at once would overshoot.

    Args:
        payoff: `[..., M, N]`, in [0, 1].
        before: ratings at the start of the period; None for players who met nobody.
        rows: bool `[M]`, the generators that are there; None for all. Who is not there meets nobody.
        columns: bool `[N]`, likewise.
    """
    score, games = matches(payoff, rows, columns)
    before = before or fresh(score.shape[-1])
    most = max(np.shape(payoff)[-2:])
    moved = elo(before.elo, score, games, k=32.0 * min(1.0, 8.0 / most))
    return Ratings(moved, *glicko2(before.glicko, before.deviation, before.volatility, score, games))


def win_rates(payoff: Any) -> tuple[np.ndarray, np.ndarray]:
    """Share of opponents that each member wins against, `[..., M]` and `[..., N]`: results above ½, ties count half."""
    won = 0.5 * (1.0 + np.sign(np.asarray(payoff, np.float64) - 0.5))
    return won.mean(axis=-1), 1.0 - won.mean(axis=-2)


def matches(payoff: Any, rows: Any = None, columns: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Results and numbers of games of all players against all, `[..., P, P]` each; members of a side do not meet.

    Args:
        payoff: `[..., M, N]`, in [0, 1].
        rows: bool `[M]`, the generators that are there, or None.
        columns: bool `[N]`, likewise.
    """
    payoff = np.asarray(payoff, np.float64)
    M, N = payoff.shape[-2:]
    met = np.ones((M, N), bool)
    met &= (np.ones(M, bool) if rows is None else np.asarray(rows))[:, None]
    met &= (np.ones(N, bool) if columns is None else np.asarray(columns))[None]
    payoff = np.where(met, payoff, 0.5)
    score = np.full((*payoff.shape[:-2], M + N, M + N), 0.5)
    score[..., :M, M:], score[..., M:, :M] = payoff, 1.0 - np.swapaxes(payoff, -1, -2)
    games = np.zeros((M + N, M + N))
    games[:M, M:], games[M:, :M] = met, met.T
    return score, np.broadcast_to(games, score.shape)


def elo(rating: Any, score: Any, games: Any, k: float = 32.0) -> np.ndarray:
    """Ratings `[..., P]` after all games at once: r_p + k Σ_q games_pq (score_pq − E_pq), E the logistic expectation.

    Where every game counts for both players, the sum of all ratings stays (Elo 1978).

    Args:
        rating: `[..., P]` before.
        score: `[..., P, P]`, the mean result of p against q, in [0, 1].
        games: `[..., P, P]`, how many games of p against q, ≥ 0.
        k: points for a game won against all odds.
    """
    rating = np.asarray(rating, np.float64)
    expected = _logistic((rating[..., :, None] - rating[..., None, :]) / SCALE)
    return rating + k * (games * (score - expected)).sum(axis=-1)


def glicko2(
    rating: Any, deviation: Any, volatility: Any, score: Any, games: Any, tau: float = 0.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rating, deviation and volatility, `[..., P]` each, after one rating period of Glicko-2.

    Follows the steps of Glickman's note "Example of the Glicko-2 system". Who meets nobody keeps its rating, and its
    deviation grows.

    Args:
        rating: `[..., P]` before, on the scale of 1500.
        deviation: `[..., P]` its standard deviation.
        volatility: `[..., P]`.
        score: `[..., P, P]`, the mean result of p against q, in [0, 1].
        games: `[..., P, P]`, how many games of p against q, ≥ 0.
        tau: how freely volatility changes; 0.3 to 1.2.
    """
    mu, phi = (np.asarray(rating, np.float64) - START) / SCALE, np.asarray(deviation, np.float64) / SCALE
    sigma, games = np.asarray(volatility, np.float64), np.asarray(games, np.float64)
    weight = 1.0 / np.sqrt(1.0 + 3.0 * phi**2 / np.pi**2)[..., None, :]
    expected = _logistic(weight * (mu[..., :, None] - mu[..., None, :]))
    precision = (games * weight**2 * expected * (1.0 - expected)).sum(axis=-1)
    played = precision > 0
    variance = 1.0 / np.where(played, precision, 1.0)
    surplus = (games * weight * (score - expected)).sum(axis=-1)
    sigma = np.where(played, _volatility(variance * surplus, phi, variance, sigma, tau), sigma)
    wider = np.sqrt(phi**2 + sigma**2)
    narrower = 1.0 / np.sqrt(1.0 / wider**2 + 1.0 / variance)
    new_phi = np.where(played, narrower, wider)
    new_mu = mu + np.where(played, new_phi**2 * surplus, 0.0)
    return START + SCALE * new_mu, SCALE * new_phi, sigma


def _volatility(delta: Any, phi: Any, variance: Any, sigma: Any, tau: float) -> np.ndarray:
    """Step 5 of the note: a root of f(x), x = ln σ², by its bracket and its Illinois rule, of all players at once.

    After a long upset f has several roots. The rule goes to one near the old volatility; halving the bracket would not.
    """
    a = np.log(sigma**2)

    def f(x: np.ndarray) -> np.ndarray:
        total = phi**2 + variance + np.exp(x)
        return np.exp(x) * (delta**2 - total) / (2.0 * total**2) - (x - a) / tau**2

    surprise = delta**2 - phi**2 - variance
    far = np.where(surprise > 0, np.log(np.where(surprise > 0, surprise, 1.0)), a - tau)
    while (below := (surprise <= 0) & (f(far) < 0)).any():
        far = np.where(below, far - tau, far)
    near, f_near, f_far = a, f(a), f(far)
    for _ in range(100):  # it takes about ten
        open_ = (np.abs(far - near) > 1e-12) & (f_far != f_near)
        slope = np.where(open_, f_far - f_near, 1.0)
        new = np.where(open_, near + (near - far) * f_near / slope, far)
        f_new = f(new)
        crosses = f_new * f_far <= 0
        near, kept = np.where(open_ & crosses, far, near), np.where(crosses, f_far, f_near / 2)
        f_near = np.where(open_, kept, f_near)
        far, f_far = new, np.where(open_, f_new, f_far)
    return np.exp(0.5 * near)


def _logistic(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def gam(test_error: Any, sample_error: Any) -> tuple[np.ndarray, np.ndarray]:
    """The generative adversarial metric of every two of T trained games (Im et al. 2016, arXiv 1602.05110).

    r_test[a, b] = ε(D_a(x)) / ε(D_b(x)) and r_samples[a, b] = ε(D_a(G_b)) / ε(D_b(G_a)). Game a wins where r_samples <
    1, and b where it is above 1, but only if r_test is near 1: else one discriminator is better than the other, and
    nothing is decided. A ratio is NaN where both errors are 0.

    Args:
        test_error: `[..., T]`, share of held-out reals that the discriminator of each game takes for fakes.
        sample_error: `[..., T, T]`, share of the fakes of game i (row) that the discriminator of game j (column) takes
            for reals.

    Returns:
        r_test and r_samples, `[..., T, T]`, of game a (row) against b (column).
    """
    test, sample = np.asarray(test_error, np.float64), np.asarray(sample_error, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return test[..., :, None] / test[..., None, :], np.swapaxes(sample, -1, -2) / sample


def gmam(value: Any) -> np.ndarray:
    """GMAM of every two of T trained games (Durugkar et al. 2016, arXiv 1611.01673): who wins when judges are swapped.

    GMAM[a, b] = log(v_ba / v_aa) − log(v_ab / v_bb), with v_ij what the generators of game i get out of the
    discriminators of game j: above 0 where b is better against both sides' discriminators, below 0 where a is.

    Args:
        value: `[..., T, T]`, above 0 and higher for better generators: the discriminators' loss, which is −V of the
            paper, or `fool`.

    Returns:
        `[..., T, T]`, antisymmetric.
    """
    log = np.log(np.asarray(value, np.float64))
    own = np.diagonal(log, axis1=-2, axis2=-1)
    return np.swapaxes(log, -1, -2) - log - own[..., :, None] + own[..., None, :]
