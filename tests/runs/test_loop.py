"""The loop of a run: records and scores, and the state that is left when a step, its data or its scores fail."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_runs import TREE, Notes, assert_same_bits, final, settings

from ensgan.reporting import read_metrics
from ensgan.runs import run as run_module
from ensgan.runs.build import game_of, source_of
from ensgan.runs.checkpoint import Checkpoints
from ensgan.runs.loop import selection
from ensgan.runs.restore import load_run
from ensgan.types import InputError


@pytest.mark.bits
def test_ratings_survive_an_early_end_and_scores_that_fail(whole, tmp_path, monkeypatch):
    directory, select = tmp_path / "run", selection.select
    run_module.run(settings(steps=7), directory)  # scores of step 7 are no period of the whole run
    assert int(final(directory).rated) == -1

    def broken(*arguments, **options):
        raise InputError("no scores")

    monkeypatch.setattr(selection, "select", broken)
    with pytest.raises(InputError, match="no scores"):
        run_module.run(load_run(directory, {"steps": 20}), directory, resume=True)
    monkeypatch.setattr(selection, "select", select)
    state = final(directory)
    assert (int(state.step), int(state.rated)) == (10, -1)
    run_module.run(load_run(directory, {"steps": 20}), directory, resume=True)
    assert_same_bits(final(directory), final(whole))
    scored = lambda d: [r for r in read_metrics(d / "metrics.jsonl") if r["kind"] == "score" and r["step"] >= 10]
    assert scored(directory) == scored(whole)


def test_a_run_that_was_stopped_before_its_last_scores_gets_them(copied):
    log = copied / "metrics.jsonl"
    records = log.read_text().splitlines(keepends=True)
    assert '"kind":"score","step":20' in records[-1]
    log.write_text("".join(records[:-1]))
    outcome = run_module.run(load_run(copied), copied, resume=True)
    assert outcome.step == 20
    assert outcome.stopped_by is None
    assert log.read_text().splitlines(keepends=True)[-1] == records[-1]


def test_a_trace_of_the_first_steps_is_written(tmp_path):
    notes = Notes()
    run_module.run(settings(steps=5, profile=3), tmp_path / "run", watcher=notes)
    assert any(line.startswith("a trace of the steps until 3 is in") for line in notes.notes)
    assert list((tmp_path / "run" / "profile").rglob("*.xplane.pb"))
    assert list((tmp_path / "run" / "profile").rglob("perfetto_trace.json.gz"))
    run_module.run(settings(steps=5), tmp_path / "plain")
    assert_same_bits(final(tmp_path / "run"), final(tmp_path / "plain"))
    record = read_metrics(tmp_path / "run" / "metrics.jsonl")[0]
    assert record["samples"] == record["step"] * (8 + 2 * 8)


def test_data_that_fail_on_the_way_leave_the_state_that_was_reached(tmp_path, monkeypatch):
    def broken(config):
        source = source_of(config)
        points = source.held_out("select", 8)["x"]

        def read(step, size):
            if step == 7:
                raise InputError("image 7 is broken")
            return {"x": points}

        return dataclasses.replace(source, draw=None, read=read)

    monkeypatch.setattr(run_module, "source_of", broken)
    with pytest.raises(InputError, match=r"image 7 is broken; the state of step 7 is saved in"):
        run_module.run(settings(), tmp_path / "run")
    monkeypatch.undo()
    assert int(final(tmp_path / "run").step) == 7


def test_weights_that_an_update_broke_are_not_saved(tmp_path, monkeypatch):
    def broken(config, source):
        game = game_of(config, source)
        late = lambda count, u: u * jnp.where(count < 7, 1.0, jnp.inf)
        blow_up = optax.GradientTransformation(
            lambda p: jnp.int32(0), lambda u, count, p=None: (jax.tree.map(lambda x: late(count, x), u), count + 1)
        )
        groups = [dataclasses.replace(group, optimizer=blow_up) for group in game.groups_g]
        return dataclasses.replace(game, generators=groups)

    monkeypatch.setattr(run_module, "game_of", broken)
    with pytest.raises(
        InputError, match=r"generator 0 .* in step 8 \(its update\).*; the newest checkpoint is of step 5"
    ):
        run_module.run(settings(pairing="mean"), tmp_path / "run")
    with Checkpoints(tmp_path / "run" / "checkpoints", 3) as checkpoints:
        assert checkpoints.steps == [5]


def test_a_member_that_blows_up_stops_the_run_with_the_last_good_state(tmp_path):
    wild = {"name": "sgd", "learning_rate": [1e-3, 1e30]}
    groups = {**TREE["discriminators"], "optimizer": wild, "network": {"name": "mlp", "widths": [8]}}
    with pytest.raises(
        InputError, match=r"discriminator 1 stopped being finite in step (\d+) .*the state of step (\d+) is saved"
    ) as error:
        run_module.run(settings(discriminators=groups, penalty="none"), tmp_path / "run")
    state = final(tmp_path / "run")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.generators))
    assert f"the state of step {int(state.step)} is saved" in str(error.value)
    assert f"in step {int(state.step) + 1} " in str(error.value)
    assert int(state.fault[0]) == -1


def test_records_are_means_since_the_last_one_whatever_cuts_the_steps(tmp_path):
    run_module.run(settings(steps=8, log_every=8, checkpoint_every=3), tmp_path / "cut")
    run_module.run(settings(steps=8, log_every=1), tmp_path / "each")
    (got,) = (r for r in read_metrics(tmp_path / "cut" / "metrics.jsonl") if r["kind"] == "train")
    every = [r for r in read_metrics(tmp_path / "each" / "metrics.jsonl") if r["kind"] == "train"]
    for key in ("loss_g", "loss_d", "fool", "grad_norm_d"):
        np.testing.assert_allclose(got[key], np.mean([r[key] for r in every], axis=0), rtol=1e-4, err_msg=key)
