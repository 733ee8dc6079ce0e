"""Copies of runs at addresses: where they are, what belongs to them, and what changed."""

import os
import subprocess
import sys

import pytest

from ensgan.data.stores import Entry
from ensgan.runs.checkpoint import MARK
from ensgan.runs.copies import (
    TAKING,
    checkpoint_of,
    complete,
    copy_of,
    counts,
    foreign,
    inside,
    locking,
    runs_of,
    same,
    stamps,
    trained,
)


def test_addresses_have_folders_of_their_own(monkeypatch, tmp_path):
    monkeypatch.setenv("ENSGAN_RUNS", str(tmp_path))
    first = copy_of("s3://bucket/runs/x")
    assert first.parent == tmp_path
    assert first == copy_of("s3://bucket/runs/x/")
    others = {copy_of(each) for each in ("s3://bucket/runs-x", "gs://bucket/runs/x", "s3://bucket/../../x")}
    assert len(others | {first}) == 4
    assert {each.parent for each in others} == {tmp_path}  # nothing leads out of it
    monkeypatch.delenv("ENSGAN_RUNS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert copy_of("s3://b/x").parent == tmp_path / "cache" / "ensgan" / "runs"


@pytest.mark.parametrize(
    ("path", "belongs"),
    [
        ("config.json", True),
        ("seed-3/metrics.jsonl", True),
        ("checkpoints/20/state/data", True),
        ("checkpoints/20.orbax-tmp-3/state/data", False),
        ("checkpoints/descriptor", False),
        ("report.html.tmp", False),
        (".ensgan", False),
    ],
)
def test_halves_of_files_belong_to_no_run(path, belongs):
    assert counts(path) == belongs


def test_a_checkpoint_is_whole_with_its_mark():
    paths = [f"checkpoints/20/{MARK}", "checkpoints/20/data", "a/checkpoints/40/data"]
    assert [checkpoint_of(path) for path in paths] == ["checkpoints/20", "checkpoints/20", "a/checkpoints/40"]
    assert checkpoint_of("config.json") is None
    assert complete(paths) == {"checkpoints/20"}


def test_files_belong_to_the_innermost_run():
    files = dict.fromkeys(["series.json", "a/config.json", "a/x", "a/b/config.json", "a/b/x"], 0)
    runs = runs_of(files)
    assert runs[-1] == ""
    assert set(runs) == {"", "a/", "a/b/"}
    assert set(inside("a/", runs, files)) == {"a/config.json", "a/x"}
    assert set(inside("", runs, files)) == {"series.json"}


def test_what_changed_is_known_by_size_and_time():
    here = {"config.json": (10, 1), "metrics.jsonl": (20, 2), "samples.png": (5, 9)}
    record = {"config.json": (10, 1, "a"), "metrics.jsonl": (20, 2, "b"), "samples.png": (5, 3, "c")}
    assert same("config.json", here, record)
    assert not same("samples.png", here, record)
    assert not trained(here, record)  # a picture alone is no training
    assert trained(here, record | {"metrics.jsonl": (19, 2, "b")})
    assert trained(here, record | {"metrics.jsonl": (20, 2, None)})  # it was being saved
    assert not trained(here, record | {"metrics.jsonl": (*TAKING, "b")})


def test_files_of_another_machine_are_known_by_their_tags():
    record = {"metrics.jsonl": (20, 2, "b")}
    entry = lambda tag: Entry(size=20, tag=tag)
    assert foreign({"metrics.jsonl": entry("b")}, record) is None
    assert foreign({"metrics.jsonl": entry("z")}, record) == "metrics.jsonl"
    assert foreign({"samples.png": entry("z")}, record) is None
    assert foreign({"seed-1/config.json": entry("z")}, record) == "seed-1/config.json"


def test_the_stamps_of_a_folder_leave_out_what_is_half_written(tmp_path):
    for name in ("config.json", "checkpoints/20/data", "checkpoints/30.tmp/data", "report.html.tmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("12345")
    found = stamps(tmp_path)
    assert set(found) == {"config.json", "checkpoints/20/data"}
    assert found["config.json"] == (5, os.stat(tmp_path / "config.json").st_mtime_ns)


def test_a_lock_keeps_other_processes_out_and_goes_with_its_block(tmp_path):
    file = tmp_path / "x.use"
    code = (
        "import sys, pathlib; from ensgan.runs.copies import locking\nwith locking(pathlib.Path(sys.argv[1])) as lock:"
    )
    code += " print(lock('LOCK_EX', wait=False))"

    def taken():
        done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, timeout=120)
        return done.stdout.strip()

    with locking(file) as lock:
        assert lock("LOCK_EX", wait=False)
        assert taken() == "False"
    assert taken() == "True"
