"""Equilibria of small games by hand, against each other, and of games with absent members."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensgan.metrics import metagame
from ensgan.metrics.metagame import alpha_rank, exploitability, linear_program
from ensgan.types import InputError

ROCK = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
PENNIES = np.array([[1.0, -1.0], [-1.0, 1.0]])
# Solvers, turns, and how far from an equilibrium they may end, in payoffs of size 1.
SOLVERS = {
    "regret_matching": (1000, 2e-3),
    "multiplicative_weights": (4000, 0.05),
    "fictitious_play": (4000, 0.1),
    "replicator": (4000, 0.05),
}


def solve(name, payoff, **masks):
    iterations, _ = SOLVERS[name]
    fn = jax.jit(getattr(metagame, name), static_argnames="iterations")
    return [np.asarray(side) for side in fn(jnp.asarray(payoff, jnp.float32), **masks, iterations=iterations)]


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_finds_what_is_known(name):
    slack = SOLVERS[name][1]
    for side in solve(name, ROCK):
        np.testing.assert_allclose(side, 1 / 3, atol=2 * slack)
    # Pennies, on another scale: units do not matter.
    for side in solve(name, 3.0 + 1e-3 * PENNIES):
        np.testing.assert_allclose(side, 1 / 2, atol=2 * slack)
    # Row 0 is better than row 1 everywhere; against it, column 2 is best: a saddle point.
    p, q = solve(name, [[3.0, 2.0, 1.0], [2.0, 1.0, 0.0]])
    np.testing.assert_allclose(p, [1, 0], atol=slack)
    np.testing.assert_allclose(q, [0, 0, 1], atol=slack)


def test_a_game_of_two_by_two_in_closed_form():
    # Without a saddle: p_0 = (d − c) / (a − b − c + d) and q_0 = (d − b) / (a − b − c + d).
    a, b, c, d = 0.7, 0.2, 0.4, 0.6
    total = a - b - c + d
    for p, q in (linear_program([[a, b], [c, d]]), solve("regret_matching", [[a, b], [c, d]])):
        np.testing.assert_allclose(p, [(d - c) / total, 1 - (d - c) / total], atol=2e-3)
        np.testing.assert_allclose(q, [(d - b) / total, 1 - (d - b) / total], atol=2e-3)


def test_the_linear_program_is_exact():
    for game, value in ((ROCK, 0.0), (PENNIES, 0.0), ([[2.0, 2.0]], 2.0), ([[1.0], [3.0]], 3.0)):
        p, q = linear_program(game)
        assert p @ np.asarray(game) @ q == pytest.approx(value)
        assert float(exploitability(jnp.asarray(game), p, q)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_agree_with_the_linear_program(name):
    slack = SOLVERS[name][1]
    for seed in range(3):
        game = np.random.default_rng(seed).uniform(size=(5, 7)).astype(np.float32)
        p, q = solve(name, game)
        np.testing.assert_allclose([p.sum(), q.sum()], 1.0, rtol=1e-5)
        exact_p, exact_q = linear_program(game)
        assert float(exploitability(jnp.asarray(game), exact_p, exact_q)) < 1e-5
        assert 0.0 <= float(exploitability(jnp.asarray(game), p, q)) < slack
        assert p @ game @ q == pytest.approx(exact_p @ game @ exact_q, abs=slack)


@pytest.mark.parametrize("name", [*SOLVERS, "linear_program"])
def test_absent_members_leave_the_smaller_game(name):
    rows, columns = np.array([True, False, True, True]), np.array([True, True, True, False])
    game = np.full((4, 4), np.nan)
    game[np.ix_(rows, columns)] = ROCK
    if name == "linear_program":
        p, q = linear_program(game, rows, columns)
        small = linear_program(ROCK)
        assert float(exploitability(jnp.asarray(game), p, q, rows, columns)) == pytest.approx(0.0, abs=1e-6)
    else:
        p, q = solve(name, game, rows=rows, columns=columns)
        small = solve(name, ROCK)
    assert p[1] == q[3] == 0.0
    if name == "multiplicative_weights":  # its rate is that of all members, there or not
        np.testing.assert_allclose(p[rows], 1 / 3, atol=0.05)
        np.testing.assert_allclose(q[columns], 1 / 3, atol=0.05)
    else:
        np.testing.assert_allclose(p[rows], small[0], atol=1e-5)
        np.testing.assert_allclose(q[columns], small[1], atol=1e-5)


def test_exploitability_by_hand():
    # Against rock alone, paper gains 1 on either side.
    rock = jnp.array([1.0, 0.0, 0.0])
    assert float(exploitability(jnp.asarray(ROCK), rock, rock)) == 2.0
    there = jnp.array([True, False, True])  # without paper, nothing beats rock
    assert float(exploitability(jnp.asarray(ROCK), rock, rock, there, there)) == 0.0


def test_a_game_that_is_all_alike_gives_everybody_the_same():
    for side in solve("regret_matching", np.full((2, 3), 0.5)):
        np.testing.assert_allclose(side, 1 / len(side), rtol=1e-6)


def test_a_payoff_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match="must be finite wherever both members are there"):
        linear_program([[0.0, np.inf]])


def test_alpha_rank_of_known_games():
    # In matching pennies every pair is as good as any other: they follow each other in a circle.
    np.testing.assert_allclose(alpha_rank(PENNIES), 0.25, atol=1e-9)
    rock = alpha_rank(ROCK)
    np.testing.assert_allclose([rock.sum(0), rock.sum(1)], 1 / 3, atol=1e-9)
    # All of the time is spent at a saddle point, and with weak selection a part of it.
    saddle = [[3.0, 2.0, 1.0], [2.0, 1.0, 0.0]]
    assert alpha_rank(saddle)[0, 2] == pytest.approx(1.0, abs=1e-3)
    assert 1 / 6 < alpha_rank(saddle, alpha=0.01)[0, 2] < 0.9
    np.testing.assert_allclose(alpha_rank(np.full((2, 3), 0.4)), 1 / 6)
    np.testing.assert_allclose(alpha_rank([[1.0]]), 1.0)


def test_alpha_rank_is_the_stationary_law_of_its_chain():
    game, alpha, m = np.random.default_rng(0).uniform(size=(2, 3)), 1.5, 4
    pairs = [(i, j) for i in range(2) for j in range(3)]
    fixed = lambda x: (1 - np.exp(-x)) / (1 - np.exp(-m * x))
    chain = np.zeros((6, 6))
    for s, (i, j) in enumerate(pairs):
        for t, (k, l) in enumerate(pairs):
            if i != k and j == l:
                chain[s, t] = fixed(alpha * (game[k, l] - game[i, j])) / 3
            elif i == k and j != l:
                chain[s, t] = fixed(alpha * (game[i, j] - game[k, l])) / 3
    chain += np.diag(1 - chain.sum(1))
    got = alpha_rank(game, alpha=alpha, population=m)
    np.testing.assert_allclose(got.ravel() @ chain, got.ravel(), atol=1e-12)
    rows, columns = np.array([True, False, True]), np.array([True, True, True, False])
    holed = np.full((3, 4), np.nan)
    holed[np.ix_(rows, columns)] = game
    np.testing.assert_allclose(alpha_rank(holed, rows, columns, alpha, m)[np.ix_(rows, columns)], got)


def test_projected_replicators_keep_everybody_in_play():
    solve = jax.jit(functools.partial(metagame.replicator, iterations=50, explore=0.3))
    p, q = solve(jnp.array([[3.0, 2.0, 1.0], [2.0, 1.0, 0.0]]))
    assert float(p.min()) >= 0.15 - 1e-6
    assert float(q.min()) >= 0.1 - 1e-6
