"""Members begin with the weights of other games: each place gets the right ones, and what does not fit is named."""

import jax
import numpy as np
import pytest
import toys

from ensgan import Donor, Group, InputError, adopt, networks
from ensgan.game.game import Game
from ensgan.game.population import whole


def pair(seed, M=1, N=1, hidden=4):
    made = Game([Group(toys.dense(3, hidden, (2,)), M)], [Group(toys.dense(2, hidden, ()), N)])
    return made, made.init(jax.random.key(seed))


def weights(state, side="generators"):
    return np.asarray(whole(getattr(state, side)[0]).params["w1"])


def test_pairs_trained_apart_become_one_game_in_their_order():
    donors = [pair(seed)[1] for seed in (1, 2, 3)]
    game, state = pair(9, 3, 3)
    new = adopt(game, state, donors)
    for side in ("generators", "discriminators"):
        np.testing.assert_array_equal(weights(new, side), np.concatenate([weights(donor, side) for donor in donors]))
    np.testing.assert_array_equal(new.generators[0].average["w1"], weights(new))
    for a, b in zip(
        jax.tree.leaves(new.generators[0].optimizer), jax.tree.leaves(state.generators[0].optimizer), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_one_member_fills_every_place_and_fewer_start_again():
    _, donor = pair(1, 2, 3)
    game, state = pair(9, 3, 2)
    one = adopt(game, state, [Donor(donor, member=1)])
    np.testing.assert_array_equal(weights(one), np.repeat(weights(donor)[1:2], 3, axis=0))
    np.testing.assert_array_equal(
        weights(one, "discriminators"), np.repeat(weights(donor, "discriminators")[1:2], 2, axis=0)
    )
    np.testing.assert_array_equal(weights(adopt(game, state, [donor])), weights(donor)[[0, 1, 0]])


def test_common_stages_are_taken_where_donors_agree():
    heads = networks.trunk_and_heads(toys.dense(2, 6, (4,)), toys.dense(4, 5, ()))
    made = lambda shared, seed: (
        game := Game([Group(toys.dense(3, 4, (2,)), 2)], [Group(heads, 2, shared=shared)]),
        game.init(jax.random.key(seed)),
    )
    (game, state), (_, donor), (_, apart) = made(("trunk",), 0), made(("trunk",), 1), made((), 2)
    new = adopt(game, state, [donor])
    toys.assert_close(whole(new.discriminators[0]).params, whole(donor.discriminators[0]).params, 0.0)
    toys.assert_close(
        whole(adopt(*made((), 0), [donor]).discriminators[0]).params, whole(donor.discriminators[0]).params, 0.0
    )
    with pytest.raises(InputError, match=r"have trunk in common, but discriminator 0 of donor 0 and .* differ in it"):
        adopt(game, state, [apart])


def test_what_does_not_fit_is_named():
    game, state = pair(0, 2, 2)
    with pytest.raises(
        InputError,
        match=r"generator 0 of old does not fit generators.0: b has shape \(5,\) there and has shape \(4,\) here",
    ):
        adopt(game, state, [Donor(pair(1, hidden=5)[1], name="old")])
    with pytest.raises(InputError, match="the donor has 1 generators, numbered from 0; there is no member 1"):
        adopt(game, state, [Donor(pair(1)[1], member=1)])
    with pytest.raises(InputError, match="there is no donor"):
        adopt(game, state, [])
