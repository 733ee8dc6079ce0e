"""The folder of a run: who may write there, what goes and what stays when a run is replaced."""

import json
import re
import shutil
import sys
import types

import pytest
from small_runs import settings

from ensgan.game.program import Program
from ensgan.reporting import read_metrics, write_report
from ensgan.reporting.files import RunFiles, write_json
from ensgan.runs import directory as rundir
from ensgan.runs import run as run_module
from ensgan.runs.checkpoint import Checkpoints
from ensgan.runs.config import to_dict
from ensgan.runs.restore import load_run
from ensgan.types import InputError


def held(directory):
    """All files of a folder and what is in them."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


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


@pytest.mark.parametrize("when", ["sinks", "step", "fault"])
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
        monkeypatch.setattr(run_module, "check_trackers", lambda config: None)
        changes = {"wandb": "rings"}
    elif when == "fault":
        changes = {"optimizer": {"name": "sgd", "learning_rate": 1e30}}
    else:
        monkeypatch.setattr(Program, "tally", lambda *args: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises((InputError, MemoryError)) as told:
        run_module.run(settings(**changes), old, overwrite=True)
    if when == "sinks":
        assert "api_key not configured (no-tty)); run `wandb login`" in str(told.value)
    if when == "fault":
        assert f"stopped being finite in step 2 (its output); no later update was applied; {old} holds the run" in str(
            told.value
        )
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


def test_a_choice_goes_with_the_run_that_it_was_made_for(tmp_path):
    (RunFiles(tmp_path).selection).write_text("{}")
    with pytest.raises(InputError, match=r"holds selection.json, but no config.json of a run"):
        rundir.check_free(tmp_path, overwrite=True)
    rundir.clear(tmp_path)
    assert not list(tmp_path.iterdir())


def test_one_process_at_a_time_trains_in_a_directory(copied):
    with (
        rundir.locked(copied),
        pytest.raises(InputError, match=r"another process is training in .*copy; wait for it, or stop it"),
    ):
        run_module.run(load_run(copied, {"steps": 22}), copied, resume=True)


def test_damaged_records_of_time_and_versions_do_no_harm_to_the_report(copied):
    for text in ("3", '{"total": "x"}', '{"total": null, "train": []}', '{"tot', "[]"):
        (copied / "clock.json").write_text(text)
        (copied / "versions.json").write_text(text)
        (copied / "report.html").unlink(missing_ok=True)
        write_report(copied)
        assert (copied / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")


def test_a_run_keeps_its_id_for_trackers(tmp_path):
    first = rundir.tracking_id(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{12}", first)
    assert rundir.tracking_id(tmp_path) == first
    older = tmp_path / "older"
    older.mkdir()
    write_json(older / "wandb.json", {"id": "abc"})
    assert rundir.tracking_id(older) == "abc"
