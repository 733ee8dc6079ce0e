"""Boosting: weights by hand, stages, and which data are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from schedule_cases import POINTS, SOURCE, TRAIN, made, params

from ensgan import schedules
from ensgan.data import gaussian_ring
from ensgan.game.step import updates_of
from ensgan.schedules import boosted_weights, boosting, fit_classifier
from ensgan.training import train
from ensgan.types import InputError

LEFT = np.array([4.0, 0.0])


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


def test_weights_need_a_table_of_samples():
    game = toys.game(2, 2, schedule=schedules.adagan(10, samples=7))
    with pytest.raises(InputError, match="weights for 7 samples, but the train split has 140"):
        train(game, game.init(jax.random.key(0)), SOURCE, steps=1)
    with pytest.raises(InputError, match="are not a table in memory"):
        train(game, game.init(jax.random.key(0)), gaussian_ring(), steps=1)
    with pytest.raises(InputError, match=r"samples=source.num\['train'\]"):
        toys.game(2, 2, schedule=schedules.adagan(10))
