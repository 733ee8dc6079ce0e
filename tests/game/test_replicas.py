"""Replicas are the games that they stand for, one by one, in one program."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from schedule_cases import CASES, SOURCE

from ensgan import Replicas, optim, pairing, penalties, schedules
from ensgan.data import Source, from_arrays
from ensgan.game.faults import describe_fault
from ensgan.game.program import Program, drawn_step
from ensgan.training import between, train
from ensgan.types import InputError

POINTS = np.random.default_rng(0).normal(size=(200, 2))
SEEDS = [3, 8]
RATES, STRENGTHS = [0.1, 0.01], [0.0, 0.5]


def make(rate, strength):
    return toys.game(3, 2, optimizer=optim.sgd(rate), penalty=penalties.r1_r2(strength, interval=2))


def compare(replicas, source, steps=5, tolerance=1e-9):
    """Every replica against its own game, from the same seed."""
    state, info = Program(replicas, source)(replicas.init(), steps)
    assert int(state.step) == steps
    for r, seed in enumerate(SEEDS):
        game = replicas.game(r)
        alone, report = Program(game, source)(game.init(jax.random.key(seed)), steps)
        plain = lambda s: s._replace(key=jax.random.key_data(s.key))
        toys.assert_close(plain(replicas.take(state, r)), plain(alone), tolerance)
        toys.assert_close(jax.tree.map(lambda leaf, r=r: leaf[r], info), report, tolerance)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("execute", [pytest.param("vmap", marks=pytest.mark.slow), "unroll"])
def test_each_replica_is_its_own_game(float64, execute):
    def made(rate, strength):
        game = make(rate, strength)
        groups = [dataclasses.replace(group, execute=execute) for group in game.groups_g]
        return dataclasses.replace(game, generators=groups)

    replicas = Replicas(made, SEEDS, rate=RATES, strength=STRENGTHS)
    state = replicas.init()
    assert not np.allclose(state.generators[0].params["w1"][0], state.generators[0].params["w1"][1])
    compare(replicas, from_arrays("points", POINTS))


def test_seeds_alone_and_alternating_updates(float64):
    game = toys.game(2, 2, update="alternating", pairing=pairing.softmax(1.0), penalty=penalties.r1(0.1, interval=3))
    compare(Replicas(game, SEEDS), from_arrays("points", POINTS))


def test_lazy_penalties_stay_lazy():
    source = from_arrays("points", POINTS.astype(np.float32))

    def branches(penalty):
        replicas = Replicas(toys.game(2, 2, penalty=penalty), SEEDS)
        run = lambda state: drawn_step(replicas, source.draw, state, source.arrays["train"])
        return str(jax.make_jaxpr(run)(replicas.init())).count("cond[")

    # The guard's branch depends on the replica and becomes a choice between both; that of the penalty does not.
    assert branches(penalties.r1(1.0)) == 0
    assert branches(penalties.r1(1.0, interval=4)) == 1


def test_a_replica_that_breaks_leaves_the_others_alone():
    source = from_arrays("points", POINTS.astype(np.float32))
    replicas = Replicas(lambda rate: toys.game(2, 2, optimizer=optax.sgd(rate)), SEEDS, rate=[1e38, 0.1])
    state, _ = train(replicas, replicas.init(), source, steps=6)
    texts = [describe_fault(fault) for fault in state.fault]
    assert "stopped being finite in step" in texts[0]
    assert texts[1] is None
    game = replicas.game(1)
    alone, _ = train(game, game.init(jax.random.key(SEEDS[1])), source, steps=6)
    toys.assert_close(replicas.take(state, 1).generators, alone.generators, 1e-5)


def test_a_payoff_is_made_for_every_replica():
    seen = pairing.mean()._replace(asks=frozenset({"payoff"}), payoff_every=2)
    replicas = Replicas(toys.game(2, 2, pairing=seen), SEEDS)
    state, _ = train(replicas, replicas.init(), from_arrays("points", POINTS.astype(np.float32)), steps=2)
    assert state.payoff.shape == (2, 2, 2)
    assert len(np.unique(np.asarray(state.payoff).mean((1, 2)))) == 2


def test_wrong_replicas_are_refused():
    game = toys.game(2, 2)
    with pytest.raises(InputError, match="no seeds are given"):
        Replicas(game, [])
    with pytest.raises(InputError, match="rate is given, but the game is already made"):
        Replicas(game, [0], rate=[1.0])
    with pytest.raises(InputError, match=r"rate has shape \(3,\) for 2 replicas"):
        Replicas(make, SEEDS, rate=[1.0, 2.0, 3.0], strength=STRENGTHS)
    replicas = Replicas(game, SEEDS)
    with pytest.raises(InputError, match="there is no replica 2; give a number from 0 to 1"):
        replicas.take(replicas.init(), 2)
    read = lambda step, size: {"x": jnp.zeros((size, 2))}
    streamed = Source("stream", (2,), {}, None, read, lambda split, num: read(0, num), {"train": 100})
    with pytest.raises(InputError, match="'stream' is streamed, but replicas draw their own batches"):
        Program(replicas, streamed)


def test_replicas_have_schedules_of_their_own():
    schedule, settings = CASES["population_based"]()
    game = toys.game(**settings, schedule=schedule)
    replicas = Replicas(game, seeds=[3, 8])
    state, _ = train(replicas, replicas.init(), SOURCE, steps=12)
    alone, _ = train(game, game.init(jax.random.key(8)), SOURCE, steps=12)
    toys.assert_close(replicas.take(state, 1).generators, alone.generators, 1e-5)
    assert not np.allclose(state.hyper["penalty"][0], 1.0)


def test_a_replica_that_stopped_is_left_alone_by_its_schedule():
    def make(rate):
        rates = optim.per_member(optax.sgd, learning_rate=rate)  # a number that is traced
        return toys.game(2, 1, optimizer=rates, schedule=schedules.snapshots(4))

    replicas = Replicas(make, seeds=[3, 8], rate=[1e38, 0.1])
    assert replicas.game(1) is replicas.game(1)
    state, _ = train(replicas, replicas.init(), SOURCE, steps=4)
    assert (np.asarray(state.fault)[:, 0] >= 0).tolist() == [True, False]
    before = np.asarray(state.generators[0].params["w1"])
    new = between(replicas, state, SOURCE, 4)
    moved = (np.asarray(new.generators[0].params["w1"]) != before).any((1, 2, 3))
    assert moved.tolist() == [False, True]
