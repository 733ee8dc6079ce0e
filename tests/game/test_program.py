"""One call of many steps is many calls of one step, and moves nothing between host and device on the way."""

import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from ensgan import pairing
from ensgan.data import Source, from_arrays, from_iterator
from ensgan.evaluation import selection
from ensgan.game import program as game_program
from ensgan.game.batches import draw_batch
from ensgan.game.game import Game
from ensgan.game.program import Interrupted, Program, loops
from ensgan.training import train
from ensgan.types import InputError

POINTS = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
SOURCE = from_arrays("points", POINTS)


def streamed():
    """A streamed source of the same points: batch `step` is a function of its number."""
    read = lambda step, size: {"x": POINTS[np.random.default_rng(step).integers(140, size=size)]}
    return Source(name="stream", shape=(2,), arrays={}, draw=None, read=read, held_out=SOURCE.held_out, num=SOURCE.num)


def slow(execute="vmap"):
    """A game that says it has convolutions, so that a CPU runs it a step at a time, if they are no products."""
    base = toys.game(2, 2)
    group = base.groups_g[0]
    conv = type(group)(group.network._replace(convolutional=True), 2, execute=execute)
    return Game([conv], base.groups_d, batch_size=8, optimizer=base.optimizer, loss=base.loss, pairing=base.pairing)


MAKE = {
    "resident": lambda: Program(toys.game(2, 2), SOURCE),
    "several critics": lambda: Program(toys.game(2, 2, update="alternating", n_critic=2), SOURCE),
    "streamed, several critics": lambda: Program(toys.game(2, 2, update="alternating", n_critic=2), streamed()),
    "a step at a time": lambda: Program(slow(), SOURCE),
}


def fresh(program):
    return program.game.init(jax.random.key(0))


@cache
def compiled(name):
    program = MAKE[name]()
    program.compile(fresh(program))
    return program


@pytest.fixture(scope="module", params=sorted(MAKE))
def program(request):
    return compiled(request.param)


@pytest.fixture(scope="module")
def plain():
    return compiled("resident")


def host(tree):
    key = lambda leaf: jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
    return jax.tree.map(lambda leaf: np.array(key(leaf)), tree)


def test_calls_may_be_cut_anywhere_and_report_the_mean(program):
    whole, mean = program(fresh(program), 5)
    state, infos = fresh(program), []
    for _ in range(5):
        state, info = program(state, 1)
        infos.append(host(info))
    jax.tree.map(np.testing.assert_array_equal, host(whole), host(state))
    assert int(whole.step) == 5
    want = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *infos)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), host(mean), want)
    assert np.ptp([info.loss_g[0, 0] for info in infos]) > 0  # steps differ, so that the mean says something

    state, _ = program(fresh(program), 2)
    state, _ = program(state, 3)
    jax.tree.map(np.testing.assert_array_equal, host(whole), host(state))


def test_other_lengths_do_not_compile_again(program, monkeypatch):
    state, _ = program(fresh(program), 2)  # small helpers are compiled here
    program(state, 2)
    monkeypatch.setattr(game_program, "step", None)  # tracing the step once more would call it
    events = []
    listen = lambda event, duration, **_: events.append(event) if "backend_compile" in event else None
    state = fresh(program)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        for num in (1, 4, 7):
            state, _ = program(state, num)
        assert events == []
        jax.jit(lambda: jnp.zeros(7))()
        assert len(events) == 1  # so compilations are seen
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert int(state.step) == 12


def test_the_state_is_donated(program):
    state = fresh(program)
    new, _ = program(state, 1)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((state.generators, state.discriminators)))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(new))


def test_nothing_is_moved_without_being_asked_for(program):
    state, _ = program(fresh(program), 1)
    with jax.transfer_guard("disallow"):
        with pytest.raises(Exception, match=r"[Dd]isallowed"):
            jnp.sin(np.ones(3)) + 1  # the guard is on
        state, _ = program(state, 2)
    assert int(state.step) == 3


def test_a_resident_program_moves_nothing_at_all_inside_a_call(plain):
    state = fresh(plain)
    num = jax.device_put(np.int32(3))
    with jax.transfer_guard("disallow_explicit"):
        state, _ = plain._run(state, plain.arrays, num)
    assert int(state.step) == 3


def test_batches_are_drawn_anew_in_every_step_from_the_training_split(plain):
    state = fresh(plain)
    draw = lambda step: draw_batch(plain.game, SOURCE.draw, state._replace(step=jnp.int32(step)), plain.arrays)
    first, again, other = (np.asarray(draw(step)["x"]) for step in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    train = {tuple(row) for row in SOURCE.arrays["train"]["x"].tolist()}
    assert {tuple(row) for row in first.tolist()} <= train


def test_each_critic_update_has_its_own_batch():
    game = toys.game(2, 2, update="alternating", n_critic=3)
    batch = draw_batch(game, SOURCE.draw, game.init(jax.random.key(0)), SOURCE.arrays["train"])["x"]
    assert batch.shape == (3, 8, 2)
    assert len(np.unique(np.asarray(batch)[:, 0], axis=0)) == 3


def test_a_stream_is_read_by_the_number_of_the_update():
    program = compiled("streamed, several critics")
    batch = program._batches(3)
    read = lambda number: program.source.read(number, 8)["x"]
    np.testing.assert_array_equal(batch["x"], [read(6), read(7)])  # two critics, so step 3 begins with batch 6


def test_data_that_do_not_fit_are_refused():
    other = from_arrays("other", np.zeros((200, 3), np.float32))
    with pytest.raises(InputError, match=r"samples of shape \(3,\), but generators put out \(2,\)"):
        Program(toys.game(2, 2), other)
    with pytest.raises(InputError, match="a batch of 141 is larger than the train split of 'points', which has 140"):
        Program(toys.game(2, 2, batch_size=141), SOURCE)


def test_convolutions_that_are_no_products_are_not_looped_over_on_a_cpu():
    assert loops(toys.game(2, 2))
    assert loops(slow()) == (jax.default_backend() != "cpu")
    assert loops(slow("matmul"))
    assert loops(slow("auto"))


def test_reports_are_means_over_the_steps_in_which_a_pair_was_played():
    def turn(state, key, M, N):
        del key
        return (jnp.arange(N)[None] == state % N) | jnp.zeros((M, 1), bool)

    base = pairing.mean()
    turns = base._replace(
        init=lambda M, N: jnp.int32(0),
        before=turn,
        after=lambda state, evidence, key: (*base.after((), evidence, key)[:2], state + 1),
    )
    game = toys.game(2, 2, pairing=turns)
    program = Program(game, SOURCE)
    _, one = program(game.init(jax.random.key(0)), 1)
    np.testing.assert_array_equal(np.isnan(one.loss_g), [[False, True], [False, True]])
    single = [one, *(program(game.init(jax.random.key(0)), k)[1] for k in (2, 3))]
    total = single[2].loss_g
    assert np.isfinite(total).all()
    # Column 1 was played in the second step alone, column 0 in the first and the third.
    np.testing.assert_array_equal(total[:, 1], single[1].loss_g[:, 1])
    assert not np.allclose(total[:, 0], one.loss_g[:, 0])


def test_an_iterator_that_ends_leaves_the_state_that_was_reached():
    batches = [np.random.default_rng(i).normal(size=(8, 2)).astype(np.float32) for i in range(8)]
    source = from_iterator(iter(batches), held_out=8)
    game = toys.game(2, 2)
    with pytest.raises(Interrupted, match="ended at step 5") as stopped:
        train(game, game.init(jax.random.key(0)), source, steps=20)
    assert int(stopped.value.state.step) == 5
    assert np.isfinite(stopped.value.state.generators[0].params["w1"]).all()


def test_held_out_scores_of_an_iterator_have_no_floor():
    batches = (np.random.default_rng(i).normal(size=(8, 2)).astype(np.float32) for i in itertools.count())
    source = from_iterator(batches, held_out=16)
    game = toys.game(2, 2)
    scores = selection.select(game, game.init(jax.random.key(0)), source)
    assert np.isfinite(scores.mmd.value).all()
    assert np.isnan([scores.mmd_floor, scores.coverage_floor]).all()
