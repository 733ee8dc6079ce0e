"""Slots: snapshots, past members, a double oracle, messengers and exchanges."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from schedule_cases import SOURCE, made, params

from ensgan import losses, pairing, schedules
from ensgan.training import train
from ensgan.types import InputError


def test_snapshots_fill_their_slots_in_turn_and_wait_there():
    game, plug = made("snapshots")
    state = game.init(jax.random.key(0))
    assert plug.claims.mixture(state).tolist() == [1, 0, 0]
    state, _ = train(game, state, SOURCE, steps=25)
    after = params(state)
    assert np.allclose(plug.claims.mixture(state), 1 / 3)
    assert len({row.tobytes() for row in after}) == 3  # of steps 10 and 20, and the one that learns
    state, _ = train(game, state, SOURCE, steps=1)
    np.testing.assert_array_equal(params(state)[1:], after[1:])
    assert (params(state)[0] != after[0]).any()
    state, _ = train(game, state, SOURCE, steps=6)  # at step 30 slot 1 was filled anew
    assert (params(state)[1] != after[1]).any()
    np.testing.assert_array_equal(params(state)[2], after[2])


def test_past_members_play_on_and_do_not_learn():
    game, _ = made("history")
    assert game.members == "parts"  # discriminator 0 sees past and present generators as one
    assert dataclasses.replace(game, pairing=pairing.own_and_mean()).members == "complete"
    state, info = train(game, game.init(jax.random.key(0)), SOURCE, steps=10)
    assert np.isfinite(info.fool[0, 0])
    assert np.isnan(np.asarray(info.fool)[1:]).all()
    old = params(state, "discriminators")
    state, info = train(game, state, SOURCE, steps=5)
    np.testing.assert_allclose(np.asarray(info.weight_g)[0], [0.5, 0.5, 0])
    np.testing.assert_array_equal(params(state, "discriminators")[1], old[0])
    np.testing.assert_array_equal(params(state, "discriminators")[2], old[2])


def test_a_pair_branches_once_into_members_that_part():
    game, _ = made("branch")
    start = game.init(jax.random.key(0))
    np.testing.assert_allclose(game.mixture(start), [1.0, 0.0, 0.0])
    alone, _ = train(game, jax.tree.map(jnp.copy, start), SOURCE, steps=9)
    for side in ("generators", "discriminators"):
        moved = (params(alone, side) != params(start, side)).reshape(3, -1).any(axis=1)
        assert moved.tolist() == [True, False, False]  # the others wait
    pair, _ = train(game, jax.tree.map(jnp.copy, alone), SOURCE, steps=1)
    branched = game.schedule.between(game, pair, SOURCE, 100)
    for side in ("generators", "discriminators"):
        for leaf in jax.tree.leaves(getattr(branched, side)):
            np.testing.assert_array_equal(leaf[0], leaf[1])
            np.testing.assert_array_equal(leaf[0], leaf[2])
    np.testing.assert_allclose(game.mixture(branched), np.full(3, 1 / 3), rtol=1e-6)
    assert bool(branched.roster.learns_g.all() & branched.roster.plays_d.all())
    later, _ = train(game, branched, SOURCE, steps=10)
    assert len(np.unique(params(later).reshape(3, -1), axis=0)) == 3
    again = game.schedule.between(game, later, SOURCE, 100)
    np.testing.assert_array_equal(params(again), params(later))  # it branches once


def test_the_double_oracle_grows_prunes_and_plays_the_mixture():
    game, plug = made("double_oracle")
    state = game.init(jax.random.key(0))
    playing = []
    for _ in range(4):
        state, info = train(game, state, SOURCE, steps=10)
        roster = state.roster
        assert int(roster.learns_g.sum()) == int(roster.learns_d.sum()) == 1
        assert bool((roster.plays_g | ~roster.learns_g).all())
        playing.append(int(roster.plays_g.sum()))
        W = np.asarray(info.weight_g)[np.asarray(roster.learns_g)]
        np.testing.assert_allclose(W.sum(), 1.0, atol=1e-5)
        assert (W[:, ~np.asarray(roster.plays_d)] == 0).all()
    assert playing[0] == 1
    assert max(playing) >= 2
    assert float(plug.claims.mixture(state).sum()) == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(InputError, match="use nash"):
        toys.game(3, 3, schedule=schedules.double_oracle(10))


def test_the_double_oracle_drops_who_has_no_mass_and_copies_who_has_most(monkeypatch):
    game, plug = made("double_oracle")
    state = game.init(jax.random.key(0))
    everybody = jnp.ones((3,), bool)
    state = state._replace(step=jnp.int32(10), roster=type(state.roster)(*[everybody] * 4))
    # Generator 1 beats both others against everybody, discriminator 2 as well: a pure equilibrium.
    table = jnp.array([[0.1, 0.2, 0.1], [0.9, 0.8, 0.6], [0.3, 0.3, 0.2]])
    monkeypatch.setattr(schedules.slots, "payoff", lambda *args: table)
    new = plug.between(game, state, SOURCE, 64)
    assert new.roster.plays_g.tolist() == [True, True, False]
    assert new.roster.learns_g.tolist() == [True, False, False]
    assert new.roster.plays_d.tolist() == [True, False, True]
    np.testing.assert_array_equal(params(new)[0], params(state)[1])
    np.testing.assert_array_equal(params(new, "discriminators")[0], params(state, "discriminators")[2])
    assert plug.claims.mixture(new).tolist() == pytest.approx([0, 1, 0])
    # Where no slot is free, the weakest makes room: it has no share any more. Of equals it is not the one to copy.
    for shares, slot, want in (([0.5, 0.3, 0.2], 2, [0.625, 0.375, 0]), ([1 / 3] * 3, 1, [0.5, 0, 0.5])):
        mass = np.array(shares)
        monkeypatch.setattr(schedules.slots.metagame, "linear_program", lambda *args, mass=mass: (mass, mass))
        new = plug.between(game, state, SOURCE, 64)
        assert new.roster.learns_g.tolist() == new.roster.learns_d.tolist() == (np.arange(3) == slot).tolist()
        np.testing.assert_allclose(plug.claims.mixture(new), want, atol=1e-6)
        np.testing.assert_array_equal(params(new)[slot], params(state)[0])


def test_nothing_flows_from_the_global_pair_to_the_local_ones():
    plug = pairing.local_and_global()
    game = toys.game(3, 5, pairing=plug, schedule=schedules.messengers(1))
    alone = toys.game(2, 2, pairing=pairing.diagonal())
    state, info = train(game, game.init(jax.random.key(0)), SOURCE, steps=4)
    want, _ = train(alone, alone.init(jax.random.key(0)), SOURCE, steps=4)
    np.testing.assert_allclose(params(state)[:2], params(want), atol=1e-6)
    np.testing.assert_allclose(params(state, "discriminators")[:2], params(want, "discriminators"), atol=1e-6)
    np.testing.assert_allclose(info.weight_g, [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0.5, 0.5, 0]])
    np.testing.assert_allclose(info.weight_d, [[1, 0, 0, 0, 0.5], [0, 1, 0, 0, 0.5], [0, 0, 1, 1, 0]])
    with pytest.raises(InputError, match="3 generators and 5 discriminators"):
        toys.game(3, 4, pairing=plug)


def test_an_exchange_moves_whole_discriminators():
    game, plug = made("exchange")
    state = game.init(jax.random.key(0))._replace(step=jnp.int32(20))
    new = plug.between(game, state, SOURCE, 64)
    rows = lambda s: sorted(row.tobytes() for row in params(s, "discriminators"))
    assert rows(new) == rows(state)
    # Their losses go with them.
    mixed = losses.per_member([losses.hinge] * 2, [losses.hinge, losses.minimax, losses.least_squares])
    game = toys.game(2, 3, loss=mixed, schedule=plug)
    state = game.init(jax.random.key(0))
    losses_of = lambda s: dict(zip(map(bytes, params(s, "discriminators")), s.hyper["loss_d"].tolist(), strict=True))
    moved = [plug.between(game, state._replace(step=jnp.int32(k)), SOURCE, 64) for k in (10, 20)]
    assert all(losses_of(each) == losses_of(state) for each in moved)
    assert any(each.hyper["loss_d"].tolist() != state.hyper["loss_d"].tolist() for each in moved)
