"""Refinement on toys whose density ratio is exact: each method gives the target, and reports what it cost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy.stats import kstest, norm

from ensgan import refine
from ensgan.types import InputError

# The sampler is N(0, 1) and the target N(1, ½²): the largest ratio is 2 exp(2/3), at x = 4/3.
MEAN, STD = 1.0, 0.5
LARGEST = 2 * np.exp(2 / 3)
GRID = np.linspace(-8, 8, 20001)
SAMPLER = norm.pdf(GRID)
# What Kolmogorov and Smirnov's distance of 4,000 exact samples exceeds once in a thousand times.
CLOSE = 0.031


def draw(key, n):
    return jax.random.normal(key, (n,))


def scaled(factor, hole, x):
    exact = -0.5 * jnp.square((x - MEAN) / STD) + 0.5 * jnp.square(x) - jnp.log(STD)
    return jnp.where(x < hole, jnp.nan, factor * exact)


def judge(factor=1.0, hole=-1e9):
    """One function of numbers, so that all judges are compiled once: the log ratio times a factor, NaN below `hole`."""
    return Partial(scaled, jnp.float32(factor), jnp.float32(hole))


ratio, constant, nothing = judge(), judge(0.0), judge(0.0, 1e9)


def same(x):
    return x


def distance(x, mean=MEAN, std=STD):
    return kstest(np.asarray(x), norm(mean, std).cdf).statistic


EXACT = {
    "drs": lambda key: refine.drs(key, draw, ratio, 4000),
    "obrs": lambda key: refine.obrs(key, draw, ratio, 4000, budget=0.25),
    "mh": lambda key: refine.mh(key, draw, ratio, 4000, steps=40),
    "ddls": lambda key: refine.ddls(key, draw, ratio, 4000, generate=same, steps=300, rate=0.02),
}


@pytest.mark.parametrize("method", EXACT)
def test_the_exact_ratio_gives_the_target(method, key):
    got = EXACT[method](key)
    assert got.x.shape == (4000,)
    assert distance(got.x) < CLOSE
    assert distance(draw(key, 4000)) > 0.4  # the test can tell
    again = EXACT[method](key)
    np.testing.assert_array_equal(got.x, again.x)


@pytest.mark.parametrize("method", EXACT)
def test_a_constant_ratio_changes_nothing(method, key):
    same_law = {
        "drs": lambda: refine.drs(key, draw, constant, 4000),
        "obrs": lambda: refine.obrs(key, draw, constant, 4000, budget=0.25),
        "mh": lambda: refine.mh(key, draw, constant, 4000, steps=3),
        "ddls": lambda: refine.ddls(key, draw, constant, 4000, generate=same, steps=20, rate=0.02),
    }[method]()
    assert distance(same_law.x, 0.0, 1.0) < CLOSE
    assert same_law.acceptance == pytest.approx({"obrs": 0.25}.get(method, 1.0), abs=0.02)


def test_gradients_of_a_constant_move_nothing(key):
    for method in (refine.dot, refine.collaborative):
        got = method(key, draw, constant, 4000, steps=4)
        np.testing.assert_array_equal(got.x[:1000], draw(jax.random.fold_in(key, 0), 1000))


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


def test_chains_by_hand(key):
    """The first portion of chains, of three proposals each, step by step."""
    got = refine.mh(key, draw, ratio, 4000, steps=3)
    key_first, _, key_steps = jax.random.split(jax.random.fold_in(key, 0), 3)
    x, taken = draw(key_first, 1000), 0
    for t in range(3):
        key_x, key_u = jax.random.split(jax.random.fold_in(key_steps, t))
        new = draw(key_x, 1000)
        go = jax.random.uniform(key_u, (1000,)) < jnp.minimum(1.0, jnp.exp(ratio(new) - ratio(x)))
        x, taken = jnp.where(go, new, x), taken + go.mean()
    np.testing.assert_allclose(got.x[:1000], x, atol=1e-6)
    assert got.acceptance == pytest.approx(float(taken) / 3, abs=0.02)
    assert (got.generated, got.judged) == (4, 4)


def test_chains_that_begin_with_reals_give_none_of_them_back(key):
    reals = MEAN + STD * jax.random.normal(jax.random.key(5), (3000,))
    few = refine.mh(key, draw, ratio, 4000, steps=2, start=reals)
    assert not np.isin(np.asarray(few.x), np.asarray(reals)).any()
    assert few.judged == 4  # of the real, of the fake beside it, and of two proposals
    assert distance(refine.mh(key, draw, ratio, 4000, steps=40, start=reals).x) < CLOSE


def test_langevin_in_latent_space_follows_the_generator(key):
    """G(z) = 2z is N(0, 2²); the target N(1, 1) has the ratio exp(−(x − 1)²/2 + x²/8)."""
    generate = lambda z: 2.0 * z
    log_ratio = lambda x: -0.5 * jnp.square(x - 1.0) + 0.125 * jnp.square(x)
    got = refine.ddls(key, draw, log_ratio, 4000, generate=generate, steps=300, rate=0.02)
    assert distance(got.x, 1.0, 1.0) < CLOSE
    assert (got.acceptance, got.generated, got.judged) == (1.0, 301, 300)


def test_transport_along_an_exact_potential_gives_the_target(key):
    """Uniform draws, two points as data: f = −3 · distance to the nearer one is 3 times a Kantorovich potential."""
    points = jnp.array([-0.5, 0.5])
    uniform = lambda key, n: jax.random.uniform(key, (n,), minval=-1.0, maxval=1.0)
    score = lambda x: -3.0 * jnp.abs(x[:, None] - points[None]).min(1)
    got = refine.dot(key, uniform, score, 1000, steps=150, rate=0.01, lipschitz=2.0)
    x, y = np.asarray(got.x), np.asarray(uniform(jax.random.fold_in(key, 0), 1000))
    np.testing.assert_allclose(x, 0.5 * np.sign(y), atol=0.03)  # the transport of least effort
    assert got.generated == 1
    # The slope is found where it is not given; and latents of half the size see one of twice the size.
    found, known = (refine.dot(key, uniform, score, 1000, steps=9, rate=0.01, lipschitz=k) for k in (None, 3.0))
    np.testing.assert_allclose(found.x, known.x, atol=2e-3)
    half = lambda key, n: uniform(key, n) / 2
    latent = refine.dot(key, half, score, 1000, steps=300, rate=0.005, lipschitz=4.0, generate=lambda z: 2 * z)
    np.testing.assert_allclose(latent.x, 0.5 * np.sign(y), atol=0.06)
    assert latent.generated == 301


def test_collaborative_sampling_with_a_shaped_judge_comes_to_rest_as_the_target(key):
    width = 0.2  # of a kernel, by which both laws are made smooth

    def shape(samples):
        """The exact ratio of both laws after smoothing: what an ideal shaped judge of smooth laws says."""
        target = lambda x: jax.scipy.stats.norm.logpdf(x, MEAN, np.hypot(STD, width))
        kernel = lambda x: jax.scipy.stats.norm.logpdf(x[:, None], samples[None], width)
        return lambda x: target(x) - jax.nn.logsumexp(kernel(x), axis=1) + np.log(len(samples))

    got = refine.collaborative(key, draw, ratio, 400, steps=150, shape=shape, rate=0.05, batch=400)
    assert distance(got.x) < 0.06
    assert (got.acceptance, got.generated, got.judged) == (1.0, 1.0, 300.0)  # a judge and its shaping at each step
    # With the judge of the first samples alone, samples only climb.
    fixed = refine.collaborative(key, draw, ratio, 4000, steps=1, rate=0.1)
    x = draw(jax.random.fold_in(key, 0), 1000)
    step = 0.1 * jax.nn.sigmoid(-ratio(x)) * jax.vmap(jax.grad(lambda a: ratio(a[None])[0]))(x)
    np.testing.assert_allclose(fixed.x[:1000], x + step, atol=1e-5)


def test_samples_do_not_depend_on_how_many_there_are(key):
    bent = lambda x: 3.0 * jnp.square(x)  # steeper the further out, so that more pairs find a larger slope
    few, many = (refine.dot(key, draw, bent, n, steps=5, batch=n).x for n in (5, 500))
    np.testing.assert_allclose(few, many[:5], rtol=1e-5)

    def shape(samples):
        return lambda x: -jnp.square(x - samples.mean())

    few, many = (refine.collaborative(key, draw, ratio, n, steps=5, shape=shape, batch=256) for n in (5, 500))
    np.testing.assert_allclose(few.x, many.x[:5], rtol=1e-5)
    assert (few.generated, few.judged) == (256 / 5, 10 * 256 / 5)


def test_trees_of_samples_keep_together_and_labels_do_not_move(key):
    def pairs(key, n):
        x = jax.random.normal(key, (n, 2))
        return x, (x[:, 0] > 0).astype(jnp.int32)

    says = lambda pair: 2.0 * pair[1] - 0.1 * jnp.square(pair[0]).sum(-1)
    x, label = refine.obrs(key, pairs, says, 300, budget=0.4).x
    np.testing.assert_array_equal(label, np.asarray(x[:, 0]) > 0)
    assert label.mean() > 0.75  # ones are e² times as likely
    before = pairs(jax.random.fold_in(key, 0), 30)
    x, label = refine.collaborative(key, pairs, says, 30, steps=3).x
    np.testing.assert_array_equal(label, before[1])
    assert (np.abs(x) < np.abs(before[0])).all()


def test_progress_is_told_and_portions_do_not_repeat(key):
    told = []
    got = refine.mh(key, draw, ratio, 4000, steps=4, progress=told.append)
    assert told == [1000, 2000, 3000, 4000]  # four equal portions of at most 1,024
    assert got.generated == 5
    odd = refine.mh(key, draw, ratio, 1025, steps=4)  # of two portions of 513, one chain is for nothing
    assert odd.x.shape == (1025,)
    assert odd.generated == pytest.approx(5 * 1026 / 1025)
    assert len(np.unique(np.asarray(got.x))) > 3900  # but for equal float32 numbers
    told.clear()
    refine.obrs(key, draw, ratio, 4000, budget=0.05, progress=told.append)
    assert told[-1] == 4000
    assert len(told) > 3
    assert sorted(told) == told


def test_nothing_accepted_is_said_and_does_not_loop(key):
    with pytest.raises(InputError, match="0 have an infinite ratio and 10240 the ratio 0"):
        refine.obrs(key, draw, nothing, 4000)
    with pytest.raises(InputError, match="0 of 131072 proposals were accepted, and none of the last 131072"):
        refine.drs(key, draw, ratio, 4000, gamma=60.0, batch=1024)
    with pytest.raises(InputError, match="none of 5 proposals was accepted in any of 4000 chains"):
        refine.mh(key, draw, judge(-1.0), 4000, steps=5, start=jnp.full(3000, 1e3))


def test_ratios_that_are_not_numbers_count_as_zero(key):
    holes = judge(0.0, 0.0)
    for got in (refine.obrs(key, draw, holes, 4000, budget=0.3), refine.mh(key, draw, holes, 4000, steps=12)):
        assert np.mean(np.asarray(got.x) >= 0) > 0.99


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k: refine.obrs(k, draw, ratio, 8, budget=0.0), "budget is 0.0; it is the share of proposals"),
        (lambda k: refine.obrs(k, draw, ratio, 8, budget=1.5), "budget is 1.5"),
        (lambda k: refine.drs(k, draw, ratio, 8, budget=0.5, gamma=1.0), "one of budget, gamma and percentile"),
        (lambda k: refine.drs(k, draw, ratio, 8, percentile=101.0), "percentile is 101.0"),
        (lambda k: refine.mh(k, draw, ratio, 8, steps=0), "steps is 0; give a whole number"),
        (lambda k: refine.dot(k, draw, ratio, 8, steps=2**31), "steps is 2147483648; .* below 2³¹"),
        (lambda k: refine.dot(k, draw, ratio, 0), "asked for 0 samples"),
        (lambda k: refine.mh(k, draw, ratio, 0, steps=1), "asked for 0 samples"),
        (lambda k: refine.obrs(k, draw, ratio, 0), "asked for 0 samples"),
        (lambda k: refine.dot(k, draw, ratio, 8, lipschitz=0.0), "lipschitz is 0.0"),
        (lambda k: refine.dot(k, draw, ratio, 8, rate=float("nan")), "rate is nan"),
        (lambda k: refine.ddls(k, draw, ratio, 4000, generate=same, rate=50.0), "the rate 50 is too large; lower it"),
        (lambda k: refine.collaborative(k, draw, lambda x: -(x**4), 8, rate=9.0), "the rate 9 is too large; lower it"),
    ],
)
def test_what_cannot_be_done_is_refused(call, message, key):
    with pytest.raises(InputError, match=message):
        call(key)
