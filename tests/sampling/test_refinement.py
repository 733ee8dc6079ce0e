"""Samples of a game refined by a judge: draws inside programs, the right mixture of members, and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from judges import SOURCE, game, line
from scipy.stats import kstest, norm

import ensgan
from ensgan import data, losses
from ensgan.evaluation.tables import evaluate_refinement
from ensgan.evaluation.text import describe_refinement
from ensgan.game.game import Game
from ensgan.game.latents import normal, uniform
from ensgan.game.population import Group
from ensgan.sampling import combine, refinement
from ensgan.sampling.adapters import Mixture
from ensgan.sampling.judge import Judge
from ensgan.sampling.refinement import Refinement, Sampler
from ensgan.sampling.sampler import mean_output, sample
from ensgan.types import InputError


def refined(game, state, key, num, *, judge, weights=None, average=True, label=None, start=None, progress=None, **how):
    sampler = Sampler(game, weights, average, label)
    return refinement.refined(sampler, state, key, num, judge, Refinement(**how), start=start, progress=progress)


CLOSE = 0.1  # 1.95/√1000, and what a judge that was fitted on 800 reals adds; N(0, 1) is 0.38 off


@pytest.fixture(scope="module")
def played():
    """One exact discriminator up to its scale, of N(1, 1), and two generators, N(0, 1) and N(2, 1)."""
    return game([40.0], [0.0], shifts=(0.0, 2.0), loss=losses.wasserstein)


@pytest.fixture(scope="module")
def first(played):
    return combine.fit(*played, SOURCE, weights=[1.0, 0.0])


def distance(x):
    return kstest(np.asarray(x).ravel(), norm(1.0, 1.0).cdf).statistic


@pytest.mark.parametrize(("method", "budget"), [("obrs", 0.05), ("ddls", 300)])
def test_a_calibrated_critic_makes_one_generator_the_data(method, budget, played, first, key):
    got = refined(*played, key, 1000, judge=first, method=method, budget=budget, weights=[1.0, 0.0])
    assert got.x.shape == (1000, 1)
    assert distance(got.x) < CLOSE
    if method == "obrs":
        assert got.acceptance == pytest.approx(budget, abs=0.01)
    else:
        assert got.generated == pytest.approx(budget + 1, rel=0.03)


def test_gradients_raise_what_the_judge_says(played, first, key):
    unshaped = first._replace(shape=None)
    got = refined(*played, key, 256, judge=unshaped, method="collaborative", weights=[1.0, 0.0], rate=0.1, budget=200)
    assert first.log_ratio(got.x).mean() > 2.0  # from −½ on average, ½ for the data: samples climb and climb
    assert got.judged == 200
    # A linear f is nowhere steeper than K, and so dot leaves samples as they are.
    got = refined(*played, key, 256, judge=first, method="dot", weights=[1.0, 0.0])
    assert distance(got.x) == pytest.approx(norm.cdf(0.5) - norm.cdf(-0.5), abs=0.1)


def test_collaborative_sampling_stops_where_the_ensemble_tells_samples_from_reals_no_more(played, first, key):
    got = refined(*played, key, 1000, judge=first, method="collaborative", weights=[1.0, 0.0], rate=0.1, budget=200)
    assert distance(got.x) < CLOSE
    assert got.judged == pytest.approx(400 * 1024 / 1000)  # four whole batches


def test_the_short_call_is_the_long_one(played, first, key):
    long = refined(*played, key, 50, judge=first, method="obrs", budget=0.5, weights=[2.0, 0.0])
    short = ensgan.sample(*played, key, 50, weights=[2.0, 0.0], refine="obrs", judge=first, budget=0.5)
    np.testing.assert_array_equal(long.x, short)


def test_a_judge_that_knows_nothing_leaves_the_law_of_members(key):
    """Twelve points with equal weights: refined numbers of samples vary as those of plain draws do, and not less."""
    playing = Game([Group(line((1,)), 12, latent=normal(np.zeros(12)))], [Group(line(()), 1)], batch_size=8)
    state = playing.init(jax.random.key(0))
    average = {"a": jnp.ones(12), "b": jnp.arange(12.0)}
    state = state._replace(generators=(state.generators[0]._replace(average=average),))
    state = state._replace(discriminators=jax.tree.map(jnp.zeros_like, state.discriminators))
    judge = combine.plain(playing, state)._replace(law=np.full(12, 1 / 12))
    variance = {}
    for refine in (None, "obrs"):
        more = {} if refine is None else {"refine": refine, "judge": judge, "budget": 0.5}
        counts = []
        for k in range(20):
            x = np.asarray(ensgan.sample(playing, state, jax.random.fold_in(key, k), 240, weights=np.ones(12), **more))
            counts.append(np.bincount(x[:, 0].astype(int), minlength=12))
        variance[refine] = np.mean((np.array(counts) - 20.0) ** 2)
    for refine, found in variance.items():  # 240 · 1/12 · 11/12, within four standard errors
        assert found == pytest.approx(18.3, rel=0.3), refine


def test_stratified_samples_have_their_shares_and_an_average_lies_between(key):
    """Points at −3, 0 and 5: a mixture has those values alone, and the average of outputs has none of them."""
    playing = Game([Group(line((1,)), 3, latent=normal(np.zeros(3)))], [Group(line(()), 1)], batch_size=8)
    state = playing.init(jax.random.key(0))
    average = {"a": jnp.ones(3), "b": jnp.array([-3.0, 0.0, 5.0])}
    state = state._replace(generators=(state.generators[0]._replace(average=average),))
    for k in range(5):
        at = jax.random.fold_in(key, k)
        x = np.asarray(ensgan.sample(playing, state, at, 25, weights=[1, 0, 3], stratified=True))[:, 0]
        assert sorted(np.unique(x)) == [-3, 5]
        assert (x == -3).sum() in (6, 7)  # of 6.25
    assert not np.array_equal(x, np.sort(x))
    found = mean_output(playing, state, key, 5, weights=[1, 0, 3])
    np.testing.assert_allclose(found, np.full((5, 1), 3.0))
    with pytest.raises(InputError, match="stratified and refine cannot be combined"):
        ensgan.sample(playing, state, key, 4, refine="obrs", stratified=True)


def test_an_average_of_outputs_is_that_of_samples_at_the_same_noise(played, key):
    """And more of them begin with the same ones."""
    each = [ensgan.sample(*played, key, 1100, weights=w) for w in ([1, 0], [0, 1])]
    np.testing.assert_allclose(mean_output(*played, key, 1100), (each[0] + each[1]) / 2, atol=1e-6)
    np.testing.assert_allclose(mean_output(*played, key, 3), (each[0] + each[1])[:3] / 2, atol=1e-6)


def test_refinement_is_measured_against_reals(key):
    reals = np.asarray(SOURCE.held_out("select", 300)["x"])
    table = evaluate_refinement(SOURCE, reals + 3.0, reals)
    assert table.num == 300
    assert table.mmd[0].value > 0.3 > 0.02 > table.mmd[1].value
    assert table.coverage[0] < table.coverage[1]
    assert not table.worse
    back = evaluate_refinement(SOURCE, reals, reals + 3.0)
    assert back.worse
    text = describe_refinement(back, "dot")
    assert text.endswith("caution: by the squared MMD, dot made these samples worse; compare with another --refine")
    assert "caution" not in describe_refinement(table, "dot")
    assert evaluate_refinement(SOURCE, reals[:7], reals[:7]) is None


def test_refinement_of_known_modes_tells_their_scores():
    source = data.gaussian_ring(points=4000)
    reals = np.asarray(source.held_out("train", 300)["x"])
    table = evaluate_refinement(source, np.concatenate([reals[:100], reals[:100] + 0.5]), reals)
    before, after = table.modes
    assert (table.num, before.modes, after.modes) == (200, 8, 8)
    assert before.hq == pytest.approx(0.5, abs=0.02)
    assert after.hq > 0.95
    assert f"modes 8 → 8, high quality {before.hq:.3f} → {after.hq:.3f}, KL" in describe_refinement(table, "mh")


def test_langevin_takes_generators_in_proportion_to_what_they_have_of_the_data(key):
    """N(0, 1) and N(4, 1) with equal weights; e^{x/4} has a mean e times as large under the second."""
    playing, state = game([1.0], [0.0], shifts=(0.0, 4.0))
    judge = combine.plain(playing, state)
    for factor, want in ((0.0, 0.5), (0.25, 1 / (1 + np.e))):
        flat = judge._replace(score=Partial(tilted, jnp.float32(factor)), law=np.array([0.5, 0.5]))
        x = np.asarray(refined(playing, state, key, 1000, judge=flat, method="ddls", budget=20, weights=None).x)
        assert (x < 2.0 + factor / 2).mean() == pytest.approx(want, abs=0.06)
    # 1,024 draws of each to weigh them, and two batches of 64 latents for about 50 samples each.
    even = flat._replace(score=Partial(tilted, jnp.float32(0.0)))
    few = refined(playing, state, key, 100, judge=even, method="ddls", budget=20, weights=None)
    assert few.generated == pytest.approx((2 * 1024 + 2 * 64 * 21) / 100)


def tilted(factor, x):
    """A ratio e^{factor · x}: it moves the mean of N(m, 1) by the factor, and has the mean e^{factor m + factor²/2}."""
    return factor * x[:, 0]


def conditional():
    """A game of two classes: the generator gives N(2 · label, 1), and the discriminator's logit is x · label."""

    def told(out_shape):
        network = line(out_shape)

        def apply(params, state, x, *, label, train=False, rng=None):
            y, state = network.apply(params, state, x)
            by = label.astype(y.dtype).reshape(-1, *[1] * (y.ndim - 1))
            return (y * by if out_shape == () else y + 2 * by), state

        return network._replace(apply=apply, classes=2)

    return Game([Group(told((1,)), 1)], [Group(told(()), 1)], batch_size=8)


@pytest.mark.parametrize(("method", "budget"), [("obrs", 0.5), ("ddls", 150)])
def test_labels_stay_with_their_samples(method, budget, key):
    playing = conditional()
    state = playing.init(jax.random.key(0))
    judge = combine.plain(playing, state)._replace(law=np.ones(1))
    x, label = refined(playing, state, key, 300, judge=judge, method=method, budget=budget).x
    assert x.shape == (300, 1)
    assert abs(float(label.mean()) - 0.5) < 0.1  # the ratio would draw more of class 1
    skewed = sample(playing, state, key, 300, refine=method, judge=judge, budget=budget, classes=[0.9, 0.1])
    assert float(skewed.mean()) < float(x.mean())
    # By the ratio e^{x · label}, samples of class 1 rise, and those of class 0 stay N(0, 1).
    assert abs(float(x[label == 0].mean())) < 0.3
    assert float(x[label == 1].mean()) > 2.2
    if method == "obrs":
        one = Mixture(playing, (1.0,), True)(state.generators, jnp.array([0.0, 1.0]), key, 9)[1]
        np.testing.assert_array_equal(one, np.ones(9))
        alone = sample(playing, state, key, 300, refine=method, judge=judge, budget=budget)
        np.testing.assert_array_equal(alone, x)


def test_what_does_not_fit_is_refused(played, first, key):
    playing, state = played
    one = [1.0, 0.0]
    forest = combine.fit(playing, state, SOURCE, "mean_logit", calibrate="isotonic", weights=one)
    plain = combine.plain(playing, state)
    flat = Game([Group(line((1,)), 2, latent=uniform())], playing.groups_d, loss=losses.wasserstein, batch_size=8)
    for call, message in (
        (lambda: refined(playing, state, key, 4, judge=None), "there is no judge; give judge=ensgan.combine.fit"),
        (lambda: refined(playing, state, key, 4, judge=plain), "not calibrated against draws of this sampler"),
        (
            lambda: refined(playing, state, key, 4, judge=first),
            r"weights \[1.0, 0.0\], but samples are to be drawn with \[0.5",
        ),
        (lambda: refined(playing, state, key, 4, judge=first, method="best"), "unknown refinement 'best'; known: coll"),
        (lambda: refined(playing, state, key, 4, judge=forest, method="ddls", weights=one), "follows the gradient"),
        (
            lambda: refined(playing, state, key, 4, judge=first, weights=one, average=False),
            "averaged generators, but samples are to be drawn from raw generators; give .*, average=False",
        ),
        (lambda: refined(playing, state, key, 4, judge=first, weights=one, label=1), "label is 1; refinement takes"),
        (
            lambda: refined(playing, state, key, 4, judge=first, weights=one, method="mh", budget=0.5),
            "budget is 0.5; for mh",
        ),
        (lambda: refined(playing, state, key, 4, judge=first, weights=one, budget=3), "budget is 3; it is the share"),
        (lambda: refined(flat, state, key, 4, judge=first, weights=one, method="ddls"), "and these are not normal"),
        (
            lambda: refined(playing, state, key, 4, judge=first, weights=one, rate=0.1),
            "obrs takes no steps along a gradi",
        ),
        (
            lambda: refined(playing, state, key, 4, judge=first, weights=one, method="mh", budget=1e10),
            "steps is 10000000000; give a whole number, at least 1 and below",
        ),
        (lambda: ensgan.sample(playing, state, key, 4, judge=first), "say how, such as refine='obrs'"),
    ):
        with pytest.raises(InputError, match=message):
            call()
    assert isinstance(first, Judge)
