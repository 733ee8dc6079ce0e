"""The meta-game: a payoff matrix of members becomes two mixed strategies.

Zero-sum: `payoff` `[M, N]` is what the row player gains, and the column player loses, when i meets j. All solvers give
`(p, q)`, probabilities `[M]` and `[N]`: no row does better than p against q, and no column better than q against p.
`rows` `[M]` and `columns` `[N]` are bool masks of the members that are there, None where all are; at least one on each
side must be. Who is absent has probability 0, and the payoff there may be anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from optax.projections import projection_simplex

from ensgan.types import Array, InputError

Learn = Callable[[Array, Array, Array], Array]  # (memory, own strategy, gain of every pure strategy) -> memory
Respond = Callable[[Array, Array], Array]  # (memory, who is there) -> strategy


def regret_matching(
    payoff: Array, rows: Array | None = None, columns: Array | None = None, iterations: int = 1000
) -> tuple[Array, Array]:
    """Regret matching+ with alternating turns and linear averages (Tammelin 2014, arXiv 1407.5042).

    Needs no rate. The gap of the averages falls at least like 1/√iterations; in practice much faster.

    Args:
        payoff: `[M, N]`, any scale.
        rows: bool `[M]`, or None.
        columns: bool `[N]`, or None.
        iterations: turns of each side.
    """

    def respond(regret: Array, there: Array) -> Array:
        return _share(jnp.where(there, regret, 0.0), there)

    def learn(regret: Array, strategy: Array, gain: Array) -> Array:
        return jax.nn.relu(regret + gain - jnp.sum(strategy * gain))

    return _averages(payoff, rows, columns, iterations, learn, respond, recent=True)


def multiplicative_weights(
    payoff: Array, rows: Array | None = None, columns: Array | None = None, iterations: int = 1000
) -> tuple[Array, Array]:
    """Multiplicative weights, or Hedge (Freund & Schapire 1999): strategies ∝ exp(rate · what each has gained).

    The rate is √(8 log n / iterations) for n strategies, with payoffs brought to [0, 1]. The gap of the averages falls
    like 1/√iterations.

    Args:
        payoff: `[M, N]`, any scale.
        rows: bool `[M]`, or None.
        columns: bool `[N]`, or None.
        iterations: turns of each side.
    """

    def respond(total: Array, there: Array) -> Array:
        rate = math.sqrt(8.0 * math.log(max(len(total), 2)) / iterations)
        return jax.nn.softmax(jnp.where(there, rate * total, -jnp.inf))

    return _averages(payoff, rows, columns, iterations, _add, respond)


def fictitious_play(
    payoff: Array, rows: Array | None = None, columns: Array | None = None, iterations: int = 1000
) -> tuple[Array, Array]:
    """Each side answers best what the other has played so far, in turn (Brown 1951; convergence: Robinson 1951).

    Args:
        payoff: `[M, N]`, any scale.
        rows: bool `[M]`, or None.
        columns: bool `[N]`, or None.
        iterations: turns of each side.
    """

    def respond(total: Array, there: Array) -> Array:
        return jax.nn.one_hot(jnp.where(there, total, -jnp.inf).argmax(), len(total))

    return _averages(payoff, rows, columns, iterations, _add, respond)


def replicator(
    payoff: Array,
    rows: Array | None = None,
    columns: Array | None = None,
    iterations: int = 1000,
    rate: float = 0.1,
    explore: float = 1e-4,
) -> tuple[Array, Array]:
    """Projected replicator dynamics (Lanctot et al. 2017, arXiv 1711.00832), averages over time.

    What gains more than the average of its side grows at that rate; then the strategy is brought back to the nearest
    one that gives everybody who is there at least explore / n.

    Args:
        payoff: `[M, N]`, any scale.
        rows: bool `[M]`, or None.
        columns: bool `[N]`, or None.
        iterations: turns of each side.
        rate: length of a turn, with payoffs brought to [0, 1].
        explore: the share of a strategy that is dealt out to all, in [0, 1).
    """

    def respond(strategy: Array, there: Array) -> Array:
        free = (_share(strategy, there) - explore * there / there.sum()) / (1.0 - explore)
        # Who is so far below all others gets nothing from the projection.
        nearest = projection_simplex(jnp.where(there, free, -4.0))
        return explore * there / there.sum() + (1.0 - explore) * nearest

    def learn(_: Array, strategy: Array, gain: Array) -> Array:
        return strategy + rate * strategy * (gain - jnp.sum(strategy * gain))

    return _averages(payoff, rows, columns, iterations, learn, respond)


def alpha_rank(
    payoff: Any, rows: Any = None, columns: Any = None, alpha: float = 10.0, population: int = 50
) -> np.ndarray:
    """How long two populations that evolve spend at each pair of strategies (Omidshafiei et al. 2019, 1903.01373).

    A pair turns into one in which a single side plays otherwise, with the probability that a mutant of that side takes
    over its population. That is a ranking of pairs, not an equilibrium: where strategies beat each other in a circle
    all of the circle is visited, and sums over the other side rank the members of one.

    Args:
        payoff: `[M, N]`, in units such that 1 is a large difference.
        rows: bool `[M]`, or None.
        columns: bool `[N]`, or None.
        alpha: strength of selection, above 0.
        population: how many individuals each side has, at least 2.

    Returns:
        The stationary distribution over pairs `[M, N]`, float64, on the host.

    Raises:
        InputError: a payoff of members that are there is not finite.
    """
    payoff, i, j = _present(payoff, rows, columns)
    game = payoff[np.ix_(i, j)]
    m, n = game.shape
    states = np.arange(m * n)
    row, column = states // n, states % n
    gain = game.ravel()[None] - game.ravel()[:, None]  # of the row player, from state (first axis) to state (second)
    same_row, same_column = row[:, None] == row[None], column[:, None] == column[None]
    gain = np.where(same_column, gain, -gain)  # where the column player changes, it gains what the other loses
    moves = np.where(same_row ^ same_column, _fixation(alpha * gain, population), 0.0) / max(m + n - 2, 1)
    out = np.zeros(payoff.shape)
    out[np.ix_(i, j)] = _stationary(moves).reshape(m, n)
    return out


def _fixation(x: np.ndarray, population: int) -> np.ndarray:
    """(1 − e⁻ˣ) / (1 − e⁻ᵐˣ), 1/m at 0: the probability that one mutant with advantage x takes over m individuals."""
    x = np.clip(x, -600.0 / population, 600.0)
    small = np.abs(x) < 1e-9
    safe = np.where(small, 1.0, x)
    # The floor keeps all states within reach of each other; it is far below whatever a finite run would see.
    return np.maximum(np.where(small, 1.0 / population, np.expm1(-safe) / np.expm1(-population * safe)), 1e-30)


def _stationary(moves: np.ndarray) -> np.ndarray:
    """The stationary distribution of a chain, from probabilities off the diagonal.

    Grassmann, Taksar & Heyman 1985: elimination without subtraction, exact also where some moves are very rare.
    """
    moves = moves.copy()
    size = len(moves)
    for k in range(size - 1, 0, -1):
        moves[:k, k] /= moves[k, :k].sum()
        moves[:k, :k] += moves[:k, k, None] * moves[None, k, :k]
    share = np.zeros(size)
    share[0] = 1.0
    for k in range(1, size):
        share[k] = share[:k] @ moves[:k, k]
    return share / share.sum()


def linear_program(payoff: Any, rows: Any = None, columns: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """The exact equilibrium, on the host: maximise v so that Σ_i p_i a_ij ≥ v for all j; q are the multipliers.

    Args:
        payoff: `[M, N]`.
        rows: bool `[M]`, or None.
        columns: bool `[N]`, or None.

    Raises:
        InputError: a payoff of members that are there is not finite.
    """
    from scipy.optimize import linprog

    payoff, i, j = _present(payoff, rows, columns)
    M, N = payoff.shape
    game = payoff[np.ix_(i, j)]
    found = linprog(
        np.append(np.zeros(len(i)), -1.0),
        A_ub=np.hstack([-game.T, np.ones((len(j), 1))]),
        b_ub=np.zeros(len(j)),
        A_eq=np.append(np.ones(len(i)), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0.0, None)] * len(i) + [(None, None)],
    )
    p, q = np.zeros(M), np.zeros(N)
    p[i], q[j] = found.x[:-1].clip(0.0), (-found.ineqlin.marginals).clip(0.0)
    return p / p.sum(), q / q.sum()


def _present(payoff: Any, rows: Any, columns: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The payoff as a host array, and the numbers of the members that are there; theirs must be finite."""
    payoff = np.asarray(payoff, np.float64)
    i = np.arange(payoff.shape[0]) if rows is None else np.flatnonzero(rows)
    j = np.arange(payoff.shape[1]) if columns is None else np.flatnonzero(columns)
    if not np.isfinite(payoff[np.ix_(i, j)]).all():
        raise InputError(f"the payoff is {payoff.tolist()}; it must be finite wherever both members are there")
    return payoff, i, j


def exploitability(payoff: Array, p: Array, q: Array, rows: Array | None = None, columns: Array | None = None) -> Array:
    """The gain of both sides together from their best responses, max_i (A q)_i − min_j (Aᵀ p)_j ≥ 0.

    In units of the payoff; 0 at an equilibrium.
    """
    rows, columns = _there(payoff, rows, columns)
    payoff = jnp.where(rows[:, None] & columns[None], payoff, 0.0)
    best_row = jnp.where(rows, jnp.sum(payoff * q[None], axis=1), -jnp.inf).max()
    best_column = jnp.where(columns, jnp.sum(payoff * p[:, None], axis=0), jnp.inf).min()
    return best_row - best_column


def _averages(
    payoff: Array,
    rows: Array | None,
    columns: Array | None,
    iterations: int,
    learn: Learn,
    respond: Respond,
    recent: bool = False,
) -> tuple[Array, Array]:
    """Average strategies of two players who learn in turn; `recent` weighs turn t by t."""
    rows, columns = _there(payoff, rows, columns)
    met = rows[:, None] & columns[None]
    low, high = jnp.where(met, payoff, jnp.inf).min(), jnp.where(met, payoff, -jnp.inf).max()
    payoff = jnp.where(met, (payoff - low) / jnp.where(high > low, high - low, 1.0), 0.0)

    def turn(t: Array, carry: Any) -> Any:
        (row, column), (p_sum, q_sum), q = carry
        weight = t + 1.0 if recent else 1.0
        # Sums, not matrix products: a GPU may round the factors of those to ten bits.
        p = respond(row, rows)
        column = learn(column, q, -jnp.sum(payoff * p[:, None], axis=0))
        q = respond(column, columns)
        row = learn(row, p, jnp.sum(payoff * q[None], axis=1))
        return (row, column), (p_sum + weight * p, q_sum + weight * q), q

    zeros = jnp.zeros(len(rows)), jnp.zeros(len(columns))
    _, (p_sum, q_sum), _ = jax.lax.fori_loop(0, iterations, turn, (zeros, zeros, respond(zeros[1], columns)))
    return _share(p_sum, rows), _share(q_sum, columns)


def _add(total: Array, strategy: Array, gain: Array) -> Array:
    return total + gain


def _share(amount: Array, there: Array) -> Array:
    """Shares of amounts ≥ 0; equal ones where there is nothing."""
    total = amount.sum()
    return jnp.where(total > 0, amount / jnp.where(total > 0, total, 1.0), there / there.sum())


def _there(payoff: Array, rows: Array | None, columns: Array | None) -> tuple[Array, Array]:
    M, N = payoff.shape
    return jnp.ones(M, bool) if rows is None else rows, jnp.ones(N, bool) if columns is None else columns
