"""The clock of a run: seconds by what they were spent on, and what a killed run lost."""

import json

import pytest
from small_runs import Notes, settings

from ensgan.reporting import MetricsLog, read_metrics
from ensgan.reporting.files import RunFiles, read_json, write_json
from ensgan.reporting.times import time_sections
from ensgan.runs import run as run_module
from ensgan.runs.clock import Clock, Lost, lost_after


def log(path, *records):
    with MetricsLog(path) as file:
        for step, seconds in records:
            file.write({"kind": "train", "step": step, "seconds": seconds})
            file.write({"kind": "score", "step": step})
    return path


@pytest.mark.parametrize(
    ("begin", "lost"),
    [(30, Lost(0, 0.0, 3.5)), (20, Lost(10, 1.5, 3.5)), (25, Lost(5, 1.5, 3.5)), (0, Lost(30, 3.5, 3.5))],
)
def test_what_was_trained_after_the_newest_checkpoint_is_lost(begin, lost, tmp_path):
    assert lost_after(log(tmp_path / "log", (10, 1.0), (20, 2.0), (30, 3.5)), begin) == lost


def test_nothing_is_lost_where_nothing_was_logged(tmp_path):
    assert lost_after(tmp_path / "missing", 5) == lost_after(log(tmp_path / "empty"), 5) == Lost()


def test_losses_add_up_and_times_never_run_back(tmp_path):
    path = tmp_path / "clock.json"
    clock = Clock(path, resume=False)
    clock.spent["train"] = 2.0
    clock.write(20)
    for k in (1, 2):
        clock = Clock(path, resume=True, lost=Lost(10, 1.5, 3.5))
        assert clock.spent["train"] == 3.5  # of the log, which knows more than the last record of the clock
        assert (clock.spent["interruptions"], clock.spent["lost_steps"], clock.spent["lost"]) == (k, 10 * k, 1.5 * k)
        clock.write(20)


def test_a_clock_that_was_set_back_does_not_shorten_the_run(tmp_path):
    clock = Clock(tmp_path / "clock.json", resume=False)
    clock.spent["began"] += 1e6
    clock.write(1)
    assert read_json(tmp_path / "clock.json")["elapsed"] == read_json(tmp_path / "clock.json")["total"] >= 0


def test_a_killed_run_says_what_it_lost(copied):
    """As after a kill: the log goes on behind the newest checkpoint, at step 20."""
    file = RunFiles(copied).metrics
    last = [record for record in read_metrics(file) if record["kind"] == "train"][-1]
    with MetricsLog(file) as more:
        more.write({**last, "step": 27, "seconds": last["seconds"] + 2.0})
    watcher = Notes()
    run_module.run(settings(steps=22), copied, resume=True, watcher=watcher)
    assert "7 steps after the newest checkpoint (2.0 s of training) are done again" in watcher.notes
    clock = read_json(RunFiles(copied).clock)
    assert (clock["lost_steps"], clock["lost"], clock["interruptions"]) == (7, 2.0, 1)
    assert "7 steps, 2 s of training, were done again" in RunFiles(copied).report.read_text()


def test_damaged_records_of_time_do_no_harm(tmp_path):
    for text in ("3", '{"total": "x"}', '{"total": null, "train": []}', '{"tot', "[]", json.dumps({"began": "x"})):
        (tmp_path / "clock.json").write_text(text)
        assert Clock(tmp_path / "clock.json", resume=True).spent["train"] == 0.0
    write_json(tmp_path / "clock.json", {"train": 3.0})  # of an earlier version
    assert Clock(tmp_path / "clock.json", resume=True).spent["train"] == 3.0


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -5.0, 1e300])
def test_times_that_cannot_be_do_no_harm(tmp_path, value):
    record = {"train": 2.0, "total": 3.0, "steps": 4}
    wrong = {"total": value, "train": value, "interruptions": value, "lost": value, "began": value, "evaluate": value}
    write_json(tmp_path / "clock.json", record | wrong)
    clock = Clock(tmp_path / "clock.json", resume=True)
    clock.write(4)
    now = read_json(tmp_path / "clock.json")
    assert 0 <= now["total"] < 100
    assert (now["train"], now["interruptions"]) == (0.0, 1)
    assert time_sections(record | wrong, []) == []
    assert lost_after(log(tmp_path / "metrics.jsonl", (3, 1.0), (5, float("nan"))), 2).steps == 1
    assert time_sections(record | {"evaluate": value, "lost_steps": value, "interruptions": 1}, [])
