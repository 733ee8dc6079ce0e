"""Data as a run remembers them: plain numbers, a source without samples, and what changed since."""

import json

import numpy as np
import pytest

from ensgan import data
from ensgan.data.law import training_law
from ensgan.data.recorded import differences, is_record, record, remembered

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 4, 3, 1), np.uint8)


def test_the_record_is_plain_data():
    found = record(data.from_arrays("some", IMAGES, np.arange(20) % 2))
    assert found["classes"] == [{"name": "0", "count": 10}, {"name": "1", "count": 10}]
    assert {key: found[key] for key in ("name", "num", "shape", "dtype", "skipped", "notes")} == {
        "name": "some",
        "num": 20,
        "shape": [4, 3, 1],
        "dtype": "uint8",
        "skipped": [],
        "notes": [],
    }


def test_a_source_comes_back_without_its_samples():
    source = data.from_arrays("some", IMAGES, np.array(["cat", "dog"])[np.arange(20) // 15])
    there = remembered(json.loads(json.dumps(record(source))), lambda split, num: {"x": split})
    for field in ("name", "shape", "num", "classes", "class_names"):
        assert getattr(there, field) == getattr(source, field), field
    np.testing.assert_allclose(there.law, training_law(source))
    assert (there.arrays, there.draw, there.read) == ({}, None, None)
    assert there.held_out("select", 3) == {"x": "select"}


def test_points_without_labels_have_no_law():
    source = data.from_arrays("points", np.arange(40.0).reshape(20, 2))
    found = record(source)
    assert "training_law" not in found
    there = remembered(found, source.held_out)
    assert (there.law, there.classes, there.class_names) == (None, None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"name": 3},
        {"shape": [0]},
        {"shape": ["2"]},
        {"shape": 2},
        {"splits": {"train": 3}},
        {"splits": {"train": 1.5, "select": 1, "calibrate": 1, "report": 1}},
        {"training_law": ["a"]},
        {"class_names": ["only one"]},
        {"class_names": [1, 2]},
        {"classes": [{"name": "a"}]},
        {"classes": [{"count": "b", "name": "a"}]},
        {"relative_to": {"folder": "x"}},
        {"relative_to": {"folder": "x", "from_run": 3}},
        {"changes": [{"step": 1, "what": []}]},
        {"changes": [{"what": ["x"]}]},
        {"low": "0"},
        {"columns": {"names": ["a", "b"], "mean": [0.0], "std": [1.0]}},
        {"columns": {"names": ["a"], "mean": ["0"], "std": [1.0]}},
    ],
    ids=str,
)
def test_other_records_are_not_believed(change):
    found = record(data.from_arrays("some", np.arange(20.0)[:, None], np.arange(20) % 2))
    assert is_record(found)
    assert not is_record({**found, **change})
    assert remembered({**found, **change}, lambda split, num: {}) is None


def test_a_record_needs_its_splits_only_to_come_back():
    found = record(data.from_arrays("some", IMAGES))
    del found["splits"]  # as an earlier version wrote it
    assert is_record(found)
    assert remembered(found, lambda split, num: {}) is None
    del found["shape"]
    assert not is_record(found)


def test_differences_are_said_in_words():
    made = lambda x, label=None: record(data.from_arrays("some", x, label))
    cats = made(IMAGES, np.array(["cat", "dog"])[np.arange(20) % 2])
    assert differences(cats, cats) == []
    assert differences(made(IMAGES), made(IMAGES.swapaxes(1, 2))) == ["the shape of a sample was 4×3×1 and is 3×4×1"]
    assert differences(cats, made(IMAGES)) == ["there are no labels any more"]
    assert differences(made(IMAGES), cats) == ["there are labels now"]
    birds = made(IMAGES, np.array(["bird", "dog"])[np.arange(20) % 2])
    assert differences(cats, birds) == ["classes are gone: cat", "classes are new: bird"]
    many = np.concatenate([IMAGES] * 100)
    assert differences(made(many), made(many[:-1])) == ["the number of samples was 2,000 and is 1,999"]
    points = np.linspace(-1.5, 2.0, 40).reshape(20, 2)
    other = np.concatenate([points[:-1], [[0.0, 3.25]]])
    assert differences(made(points), made(other)) == ["the largest value was 2 and is 3.25"]
    assert differences(made(-points), made(-other)) == ["the smallest value was -2 and is -3.25"]
