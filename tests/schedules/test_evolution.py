"""Evolution: who is replaced by whom, and what changes in a copy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from schedule_cases import RATES, SOURCE, made, params

from ensgan import losses, pairing, penalties, schedules
from ensgan.schedules import evolution
from ensgan.schedules.evolution import _rivals
from ensgan.types import InputError

POSITIVE = losses.per_member([losses.non_saturating] * 4, [losses.non_saturating] * 3 + [losses.minimax])


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


def test_rivals_of_a_tournament_are_of_the_same_network():
    kind = np.array([0, 0, 1, 1, 1])
    rivals = _rivals(jax.random.key(0), kind, 40)
    assert [set(row) for row in rivals] == [{0, 1}] * 2 + [{2, 3, 4}] * 3
