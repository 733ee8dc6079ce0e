"""Where a run's numbers go besides its folder, and what happens where that fails."""

import contextlib
import json
import re
import sys
import types
from pathlib import Path

import pytest
from small_runs import TREE, settings

from ensgan.cli import main as cli
from ensgan.reporting import Watcher, sinks
from ensgan.reporting.files import RunFiles
from ensgan.runs import directory as rundir
from ensgan.runs import run as run_module
from ensgan.runs.tracking import tracker_of
from ensgan.types import InputError

PROGRAM = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text()
(PROGRAM,) = re.findall(r"^```python\n(.*?)^```", PROGRAM, re.S | re.M)


class Notes(Watcher):
    def __init__(self):
        self.texts = []

    def note(self, text):
        self.texts.append(text)


@pytest.fixture
def mysinks(tmp_path, monkeypatch):
    """The program of the document as a module of the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mysinks.py").write_text(PROGRAM)
    yield
    sys.modules.pop("mysinks", None)


def test_the_program_of_the_document_works_from_both_sides(mysinks, tmp_path):
    names = {}
    exec(PROGRAM, names)
    run_module.run(settings(steps=10, distances=[]), tmp_path / "run", trackers=[names["to_csv"]])
    lines = (tmp_path / "run" / "scores.csv").read_text().splitlines()
    # Records of training have no MMD, scores have one, and pictures come by themselves.
    assert [line.split(",")[0] for line in lines] == ["4", "8", "10", "10", "10"]
    assert sorted(line.endswith("None") for line in lines) == [False, True, True, True, True]
    assert cli.main(["resume", "run", "--steps", "12", "--track", "mysinks:to_csv", "--mesh=member=1,data=1"]) == 0
    assert (tmp_path / "run" / "scores.csv").read_text().splitlines()[5].startswith("12,")
    assert "to_csv" not in RunFiles(tmp_path / "run").config.read_text()  # a configuration runs no code


def test_every_run_of_a_series_is_tracked(mysinks, tmp_path):
    (tmp_path / "small.json").write_text(json.dumps({**TREE, "steps": 4, "distances": []}))
    where = ["--run-dir", "all", "--mesh", "member=1,data=1"]
    assert cli.main(["train", "small.json", "--seeds", "0,1", "--track=mysinks:to_csv", *where]) == 0
    assert len(list((tmp_path / "all").glob("seed-*/scores.csv"))) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("to_csv", "give module:function"),
        ("wandb", "that one is the flag --wandb"),
        ("mysinks:other", "mysinks has no function 'other'; it has to_csv"),
        ("nowhere:other", "importing nowhere fails .ModuleNotFoundError"),
        ("broken:other", "importing broken fails .ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_no_tracker(mysinks, tmp_path, text, message, capsys):
    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises(InputError, match=message):
        tracker_of(text)
    assert cli.main(["train", "ring8", f"--track={text}"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_function_that_is_no_context_does_not_start(tmp_path):
    def plain(run):
        return None

    with pytest.raises(InputError, match=r"the tracker plain does not start .*contextlib.contextmanager above it"):
        run_module.run(settings(steps=2), tmp_path / "run", trackers=[plain])


def test_training_goes_on_without_a_tracker_that_fails(tmp_path):
    seen, ends = [], []

    @contextlib.contextmanager
    def failing(run):
        def sink(step, values):
            seen.append(step)
            if step == 8:
                raise OSError("the disk is full")

        yield sink
        raise RuntimeError("again")

    @contextlib.contextmanager
    def working(run):
        with contextlib.suppress(BaseException):
            yield lambda step, values: ends.append(step)

    notes = Notes()
    outcome = run_module.run(
        settings(steps=12, distances=[]), tmp_path / "run", watcher=notes, trackers=[failing, working]
    )
    assert outcome.step == 12
    assert seen == [4, 8]
    assert ends == [4, 8, 10, 10, 12, 12, 12]
    told = [text for text in notes.texts if "failing" in text]
    assert told[0] == "the tracker failing failed at step 8 (OSError: the disk is full); training goes on without it"
    assert len(told) == 2


def test_a_tracker_does_not_swallow_the_error_of_a_run(tmp_path, monkeypatch):
    closed = []

    @contextlib.contextmanager
    def swallowing(run):
        with contextlib.suppress(BaseException):
            yield lambda step, values: None
        closed.append(True)

    def no(*args):
        raise MemoryError

    monkeypatch.setattr(run_module.Loop, "evaluate", no)
    with pytest.raises(MemoryError):
        run_module.run(settings(), tmp_path / "run", trackers=[swallowing])
    assert closed == [True]


def test_a_run_that_goes_on_is_the_same_run_elsewhere(tmp_path, monkeypatch):
    calls = []
    opened = types.SimpleNamespace(log=lambda values, step: None)
    for name in ("wandb", "trackio"):
        init = lambda **given: calls.append(given) or opened
        fake = types.SimpleNamespace(init=init, finish=lambda: None, Image=lambda pixels: None)
        monkeypatch.setitem(sys.modules, name, fake)
    monkeypatch.setattr(run_module, "check_trackers", lambda config: None)
    config = {"wandb": "rings", "trackio": "rings", "distances": []}
    run_module.run(settings(**config, steps=4), tmp_path / "run")
    run_module.run(settings(**config, steps=6), tmp_path / "run", resume=True)
    assert calls[:2] == calls[2:]
    assert (calls[0]["project"], calls[0]["resume"], len(calls[0]["id"])) == ("rings", "allow", 12)
    assert calls[1]["name"] == f"run-{calls[0]['id']}"
    rundir.clear(tmp_path / "run")  # another run in the same folder
    assert rundir.tracking_id(tmp_path / "run") != calls[0]["id"]


def test_the_events_of_tensorboard_hold_numbers_and_pictures(tmp_path):
    pytest.importorskip("tensorboardX")
    run_module.run(settings(steps=4, tensorboard=True), tmp_path / "run")
    (events,) = (tmp_path / "run" / "tensorboard").glob("events*")
    content = events.read_bytes()
    for name in (b"speed/samples_per_second", b"speed/share_of_product", b"fool_batch/0_0", b"pictures/samples"):
        assert name in content


def test_trackers_are_of_one_form():
    assert sinks.wandb("a").__name__ == "wandb"
    assert tracker_of("ensgan.reporting.sinks:tensorboard") is sinks.tensorboard
