"""Mixtures with known solutions: components of the data, broken generators, copies; and every fit against others."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from ensgan import metrics
from ensgan.evaluation import mixtures
from ensgan.evaluation.mixtures import (
    FITS,
    Evidence,
    evolution,
    exponentiated_gradient,
    fit,
    gram,
    greedy,
    kernel_means,
    leave_one_out,
    quadratic,
    softmax,
    squared_mmd,
    top_k,
)
from ensgan.metrics.metagame import linear_program
from ensgan.pairing.multigradient import smallest_norm

CENTERS = np.array([[-2.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
SHARES = np.array([0.5, 0.3, 0.2])
N = 400


def component(rng, k):
    return CENTERS[k] + 0.3 * rng.standard_normal((N, 2))


def means(seed, generators=(0, 1, 2, "broken")):
    """Reals of three components against generators that are one of them each, or far away."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(3), np.rint(N * SHARES).astype(int))
    real = CENTERS[rng.permutation(label)] + 0.3 * rng.standard_normal((N, 2))
    samples = {k: component(rng, k) for k in range(3)} | {"broken": 9.0 + rng.standard_normal((N, 2))}
    fakes = [samples[k] for k in generators]
    as_jax = [jnp.asarray(x, jnp.float32) for x in (real, *fakes)]
    return kernel_means(as_jax[0], as_jax[1:], metrics.bandwidth(as_jax[0])), as_jax


@pytest.fixture(scope="module")
def known():
    return means(0)


@pytest.fixture(scope="module")
def matrix(known):
    return gram(known[0])


def test_a_single_weight_is_the_distance_of_that_member(known):
    its, (real, *fakes) = known
    scale = metrics.bandwidth(real)
    for i, fake in enumerate(fakes):
        want = metrics.mmd(real, fake, scale)
        got = squared_mmd(its, np.eye(4)[i])
        assert got.value == pytest.approx(float(want.value), abs=1e-5)
        assert got.error == pytest.approx(float(want.error), rel=1e-3, abs=1e-6)


def test_the_distance_of_a_mixture_is_its_brute_force(known, matrix):
    its, (real, *fakes) = known
    w, scale = np.array([0.4, 0.1, 0.3, 0.2]), float(metrics.bandwidth(real))
    x = [np.asarray(a, np.float64) for a in (real, *fakes)]
    k = lambda a, b: metrics.gaussian_kernel(((a[:, None] - b[None]) ** 2).sum(-1), scale)
    signed, apart, every = np.append(-1.0, w), 0.0, 0.0
    for a in range(5):
        for b in range(5):
            table = k(x[a], x[b])
            every += signed[a] * signed[b] * table.mean()
            apart += signed[a] * signed[b] * (table.sum() - np.trace(table)) / (N * (N - 1))
    assert squared_mmd(its, w).value == pytest.approx(apart, abs=1e-6)
    assert w @ matrix @ w == pytest.approx(every, abs=1e-6)


FITTED = {
    "quadratic": (quadratic, 0.02),
    "exponentiated_gradient": (exponentiated_gradient, 0.02),
    "evolution": (lambda g: evolution(lambda w, _: w @ g @ w, len(g)), 0.03),
    "greedy": (greedy, 0.03),
}


@pytest.mark.parametrize("name", FITTED)
def test_weights_of_pure_components_are_their_shares(name, matrix):
    solve, slack = FITTED[name]
    got = solve(matrix)
    np.testing.assert_allclose(got.sum(), 1.0, rtol=1e-6)
    np.testing.assert_allclose(got[:3], SHARES, atol=slack)
    assert 0.0 <= got[3] < 1e-3
    exact = quadratic(matrix)
    assert got @ matrix @ got == pytest.approx(exact @ matrix @ exact, abs=2e-4)


def test_the_quadratic_programme_is_exact():
    rng = np.random.default_rng(1)
    for size in (1, 2, 6):
        root = rng.standard_normal((4, size)) + 1.0
        g = root.T @ root
        got = quadratic(g)
        slope = g @ got
        # Nobody who has weight has more slope than the least: the conditions of Karush, Kuhn and Tucker.
        np.testing.assert_allclose(slope[got > 0], slope.min(), atol=1e-9)
        assert (got >= 0).all()
        sum_to_one = {"type": "eq", "fun": lambda w: w.sum() - 1}
        start = np.full(size, 1 / size)
        other = minimize(
            lambda w, g=g: w @ g @ w, start, bounds=[(0, 1)] * size, constraints=sum_to_one, method="SLSQP", tol=1e-14
        )
        assert got @ g @ got <= other.fun + 1e-9
        assert got @ g @ got == pytest.approx(other.fun, abs=1e-6)
    # On another scale, and against the solver that runs inside a step.
    np.testing.assert_allclose(quadratic(1e-7 * g), got, atol=1e-6)
    inside = smallest_norm(jnp.asarray(g, jnp.float32), jnp.ones(6, bool), 300)
    assert float(inside @ g @ inside) == pytest.approx(got @ g @ got, abs=1e-4)
    # Where nothing is wrong with anybody, any weights do.
    assert quadratic(np.zeros((3, 3))).sum() == pytest.approx(1.0)


def test_no_fit_trusts_a_broken_generator(matrix):
    fool = np.array([[0.45, 0.5], [0.4, 0.45], [0.4, 0.42], [0.0, 0.01]])  # every judge sees through the last
    found = fit(Evidence(matrix, fool, np.array([0, 1, 2, 3])), means(1)[0], means(2)[0])
    assert found.weights.keys() == FITS.keys()
    for name in FITS.keys() - {"uniform"}:
        most = 0.01 if name == "softmax" else 1e-3  # which leaves something to everybody
        assert found.weights[name][3] < most, name


def test_permuting_members_permutes_weights(known, matrix):
    order = np.array([2, 0, 3, 1])
    moved = matrix[np.ix_(order, order)]
    for name in ("quadratic", "exponentiated_gradient", "greedy"):
        solve = FITTED[name][0]
        np.testing.assert_allclose(solve(moved), solve(matrix)[order], atol=1e-4, err_msg=name)
    w = np.array([0.4, 0.1, 0.3, 0.2])
    its = means(0, (2, 0, "broken", 1))[0]
    np.testing.assert_allclose(squared_mmd(its, w[order]).value, squared_mmd(known[0], w).value, atol=1e-6)
    left = leave_one_out(its, w[order]).value
    np.testing.assert_allclose(left, leave_one_out(known[0], w).value[order], atol=1e-6)


def test_leave_one_out_finds_who_is_redundant_and_who_harms():
    its, _ = means(3, (0, 1, 2, 2, "broken"))
    w = np.array([0.5, 0.25, 0.1, 0.1, 0.05])
    lost = leave_one_out(its, w)
    assert np.argsort(-lost.value).tolist()[:2] == [0, 1]  # the largest components are needed most
    assert lost.value[4] < 0  # better without
    assert abs(lost.value[2]) < 0.1 * lost.value[1]  # there is another like it
    np.testing.assert_allclose(lost.value[2], lost.value[3], atol=1e-9)
    assert (lost.error > 0).all()
    without = np.array([0.0, 0.25, 0.1, 0.1, 0.05]) / 0.5
    assert lost.value[0] == pytest.approx(squared_mmd(its, without).value - squared_mmd(its, w).value)
    alone = leave_one_out(its, np.array([1.0, 0, 0, 0, 0]))
    assert alone.value[0] == np.inf
    np.testing.assert_array_equal(alone.value[1:], 0.0)


def test_a_noisy_score_is_asked_for_both_with_the_same_numbers():
    asked = []

    def score(w, generation):
        asked.append(generation)
        # The noise is larger than any gain, but the same for both: comparisons are not troubled by it.
        return 100.0 * np.random.default_rng(generation).standard_normal() + ((w - SHARES) ** 2).sum()

    got = evolution(score, 3, generations=800, sigma=0.05)
    np.testing.assert_allclose(got, SHARES, atol=0.01)
    assert asked == [g for g in range(800) for _ in range(2)]


def test_rules_by_hand():
    np.testing.assert_allclose(top_k(np.array([2, 0, 1]), 2), [0.5, 0.0, 0.5])
    np.testing.assert_allclose(softmax(np.array([0.0, np.log(3.0)]), 1.0), [0.25, 0.75])
    np.testing.assert_allclose(softmax(np.array([0.0, np.log(3.0)]), 0.5), [0.1, 0.9])
    fool = np.array([[0.0, 1.0], [1.0, 0.0], [0.2, 0.2]])
    np.testing.assert_allclose(mixtures.nash(fool), linear_program(fool)[0])


def test_what_is_chosen_is_best_on_one_split_and_reported_on_another(known, matrix):
    evidence = Evidence(matrix, np.full((4, 2), 0.5), np.array([0, 1, 2, 3]))
    select, report = means(1)[0], means(2)[0]
    got = fit(evidence, select, report, {"trained": np.array([0.0, 0.0, 0.0, 1.0])})
    assert got.weights.keys() == got.select.keys() == got.report.keys() == {*FITS, "trained"}
    for name, weights in got.weights.items():
        assert got.select[name] == squared_mmd(select, weights)
        assert got.report[name] == squared_mmd(report, weights)
        assert got.select[got.chosen].value <= got.select[name].value
    assert got.chosen in FITTED
    ways = [squared_mmd(select, w).value for w in FITS["top_k"](evidence)]
    assert got.select["top_k"].value == min(ways)
