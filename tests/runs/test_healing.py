"""A run outlives its members: those that fail are replaced, and the log and the report say so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import Notes, events, final

from ensgan.devices import mesh
from ensgan.game import population
from ensgan.game.faults import GRADIENT
from ensgan.game.healing import revived
from ensgan.game.program import Program
from ensgan.pace import Pace, pace_of
from ensgan.reporting import read_metrics
from ensgan.reporting.files import read_json, write_json
from ensgan.runs import run as run_module
from ensgan.runs.build import TABLES, build
from ensgan.runs.healing import describe, heal
from ensgan.runs.parsing import parse
from ensgan.runs.restore import load_run, restore
from ensgan.types import InputError

WILD = {"name": "sgd", "learning_rate": [1e-3, 1e-3, 1e30, 1e-3]}
MLP = {"name": "mlp", "widths": [8]}
TREE = {
    "steps": 12,
    "reals": 8,
    "log_every": 3,
    "eval_every": 6,
    "checkpoint_every": 6,
    "held_out": 32,
    "distances": [],
    "data": "ring",
    "generators": {"count": 4, "network": {**MLP, "latent": 2}, "optimizer": WILD},
    "discriminators": {"count": 4, "network": MLP},
}


def settings(**changes):
    return parse({**TREE, **changes}, TABLES)[0]


def scaled(state, side, member, factor):
    """The state with the weights of a member times a factor."""
    mine = getattr(state, side)[0]
    params = jax.tree.map(lambda leaf: leaf.at[member].multiply(factor), mine.params)
    return state._replace(**{side: (mine._replace(params=params),)})


@pytest.fixture(scope="module")
def healed(tmp_path_factory):
    directory, notes = tmp_path_factory.mktemp("runs") / "healed", Notes()
    run_module.run(settings(), directory, watcher=notes)
    return directory, notes.notes


def test_a_member_without_hope_rests_and_the_others_go_on(healed):
    directory, lines = healed
    found = events(directory)
    assert [(each["side"], each["member"], each["times"], each["rests"]) for each in found] == [
        ("generator", 2, 1, False), ("generator", 2, 2, False), ("generator", 2, 3, False), ("generator", 2, 4, True),
    ]  # fmt: skip
    assert all(each["remedy"].startswith("a copy of generator ") for each in found)
    told = [line for line in lines if "it starts again as" in line]
    assert len(told) == 4
    assert told[-1].endswith("from now on it rests, and is a copy of the best")
    state = final(directory)
    assert int(state.step) == 12
    np.testing.assert_array_equal(pace_of(state.generators[0].optimizer).factor, [1, 1, 0, 1])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((state.generators, state.discriminators)))
    w = jax.tree.leaves(state.generators[0].params)[0]
    assert any(np.array_equal(w[2], w[k]) for k in (0, 1, 3))  # renewed at the last scores
    assert not np.array_equal(w[0], w[1])
    records = [record for record in read_metrics(directory / "metrics.jsonl") if record["kind"] == "train"]
    others = [0, 1, 3]  # the pairs of a member that takes no part have no loss
    assert all(np.isfinite(np.array(record["loss_g"], float)[others]).all() for record in records)
    report = (directory / "report.html").read_text()
    assert "Healed members" in report
    assert "since then it rests as a copy of the best" in report


def test_a_healed_run_that_goes_on_is_the_healed_run(healed, tmp_path):
    directory, _ = healed
    run_module.run(settings(steps=6), tmp_path / "run")
    run_module.run(load_run(tmp_path / "run", {"steps": 12}), tmp_path / "run", resume=True)
    jax.tree.map(np.testing.assert_array_equal, final(directory), final(tmp_path / "run"))
    assert events(directory) == events(tmp_path / "run")


def test_a_signal_before_the_scores_changes_nothing(healed, tmp_path, monkeypatch):
    directory, _ = healed
    with monkeypatch.context() as patch:
        real, calls = run_module.Loop.advance, []

        def advance(loop, state, end):
            calls.append(end)
            return real(loop, state, end)

        patch.setattr(run_module.Loop, "advance", advance)
        patch.setattr("ensgan.runs.loop.processes.any_of", lambda caught: bool(calls) and calls[-1] == 6)
        assert run_module.run(settings(), tmp_path / "run").step == 6  # stopped after step 6, before its scores
    run_module.run(load_run(tmp_path / "run"), tmp_path / "run", resume=True)
    jax.tree.map(np.testing.assert_array_equal, final(directory), final(tmp_path / "run"))


def test_on_a_mesh_the_same_members_are_healed(healed, tmp_path):
    directory, _ = healed
    run_module.run(settings(), tmp_path / "run", sizes=mesh.Sizes(member=2, data=2))
    assert events(tmp_path / "run") == events(directory)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    jax.tree.map(close, final(directory).generators, final(tmp_path / "run").generators)


@pytest.mark.parametrize(
    ("changes", "shared", "pairing"),
    [
        ({}, {}, "mean"),
        ({"reals": 16, "coverage": "split", "loss": "relativistic"}, {}, "softmax"),
        ({}, {"discriminators": ["trunk"]}, "own_and_mean"),
        ({"penalty": {"name": "r1_r2", "strength": 1.0}}, {"discriminators": ["trunk"]}, "nash"),
        ({"loss": "relativistic"}, {"generators": ["last"]}, "max"),
        ({"update": "alternating"}, {"generators": ["hidden.0"], "discriminators": ["hidden.0"]}, "diagonal"),
    ],
)
@pytest.mark.parametrize("side", ["generators", "discriminators"])
def test_the_step_that_failed_is_that_of_a_game_without_the_member(side, changes, shared, pairing):
    """Nobody else sees the NaN, or the copy that takes its place: the others' step does not depend on it."""
    both = {
        "generators": {**TREE["generators"], "optimizer": "shared", "shared": shared.get("generators", [])},
        "discriminators": {**TREE["discriminators"], "shared": shared.get("discriminators", [])},
    }
    game, source = build(settings(**both, **changes, pairing=pairing))
    program, fresh = Program(game, source), lambda: game.init(jax.random.key(3))

    state, _ = program(scaled(fresh(), side, 1, np.nan), 1)
    found = heal(game, program, state, 3)
    assert (found.event["member"], found.event["side"], found.event["step"]) == (1, side[:-1], 1)
    assert (int(found.state.step), found.absent, found.state.roster) == (1, (), ())
    place = ("generators", "discriminators").index(side)
    want, _ = program.without(scaled(fresh(), side, 1, -1.7), [(place, 1)])  # whatever its weights are
    rest = np.array([0, 2, 3])
    for name in ("generators", "discriminators"):
        got, expected = (getattr(each, name)[0] for each in (found.state, want))
        if name == side:
            got, expected = (each._replace(**{"common": ()} if shared.get(name) else {}) for each in (got, expected))
            got, expected = (jax.tree.map(lambda leaf: leaf[rest], each) for each in (got, expected))
        jax.tree.map(np.testing.assert_array_equal, got, expected)
    donor = int(found.event["remedy"].split()[-1])
    one = revived(game, fresh(), side, 0, jnp.int32(1), jnp.int32(donor), Pace(jnp.float32(0.5), jnp.int32(1)))
    mine = lambda state: population.take(getattr(state, side)[0].params, 1)
    jax.tree.map(np.testing.assert_array_equal, mine(found.state), mine(one))  # it learned nothing yet


def test_at_its_first_failure_a_member_keeps_weights_with_finite_outputs():
    tame = {**TREE["generators"], "optimizer": "shared"}
    game, source = build(settings(generators=tame, penalty={"name": "r1", "strength": 1.0}))
    program, state = Program(game, source), game.init(jax.random.key(3))
    state = scaled(state, "discriminators", 2, 1e12)
    before = jax.tree.map(np.array, population.take(state.discriminators[0].params, 2))
    state, _ = program(state, 1)
    assert state.fault.tolist() == [0, 1, 2, GRADIENT]  # the square of its slope overflows
    first = heal(game, program, state, 3)
    assert (first.event["member"], first.event["remedy"], first.event["times"]) == (2, "its own weights", 1)
    assert "it starts again with its own weights, and takes smaller steps" in describe(first.event)
    jax.tree.map(np.testing.assert_array_equal, population.take(first.state.discriminators[0].params, 2), before)
    assert (int(first.state.step), first.total is not None) == (1, True)  # the step was taken without it
    state, _ = program(first.state, 1)
    again = heal(game, program, state, 3).event
    assert (again["member"], again["times"], again["step"]) == (2, 2, 2)
    assert again["remedy"].startswith("a copy of discriminator ")


def test_the_member_that_spoils_others_is_found():
    """Samples that are far off, but finite, make a discriminator's gradient overflow."""
    tame = {**TREE["generators"], "optimizer": "shared"}
    game, source = build(settings(generators=tame, penalty={"name": "r1_r2", "strength": 1.0}))
    program, state = Program(game, source), game.init(jax.random.key(3))
    state, _ = program(scaled(state, "generators", 2, 1e12), 1)
    assert int(state.fault[1]) == 1  # a discriminator is named
    event = heal(game, program, state, 3).event
    assert (event["side"], event["member"]) == ("generator", 2)
    assert event["cause"].startswith("which spoiled discriminator ")


def test_stop_and_a_side_with_few_members_end_the_run(tmp_path):
    few = {**TREE["generators"], "count": 2, "optimizer": {"name": "sgd", "learning_rate": [1e-3, 1e30]}}
    for k, changes in enumerate(({"on_failure": "stop"}, {"generators": few})):
        with pytest.raises(InputError, match=r"generator [12] stopped being finite"):
            run_module.run(settings(**changes), tmp_path / str(k))


def test_one_healthy_member_is_enough(tmp_path):
    rates = {"name": "sgd", "learning_rate": [1e30, 1e30, 1e30, 1e-3]}
    directory = tmp_path / "run"
    run_module.run(settings(generators={**TREE["generators"], "optimizer": rates}), directory)
    found = events(directory)
    assert {each["member"] for each in found} == {0, 1, 2}
    assert found[0]["remedy"] == "a copy of generator 3"  # not of another one that would fail as well
    game, _, state = restore(directory, load_run(directory))
    np.testing.assert_array_equal(pace_of(state.generators[0].optimizer).factor, [0, 0, 0, 1])
    np.testing.assert_array_equal(game.mixture(state), [0, 0, 0, 1])  # those that rest are copies
    np.testing.assert_array_equal(game.taking_part(state)[0], [False, False, False, True])


def test_when_all_fail_the_run_ends(tmp_path):
    wild = {**TREE["generators"], "optimizer": {"name": "sgd", "learning_rate": 1e30}}
    with pytest.raises(InputError, match=r"generator \d stopped being finite"):
        run_module.run(settings(generators=wild), tmp_path / "run")


def test_runs_of_versions_that_could_only_stop_keep_their_states(tmp_path):
    tame = {**TREE["generators"], "optimizer": "shared"}
    run_module.run(settings(on_failure="stop", generators=tame), tmp_path / "run")
    file = tmp_path / "run" / "config.json"
    tree = read_json(file)
    del tree["on_failure"], tree["max_healings"]
    write_json(file, tree)
    assert load_run(tmp_path / "run").on_failure == "stop"
    assert pace_of(final(tmp_path / "run").generators[0].optimizer) is None


@pytest.mark.parametrize(
    ("changes", "sides"),
    [
        ({}, (True, True)),
        ({"on_failure": "stop"}, (False, False)),
        ({"discriminators": {"count": 3, "network": MLP}}, (True, False)),
        ({"discriminators": {"count": 3, "network": MLP}, "on_failure": "heal"}, (True, True)),
    ],
)
def test_who_is_healed(changes, sides):
    game, _ = build(settings(**changes))
    state = jax.eval_shape(game.init, jax.random.key(0))
    found = tuple(pace_of(getattr(state, side)[0].optimizer) is not None for side in ("generators", "discriminators"))
    assert found == sides


def test_counts_below_zero_are_refused():
    with pytest.raises(InputError, match="max_healings is -1; it must be at least 0"):
        settings(max_healings=-1)
