"""Samples of members and of mixtures: their shares, their classes, and which weights and labels are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys

from ensgan import pairing
from ensgan.game.game import Game
from ensgan.game.latents import normal
from ensgan.game.population import Group
from ensgan.game.step import step
from ensgan.sampling.draws import SAMPLING
from ensgan.sampling.inference import every_member
from ensgan.sampling.sampler import sample
from ensgan.types import InputError

GAME = toys.game(3, 2)


@pytest.fixture(scope="module")
def state():
    return GAME.init(jax.random.key(0))


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


def test_samples_have_the_classes_that_are_asked_for(played, key):
    game, state = played
    each = np.arange(12) % 5
    x = np.asarray(sample(game, state, key, 12, label=each))
    for k in range(5):
        np.testing.assert_allclose(
            x[each == k], np.asarray(sample(game, state, key, 12, label=k))[each == k], rtol=1e-5
        )
    assert not np.allclose(sample(game, state, key, 12, label=0), sample(game, state, key, 12, label=1))


def test_labels_that_cannot_be_are_refused(played, key):
    game, state = played
    for label, message in (
        (5, r"label holds labels 5\.\.5; expected 0\.\.4"),
        (-1, r"expected 0\.\.4"),
        ([0, 1], r"label is int64 \[2\]; expected integers \[3\], one per sample"),
        (0.5, "expected integers"),
    ):
        with pytest.raises(InputError, match=message):
            sample(game, state, key, 3, label=label)
    with pytest.raises(InputError, match="label is None, but the network is conditional on 5 classes"):
        step(game, state, toys.batch())
