"""Runs on disk: the same states whatever interrupts them, and nothing lost when something goes wrong."""

import dataclasses
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import types
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_runs import TREE, assert_same_bits, final, settings

from ensgan.cli.evaluate import evaluate
from ensgan.devices import mesh
from ensgan.evaluation.classifier import train_classifier
from ensgan.evaluation.families import SHORT
from ensgan.evaluation.tables import evaluate_distances
from ensgan.game.placement import start
from ensgan.game.program import Program
from ensgan.metrics.ratings import Ratings, rate
from ensgan.reporting import Watcher, read_metrics, write_report
from ensgan.reporting.files import RunFiles, read_json, write_json
from ensgan.runs import directory as rundir
from ensgan.runs import run as run_module
from ensgan.runs import signals
from ensgan.runs.build import TABLES, build, game_of, source_of
from ensgan.runs.checkpoint import Checkpoints
from ensgan.runs.config import to_dict
from ensgan.runs.loop import selection
from ensgan.runs.parsing import parse
from ensgan.runs.restore import load_run, restore
from ensgan.runs.run import _sinks
from ensgan.types import InputError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "whole"
    run_module.run(settings(), directory)
    return directory


def test_a_run_leaves_what_it_promises(whole):
    names = {path.name for path in whole.iterdir()}
    assert names == {
        "config.json",
        "checkpoints",
        "metrics.jsonl",
        "clock.json",
        "versions.json",
        "data.json",
        "samples.npz",
        "samples.png",
        "progress",
        "progress.gif",
        "report.html",
    }
    assert parse(read_json(whole / "config.json"), TABLES)[0] == settings()
    records = read_metrics(whole / "metrics.jsonl")
    train = [r for r in records if r["kind"] == "train"]
    assert [r["step"] for r in train] == [4, 8, 12, 16, 20]
    assert np.shape(train[0]["loss_g"]) == np.shape(train[0]["loss_d"]) == np.shape(train[0]["weight_g"]) == (2, 2)
    scores = [r for r in records if r["kind"] == "score"]
    assert [r["step"] for r in scores] == [10, 20]
    assert np.shape(scores[0]["fool"]) == np.shape(scores[0]["probability"]) == (2, 2)
    first, second = (Ratings(**{k: np.array(v) for k, v in r["ratings"].items()}) for r in scores)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5)
    jax.tree.map(close, first, rate(scores[0]["fool"]))
    jax.tree.map(close, second, rate(scores[1]["fool"], first))
    jax.tree.map(close, second, final(whole).ratings)
    assert int(final(whole).rated) == 20
    clock = read_json(whole / "clock.json")
    assert min(clock[key] for key in ("compile", "train", "evaluate", "checkpoint")) > 0
    assert clock["compile"] + clock["train"] + clock["evaluate"] + clock["checkpoint"] <= clock["total"]
    with Checkpoints(whole / "checkpoints", 3) as checkpoints:
        assert checkpoints.steps == [10, 15, 20]  # the newest three


@pytest.mark.bits
def test_what_was_read_is_said_and_stored(tmp_path):
    told = []

    class Notes(Watcher):
        def note(self, text):
            told.append(text)

    config = settings(data="digits", steps=1, distances=[])
    run_module.run(config, tmp_path / "r", watcher=Notes())
    assert told[0] == "data digits: 1,797 images, 8 wide, 8 high, 1 channel, values 0 to 16 (uint8)"
    assert told[1].startswith("  10 classes: 0 (178), 1 (182), ")
    found = read_json(tmp_path / "r" / "data.json")
    assert (found["num"], found["classes"][1]) == (1797, {"name": "1", "count": 182})


def test_stop_and_resume_with_other_dispatch_lengths_is_bit_for_bit(whole, tmp_path):
    first = tmp_path / "halves"
    run_module.run(settings(steps=10, log_every=3, checkpoint_every=7), first)
    file = first / "config.json"
    write_json(file, {**read_json(file), "log_every": 7})
    run_module.run(load_run(first, {"steps": 20}), first, resume=True)
    assert_same_bits(final(first), final(whole))


def test_distances_of_the_log_are_those_of_the_checkpoint_and_of_a_mesh(whole, tmp_path):
    run_module.run(settings(), tmp_path / "mesh", sizes=mesh.Sizes(2, 2))
    game, source, state = restore(whole, settings())
    table = evaluate_distances(game, state, source, num=64, repeats=2)
    logs = [read_metrics(directory / "metrics.jsonl")[-1] for directory in (whole, tmp_path / "mesh")]
    one, spread = (log["distances"] for log in logs)
    for name in settings().distances:
        title = SHORT[name]
        values = [found.rows[title].value for found in (*table.generators.values(), table.mixture)]
        np.testing.assert_allclose([*one[name]["generators"], one[name]["mixture"]], values, rtol=1e-5)
        assert one[name]["floor"] == pytest.approx(table.mixture.rows[title].floor, rel=1e-5)
        np.testing.assert_allclose(spread[name]["generators"], one[name]["generators"], rtol=1e-2)
        assert spread[name]["mixture"] == pytest.approx(one[name]["mixture"], rel=1e-2)
    np.testing.assert_allclose(final(tmp_path / "mesh").ratings.glicko, final(whole).ratings.glicko, atol=0.5)
    assert "Distances over time" in (whole / "report.html").read_text()


def test_distances_in_features_of_a_classifier_are_those_of_evaluate(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_module, "train_classifier", partial(train_classifier, steps=20))
    given = settings(
        data="digits", features="classifier", held_out=140, distances=["frechet", "precision"], loss="hinge", steps=10
    )
    run_module.run(given, tmp_path / "once")
    once = read_metrics(tmp_path / "once" / "metrics.jsonl")[-1]["distances"]
    assert once["features"] == "classifier conv16-128-10"
    evaluate(tmp_path / "once", num=140, classifier_steps=20, cache=str(tmp_path / "cache"))
    out = capsys.readouterr().out
    assert "(report split) in the features: classifier conv16-128-10" in out
    each = re.search("Fréchet distance of each generator: (.*)", out)[1].split(", ")
    np.testing.assert_allclose([float(value) for value in each], once["frechet"]["generators"], rtol=1e-3)
    assert len(list((tmp_path / "cache").iterdir())) == 5  # held-out and training reals, both generators, the mixture
    evaluate(tmp_path / "once", num=140, classifier_steps=20, cache=str(tmp_path / "cache"), repeats=0)
    assert re.search("Fréchet distance of each generator: (.*)", capsys.readouterr().out)[1].split(", ") == each


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


def test_a_resumed_run_has_the_log_of_a_whole_one(whole, tmp_path):
    directory = tmp_path / "run"
    run_module.run(settings(steps=10), directory)
    with open(directory / "metrics.jsonl", "a") as file:  # what a killed run had written after its last checkpoint
        file.write('{"kind": "train", "step": 12}\n{"kind": "tra')
    run_module.run(load_run(directory, {"steps": 20}), directory, resume=True)

    def records(directory):
        return [{k: v for k, v in r.items() if k != "seconds"} for r in read_metrics(directory / "metrics.jsonl")]

    # Step 10 is on no multiple of 4, but it was an end once: its record stays, and the next one counts from there.
    steps = [r["step"] for r in records(directory) if r["kind"] == "train"]
    assert steps == [4, 8, 10, 12, 16, 20]
    assert records(directory)[-1] == records(whole)[-1]


def command(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "ensgan.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "JAX_NUM_CPU_DEVICES": "1"},
        **options,
    )


@pytest.mark.bits
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_killed_run_goes_on_bit_for_bit(number, tmp_path):
    # A long run is interrupted somewhere; what it then does until step `end` is what an undisturbed run does.
    tree = {**TREE, "steps": 1_000_000, "log_every": 50, "eval_every": 10_000_000, "checkpoint_every": 50}
    file = tmp_path / "long.json"
    file.write_text(json.dumps(tree))
    directory = tmp_path / "run"
    process = command("train", file, "--run-dir", directory)
    deadline = time.monotonic() + 120
    while not any((directory / "checkpoints").glob("[0-9]*/commit_success.txt")) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number, err
        assert "continue with: ensgan resume" in out
    with Checkpoints(directory / "checkpoints", 3) as checkpoints:
        stopped = checkpoints.steps[-1]
    end = stopped + 30
    run_module.run(load_run(directory, {"steps": end}), directory, resume=True)
    game, source = build(load_run(directory))
    state, _ = Program(game, source)(start(game), end)
    state = jax.tree.map(np.asarray, state._replace(key=jax.random.key_data(state.key)))
    assert_same_bits(final(directory), state)


def test_under_nohup_a_closed_terminal_ends_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.collected() as caught:
            os.kill(os.getpid(), signal.SIGHUP)
        assert caught == []
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with signals.collected() as caught:
            os.kill(os.getpid(), signal.SIGHUP)
        assert caught == [signal.SIGHUP]
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_run_is_not_overwritten_by_accident(whole):
    before = (whole / "metrics.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"already holds a run; continue it with `ensgan resume .*--overwrite"):
        run_module.run(settings(), whole)
    assert (whole / "metrics.jsonl").read_bytes() == before


def test_wrong_input_with_overwrite_loses_nothing(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(to_dict(settings())))
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="larger than the train split"):
        run_module.run(settings(data="digits", batch_size=2000), tmp_path, overwrite=True)
    assert (tmp_path / "metrics.jsonl").read_text() == "{}\n"


def held(directory):
    """All files of a folder and what is in them."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("when", ["sinks", "step"])
def test_a_start_that_fails_leaves_the_older_run_as_it_was(when, whole, tmp_path, monkeypatch):
    old = tmp_path / "old"
    shutil.copytree(whole, old)
    (old / "selection.json").write_text("{}")
    before = held(old)
    changes = {}
    if when == "sinks":

        def no_key(**given):
            raise RuntimeError("api_key not configured (no-tty)")

        monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=no_key, Image=None))
        monkeypatch.setattr(run_module, "_check_sinks", lambda config: None)
        changes = {"wandb": "rings"}
    else:
        monkeypatch.setattr(Program, "tally", lambda *args: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises((InputError, MemoryError)) as told:
        run_module.run(settings(**changes), old, overwrite=True)
    if when == "sinks":
        assert "api_key not configured (no-tty)); run `wandb login`" in str(told.value)
    assert held(old) == before


def test_an_older_run_goes_with_the_first_checkpoint(whole, tmp_path, monkeypatch):
    directory = tmp_path / "run"
    shutil.copytree(whole, directory)
    there, save = [], Checkpoints.save

    def watched(self, step, state):
        save(self, step, state)
        there.append((step, (directory / ".replaced" / "metrics.jsonl").is_file()))

    monkeypatch.setattr(Checkpoints, "save", watched)
    run_module.run(settings(steps=10), directory, overwrite=True)
    assert there == [(5, True), (10, False)]  # when the second is begun, the first is complete
    assert not (directory / ".replaced").exists()
    assert read_metrics(directory / "metrics.jsonl")[-1]["step"] == 10


@pytest.mark.parametrize("saved", [False, True])
def test_a_replacement_that_was_killed_is_ended_by_whoever_comes_next(saved, whole, tmp_path):
    directory = tmp_path / "run"
    shutil.copytree(whole, directory / ".replaced")
    write_json(directory / "config.json", to_dict(settings(steps=7)))
    (directory / "checkpoints" / ("5" if saved else "5.orbax-checkpoint-tmp")).mkdir(parents=True)
    with rundir.locked(directory):
        assert load_run(directory).steps == 7  # somebody trains there
    assert load_run(directory).steps == (7 if saved else 20)
    assert not (directory / ".replaced").exists()
    if not saved:
        assert held(directory) == held(whole)


def test_overwriting_keeps_what_is_not_of_a_run(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(to_dict(settings())))
    (tmp_path / "notes.txt").write_text("mine")
    run_module.run(settings(steps=2), tmp_path, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["checkpoints", "samples.png", "metrics.jsonl"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_only_looks_like_a_run_is_left_alone(name, overwrite, tmp_path):
    (tmp_path / name).mkdir() if name == "checkpoints" else (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"holds {name}, but no config.json of a run"):
        run_module.run(settings(steps=2), tmp_path, overwrite=overwrite)
    (tmp_path / "config.json").write_text('{"mine": 1}')
    with pytest.raises(InputError, match="is not the configuration of a run"):
        run_module.run(settings(steps=2), tmp_path, overwrite=overwrite)
    assert {path.name for path in tmp_path.iterdir()} == {name, "config.json"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"augment": "diff_augment"}, "images"),
        ({"wandb": "project"}, "wandb needs wandb"),
        ({"features": "classifier", "distances": []}, "features = 'classifier' is for distances, but"),
        ({"features": "classifier"}, "a classifier cannot be trained on 'ring': expected labelled images"),
        ({"features": "classifier", "data": "stacked_digits"}, "those of single images, and 'stacked_digits' stacks"),
        ({"distances": ["frechet", "fid"]}, "unknown distance 'fid'; known: coverage, density"),
        (
            {"data": {"name": "npz", "path": "small.npz"}},
            "the select split of 'small.npz' has 7 samples, and scores need at least 8",
        ),
    ],
)
def test_what_cannot_start_takes_nothing_away_and_leaves_nothing_behind(change, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("small.npz", x=np.zeros((70, 2), np.float32))
    old = tmp_path / "old"
    old.mkdir()
    (old / "config.json").write_text(json.dumps(to_dict(settings())))
    (old / "metrics.jsonl").write_text("{}\n")
    for directory in (old, tmp_path / "new"):
        with pytest.raises(InputError, match=message):
            run_module.run(settings(**change), directory, overwrite=True)
    assert {path.name for path in old.iterdir()} == {"config.json", "metrics.jsonl"}
    assert not (tmp_path / "new").exists()


def test_looking_at_a_run_does_not_disturb_the_process_that_trains_in_it(copied):
    saving = copied / "checkpoints" / "25.orbax-checkpoint-tmp"
    shutil.copytree(copied / "checkpoints" / "20", saving)
    restore(copied, load_run(copied))
    assert saving.is_dir()
    with Checkpoints(copied / "checkpoints", 3) as checkpoints:
        checkpoints.save(26, {"a": np.zeros(3)})
    assert not saving.is_dir()  # whoever trains does remove what a killed save left


def test_a_choice_goes_with_the_run_that_it_was_made_for(tmp_path):
    (RunFiles(tmp_path).selection).write_text("{}")
    with pytest.raises(InputError, match=r"holds selection.json, but no config.json of a run"):
        rundir.check_free(tmp_path, overwrite=True)
    rundir.clear(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_that_goes_on_is_the_same_run_elsewhere(tmp_path, monkeypatch):
    calls = []
    fake = types.SimpleNamespace(init=lambda **given: calls.append(given), Image=None)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for _ in range(2):
        _sinks(settings(wandb="rings"), tmp_path)
    first, second = calls
    assert first == second
    assert (first["project"], first["resume"], len(first["id"])) == ("rings", "allow", 12)
    rundir.clear(tmp_path)  # another run in the same folder
    _sinks(settings(wandb="rings"), tmp_path)
    assert calls[2] == {**first, "id": calls[2]["id"]} != first


def test_one_process_at_a_time_trains_in_a_directory(copied):
    with (
        rundir.locked(copied),
        pytest.raises(InputError, match=r"another process is training in .*copy; wait for it, or stop it"),
    ):
        run_module.run(load_run(copied, {"steps": 22}), copied, resume=True)


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


def test_damaged_records_of_time_and_versions_do_no_harm(copied):
    for text in ("3", '{"total": "x"}', '{"total": null, "train": []}', '{"tot', "[]"):
        (copied / "clock.json").write_text(text)
        (copied / "versions.json").write_text(text)
        write_report(copied)
        assert rundir.Clock(copied / "clock.json", resume=True).spent["train"] == 0.0


def test_no_run_no_resume(tmp_path):
    with pytest.raises(InputError, match=r"no run at .*: it has no config.json"):
        load_run(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(to_dict(settings())))
    with pytest.raises(InputError, match=r"has no complete checkpoint, .* `ensgan resume` starts it again"):
        restore(tmp_path, settings())
    (tmp_path / "config.json").write_text("{broken")
    with pytest.raises(InputError, match="is not valid JSON"):
        load_run(tmp_path)


class Notes(Watcher):
    """Keeps what it is told."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.mark.bits
def test_a_run_that_was_stopped_before_its_first_checkpoint_starts_again(whole, tmp_path):
    shutil.copy(whole / "config.json", tmp_path)
    versions = {**rundir.versions(), "optax": "0.0.1"}
    write_json(tmp_path / "versions.json", versions)
    watcher = Notes()
    run_module.run(settings(), tmp_path, resume=True, watcher=watcher)
    assert_same_bits(final(tmp_path), final(whole))
    assert watcher.notes[0] == f"{tmp_path} was stopped before its first checkpoint: starting again"
    assert f"it last ran with optax 0.0.1, now {rundir.versions()['optax']}" in watcher.notes[1]
    assert len([r for r in read_metrics(tmp_path / "metrics.jsonl") if r["kind"] == "train"]) == 5


def test_other_data_than_those_of_the_run_are_refused(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (100, 4, 4, 1), np.uint8)
    np.savez(tmp_path / "images.npz", x=images)
    mlp = {"name": "mlp", "widths": [8]}
    given = settings(
        steps=1,
        held_out=8,
        data={"name": "npz", "path": str(tmp_path / "images.npz")},
        generators={"count": 2, "network": {**mlp, "latent": 2}},
        discriminators={"count": 2, "network": mlp},
    )
    run_module.run(given, tmp_path / "run")
    np.savez(tmp_path / "images.npz", x=np.concatenate([images, images[:10]]))
    message = "the data have changed since .* was started"
    with pytest.raises(InputError, match=message):
        restore(tmp_path / "run", given)
    with pytest.raises(InputError, match=message):
        run_module.run(dataclasses.replace(given, steps=2), tmp_path / "run", resume=True)
    np.savez(tmp_path / "images.npz", x=images)
    restore(tmp_path / "run", given)


def test_a_finished_run_asks_for_more_steps(whole):
    with pytest.raises(InputError, match="already at step 20 of 20; give more with --steps"):
        run_module.run(settings(), whole, resume=True)


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


def test_a_full_disk_is_told_and_the_older_checkpoint_stays(whole, tmp_path, monkeypatch):
    directory = tmp_path / "run"
    run_module.run(settings(steps=5), directory)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    from orbax.checkpoint import v1 as ocp

    monkeypatch.setattr(ocp.training.Checkpointer, "save_async", full)
    with pytest.raises(
        InputError, match=r"step 10 could not be written .* No space left on device; complete checkpoints: \[5\]"
    ):
        run_module.run(load_run(directory, {"steps": 20}), directory, resume=True)
    monkeypatch.undo()
    assert int(final(directory).step) == 5


@pytest.fixture
def copied(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_corrupt_checkpoint_is_told_with_the_way_back(copied):
    newest = copied / "checkpoints" / "20" / "state"
    for file in newest.rglob("*"):
        if file.is_file() and file.parent.name == "d":
            file.write_bytes(file.read_bytes()[:10])
    process = command("select", copied)  # a process of its own: abandoned readers complain to whoever comes next
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert re.fullmatch(r"ensgan: the checkpoint .*/20 is corrupt .*; remove .*/20 to fall back to step 15\n", err)


def test_a_checkpoint_of_another_game_is_told(copied):
    other = settings(generators={**TREE["generators"], "count": 3})
    with pytest.raises(InputError, match=r"is for another game: .*generators.* is \(2, .* there and \(3, .* here"):
        restore(copied, other)


@pytest.mark.parametrize("every", [4, 5])
def test_a_schedule_that_never_acts_is_told(every, tmp_path):
    watcher = Notes()
    schedule = {"name": "exchange", "every": every}
    run_module.run(settings(steps=5, schedule=schedule), tmp_path / "run", watcher=watcher)
    told = "the schedule exchange acts every 5 steps, and the run has 5, so it never acts; lower --schedule.every"
    assert any(note.startswith(told) for note in watcher.notes) == (every == 5)


@pytest.mark.parametrize("every", [2, 3])
def test_stages_that_a_run_is_too_short_for_are_told(every, tmp_path):
    watcher = Notes()
    changes = {"data": {"name": "ring", "points": 200}, "pairing": "diagonal"}
    schedule = {"name": "cascade", "every": every}
    run_module.run(settings(steps=5, schedule=schedule, **changes), tmp_path / "run", watcher=watcher)
    told = "the schedule cascade trains 2 pairs for 3 steps each, and the run has 5: 1 will be in the mixture; lower"
    assert any(note.startswith(told) for note in watcher.notes) == (every == 3)


def test_records_are_means_since_the_last_one_whatever_cuts_the_steps(tmp_path):
    run_module.run(settings(steps=8, log_every=8, checkpoint_every=3), tmp_path / "cut")
    run_module.run(settings(steps=8, log_every=1), tmp_path / "each")
    (got,) = (r for r in read_metrics(tmp_path / "cut" / "metrics.jsonl") if r["kind"] == "train")
    every = [r for r in read_metrics(tmp_path / "each" / "metrics.jsonl") if r["kind"] == "train"]
    for key in ("loss_g", "loss_d", "fool", "grad_norm_d"):
        np.testing.assert_allclose(got[key], np.mean([r[key] for r in every], axis=0), rtol=1e-4, err_msg=key)


def test_the_sinks_get_the_numbers(tmp_path):
    run_module.run(settings(steps=4, tensorboard=True), tmp_path / "run")
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))
