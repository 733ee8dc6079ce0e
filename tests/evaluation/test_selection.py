"""Held-out scores against brute force, rankings by hand, and what a selection says where members come and go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from schedule_cases import made
from scipy.special import expit

from ensgan import losses, metrics, pairing
from ensgan.data import from_arrays
from ensgan.evaluation import mixtures, selection
from ensgan.evaluation.selection import _mean_score, meta_game, rank_generators, rank_parts, select
from ensgan.evaluation.text import describe_scores
from ensgan.game.game import Game
from ensgan.metrics import placements, ratings
from ensgan.sampling import draws, inference
from ensgan.sampling.inference import NOISE_SEED, every_member, held_out_logits, payoff
from ensgan.sampling.sampler import sample
from ensgan.types import InputError, Roster

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


def test_members_that_take_no_part_are_not_ranked_and_judge_nobody():
    game, _ = made("history")
    state = game.init(jax.random.key(0))
    for turn, there in enumerate(([0], [0, 1])):
        if turn:
            state = game.schedule.between(game, state._replace(step=jnp.int32(10)), SOURCE, 64)
        scores = select(game, state, SOURCE, num=64)
        assert sorted(scores.rank_g) == sorted(scores.rank_d) == there
        assert scores.best in there
        np.testing.assert_allclose(scores.score_g.value, scores.fool[:, there].mean(1), atol=1e-6)
        np.testing.assert_allclose(scores.score_d.value, 1 - scores.fool[there].mean(0), atol=1e-6)
    assert "not ranked: generator 2, discriminator 2\n" in f"{describe_scores(scores)}\n"
    # Slots of snapshots do not play, but the mixture is made of them.
    game, _ = made("snapshots")
    state = game.schedule.between(game, game.init(jax.random.key(0))._replace(step=jnp.int32(10)), SOURCE, 64)
    assert sorted(select(game, state, SOURCE, num=64).rank_g) == [0, 1]


# A boosted pair has no weight until its stage is over.
@pytest.mark.parametrize(("name", "trained"), [("snapshots", [0.5, 0.5, 0.0]), ("adagan", [1.0, 0.0, 0.0])])
def test_a_mixture_keeps_the_members_that_play_no_more(name, trained):
    game, _ = made(name)
    state = game.schedule.between(game, game.init(jax.random.key(0))._replace(step=jnp.int32(10)), SOURCE, 64)
    assert np.asarray(state.roster.plays_g).sum() == 1
    got = select(game, state, SOURCE, num=64, fit=True)
    np.testing.assert_allclose(got.fitted.weights["trained"], trained)
    np.testing.assert_allclose(got.fitted.weights["uniform"], [0.5, 0.5, 0.0])
    meta = meta_game(game, state, got.fool)
    assert np.isfinite(meta.win_g).tolist() == [True, True, False]
    assert (meta.alpha_g > 0).tolist() == [True, True, False]


def test_logits_are_taken_for_log_odds_only_as_long_as_losses_are():
    game, _ = made("children")
    state = game.init(jax.random.key(0))
    assert select(game, state, SOURCE, num=64).log_odds is not None
    squares = state._replace(hyper={**state.hyper, "loss_d": jnp.array([0, 2], jnp.int32)})
    assert select(game, squares, SOURCE, num=64).log_odds is None


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
