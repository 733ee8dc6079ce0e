"""A run from its folder to its report: what it leaves and says, what cannot start, and how it goes on."""

import json
import re
import shutil
from functools import partial

import jax
import numpy as np
import pytest
from small_runs import Notes, assert_same_bits, final, settings

from ensgan.cli.evaluate import evaluate
from ensgan.devices import mesh
from ensgan.evaluation.classifier import train_classifier
from ensgan.evaluation.families import SHORT
from ensgan.evaluation.tables import evaluate_distances
from ensgan.metrics.ratings import Ratings, rate
from ensgan.reporting import Watcher, read_metrics
from ensgan.reporting.files import read_json, write_json
from ensgan.runs import directory as rundir
from ensgan.runs import run as run_module
from ensgan.runs.build import TABLES
from ensgan.runs.checkpoint import Checkpoints
from ensgan.runs.config import to_dict
from ensgan.runs.parsing import parse
from ensgan.runs.restore import load_run, restore
from ensgan.types import InputError


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
    # Held-out and training reals, both generators and the mixture; and four more for the test of copies.
    assert len(list((tmp_path / "cache").iterdir())) == 9
    evaluate(tmp_path / "once", num=140, classifier_steps=20, cache=str(tmp_path / "cache"), repeats=0)
    assert re.search("Fréchet distance of each generator: (.*)", capsys.readouterr().out)[1].split(", ") == each


def test_a_resumed_run_has_the_log_of_a_whole_one(whole, tmp_path):
    directory = tmp_path / "run"
    run_module.run(settings(steps=10), directory)
    with open(directory / "metrics.jsonl", "a") as file:  # what a killed run had written after its last checkpoint
        file.write('{"kind": "train", "step": 12}\n{"kind": "tra')
    run_module.run(load_run(directory, {"steps": 20}), directory, resume=True)

    def records(directory):
        return [
            {k: v for k, v in r.items() if k not in ("seconds", "speed")}
            for r in read_metrics(directory / "metrics.jsonl")
        ]

    # Step 10 is on no multiple of 4, but it was an end once: its record stays, and the next one counts from there.
    steps = [r["step"] for r in records(directory) if r["kind"] == "train"]
    assert steps == [4, 8, 10, 12, 16, 20]
    assert records(directory)[-1] == records(whole)[-1]


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


def test_a_finished_run_asks_for_more_steps(whole):
    with pytest.raises(InputError, match="has done 20 steps; to go on, give more: --steps 40"):
        run_module.run(settings(), whole, resume=True)


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
