"""Logits and samples on held-out data, with the labels of the reals."""

import jax
import numpy as np
import optax
import pytest
import toys
from labelled import SOURCE

from ensgan import metrics, pairing
from ensgan.evaluation.selection import select
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.sampling.inference import NOISE_SEED, every_member, held_out_logits, payoff


def test_held_out_fakes_have_the_labels_of_the_reals(played):
    game, state = played
    reals = SOURCE.held_out("select", 20)
    fake, real, x = held_out_logits(game, state, reals)
    nets_d = toys.members(game.groups_d, state.discriminators)
    for j, (network, params, _) in enumerate(nets_d):
        logit = lambda x, network=network, params=params: network.apply(params, {}, x, label=reals["label"])[0]
        np.testing.assert_allclose(real[j], logit(reals["x"]), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(fake[1, j], logit(x[1]), rtol=1e-4, atol=1e-5)
    found = select(game, state, SOURCE, num=20)
    np.testing.assert_allclose(payoff(game, state, reals), found.fool, atol=1e-6)
    mixed = np.concatenate([x[0, :10], x[1, 10:]])  # with the labels of all reals
    assert found.coverage[-1] == metrics.coverage(reals["x"], mixed)
    other = payoff(game, state, {**reals, "label": (reals["label"] + 1) % 5})
    assert not np.allclose(other, found.fool)


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
