"""Copies of members, with all that belongs to them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import toys
from schedule_cases import SOURCE, made

from ensgan.evaluation.selection import select
from ensgan.schedules import copied
from ensgan.schedules.members import become


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


def test_copies_stay_within_their_group():
    two = toys.game(2, 2)
    game = dataclasses.replace(two, generators=two.groups_g * 2)
    state = game.init(jax.random.key(0))
    new = copied(game.groups_g, state.generators, jnp.array([1, 1, 2, 2]))
    np.testing.assert_array_equal(new[0].params["w1"][0], state.generators[0].params["w1"][1])
    np.testing.assert_array_equal(new[1].params["w1"][1], state.generators[1].params["w1"][0])
