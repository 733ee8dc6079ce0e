"""Common stages run once on the samples of all members, and give the gradients of the definition."""

import definition
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from staged import GENERATOR, TWO_STAGES, game

from ensgan import losses, networks, pairing
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.game.step import step


@pytest.mark.parametrize("name", toys.some("hinge", "relativistic", of=losses.LOSSES))
def test_heads_of_a_trunk_are_exact_for_every_loss(name):
    definition.check(game(loss=losses.LOSSES[name]), toys.batch(8))


@pytest.mark.parametrize("name", toys.some("own_and_mean", "ring", "mgd", "max", of=pairing.PAIRINGS))
def test_every_pairing_can_weigh_heads(name):
    M, N = (3, 5) if name == "local_and_global" else (4, 4)
    definition.check(game(M, N, pairing=pairing.PAIRINGS[name]()), toys.batch(8))


@pytest.mark.parametrize("coverage", ["split", "neighbours"])
def test_other_coverages(coverage):
    definition.check(game(4, 4, coverage=coverage, pairing=pairing.ring(1)), toys.batch(8))


def test_several_groups_and_a_separate_discriminator():
    played = Game(
        [Group(GENERATOR, 2, shared=("last",)), Group(toys.dense(3, 4, (2,)), 1)],
        [Group(TWO_STAGES, 2, shared=("trunk",)), Group(toys.dense(2, 5, ()), 1)],
        loss=losses.hinge,
        pairing=pairing.mean(),
        optimizer=optax.sgd(1.0),
        reals=8,
        fakes=4,
    )
    definition.check(played, toys.batch(8))


def test_a_masked_pair_has_no_influence_not_even_as_nan():
    # Generator 0 is broken and plays nobody: trunk, heads and the other generators must not notice.
    from ensgan.game import scoring
    from ensgan.game.round import play

    played = game(3, 2, pairing=pairing.mean())
    state = played.init(jax.random.key(0))
    bad = jax.tree.map(lambda leaf: leaf.at[0].set(jnp.nan), state.generators[0].params)
    sick = state._replace(generators=(state.generators[0]._replace(params=bad),))
    mask = jnp.array([[False, False], [True, False], [True, True]])

    @jax.jit
    def gradients(state):
        met = play(played, state, toys.batch(8), mask, jax.random.key(1))
        W = jnp.where(mask, 0.5, 0.0)
        weights = met.weights.here._replace(g=W, d=W)
        c = scoring.cotangents(met.loss, met.scores.logits, weights, met.meeting)
        grads, dx = scoring.one_backward(met.pulls.d, *c, met.view.collect)
        return grads, dx[1:]

    healthy, ill = gradients(state), gradients(sick)
    for a, b in zip(jax.tree.leaves(healthy), jax.tree.leaves(ill), strict=True):
        assert bool(jnp.isfinite(b).all())
        np.testing.assert_array_equal(a, b)


def test_heads_in_bfloat16_pull_back_for_both_sides_at_once():
    half = networks.mlp((4,), (6, 6), (), dtype="bfloat16")
    played = Game(
        [Group(networks.mlp(2, (6,), (4,), dtype="bfloat16"), 2)],
        [Group(half, 2, shared=("trunk",), accumulate=2)],
        loss=losses.relativistic,
        pairing=pairing.own_and_mean(0.3),
        optimizer=optax.sgd(0.1),
        batch_size=8,
    )
    state = played.init(jax.random.key(0))
    after, _ = step(played, state, {"x": jnp.ones((8, 4))})
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.generators[0].params))
