"""Files that are found whole: their names, JSON's own types, and checksums that tell what was changed."""

import json
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from ensgan.reporting import files
from ensgan.reporting.files import RunFiles, believed, checksum, plain, read_json, write_atomically, write_json, written


def test_the_files_of_a_run_are_in_its_folder_under_different_names(tmp_path):
    run = RunFiles(str(tmp_path))
    named = [name for name in vars(RunFiles) if isinstance(vars(RunFiles)[name], property) and name != "removable"]
    places = [getattr(run, name) for name in named]
    assert {place.parent for place in places} == {tmp_path}
    assert len(set(places)) == len(places) == len(named)


def test_a_run_that_takes_a_folder_removes_whatever_another_one_left(tmp_path):
    run = RunFiles(tmp_path)
    kept = {run.config, run.replaced, run.series, run.search, run.study}  # the last three are of several runs
    named = [name for name in vars(RunFiles) if isinstance(vars(RunFiles)[name], property) and name != "removable"]
    assert {getattr(run, name) for name in named} - kept == set(run.removable)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.23456789, "1.23457"), (float("nan"), "null"), (-np.inf, "null"), (True, "true"), (10**30, str(10**30)),
        (np.float32(0.1), "0.1"), (np.int8(3), "3"), (np.bool(True), "true"),
        (np.array([[1, 2], [3, 4]]), "[[1, 2], [3, 4]]"),
        (np.array([1.0, np.nan]), "[1.0, null]"), (jnp.bfloat16(2.5), "2.5"), (np.zeros((0, 2)), "[]"),
        ((1, "a", None), '[1, "a", null]'),
        ({3: np.float64(1e-20)}, '{"3": 1e-20}'),
    ],
)  # fmt: skip
def test_values_become_those_of_json(value, text):
    assert json.dumps(plain(value)) == text


def test_what_is_written_is_read_and_bears_a_checksum(tmp_path):
    file = tmp_path / "a.json"
    value = {"b": [1, 2.5, None], "a": {"x": "ü"}, "t": (1,)}
    write_json(file, value)
    assert read_json(file) == {**value, "t": [1]}
    assert json.loads(file.read_text())["crc32"] == checksum({**value, "t": [1]})
    assert not list(tmp_path.glob("*.tmp"))


def test_the_layout_of_a_file_may_change_but_not_what_it_says(tmp_path):
    file = tmp_path / "a.json"
    write_json(file, {"a": 1, "b": 2})
    file.write_text(json.dumps(json.loads(file.read_text()), indent=None))
    assert read_json(file) == {"a": 1, "b": 2}
    file.write_text(file.read_text().replace('"a": 1', '"a": 3'))
    with pytest.raises(ValueError, match="not what was written; if you changed it yourself, remove 'crc32' from it"):
        read_json(file)
    assert believed({"a": 3}) == {"a": 3}  # older files have none
    assert checksum({"a": 1, "b": 2}) != checksum({"b": 2, "a": 1})


@pytest.mark.parametrize(
    ("content", "text"),
    [("[1]", "it holds a list; expected a JSON object"), ("{", "Expecting"), ("[" * 10**5, "too deep")],
)
def test_what_is_no_object_is_refused(tmp_path, content, text):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=text):
        read_json(tmp_path / "a.json")
    with pytest.raises(OSError, match="nowhere"):
        read_json(tmp_path / "nowhere.json")


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "a"
    write_atomically(file, b"old")

    def crash(*args):
        raise OSError("no space")

    monkeypatch.setattr(files.os, "fsync", crash)
    with pytest.raises(OSError, match="no space"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    monkeypatch.undo()
    write_atomically(file, b"new")
    assert file.read_bytes() == b"new"


def test_a_file_has_its_name_once_it_is_whole(tmp_path):
    place = tmp_path / "a.npz"
    place.write_bytes(b"before")

    def filled():
        with written(place) as file:
            file.write(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: '.*a\.npz'"):
        filled()
    assert [each.name for each in tmp_path.iterdir()] == ["a.npz"]
    assert place.read_bytes() == b"before"
    (tmp_path / "link").symlink_to(place)
    with written(tmp_path / "link") as file:
        file.write(b"after")
    assert (tmp_path / "link").is_symlink()
    assert place.read_bytes() == b"after"
    with written(Path(os.devnull)) as file:
        file.write(b"gone")
