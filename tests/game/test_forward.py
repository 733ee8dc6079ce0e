"""Discriminators in a loop that goes forward and back at once: exact, with one body and the memory of one of them."""

import dataclasses

import definition
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys

from ensgan import losses, networks, pairing, penalties
from ensgan.data import from_arrays
from ensgan.devices import mesh
from ensgan.game.game import Game
from ensgan.game.placement import start
from ensgan.game.population import Group
from ensgan.game.program import Program
from ensgan.game.round import streams
from ensgan.game.step import step


def looped(M=3, N=2, **settings):
    played = toys.game(M, N, **settings)
    return dataclasses.replace(
        played, discriminators=[dataclasses.replace(group, remat=True) for group in played.groups_d]
    )


@pytest.mark.parametrize("name", toys.some("hinge", "relativistic", of=losses.LOSSES))
def test_streamed_discriminators_are_exact_for_every_loss(name):
    game = looped(3, 3, loss=losses.LOSSES[name], pairing=pairing.own_and_mean(0.3))
    assert streams(game)
    definition.check(game, toys.batch())


def test_fewer_fakes_than_reals_and_losses_of_their_own():
    fewer = looped(3, 2, batch_size=0, reals=8, fakes=4, loss=losses.relativistic)
    assert streams(fewer)
    definition.check(fewer, toys.batch())
    each = losses.per_member([losses.hinge, losses.non_saturating, losses.hinge], [losses.hinge, losses.least_squares])
    check_same(looped(3, 2, loss=each), toys.batch())


def check_same(game, batch):
    """A step is that of all discriminators together."""
    assert streams(game)
    together = dataclasses.replace(
        game, discriminators=[dataclasses.replace(group, remat=False, execute="vmap") for group in game.groups_d]
    )
    state = game.init(jax.random.key(0))
    found, wanted = (jax.jit(lambda s, game=game: step(game, s, batch))(state) for game in (game, together))
    drop = lambda each: (each[0].generators, each[0].discriminators, each[1])
    toys.assert_close(drop(found), drop(wanted), 1e-5)


def test_own_reals_weights_of_reals_and_penalties():
    key = jax.random.key(1)
    batch = {"x": jax.random.normal(key, (2, 8, 2)), "weight": jax.random.uniform(key, (2, 8))}
    check_same(looped(loss=losses.relativistic, penalty=penalties.r1_r2(0.1)), batch)


@pytest.mark.parametrize("make", [pairing.dropout, pairing.random, pairing.diagonal], ids=lambda make: make.__name__)
def test_weights_that_are_drawn_are_drawn_once(make):
    game = looped(3, 3, pairing=make())
    assert streams(game)
    definition.check(game, toys.batch())


def test_weights_that_follow_losses_need_another_forward_pass():
    for game in (
        looped(pairing=pairing.softmax(1.0)),
        looped(update="alternating"),
        looped(coverage="split", batch_size=8),
        looped(heads=(4,), loss=losses.mgan(0.5)),
    ):
        assert not streams(game)
    assert not streams(toys.game())


def test_a_masked_pair_has_no_influence_not_even_as_nan():
    game = looped(2, 2, pairing=pairing.diagonal())
    state = game.init(jax.random.key(0))
    sick = jax.tree.map(lambda leaf: leaf.at[0].set(jnp.nan), state.generators[0].params)
    _, info = jax.jit(lambda s: step(game, s, toys.batch()))(
        state._replace(generators=(state.generators[0]._replace(params=sick),))
    )
    _, well = jax.jit(lambda s: step(game, s, toys.batch()))(state)
    np.testing.assert_allclose(info.grad_norm_d[1], well.grad_norm_d[1], rtol=1e-6)
    assert np.isnan(info.loss_d[0, 0])


@pytest.mark.slow
def test_on_a_mesh_as_on_one_device():
    with jax.enable_x64(True):
        game = looped(4, 4, optimizer=optax.adam(1e-2), penalty=penalties.r1(0.1))
        source = from_arrays("points", np.random.default_rng(0).normal(size=(200, 2)))
        there = mesh.make(2, 2)
        alone, _ = Program(game, source)(start(game), 10)
        state, _ = Program(game, source, there)(start(game, 0, there), 10)
        toys.assert_close(jax.tree.map(np.asarray, state.generators), jax.tree.map(np.asarray, alone.generators), 1e-9)


def test_the_program_does_not_grow_with_the_number_of_discriminators():
    def size(N, **how):
        net = networks.mlp(8, (16, 16), 1)
        game = Game([Group(networks.mlp(4, (16,), 8), 2)], [Group(net, N, **how)], pairing=pairing.mean(), reals=8)
        state = jax.eval_shape(lambda: game.init(jax.random.key(0)))
        batch = {"x": jax.ShapeDtypeStruct((8, 8), jnp.float32)}
        return len(jax.jit(lambda s, b: step(game, s, b)).lower(state, batch).as_text().splitlines())

    assert size(24, remat=True) == size(4, remat=True) == size(24)  # on a CPU, many stream in any case
    assert size(24, execute="unroll") > 1.5 * size(4, execute="unroll")
