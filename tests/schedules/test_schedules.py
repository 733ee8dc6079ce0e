"""Schedules: what they do to members, by hand, and that training with them resumes, spreads and repeats."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys

from ensgan import losses, optim, pairing, penalties, schedules, testing
from ensgan.data import from_arrays, gaussian_ring
from ensgan.evaluation.selection import meta_game, select
from ensgan.evaluation.text import describe_scores
from ensgan.game.batches import by_weight
from ensgan.game.replicas import Replicas
from ensgan.game.step import step, updates_of
from ensgan.schedules import boosted_weights, boosting, copied, evolution, fit_classifier
from ensgan.schedules.evolution import _rivals
from ensgan.schedules.members import become
from ensgan.training import between, train
from ensgan.types import InputError

POINTS = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
SOURCE = from_arrays("points", POINTS)
LEFT = np.array([4.0, 0.0])
TRAIN = SOURCE.num["train"]
RATES = optim.per_member(optax.sgd, learning_rate=np.full(4, 0.1, np.float32))
THREE = losses.per_member([losses.minimax, losses.non_saturating, losses.least_squares] * 2, [losses.minimax] * 2)

POSITIVE = losses.per_member([losses.non_saturating] * 4, [losses.non_saturating] * 3 + [losses.minimax])

CASES = {
    "tournament": lambda: (
        schedules.tournament(10, learning_rate=0.1),
        {"M": 4, "N": 4, "optimizer": RATES},
    ),
    "population_based": lambda: (
        schedules.population_based(10, hyper=("learning_rate", "penalty")),
        {"M": 4, "N": 4, "optimizer": RATES, "penalty": penalties.r1(0.1)},
    ),
    "children": lambda: (schedules.children(10), {"M": 6, "N": 2, "loss": THREE}),
    "snapshots": lambda: (schedules.snapshots(10), {"M": 3, "N": 1}),
    "history": lambda: (schedules.history(10), {"M": 3, "N": 3}),
    "double_oracle": lambda: (schedules.double_oracle(10), {"M": 3, "N": 3, "pairing": pairing.nash(10)}),
    "messengers": lambda: (schedules.messengers(10), {"M": 3, "N": 5, "pairing": pairing.local_and_global()}),
    "exchange": lambda: (schedules.exchange(10), {"M": 2, "N": 3}),
    "adagan": lambda: (
        schedules.adagan(10, classifier_steps=5, samples=TRAIN),
        {"M": 3, "N": 3, "pairing": pairing.diagonal()},
    ),
    "cascade": lambda: (schedules.cascade(10, samples=TRAIN), {"M": 3, "N": 3, "pairing": pairing.diagonal()}),
}


def made(name):
    schedule, settings = CASES[name]()
    return toys.game(**settings, schedule=schedule), schedule


def params(state, side="generators"):
    return np.asarray(getattr(state, side)[0].params["w1"])


def test_every_schedule_has_a_case():
    assert set(CASES) == set(schedules.SCHEDULES) - {"none"}


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_schedule_keeps_the_contract(name):
    game, schedule = made(name)
    testing.check_schedule(schedule, game, SOURCE)


def test_a_tournament_replaces_the_worst_by_somebody_better_and_nobody_else():
    game = toys.game(4, 4, schedule=schedules.tournament(10, size=50))  # so many rivals that the best is among them
    state = game.init(jax.random.key(0))._replace(step=jnp.int32(10))
    new = game.schedule.between(game, state, SOURCE, 64)
    for side, fit in schedules.fitness(game, state, SOURCE, 64, "score").items():
        side = {"g": "generators", "d": "discriminators"}[side]
        want = np.arange(4)
        want[fit.argmin()] = fit.argmax()
        np.testing.assert_array_equal(params(new, side), params(state, side)[want])


def test_a_tournament_replaces_the_worst_of_those_that_have_somebody_to_copy(monkeypatch):
    two, one = toys.game(2, 1), toys.game(1, 1)
    plug = schedules.tournament(10, size=50)
    game = dataclasses.replace(two, generators=(*one.groups_g, *two.groups_g), schedule=plug)
    fit = {"g": np.array([0.0, 1.0, 2.0]), "d": np.array([0.0])}  # the worst is alone of its network
    monkeypatch.setattr(evolution, "measured", lambda *args: fit)
    state = game.init(jax.random.key(0))
    new = plug.between(game, state, SOURCE, 64)
    before, after = (np.asarray(each.generators[1].params["w1"]) for each in (state, new))
    np.testing.assert_array_equal(after, before[[1, 1]])
    np.testing.assert_array_equal(params(new), params(state))
    np.testing.assert_array_equal(params(new, "discriminators"), params(state, "discriminators"))
    with pytest.raises(InputError, match="no two share one; give a group of at least 2"):
        dataclasses.replace(one, generators=one.groups_g * 2, schedule=schedules.tournament(10))


def test_settings_of_a_tournament_that_would_do_nothing_are_refused():
    for settings, message in (
        ({"size": 3, "learning_rate": 0.1}, "size is 3, but with replace = 0"),
        ({"fitness": "distance", "learning_rate": 0.1}, "fitness is distance, but with replace = 0"),
        ({}, "no member would ever change"),
    ):
        with pytest.raises(InputError, match=message):
            schedules.tournament(10, replace=0, **settings)


def test_mutation_moves_the_learning_rates_and_losses_of_members():
    loss = losses.per_member([losses.minimax, losses.hinge] * 2, [losses.least_squares] * 4)
    plug = schedules.tournament(10, replace=0, learning_rate=0.2, mutate_loss=True)
    game = toys.game(4, 4, loss=loss, optimizer=RATES, schedule=plug)
    state = game.init(jax.random.key(0))._replace(step=jnp.int32(10))
    new = plug.between(game, state, SOURCE, 64)
    rates = np.asarray(new.generators[0].optimizer.hyperparams["learning_rate"])
    assert len(np.unique(rates)) == 4
    assert (rates > 0).all()
    assert set(np.asarray(new.hyper["loss_g"])) | set(np.asarray(new.hyper["loss_d"])) <= {0, 1, 2}
    assert (np.asarray(new.hyper["loss_d"]) != 2).any()  # the chance that nobody changes is 1 in 81
    np.testing.assert_array_equal(params(new), params(state))
    with pytest.raises(InputError, match="all members have the same"):
        toys.game(4, 4, optimizer=RATES, schedule=schedules.tournament(10, mutate_loss=True))
    with pytest.raises(InputError, match="leave mutate_loss out"):
        toys.game(4, 4, loss=POSITIVE, pairing=pairing.geometric(), optimizer=RATES, schedule=plug)
    with pytest.raises(InputError, match="changes the learning_rate of every member"):
        toys.game(4, 4, schedule=plug, loss=loss)


def test_population_based_training_copies_the_best_quarter_over_the_worst_and_explores():
    plug = schedules.population_based(10, share=0.25, factor=2.0, hyper=("learning_rate", "penalty"))
    game = toys.game(4, 4, optimizer=RATES, schedule=plug, penalty=penalties.r1(0.1))
    with pytest.raises(InputError, match="the game has none"):
        dataclasses.replace(game, penalty=None)
    state = game.init(jax.random.key(0))._replace(step=jnp.int32(10))
    fit = schedules.fitness(game, state, SOURCE, 64, "score")["d"]
    new = plug.between(game, state, SOURCE, 64)
    worst, best = fit.argmin(), fit.argmax()
    np.testing.assert_array_equal(params(new, "discriminators")[worst], params(state, "discriminators")[best])
    for values, base in (
        (new.discriminators[0].optimizer.hyperparams["learning_rate"], 0.1),
        (new.hyper["penalty"], 1),
    ):
        values = np.asarray(values)
        np.testing.assert_allclose(np.delete(values, worst), base)
        assert values[worst] == pytest.approx(2 * base) or values[worst] == pytest.approx(base / 2)


def test_the_fittest_child_becomes_its_family():
    game, plug = made("children")
    state = game.init(jax.random.key(0))
    born = plug.between(game, state, SOURCE, 64)
    np.testing.assert_array_equal(params(born), params(state)[[0, 0, 0, 3, 3, 3]])
    new = plug.between(game, state._replace(step=jnp.int32(10)), SOURCE, 64)
    source = [int(np.flatnonzero((params(state) == row).all((1, 2)))[0]) for row in params(new)]
    assert source[0] == source[1] == source[2] < 3 <= source[3] == source[4] == source[5]
    np.testing.assert_array_equal(new.hyper["loss_g"], state.hyper["loss_g"])
    with pytest.raises(InputError, match="give it 6"):
        toys.game(5, 2, schedule=schedules.children(1))
    with pytest.raises(InputError, match="differ by their losses, but all members have the same"):
        toys.game(6, 2, schedule=schedules.children(1))


def test_the_diversity_of_a_generator_is_the_gradient_it_gives_to_discriminators():
    game, _ = made("children")
    state, reals = game.init(jax.random.key(0)), SOURCE.held_out("calibrate", 20)
    got = schedules.diversity(game, state, reals)
    from ensgan.sampling.inference import held_out_logits

    fakes = held_out_logits(game, state, reals, average=False)[2]
    net = game.groups_d[0].network
    logit = lambda p, x: net.apply(p, {}, x)[0]
    for i in (0, 4):
        norms = []
        for j in range(2):
            mine = jax.tree.map(lambda leaf, j=j: leaf[j], state.discriminators[0].params)
            value = lambda p, i=i: (
                jnp.log(jax.nn.sigmoid(logit(p, reals["x"]))).mean()
                + jnp.log(1 - jax.nn.sigmoid(logit(p, fakes[i]))).mean()
            )
            norms.append(float(optax.tree.norm(jax.grad(value)(mine))))
        assert float(got[i]) == pytest.approx(-np.log(norms).mean(), rel=1e-3)


def test_snapshots_fill_their_slots_in_turn_and_wait_there():
    game, plug = made("snapshots")
    state = game.init(jax.random.key(0))
    assert plug.claims.mixture(state).tolist() == [1, 0, 0]
    state, _ = train(game, state, SOURCE, steps=25)
    after = params(state)
    assert np.allclose(plug.claims.mixture(state), 1 / 3)
    assert len({row.tobytes() for row in after}) == 3  # of steps 10 and 20, and the one that learns
    state, _ = train(game, state, SOURCE, steps=1)
    np.testing.assert_array_equal(params(state)[1:], after[1:])
    assert (params(state)[0] != after[0]).any()
    state, _ = train(game, state, SOURCE, steps=6)  # at step 30 slot 1 was filled anew
    assert (params(state)[1] != after[1]).any()
    np.testing.assert_array_equal(params(state)[2], after[2])


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


def test_copies_have_the_ratings_payoffs_and_running_means_of_whom_they_copy():
    game = toys.game(3, 2, coverage="split")
    state = game.init(jax.random.key(0))
    state = state._replace(
        ratings=state.ratings._replace(elo=jnp.arange(5.0)),
        payoff=jnp.arange(6.0).reshape(3, 2),
        running=jnp.arange(18.0).reshape(3, 3, 2),
    )
    new = become(game, become(game, state, "g", [0, 0, 1]), "d", [1, 0])
    assert new.ratings.elo.tolist() == [0, 0, 1, 4, 3]
    assert new.payoff.tolist() == [[1, 0], [1, 0], [3, 2]]
    assert new.running[1].tolist() == [[7, 6], [7, 6], [9, 8]]
    assert new.ratings.glicko.tolist() == [1500.0] * 5
    # A slot that waits meets nobody: its deviation grows. One of the mixture is rated though it does not play.
    game, _ = made("snapshots")
    state = game.schedule.between(game, game.init(jax.random.key(0))._replace(step=jnp.int32(10)), SOURCE, 64)
    rated = select(game, state, SOURCE, num=64).ratings
    assert [value < 350 for value in rated.deviation] == [True, True, False, True]


def test_logits_are_taken_for_log_odds_only_as_long_as_losses_are():
    game, _ = made("children")
    state = game.init(jax.random.key(0))
    assert select(game, state, SOURCE, num=64).log_odds is not None
    squares = state._replace(hyper={**state.hyper, "loss_d": jnp.array([0, 2], jnp.int32)})
    assert select(game, squares, SOURCE, num=64).log_odds is None


def test_past_members_play_on_and_do_not_learn():
    game, _ = made("history")
    assert game.members == "parts"  # discriminator 0 sees past and present generators as one
    assert dataclasses.replace(game, pairing=pairing.own_and_mean()).members == "complete"
    state, info = train(game, game.init(jax.random.key(0)), SOURCE, steps=10)
    assert np.isfinite(info.fool[0, 0])
    assert np.isnan(np.asarray(info.fool)[1:]).all()
    old = params(state, "discriminators")
    state, info = train(game, state, SOURCE, steps=5)
    np.testing.assert_allclose(np.asarray(info.weight_g)[0], [0.5, 0.5, 0])
    np.testing.assert_array_equal(params(state, "discriminators")[1], old[0])
    np.testing.assert_array_equal(params(state, "discriminators")[2], old[2])


def test_the_double_oracle_grows_prunes_and_plays_the_mixture():
    game, plug = made("double_oracle")
    state = game.init(jax.random.key(0))
    playing = []
    for _ in range(4):
        state, info = train(game, state, SOURCE, steps=10)
        roster = state.roster
        assert int(roster.learns_g.sum()) == int(roster.learns_d.sum()) == 1
        assert bool((roster.plays_g | ~roster.learns_g).all())
        playing.append(int(roster.plays_g.sum()))
        W = np.asarray(info.weight_g)[np.asarray(roster.learns_g)]
        np.testing.assert_allclose(W.sum(), 1.0, atol=1e-5)
        assert (W[:, ~np.asarray(roster.plays_d)] == 0).all()
    assert playing[0] == 1
    assert max(playing) >= 2
    assert float(plug.claims.mixture(state).sum()) == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(InputError, match="use nash"):
        toys.game(3, 3, schedule=schedules.double_oracle(10))


def test_the_double_oracle_drops_who_has_no_mass_and_copies_who_has_most(monkeypatch):
    game, plug = made("double_oracle")
    state = game.init(jax.random.key(0))
    everybody = jnp.ones((3,), bool)
    state = state._replace(step=jnp.int32(10), roster=type(state.roster)(*[everybody] * 4))
    # Generator 1 beats both others against everybody, discriminator 2 as well: a pure equilibrium.
    table = jnp.array([[0.1, 0.2, 0.1], [0.9, 0.8, 0.6], [0.3, 0.3, 0.2]])
    monkeypatch.setattr(schedules.slots, "payoff", lambda *args: table)
    new = plug.between(game, state, SOURCE, 64)
    assert new.roster.plays_g.tolist() == [True, True, False]
    assert new.roster.learns_g.tolist() == [True, False, False]
    assert new.roster.plays_d.tolist() == [True, False, True]
    np.testing.assert_array_equal(params(new)[0], params(state)[1])
    np.testing.assert_array_equal(params(new, "discriminators")[0], params(state, "discriminators")[2])
    assert plug.claims.mixture(new).tolist() == pytest.approx([0, 1, 0])
    # Where no slot is free, the weakest makes room: it has no share any more. Of equals it is not the one to copy.
    for shares, slot, want in (([0.5, 0.3, 0.2], 2, [0.625, 0.375, 0]), ([1 / 3] * 3, 1, [0.5, 0, 0.5])):
        mass = np.array(shares)
        monkeypatch.setattr(schedules.slots.metagame, "linear_program", lambda *args, mass=mass: (mass, mass))
        new = plug.between(game, state, SOURCE, 64)
        assert new.roster.learns_g.tolist() == new.roster.learns_d.tolist() == (np.arange(3) == slot).tolist()
        np.testing.assert_allclose(plug.claims.mixture(new), want, atol=1e-6)
        np.testing.assert_array_equal(params(new)[slot], params(state)[0])


def test_nothing_flows_from_the_global_pair_to_the_local_ones():
    plug = pairing.local_and_global()
    game = toys.game(3, 5, pairing=plug, schedule=schedules.messengers(1))
    alone = toys.game(2, 2, pairing=pairing.diagonal())
    state, info = train(game, game.init(jax.random.key(0)), SOURCE, steps=4)
    want, _ = train(alone, alone.init(jax.random.key(0)), SOURCE, steps=4)
    np.testing.assert_allclose(params(state)[:2], params(want), atol=1e-6)
    np.testing.assert_allclose(params(state, "discriminators")[:2], params(want, "discriminators"), atol=1e-6)
    np.testing.assert_allclose(info.weight_g, [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0.5, 0.5, 0]])
    np.testing.assert_allclose(info.weight_d, [[1, 0, 0, 0, 0.5], [0, 1, 0, 0, 0.5], [0, 0, 1, 1, 0]])
    with pytest.raises(InputError, match="3 generators and 5 discriminators"):
        toys.game(3, 4, pairing=plug)


def test_an_exchange_moves_whole_discriminators():
    game, plug = made("exchange")
    state = game.init(jax.random.key(0))._replace(step=jnp.int32(20))
    new = plug.between(game, state, SOURCE, 64)
    rows = lambda s: sorted(row.tobytes() for row in params(s, "discriminators"))
    assert rows(new) == rows(state)
    # Their losses go with them.
    mixed = losses.per_member([losses.hinge] * 2, [losses.hinge, losses.minimax, losses.least_squares])
    game = toys.game(2, 3, loss=mixed, schedule=plug)
    state = game.init(jax.random.key(0))
    losses_of = lambda s: dict(zip(map(bytes, params(s, "discriminators")), s.hyper["loss_d"].tolist(), strict=True))
    moved = [plug.between(game, state._replace(step=jnp.int32(k)), SOURCE, 64) for k in (10, 20)]
    assert all(losses_of(each) == losses_of(state) for each in moved)
    assert any(each.hyper["loss_d"].tolist() != state.hyper["loss_d"].tolist() for each in moved)


def test_boosted_weights_by_hand():
    # All reals are covered alike: all weights are 1, whatever β.
    np.testing.assert_allclose(boosted_weights(jnp.ones(5), 0.3), 1.0, rtol=1e-5)
    # β = ½, r = (0, 2, 2): λ* with all alive is (1.5 + 2)/3 = 7/6 > 1, so w = 2·(7/6, 1/6, 1/6).
    np.testing.assert_allclose(boosted_weights(jnp.array([2.0, 0.0, 2.0]), 0.5), [1 / 3, 7 / 3, 1 / 3], rtol=1e-5)
    # r = (0, 10, 10): with one alive λ* = 1.5 < 5, so the covered ones get nothing.
    np.testing.assert_allclose(boosted_weights(jnp.array([10.0, 0.0, 10.0]), 0.5), [0, 3, 0], atol=1e-6)
    ratio = jax.random.exponential(jax.random.key(0), (1000,))
    weight = boosted_weights(ratio, 0.25)
    assert float(weight.mean()) == pytest.approx(1.0, abs=1e-4)
    order = np.argsort(np.asarray(ratio))
    assert (np.diff(np.asarray(weight)[order]) <= 1e-6).all()
    np.testing.assert_allclose(boosted_weights(ratio, 1.0), 1.0, rtol=1e-4)


def test_boosting_turns_to_what_the_mixture_leaves_out():
    # Two clusters; the generators so far make the left one, so the right one gets the weight.
    x = np.concatenate([POINTS - LEFT, POINTS + LEFT]).astype(np.float32)
    fakes = jnp.asarray(POINTS[:100] - LEFT, jnp.float32)
    group = toys.game(1, 1).groups_d[0]
    logit = fit_classifier(group, jax.random.key(0), jnp.asarray(x), fakes, 300, 32)
    weight = np.asarray(boosted_weights(jnp.exp(-logit), 0.5))
    assert weight[200:].mean() > 1.7
    assert weight[:200].mean() < 0.3


def test_stages_of_boosting_and_of_the_cascade():
    game, plug = made("adagan")
    state = game.init(jax.random.key(0))
    start = params(state)
    state, _ = train(game, state, SOURCE, steps=11)
    # The average begins with the stage: one update in, nine tenths of it are that update.
    average = np.asarray(state.generators[0].average["w1"])
    np.testing.assert_allclose(average[1], 0.1 * start[1] + 0.9 * params(state)[1], rtol=1e-5)
    state, _ = train(game, state, SOURCE, steps=4)
    assert (params(state) != start).any((1, 2)).tolist() == [True, True, False]
    np.testing.assert_allclose(plug.claims.mixture(state), [1, 0, 0])  # the second has just begun
    assert float(state.schedule["weight"].std()) > 0
    first = params(state)[0]
    state, _ = train(game, state, SOURCE, steps=10)
    np.testing.assert_array_equal(params(state)[0], first)
    np.testing.assert_allclose(plug.claims.mixture(state), [0.5, 0.5, 0])
    state, _ = train(game, state, SOURCE, steps=10)  # the last pair goes on, with the average that it has
    np.testing.assert_allclose(plug.claims.mixture(state), [1 / 3] * 3, rtol=1e-6)
    assert int(updates_of(game, state.step)) == 15

    game, plug = made("cascade")
    state, _ = train(game, game.init(jax.random.key(0)), SOURCE, steps=21)
    weight = np.asarray(state.schedule["weight"])
    assert (weight > 0).sum() == TRAIN // 2 // 2
    assert weight.sum() == pytest.approx(TRAIN, rel=1e-4)
    np.testing.assert_allclose(plug.claims.mixture(state), [0.5, 0.5, 0])
    np.testing.assert_allclose(plug.claims.mixture(state._replace(step=jnp.int32(30))), [0.5, 0.25, 0.25])


def test_reals_are_weighed_a_part_at_a_time(monkeypatch):
    group, x, seen = toys.game(1, 1).groups_d[0], jnp.asarray(POINTS[:20]), []
    one = boosting._logits_of
    params_of, net = group.network.init(jax.random.key(0))
    whole = one(group, params_of, net, x)
    monkeypatch.setattr(boosting, "CHUNK", 8)
    monkeypatch.setattr(boosting, "_logits_of", lambda *args: (seen.append(len(args[-1])), one(*args))[1])
    np.testing.assert_allclose(boosting._logits(group, params_of, net, x), whole, atol=1e-6)
    assert seen == [8, 8, 4]


def test_a_batch_without_weight_teaches_nothing_of_the_data_and_breaks_nobody():
    # In late stages of a cascade, a batch may hold none of the samples that are left.
    for loss in (losses.non_saturating, losses.relativistic):
        game = toys.game(2, 2, loss=loss)
        state, batch = game.init(jax.random.key(0)), toys.batch()
        new, info = step(game, state, {**batch, "weight": jnp.zeros(8)})
        assert int(new.fault[0]) == -1
        assert (params(new, "discriminators") != params(state, "discriminators")).any() == (not loss.relativistic)
        assert np.isfinite(np.asarray(info.loss_d)).all()


def test_weights_need_a_table_of_samples():
    game = toys.game(2, 2, schedule=schedules.adagan(10, samples=7))
    with pytest.raises(InputError, match="weights for 7 samples, but the train split has 140"):
        train(game, game.init(jax.random.key(0)), SOURCE, steps=1)
    with pytest.raises(InputError, match="are not a table in memory"):
        train(game, game.init(jax.random.key(0)), gaussian_ring(), steps=1)
    with pytest.raises(InputError, match=r"samples=source.num\['train'\]"):
        toys.game(2, 2, schedule=schedules.adagan(10))


def test_training_in_parts_is_training_at_once():
    for name in ("population_based", "cascade"):
        game, _ = made(name)
        once, _ = train(game, game.init(jax.random.key(0)), SOURCE, steps=25)
        parts, _ = train(game, game.init(jax.random.key(0)), SOURCE, steps=10)
        parts, _ = train(game, parts, SOURCE, steps=15)
        plain = lambda state: state._replace(key=())
        jax.tree.map(np.testing.assert_array_equal, plain(once), plain(parts))


def test_reports_are_means_since_the_last_call_however_often_the_schedule_acts():
    game = toys.game(2, 2, schedule=schedules.exchange(2))
    seen = {1: [], 6: []}
    for every, infos in seen.items():
        callback = lambda state, info, infos=infos: infos.append(jax.device_get(info))
        _, last = train(game, game.init(jax.random.key(0)), SOURCE, steps=9, callback=callback, every=every)
    mean = lambda parts: jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *parts)
    assert len(seen[6]) == 2
    toys.assert_close(seen[6][0], mean(seen[1][:6]))
    toys.assert_close(seen[6][1], mean(seen[1][6:]))
    toys.assert_close(jax.device_get(last), seen[6][1], 0.0)


def test_replicas_have_schedules_of_their_own():
    schedule, settings = CASES["population_based"]()
    game = toys.game(**settings, schedule=schedule)
    replicas = Replicas(game, seeds=[3, 8])
    state, _ = train(replicas, replicas.init(), SOURCE, steps=12)
    alone, _ = train(game, game.init(jax.random.key(8)), SOURCE, steps=12)
    toys.assert_close(replicas.take(state, 1).generators, alone.generators, 1e-5)
    assert not np.allclose(state.hyper["penalty"][0], 1.0)


def test_a_replica_that_stopped_is_left_alone_by_its_schedule():
    def make(rate):
        rates = optim.per_member(optax.sgd, learning_rate=rate)  # a number that is traced
        return toys.game(2, 1, optimizer=rates, schedule=schedules.snapshots(4))

    replicas = Replicas(make, seeds=[3, 8], rate=[1e38, 0.1])
    assert replicas.game(1) is replicas.game(1)
    state, _ = train(replicas, replicas.init(), SOURCE, steps=4)
    assert (np.asarray(state.fault)[:, 0] >= 0).tolist() == [True, False]
    before = np.asarray(state.generators[0].params["w1"])
    new = between(replicas, state, SOURCE, 4)
    moved = (np.asarray(new.generators[0].params["w1"]) != before).any((1, 2, 3))
    assert moved.tolist() == [False, True]


def test_schedules_that_do_not_fit_are_refused():
    double = {"pairing": pairing.nash(4), "schedule": schedules.double_oracle(10)}
    with pytest.raises(InputError, match="give the pairing a number that divides 10"):
        toys.game(3, 3, **double)
    with pytest.raises(InputError, match="shared parts move for all members"):
        toys.game(2, 1, shared=("w1",), schedule=schedules.snapshots(5))
    with pytest.raises(InputError, match=r"0\.25 of 3 members is less than one member.* at least 4"):
        toys.game(3, 3, optimizer=RATES, schedule=schedules.population_based(10))
    boosted = schedules.adagan(10, samples=TRAIN)
    with pytest.raises(InputError, match="one logit, high for samples that look real"):
        toys.game(2, 2, loss=losses.mad(), heads=(3,), schedule=boosted)
    with pytest.raises(InputError, match="use another loss"):
        toys.game(2, 2, loss=losses.d2(), schedule=boosted)
    for side, loss, heads in (
        ("generators", losses.mad(), (5,)),
        ("generators", losses.mgan(), (5,)),
        ("generators", losses.microbatch(losses.hinge, 0.3, 4, 4), ()),
        ("discriminators", losses.by_discriminator([losses.hinge, losses.least_squares]), ()),
    ):
        with pytest.raises(InputError, match=f"copies {side}, but in this loss their number decides"):
            toys.game(4, 4, loss=loss, heads=heads, schedule=schedules.tournament(10))
    with pytest.raises(InputError, match="every is 0"):
        schedules.snapshots(0)
    with pytest.raises(InputError, match="split coverage deals batches out"):
        toys.game(2, 1, schedule=schedules.snapshots(5), coverage="split")
    with pytest.raises(InputError, match="leave no slots"):
        toys.game(1, 1, schedule=schedules.history(5))
    with pytest.raises(InputError, match="unknown fitness 'luck'; known: distance, score"):
        schedules.tournament(fitness="luck")
    with pytest.raises(InputError, match=r"share is 0\.7"):
        schedules.population_based(share=0.7)
    two = toys.game(2, 2)
    dataclasses.replace(
        two, discriminators=two.groups_d * 2, schedule=schedules.snapshots(5)
    )  # those stay what they are
    with pytest.raises(InputError, match="the generators have 2 networks"):
        dataclasses.replace(two, generators=two.groups_g * 2, schedule=schedules.snapshots(5))


def test_rivals_of_a_tournament_are_of_the_same_network():
    kind = np.array([0, 0, 1, 1, 1])
    rivals = _rivals(jax.random.key(0), kind, 40)
    assert [set(row) for row in rivals] == [{0, 1}] * 2 + [{2, 3, 4}] * 3


def test_copies_stay_within_their_group():
    two = toys.game(2, 2)
    game = dataclasses.replace(two, generators=two.groups_g * 2)
    state = game.init(jax.random.key(0))
    new = copied(game.groups_g, state.generators, jnp.array([1, 1, 2, 2]))
    np.testing.assert_array_equal(new[0].params["w1"][0], state.generators[0].params["w1"][1])
    np.testing.assert_array_equal(new[1].params["w1"][1], state.generators[1].params["w1"][0])


def test_reals_are_drawn_by_the_weights_that_a_schedule_gives():
    draw = by_weight(SOURCE.pick)
    weight = jnp.zeros((TRAIN,)).at[jnp.array([0, 7, TRAIN - 1])].set(jnp.array([1.0, 2.0, 1.0]))
    keys = jax.vmap(lambda b: jax.random.fold_in(jax.random.key(0), b))(jnp.arange(2000))
    x = np.asarray(jax.jit(draw)((SOURCE.arrays["train"], weight), keys)["x"])
    table = np.asarray(SOURCE.arrays["train"]["x"])
    share = [(x == table[i]).all(axis=1).mean() for i in (0, 7, TRAIN - 1)]
    assert sum(share) == pytest.approx(1.0)
    np.testing.assert_allclose(share, [0.25, 0.5, 0.25], atol=0.05)  # over four standard errors
    assert by_weight(SOURCE.pick) is draw
