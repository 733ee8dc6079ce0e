"""A run whose folder is gone for a while: training goes on, this is said, and nothing is lost but checkpoints."""

import json

import pytest
from small_runs import Notes, assert_same_bits, final, settings

from ensgan.reporting import read_metrics
from ensgan.runs import run as run_module
from ensgan.runs.clock import Clock
from ensgan.runs.outputs import REPORT, Outputs
from ensgan.types import InputError


class Moving(Notes):
    """Takes a folder away after one step, and brings it back after another."""

    def __init__(self, directory, away, back):
        super().__init__()
        self.directory, self.elsewhere = directory, directory.with_name("elsewhere")
        self.away, self.back = away, back

    def progress(self, step, record):
        if step == self.away:
            self.directory.rename(self.elsewhere)
        if step == self.back:
            self.elsewhere.rename(self.directory)


def test_a_folder_that_is_gone_for_a_while_costs_no_more_than_checkpoints(whole, tmp_path):
    directory = tmp_path / "run"
    watcher = Moving(directory, 4, 16)
    run_module.run(settings(), directory, watcher=watcher)
    assert_same_bits(final(directory), final(whole))
    named = [note for note in watcher.notes if "written" in note]
    assert any("step 10 could not be written" in note and "the folder is gone" in note for note in named)
    assert any(note.startswith("not written: the records in metrics.jsonl (No such file") for note in named)
    assert "written again: the records in metrics.jsonl" in named
    assert "written again: report.html" in named
    steps = lambda run: [(r["kind"], r["step"]) for r in read_metrics(run / "metrics.jsonl")]
    assert steps(directory) == steps(whole)  # what could not be written is written later, in its order
    assert json.loads((directory / "clock.json").read_text())["steps"] == 20
    assert (directory / "report.html").is_file()


def test_a_folder_that_stays_away_ends_the_run_with_one_line(tmp_path):
    watcher = Moving(tmp_path / "run", 4, 99)
    said = r"step 20 could not be written to .*: the folder is gone; complete checkpoints: none"
    with pytest.raises(InputError, match=said):
        run_module.run(settings(), tmp_path / "run", watcher=watcher)
    assert not (tmp_path / "run").exists()


def test_what_is_missing_is_said_once_and_again_when_it_is_there(tmp_path):
    watcher = Notes()
    outputs = Outputs(None, Clock(tmp_path / "clock.json", False), watcher, [])
    for fails in (True, True, False, False):
        with outputs.tried(REPORT):
            if fails:
                raise OSError(28, "No space left on device")
    assert watcher.notes == [
        "not written: report.html (No space left on device); training goes on, and the next time it is tried again",
        "written again: report.html",
    ]
    with pytest.raises(ValueError, match="a fault"), outputs.tried(REPORT):
        raise ValueError("a fault")


def test_trackers_that_cannot_write_do_not_end_a_run(tmp_path):
    def full(step, values):
        raise OSError(28, "No space left on device")

    got, watcher = [], Notes()
    outputs = Outputs(None, Clock(tmp_path / "clock.json", False), watcher, [full, lambda *each: got.append(each)])
    outputs.write({"kind": "train", "step": 1, "loss": 0.5})
    assert got
    assert got[0][0] == 1
    assert watcher.notes[0].startswith("not written: what trackers get (No space left on device)")
