"""Labels of any integers or strings as classes."""

import itertools

import numpy as np
import pytest

from ensgan import data
from ensgan.data.labels import class_number, map_labels, natural, some
from ensgan.types import InputError

X = np.zeros((20, 2), np.float32)


@pytest.mark.parametrize(
    ("label", "classes", "expected", "names"),
    [
        ([3, 1, 2, 1], None, [2, 0, 1, 0], "123"),
        ([0, 2, 18, 10], None, [0, 1, 3, 2], ("0", "2", "10", "18")),
        ([-1, 1, -1, 1], None, [0, 1, 0, 1], ("-1", "1")),
        (["c10", "c9", "c10", "c1"], None, [2, 1, 2, 0], ("c1", "c9", "c10")),
        ([b"dog", b"cat", b"dog", b"cat"], None, [1, 0, 1, 0], ("cat", "dog")),
        ([0, 2, 2, 0], 4, [0, 2, 2, 0], "0123"),
        ([1, 2, 1, 2], 2, [0, 1, 0, 1], "12"),
        (["b", "a", "b", "a"], 2, [1, 0, 1, 0], "ab"),
        (["b", "a", "b", "a"], ["b", "a", "c"], [0, 1, 0, 1], "bac"),
        ([0, 1, 1, 0], ["cat", "dog"], [0, 1, 1, 0], ("cat", "dog")),
        ([7, 9, 7, 9], ["9", "7"], [1, 0, 1, 0], "97"),
        (np.array([2**62, 5, 5, 5], np.uint64), None, [1, 0, 0, 0], ("5", str(2**62))),
    ],
)
def test_labels_are_mapped_to_classes(label, classes, expected, names):
    got, found = map_labels(label, 4, "y", classes)
    assert got.dtype == np.int32
    assert (got.tolist(), found) == (expected, tuple(names))


@pytest.mark.parametrize(
    ("label", "classes", "match"),
    [
        ([0.5, 1, 2, 3], None, r"y is float64 \[4\]; expected integers or strings \[4\], one per sample"),
        ([0, 1, 2], None, r"y is int64 \[3\]"),
        ([0, 1, 2, 5], 3, r"y holds labels 0..5; expected 0..2, or 3 different labels"),
        (["a", "b", "c", "c"], 2, r"y holds labels 'a', 'b', 'c'; expected 0..1, or 2 different labels"),
        (["a", "b", "d", "d"], ["a", "b", "c"], r"y holds label 'd'; the classes are: a, b, c"),
        ([1, 2, 3, 3], ["1", "2"], r"y holds label '3'; the classes are: 1, 2"),
        (["a", "b", " ", "a"], None, r"y has an empty text for sample 2; give every sample a label"),
        (np.array(["2020-01-01"] * 4, "datetime64[D]"), None, r"convert them with y\.astype\(str\)"),
    ],
)
def test_bad_labels(label, classes, match):
    with pytest.raises(InputError, match=match):
        map_labels(label, 4, "y", classes)


def test_names_in_natural_order():
    assert sorted(["10", "2", "b2", "b10", "1", "B3"], key=natural) == ["1", "2", "10", "B3", "b2", "b10"]
    assert sorted(["1", "-1", "-10", "0", "-2"], key=natural) == ["-10", "-2", "-1", "0", "1"]
    assert some(["a", "a "]) == "a, 'a '"
    assert some("abcd", 2) == "a, b and 2 more"


def test_a_name_comes_before_a_number():
    assert [class_number(asked, ["2", "10"]) for asked in ("10", "2", "1")] == [1, 0, None]
    assert [class_number(asked, ["cat", "dog"]) for asked in ("dog", "1", "2", "-1")] == [1, 1, None, None]


def test_sources_count_the_labels_that_occur(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=2 * (np.arange(20) % 5))
    source = data.npz(tmp_path / "a.npz")
    assert (source.classes, source.class_names) == (5, ("0", "2", "4", "6", "8"))
    assert set(source.arrays["train"]["label"].tolist()) <= set(range(5))
    from_one = data.from_arrays("x", X, np.arange(20) % 10 + 1)
    assert (from_one.classes, from_one.class_names[0], from_one.class_names[-1]) == (10, "1", "10")


def test_streams_and_iterators_map_labels():
    names = np.array(["dog", "cat"] * 10)
    records = [{"x": x, "label": name} for x, name in zip(X, names, strict=True)]
    source = data.stream(records, classes=2)
    assert source.class_names == ("cat", "dog")
    where = data.split_indices(20)["report"]
    np.testing.assert_array_equal(source.held_out("report", 9)["label"], names[where] == "dog")
    pairs = itertools.repeat((X, 5 * (np.arange(20) % 2) + 1))
    source = data.from_iterator(pairs, held_out=4, classes=2)
    assert source.class_names == ("1", "6")
    np.testing.assert_array_equal(source.read(0, 20)["label"], np.arange(20) % 2)
    assert source.held_out("select", 3)["label"].tolist() == [0, 1, 0]
    loose = data.from_iterator(itertools.repeat([X, names]), held_out=4)
    assert (loose.classes, list(loose.read(0, 20))) == (None, ["x"])
    assert list(loose.held_out("select", 3)) == ["x"]


def test_labels_of_other_bytes_stay_different():
    number, names = map_labels(np.array([b"\xff\xfe", b"\xff\xfd"]), 2, "label")
    assert number.tolist() == [1, 0]
    assert len(set(names)) == 2


@pytest.mark.parametrize(
    ("label", "fix"),
    [
        (np.zeros((4, 1), int), r"y\[:, 0\]"),
        (np.eye(4), r"one-hot: take y.argmax\(axis=1\)"),
        (np.ones(4), r"y.astype\(int\)"),
        (np.ones(4, bool), r"y.astype\(int\)"),
    ],
)
def test_labels_of_another_form_are_told_how_they_become_integers(label, fix):
    with pytest.raises(InputError, match=f"one per sample; .*{fix}$"):
        map_labels(label, 4, "label")


def test_names_are_in_one_line_and_long_ones_are_cut():
    assert some(["a\nb", "c\rd"]) == "a\\nb, c\\rd"
    assert len(some(["x" * 5000])) < 300
