"""Games with common stages go through everything that other games go through."""

import definition
import jax
import numpy as np
import optax
import pytest
import toys
from staged import GENERATOR, TWO_STAGES

from ensgan import Replicas, data, losses, member, networks, pairing, penalties, sample, schedules, select, train
from ensgan.game.game import Game
from ensgan.game.population import Group, whole
from ensgan.game.step import step
from ensgan.types import Augment, InputError

POINTS = data.from_arrays("points", np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32))


def game(M=3, N=3, **settings):
    settings = {"loss": losses.relativistic, "pairing": pairing.own_and_mean(0.3), "reals": 8, "fakes": 4, **settings}
    return Game([Group(GENERATOR, M, shared=("last",))], [Group(TWO_STAGES, N, shared=("trunk",))], **settings)


def test_replicas_are_their_own_games():
    played = game(optimizer=optax.adam(1e-2), penalty=penalties.r1(0.1))
    replicas = Replicas(played, seeds=[3, 4])
    state, _ = train(replicas, replicas.init(), POINTS, steps=3)
    alone, _ = train(played, played.init(jax.random.key(4)), POINTS, steps=3)
    mine = replicas.take(state, 1)
    for side in ("generators", "discriminators"):
        toys.assert_close(whole(getattr(mine, side)[0]).params, whole(getattr(alone, side)[0]).params, 1e-5)


def test_members_are_sampled_scored_and_taken_out():
    played = game()
    state, _ = train(played, played.init(jax.random.key(0)), POINTS, steps=2)
    chosen = select(played, state, POINTS)
    assert chosen.fool.shape == (3, 3)
    x = sample(played, state, jax.random.key(1), 20)
    assert x.shape == (20, 2)
    one = member(played, state, 1)
    assert set(one.params) == {"first", "last"}
    z = jax.random.normal(jax.random.key(2), (4, 3))
    assert one.network.apply(one.params, one.state, z)[0].shape == (4, 2)


@pytest.mark.parametrize(
    "settings",
    [
        {"update": "alternating", "n_critic": 2},
        {"augment": Augment(lambda keys, x, strength: x + strength, 0.1)},
        {"penalty": [penalties.r1_r2(0.1, interval=2), penalties.gradient_penalty(0.1)]},
    ],
    ids=["alternating", "augmented", "penalties"],
)
def test_other_ways_to_play(settings):
    played = game(optimizer=optax.adam(1e-2), **settings)
    state, info = train(played, played.init(jax.random.key(0)), POINTS, steps=5)
    assert np.isfinite(np.asarray(info.loss_d)).all()
    assert int(state.fault[0]) < 0


def test_schedules_that_let_members_pause_are_refused():
    with pytest.raises(InputError, match="shared parts move for all members"):
        game(schedule=schedules.snapshots(2))


def test_separate_reals_of_heads():
    real = np.random.default_rng(1).normal(size=(3, 8, 2))
    played = game(optimizer=optax.sgd(1.0), fakes=8, compare="one")
    with jax.enable_x64(True):
        batch = {"x": jax.numpy.asarray(real)}
        state = played.init(jax.random.key(0))
        new, info = jax.jit(lambda s, b: step(played, s, b))(state, batch)
        z = toys.latents(played, state)
        wide = state._replace(
            generators=(whole(state.generators[0]),), discriminators=(whole(state.discriminators[0]),)
        )
        want_g, want_d = toys.reference(played, wide, batch["x"], info.weight_g, info.weight_d, z)
        moved = lambda a, b, groups: toys.taken([whole(a[0])], [whole(b[0])], groups)
        found_d = moved(state.discriminators, new.discriminators, played.groups_d)
        toys.assert_close(found_d, definition.averaged(played.groups_d, want_d), 1e-9)
        found_g = moved(state.generators, new.generators, played.groups_g)
        toys.assert_close(found_g, definition.averaged(played.groups_g, want_g), 1e-9)


def test_spectral_norm_in_a_trunk():
    with jax.enable_x64(True):
        spectral = networks.mlp_discriminator((2,), widths=(4, 4), spectral_norm=True, dtype="float64")
        played = Game(
            [Group(toys.dense(3, 4, (2,)), 2)],
            [Group(spectral, 2, shared=tuple(name for stage in spectral.stages[:-1] for name in stage.names))],
            loss=losses.hinge,
            pairing=pairing.mean(),
            optimizer=optax.sgd(1.0),
            reals=8,
            fakes=4,
        )
        assert played.groups_d[0].has_trunk
        definition.check(played, toys.batch(8))
