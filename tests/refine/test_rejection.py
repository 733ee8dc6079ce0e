"""Rejection gives its law, at the cost that was asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact_ratios import CLOSE, GRID, LARGEST, MEAN, SAMPLER, STD, draw, ratio
from scipy.stats import kstest, norm

from ensgan import refine


@pytest.mark.parametrize("budget", [0.1, 0.5, 0.9])
def test_obrs_accepts_its_budget_on_average_and_gives_its_law(budget, key):
    got = refine.obrs(key, draw, ratio, 4000, budget=budget, pilot=10_000)
    proposed = round(4000 / budget)
    assert got.acceptance == pytest.approx(budget, abs=3 * np.sqrt(budget * (1 - budget) / proposed) + 0.015)
    # The law after rejection is p · min(k r, 1), by quadrature, with k such that its mass is the budget.
    r = norm.pdf(GRID, MEAN, STD) / SAMPLER
    ks = np.geomspace(1e-3, 1e3, 20_000)
    mass = np.array([np.trapezoid(SAMPLER * np.minimum(k * r, 1), GRID) for k in ks[::20]])
    k = np.interp(budget, mass, ks[::20])
    law = SAMPLER * np.minimum(k * r, 1)
    cdf = np.cumsum(law) / law.sum()
    assert kstest(np.asarray(got.x), lambda x: np.interp(x, GRID, cdf)).statistic < CLOSE + 0.01
    # What is still missing to the target: weights r/min(k r, 1).
    weight = np.maximum(r, 1 / k)
    moment = lambda power: (law * weight**power).sum() / law.sum()
    assert got.effective == pytest.approx(4000 * moment(1) ** 2 / moment(2), rel=0.05)
    assert got.generated == got.judged == pytest.approx(1 / budget + 2.5, rel=0.15)


def test_a_budget_of_one_keeps_every_sample(key):
    got = refine.obrs(key, draw, ratio, 4000, budget=1.0)
    assert got.acceptance == 1.0
    first = [draw(jax.random.split(jax.random.fold_in(key, i))[0], 1024) for i in range(4)]
    np.testing.assert_allclose(got.x, jnp.concatenate(first)[:4000], atol=1e-6)


def test_exact_rejection_costs_the_largest_ratio(key):
    got = refine.drs(key, draw, ratio, 4000)
    assert got.acceptance == pytest.approx(1 / LARGEST, rel=0.05)
    assert got.effective == pytest.approx(4000, rel=0.01)


def test_gamma_of_drs_trades_acceptance(key):
    shares = [refine.drs(key, draw, ratio, 4000, gamma=g).acceptance for g in (-2.0, 0.0, 2.0)]
    assert shares[0] > shares[1] > shares[2]
    assert refine.drs(key, draw, ratio, 4000, budget=0.6).acceptance == pytest.approx(0.6, abs=0.03)
    # At the 95th percentile of F̂, one pilot sample in twenty is kept with probability above ½.
    x = draw(jax.random.key(9), 100_000)
    f = np.asarray(ratio(x), np.float64) - np.log(LARGEST)
    hat = f - np.log(-np.expm1(f - 1e-6))
    want = (1 / (1 + np.exp(np.percentile(hat, 95) - hat))).mean()
    got = refine.drs(key, draw, ratio, 4000, percentile=95.0)
    assert got.acceptance == pytest.approx(want, rel=0.1)
