"""Held-out scores against brute force, rankings by hand, samples of members and mixtures, and known modes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from scipy.special import expit

from ensgan import losses, metrics, pairing
from ensgan.data import from_arrays, gaussian_ring
from ensgan.evaluation import mixtures, selection
from ensgan.evaluation.selection import rank_generators, rank_parts, select
from ensgan.evaluation.tables import evaluate_modes
from ensgan.game.game import Game
from ensgan.game.latents import normal
from ensgan.game.population import Group
from ensgan.metrics import ratings
from ensgan.sampling import draws, inference
from ensgan.sampling.draws import SAMPLING
from ensgan.sampling.inference import NOISE_SEED, every_member, held_out_logits, payoff
from ensgan.sampling.sampler import sample
from ensgan.types import InputError, Network, Roster

SOURCE = from_arrays("points", np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32))
GAME = toys.game(3, 2)


@pytest.fixture(scope="module")
def state():
    return GAME.init(jax.random.key(0))


@pytest.fixture(scope="module")
def scores(state):
    return select(GAME, state, SOURCE)


@pytest.fixture(scope="module")
def logits(state):
    return [np.asarray(a, np.float64) for a in held_out_logits(GAME, state, SOURCE.held_out("select", 1000))]


def test_the_logits_are_those_of_the_averaged_members_on_common_noise(state, logits):
    fake, real, x = logits
    assert fake.shape == (3, 2, 20)  # a tenth of 200 is held out
    nets_d = toys.members(GAME.groups_d, state.discriminators)
    for j, (network, params, _) in enumerate(nets_d):
        want = network.apply(params, {}, SOURCE.held_out("select", 20)["x"])[0]
        np.testing.assert_allclose(real[j], want, rtol=1e-4, atol=1e-5)
        for i in range(3):
            np.testing.assert_allclose(fake[i, j], network.apply(params, {}, x[i])[0], rtol=1e-4, atol=1e-5)


def test_every_matrix_is_its_brute_force(scores, logits):
    fake, real, _ = logits
    s, r = fake[:, :, :, None], real[None, :, None, :]
    np.testing.assert_allclose(scores.fool, ((s > r) + 0.5 * (s == r)).mean((-1, -2)), atol=1e-6)
    np.testing.assert_allclose(scores.probability, expit(s - r).mean((-1, -2)), atol=1e-5)
    np.testing.assert_allclose(scores.log_odds, expit(fake).mean(-1), atol=1e-5)
    np.testing.assert_allclose(scores.accuracy, ((fake < 0).mean(-1) + (real > 0).mean(-1)[None]) / 2, atol=1e-6)
    np.testing.assert_allclose(scores.detect, 1 - scores.fool)
    found = payoff(GAME, GAME.init(jax.random.key(0)), SOURCE.held_out("select", 1000))
    np.testing.assert_allclose(found, scores.fool, atol=1e-6)


def test_scores_are_means_over_opponents_and_sum_to_one(scores):
    assert (scores.score_g.value.shape, scores.score_d.value.shape) == ((3,), (2,))
    np.testing.assert_allclose(scores.score_g.value, scores.fool.mean(1), atol=1e-6)
    np.testing.assert_allclose(scores.score_d.value, 1 - scores.fool.mean(0), atol=1e-6)
    assert scores.score_g.value.mean() + scores.score_d.value.mean() == pytest.approx(1.0)
    assert (scores.score_g.error > 0).all()
    assert (scores.score_g.error < 0.2).all()
    np.testing.assert_array_equal(np.sort(scores.rank_g), [0, 1, 2])
    assert scores.score_d.value[scores.rank_d[0]] == scores.score_d.value.max()
    assert scores.best == scores.rank_g[0]


def test_parts_rank_by_what_is_lost_without_them_and_complete_members_by_themselves(state, scores):
    lost = scores.left_out.value
    np.testing.assert_array_equal(scores.rank_g, np.argsort(-lost))
    x, _, fakes = SOURCE.held_out("select", 1000)["x"], *held_out_logits(GAME, state, SOURCE.held_out("select", 20))[1:]
    means = mixtures.kernel_means(jnp.asarray(x), list(fakes), metrics.bandwidth(jnp.asarray(x)))
    without = mixtures.squared_mmd(means, np.array([0.0, 0.5, 0.5])).value
    assert lost[0] == pytest.approx(without - mixtures.squared_mmd(means, np.full(3, 1 / 3)).value, abs=1e-6)
    complete = toys.game(3, 3, pairing=pairing.own_and_mean())  # the same generators
    got = select(complete, complete.init(jax.random.key(0)), SOURCE)
    assert got.members == "complete"
    assert got.left_out is None
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), scores.mmd, got.mmd)  # found in two ways
    np.testing.assert_array_equal(got.rank_g, rank_generators(got.score_g.value, got.mmd.value))
    # Whoever has no weight is not missed, but is not first either.
    np.testing.assert_array_equal(rank_parts(np.array([-0.1, 0.0, 0.2]), np.zeros(3), np.array([1, 0, 1])), [2, 0, 1])


def test_ratings_are_those_of_the_matrix_and_go_on(state, scores):
    first = ratings.rate(scores.fool)
    jax.tree.map(np.testing.assert_allclose, scores.ratings, first)
    rated = state._replace(ratings=jax.tree.map(jnp.asarray, scores.ratings))
    again = select(GAME, rated, SOURCE).ratings
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), again, ratings.rate(scores.fool, first))
    assert (again.deviation < first.deviation).all()
    # A state that was rated at its step keeps its ratings, whatever is scored.
    same = select(GAME, rated._replace(rated=state.step), SOURCE).ratings
    jax.tree.map(np.testing.assert_array_equal, same, scores.ratings)


def test_mixtures_are_fitted_to_one_split_and_measured_with_other_noise(state):
    got = select(GAME, state, SOURCE, fit=True).fitted
    assert tuple(got.weights) == selection.MIXTURES
    for weights in got.weights.values():
        assert weights.shape == (3,)
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1.0)
    # The same again by hand, on the report split.
    reals = SOURCE.held_out("report", 1000)["x"]
    key = jax.random.fold_in(jax.random.key(NOISE_SEED), 2)
    scale = metrics.bandwidth(jnp.asarray(SOURCE.held_out("select", 1000)["x"]))
    one = int(got.weights["single"].argmax())
    want = metrics.mmd(jnp.asarray(reals), every_member(GAME, state, key, len(reals))[one], scale)
    assert got.report["single"].value == pytest.approx(float(want.value), abs=1e-5)
    tiny = from_arrays("tiny", np.zeros((40, 2), np.float32))
    with pytest.raises(InputError, match=r"the calibrate split of .* has 4 samples"):
        selection.fit_mixtures(GAME, state, tiny)


def test_the_meta_game_of_a_matrix(state):
    # D0 is fooled by generators 0 and 1 alike, D1 only by 1, nobody by 2: a saddle point at (1, 1).
    fool = np.array([[0.7, 0.4], [0.8, 0.6], [0.1, 0.2]])
    got = selection.meta_game(GAME, state, fool)
    np.testing.assert_allclose(got.win_g, [0.5, 1.0, 0.0])
    np.testing.assert_allclose(got.win_d, [1 / 3, 2 / 3])
    for of_g, of_d in ((got.nash_g, got.nash_d), (got.alpha_g, got.alpha_d)):
        np.testing.assert_allclose(of_g, [0, 1, 0], atol=1e-6)
        np.testing.assert_allclose(of_d, [0, 1], atol=1e-6)
    assert got.gmam is None
    alone = Roster(jnp.array([True, False, True]), jnp.ones(2, bool), jnp.ones(3, bool), jnp.ones(2, bool))
    got = selection.meta_game(GAME, state._replace(roster=alone), fool)
    np.testing.assert_allclose(got.nash_g, [1, 0, 0])
    np.testing.assert_allclose(got.win_g, [0.5, np.nan, 0.0])
    square = toys.game(2, 2)
    got = selection.meta_game(square, state, fool[:2])
    np.testing.assert_allclose(got.gmam, ratings.gmam(fool[:2]))


def test_who_does_not_play_has_no_weight_and_no_rating(state):
    alone = jnp.array([True, False, False])
    roster = Roster(alone, jnp.ones(2, bool), alone, jnp.ones(2, bool))
    got = select(GAME, state._replace(roster=roster), SOURCE, fit=True)
    for name, weights in got.fitted.weights.items():
        np.testing.assert_allclose(weights, [1.0, 0.0, 0.0], err_msg=name)
    assert (got.ratings.glicko[[1, 2]] == 1500).all()
    assert got.ratings.glicko[0] != 1500
    assert got.rank_g[0] == 0


def test_the_rest_of_a_selection(scores):
    assert scores.num == 20
    assert scores.members == "parts"
    np.testing.assert_allclose(scores.mixture, 1 / 3)
    assert scores.coverage.shape == (4,)
    assert abs(scores.mmd_floor) < scores.mmd.value.max()  # training reals are closer than untrained generators


def test_what_a_pairing_learned_is_the_mixture(state, scores, key):
    game = Game(GAME.groups_g, GAME.groups_d, pairing=pairing.mix(), batch_size=8)
    learned = lambda *logits: state._replace(pairing={"logits": {"g": jnp.array(logits)}})
    half = learned(np.log(0.25), np.log(0.25), np.log(0.5))
    got = select(game, half, SOURCE)
    np.testing.assert_allclose(got.mixture, [0.25, 0.25, 0.5], rtol=1e-6)
    np.testing.assert_allclose(got.mixture, game.mixture(half))
    np.testing.assert_array_equal(sample(game, half, key, 16), sample(game, half, key, 16, weights=got.mixture))
    np.testing.assert_array_equal(got.fool, scores.fool)
    # Where one generator has all of it, the mixture covers what it does.
    for i in range(3):
        covered = select(game, learned(*(99.0 * (k == i) for k in range(3))), SOURCE).coverage
        assert covered[-1] == covered[i]
    assert not (covered[:3] == covered[0]).all()


def test_scores_are_the_same_every_time(state, scores):
    again = select(GAME, state, SOURCE)
    jax.tree.map(np.testing.assert_array_equal, again._replace(members=0), scores._replace(members=0))


def test_many_samples_are_scored_a_portion_at_a_time(state, scores, logits, monkeypatch):
    sizes = []

    def seen(call, place):
        return lambda *args: sizes.append(len(args[place])) or call(*args)

    monkeypatch.setattr(draws, "CHUNK", 16)
    monkeypatch.setattr(inference, "_logits", seen(inference._logits, 2))
    monkeypatch.setattr(inference, "all_members", seen(inference.all_members, 4))
    got = held_out_logits(GAME, state, SOURCE.held_out("select", 1000))
    assert sizes == 2 * [10] + 5 * [16]  # 20 samples of each of 3 generators, and 20 reals
    for part, want in zip(got, logits, strict=True):
        np.testing.assert_allclose(part, want, rtol=1e-4, atol=1e-5)
    # What compares all pairs takes a part of the samples.
    monkeypatch.setattr(selection, "PAIRS", 10)
    few, fewer = select(GAME, state, SOURCE, fit=True), select(GAME, state, SOURCE, num=10, fit=True)
    np.testing.assert_allclose(few.fool, scores.fool, atol=1e-6)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    for name in ("mmd", "mmd_floor", "coverage", "left_out"):
        jax.tree.map(close, getattr(few, name), getattr(fewer, name))
    jax.tree.map(close, few.fitted.report, fewer.fitted.report)


def test_permuting_generators_permutes_rows(state, scores):
    order = jnp.array([2, 0, 1])
    moved = state._replace(generators=jax.tree.map(lambda leaf: leaf[order], state.generators))
    got = select(GAME, moved, SOURCE)
    np.testing.assert_allclose(got.fool, scores.fool[order], atol=1e-6)
    np.testing.assert_allclose(got.mmd.value, scores.mmd.value[order], atol=1e-5)
    np.testing.assert_array_equal(order[got.rank_g], scores.rank_g)


def test_log_odds_are_given_only_where_a_logit_is_a_log_ratio(state, scores):
    for loss in (losses.hinge, losses.relativistic):
        game = Game(GAME.groups_g, GAME.groups_d, loss=loss, pairing=pairing.own_and_mean(), batch_size=8)
        got = select(game, state, SOURCE)
        assert got.log_odds is None
        assert got.accuracy is None
        np.testing.assert_array_equal(got.fool, scores.fool)


@pytest.mark.parametrize(
    ("score", "distance", "want"),
    [
        ([0.5, 0.1, 0.4], [0.1, 0.3, 0.2], [0, 2, 1]),  # both agree
        ([0.9, 0.5], [0.1, 0.2], [0, 1]),  # ranks (1, 0) and (0, 1) tie: the smaller distance
        ([0.45, 0.5, 0.1], [0.1, 0.3, 0.2], [0, 1, 2]),  # sums 1 + 0, 0 + 2, 2 + 1
        ([0.95, 0.4, 0.5], [0.3, 0.1, 0.2], [1, 2, 0]),  # fooling everybody is no better than fooling nobody
    ],
)
def test_generators_rank_by_how_undecided_judges_are_and_by_distance(score, distance, want):
    np.testing.assert_array_equal(rank_generators(np.array(score), np.array(distance)), want)


def test_a_split_that_is_too_small_is_refused(state):
    tiny = from_arrays("tiny", np.zeros((40, 2), np.float32))
    with pytest.raises(InputError, match=r"the select split of .* has 4 samples, and scores need at least 8"):
        select(GAME, state, tiny)
    with pytest.raises(InputError, match="unknown split 'test'"):
        select(GAME, state, SOURCE, split="test")


def labelled(network):
    """The same network, with the label added to whatever it puts out."""

    def apply(params, state, x, *, label, train=False, rng=None):
        y, state = network.apply(params, state, x)
        return y + label.astype(y.dtype).reshape(-1, *[1] * (y.ndim - 1)), state

    return network._replace(apply=apply)


def test_fakes_are_made_and_judged_with_the_labels_of_the_reals():
    groups = [[Group(labelled(toys.dense(3, 5, (2,))), 2)], [Group(labelled(toys.dense(2, 5, ())), 2)]]
    game = Game(*groups, batch_size=8, pairing=pairing.mean(), optimizer=optax.sgd(1.0))
    state, label = game.init(jax.random.key(0)), np.arange(9, dtype=np.int32) % 4
    reals = {"x": SOURCE.held_out("train", 9)["x"], "label": label}
    fake, real, x = held_out_logits(game, state, reals)
    noise = jax.random.key(NOISE_SEED)
    np.testing.assert_allclose(x, every_member(game, state, noise, 9, label), atol=1e-6)
    assert np.abs(x - every_member(game, state, noise, 9, 0 * label)).max() == pytest.approx(3.0, abs=1e-4)
    for j, (network, params, _) in enumerate(toys.members(game.groups_d, state.discriminators)):
        judge = lambda x, network=network, params=params: network.apply(params, {}, x, label=label)[0]
        np.testing.assert_allclose(real[j], judge(reals["x"]), atol=1e-4)
        for i in range(2):
            np.testing.assert_allclose(fake[i, j], judge(x[i]), atol=1e-4)


# Samples


def noise_of(key):
    return jax.random.split(jax.random.fold_in(key, SAMPLING))[1]


def test_a_one_hot_weight_gives_the_samples_of_that_member(state, key):
    members = np.asarray(every_member(GAME, state, noise_of(key), 16))
    for i in range(3):
        np.testing.assert_allclose(sample(GAME, state, key, 16, weights=np.eye(3)[i]), members[i], atol=1e-5)


def test_a_sample_does_not_depend_on_how_many_there_are(state, key):
    many = np.asarray(sample(GAME, state, key, 40))
    np.testing.assert_allclose(sample(GAME, state, key, 7), many[:7], atol=1e-5)
    assert len(np.unique(many, axis=0)) == 40
    assert not np.allclose(sample(GAME, state, jax.random.key(99), 7), many[:7])


def test_a_mixture_takes_members_in_proportion(state, key):
    num, weights = 1200, np.array([5.0, 0.0, 3.0])  # they need not sum to 1
    got = np.asarray(sample(GAME, state, key, num, weights=weights))
    members = np.asarray(every_member(GAME, state, noise_of(key), num))
    nearest = np.abs(members - got[None]).max(-1).argmin(0)
    np.testing.assert_allclose(np.abs(members - got[None]).max(-1).min(0), 0.0, atol=1e-5)
    share = np.bincount(nearest, minlength=3) / num
    np.testing.assert_allclose(share, weights / 8, atol=0.06)
    assert share[1] == 0


def test_members_of_several_groups_their_scales_and_raw_weights(key):
    groups = [Group(toys.dense(3, 5, (2,)), 1), Group(toys.dense(4, 5, (2,)), 2, latent=normal(np.array([1.0, 0.0])))]
    game = Game(groups, GAME.groups_d, batch_size=8, pairing=pairing.mean(), optimizer=optax.sgd(1.0))
    state = game.init(jax.random.key(0))
    members = np.asarray(every_member(game, state, noise_of(key), 8))
    assert members.shape == (3, 8, 2)
    for i in range(3):
        np.testing.assert_allclose(sample(game, state, key, 8, weights=np.eye(3)[i]), members[i], atol=1e-5)
    assert np.ptp(members[2], axis=0).max() == 0  # a scale of 0 is one point
    zero = jax.tree.map(jnp.zeros_like, state.generators[0].average)
    state = state._replace(generators=(state.generators[0]._replace(average=zero), state.generators[1]))
    np.testing.assert_array_equal(sample(game, state, key, 8, weights=[1, 0, 0]), 0.0)
    raw = sample(game, state, key, 8, weights=[1, 0, 0], average=False)
    np.testing.assert_allclose(raw, members[0], atol=1e-5)


@pytest.mark.parametrize("weights", [[1.0, 1.0], [1.0, -1.0, 1.0], [0.0, 0.0, 0.0], [1.0, np.nan, 1.0], [[1.0] * 3]])
def test_weights_that_are_no_probabilities_are_refused(state, key, weights):
    with pytest.raises(InputError, match="give 3 numbers ≥ 0"):
        sample(GAME, state, key, 4, weights=weights)


def test_at_least_one_sample_is_drawn(state, key):
    with pytest.raises(InputError, match="asked for 0 samples"):
        sample(GAME, state, key, 0)


# Known modes


def ring_generator(source):
    """Draws from the ring itself: its one number is how many of the modes, so that a member may miss some."""
    centers, std = jnp.asarray(source.modes.centers), source.modes.std

    def apply(params, state, z, *, label, train, rng):
        which = jnp.floor(jax.scipy.stats.norm.cdf(z[:, 0]) * params["modes"]).astype(int)
        return centers[which] + std * z[:, 1:], state

    return Network(lambda key: ({"modes": jnp.float32(8.0)}, {}), apply, (3,), (2,))


def test_a_perfect_generator_scores_as_the_perfect_sampler():
    source = gaussian_ring()
    game = Game([Group(ring_generator(source), 2)], GAME.groups_d, batch_size=8)
    state = game.init(jax.random.key(0))
    half = state.generators[0]._replace(average={"modes": jnp.array([8.0, 4.0])})
    table = evaluate_modes(game, state._replace(generators=(half,)), source, repeats=10)
    assert table.names == ["generator 0", "generator 1", "mixture", "perfect sampler"]
    assert (table.total, table.num) == (8, 2500)
    good, few, mixed, perfect = table.scores
    assert good.modes == mixed.modes == perfect.modes == 8
    for one in (good, few, mixed, perfect):
        assert one.hq == pytest.approx(1 - np.exp(-4.5), abs=0.01)
        assert one.spread == pytest.approx(1.0, abs=0.05)
    assert few.modes == 4
    assert few.kl == pytest.approx(np.log(2), abs=0.02)
    assert good.kl < 0.01
    # Half of the modes have shares 3/16, the others 1/16: KL is ¾ log 3/2 + ¼ log ½.
    assert mixed.kl == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5), abs=0.02)
    assert perfect.kl < 0.01
    assert 0 < table.perfect_error.hq < 0.01
    only = evaluate_modes(game, state._replace(generators=(half,)), source, repeats=1, weights=[0.0, 1.0])
    assert only.scores[2].modes == 4


def test_modes_of_other_data_are_not_known(state):
    with pytest.raises(InputError, match="modes are known for ring and grid only, not for points"):
        evaluate_modes(GAME, state, SOURCE)
