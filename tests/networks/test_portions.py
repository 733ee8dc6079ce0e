"""Samples in portions: the updates of all samples together, with the activations of one portion in memory."""

import dataclasses

import definition
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from staged import TWO_STAGES

from ensgan import losses, networks, pairing, penalties
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.game.step import step
from ensgan.networks.portions import in_portions
from ensgan.types import InputError


def accumulated(game, portions):
    again = lambda groups: [dataclasses.replace(group, accumulate=portions) for group in groups]
    return dataclasses.replace(game, generators=again(game.groups_g), discriminators=again(game.groups_d))


def with_heads(**settings):
    settings = {"pairing": pairing.own_and_mean(0.5), "optimizer": optax.sgd(1.0), "reals": 8, "fakes": 4, **settings}
    last = networks.chain(first=toys.dense(3, 5, (4,)), last=toys.dense(4, 6, (2,)))
    return Game([Group(last, 3, shared=("last",))], [Group(TWO_STAGES, 3, shared=("trunk",))], **settings)


@pytest.mark.parametrize(
    "game",
    [
        toys.game(loss=losses.relativistic, reals=8, fakes=4, batch_size=0),
        toys.game(loss=losses.hinge, pairing=pairing.softmax(1.0)),
        toys.game(3, 3, pairing=pairing.mgd()),
        toys.game(4, 2, coverage="split"),
        with_heads(loss=losses.relativistic),
    ],
    ids=["every fake meets every real", "weights that follow losses", "Gram matrix", "split", "heads"],
)
def test_a_step_in_portions_is_that_of_the_definition(game):
    definition.check(accumulated(game, 3), toys.batch(8))  # 3 divides neither fakes nor reals


@pytest.mark.parametrize("make", [toys.game, with_heads])
@pytest.mark.parametrize("penalty", ["r1_r2", "gradient_penalty"])
@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_penalties_and_both_updates_are_those_of_all_samples(make, penalty, update):
    game = make(loss=losses.relativistic, penalty=getattr(penalties, penalty)(0.7), update=update)
    state = game.init(jax.random.key(1))
    want, told = step(game, state, toys.batch(8))
    again = accumulated(game, 4)
    found, info = step(again, state, toys.batch(8))
    np.testing.assert_allclose(info.penalty, told.penalty, rtol=1e-5)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    jax.tree.map(close, found.discriminators, want.discriminators)
    jax.tree.map(close, found.generators, want.generators)


def test_the_states_of_networks_go_on_once_a_step(key):
    network = networks.mlp((4,), (6,), (), spectral_norm=True)
    params, state = network.init(key)
    x = jax.random.normal(key, (7, 4))
    want = network.apply(params, state, x, label=None, train=True, rng=None)
    found = in_portions(network.apply, 3)(params, state, x, label=None, train=True, rng=None)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), found, want)


def test_classes_go_with_their_samples(key):
    network = networks.mlp((4,), (6,), (), classes=5)
    params, state = network.init(key)
    x, label = jax.random.normal(key, (7, 4)), jnp.arange(7) % 5
    told = {"label": label, "train": True, "rng": None}
    found, _ = in_portions(network.apply, 2)(params, state, x, **told)
    np.testing.assert_allclose(found, network.apply(params, state, x, **told)[0], rtol=1e-6)


def test_portions_draw_separate_dropout(key):
    drop = lambda params, state, x, *, label, train, rng: (x * jax.random.bernoulli(rng, 0.5, x.shape), state)
    x = jnp.ones((64, 4))
    y, _ = in_portions(drop, 2)({}, {}, x, label=None, train=True, rng=key)
    assert not np.array_equal(y[:32], y[32:])
    y, _ = in_portions(lambda *args, **told: (args[2], {}), 2)({}, {}, x, label=None, train=False, rng=None)
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("penalty", [None, penalties.r1_r2(0.5)])
def test_memory_is_that_of_a_portion(penalty):
    def scratch(portions):
        deep = lambda shape, out: networks.mlp(shape, (256, 256, 256, 256), out)
        game = Game(
            [Group(deep(8, (8,)), 2, accumulate=portions)],
            [Group(deep((8,), ()), 2, accumulate=portions, execute="vmap")],
            loss=losses.relativistic,
            pairing=pairing.mean(),
            optimizer=optax.sgd(1e-3),
            batch_size=2048,
            **({} if penalty is None else {"penalty": penalty}),
        )
        state = jax.eval_shape(lambda: game.init(jax.random.key(0)))
        batch = {"x": jax.ShapeDtypeStruct((2048, 8), jnp.float32)}
        run = jax.jit(lambda state, batch: step(game, state, batch))
        return run.lower(state, batch).compile().memory_analysis().temp_size_in_bytes

    assert scratch(8) < scratch(1) / 3


@pytest.mark.parametrize(
    ("portions", "network", "message"),
    [
        (0, toys.dense(2, 5, ()), "accumulate is 0; it counts portions"),
        (2, toys.dense(2, 5, (), coupled=True), "accumulate is 2, but a network has batch statistics or packs"),
        (2, networks.packed(networks.mlp((4,), (6,), ()), 2), "--accumulate 1"),
    ],
)
def test_what_does_not_fit_is_said(portions, network, message):
    with pytest.raises(InputError, match=message):
        Group(network, 2, accumulate=portions)
