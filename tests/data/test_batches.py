"""Batches and records that a user passes in: one kind, checked, with labels from 0."""

import numpy as np
import pytest
from array_files import records

from ensgan import data
from ensgan.data.batches import check_alike, kind_of, plain
from ensgan.data.pixels import reading
from ensgan.types import InputError


def test_bad_records():
    with pytest.raises(InputError, match="0 samples cannot be divided into four splits"):
        data.stream([])
    with pytest.raises(InputError, match=r"record 0 of 'stream' has keys \['image'\]; give 'x'"):
        data.stream([{"image": 1}] * 20)
    with pytest.raises(InputError, match=r"label of 'stream' holds labels 5..5; expected 0..1"):
        data.stream(records(label=5), classes=2)
    odd = records()
    where = data.split_indices(20)["report"]
    for change, match in (
        ({"x": np.zeros((3, 2), np.uint8)}, r"uint8 \[3, 2, 1\], but the first was uint8 \[2, 2, 1\]"),
        ({"x": np.zeros((2, 2))}, r"float32 \[2, 2, 1\], but the first was uint8"),
        ({"label": None}, "is missing, but the first was integers"),
        ({"x": np.zeros(2, np.uint8)}, "expected images"),
    ):
        odd[where[0]] = records(1)[0] | change
        with pytest.raises(InputError, match=match):
            data.stream(odd).held_out("report", 9)
    with pytest.raises(InputError, match="unknown split 'test'"):
        data.stream(records()).held_out("test", 1)


POINTS = np.arange(6.0).reshape(3, 2)
BYTES = np.arange(24, dtype=np.uint8).reshape(6, 2, 2, 1)
HOW = reading()


@pytest.mark.parametrize(
    ("given", "label"),
    [
        (POINTS, None),
        ({"x": POINTS}, None),
        ([POINTS], None),  # as of a PyTorch loader of samples without labels
        ((POINTS,), None),
        ({"x": POINTS, "label": None}, None),
        ((POINTS, [0, 1, 0]), [0, 1, 0]),
        ([POINTS, np.array(["a", "b", "a"])], ["a", "b", "a"]),
        ({"x": POINTS, "label": [2, 1, 2], "more": "ignored"}, [2, 1, 2]),
    ],
)
def test_a_batch_has_many_forms(given, label):
    found = plain(given, "this", HOW)
    np.testing.assert_array_equal(found["x"], POINTS)
    assert found["x"].dtype == np.float32
    assert set(found) == ({"x"} if label is None else {"x", "label"})
    if label is not None:
        np.testing.assert_array_equal(found["label"], label)


def test_a_record_is_a_batch_of_one():
    found = plain({"x": BYTES[0], "label": 4}, "this", HOW, single=True)
    np.testing.assert_array_equal(found["x"], BYTES[:1])
    assert found["label"].tolist() == [4]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"image": POINTS}, r"this has keys \['image'\]; give 'x' and optionally 'label'"),
        ({"x": [[1.0], [1.0, 2.0]]}, r"this has parts of different lengths; expected an array, a pair"),
        ((POINTS, [0, 1, 0], [1]), "this has parts of different lengths; expected an array, a pair"),
        ((POINTS, [0, 1]), "label of this"),
    ],
)
def test_what_is_no_batch_is_named(given, text):
    with pytest.raises(InputError, match=text):
        plain(given, "this", HOW)


def test_the_kind_is_that_of_all_batches_like_the_first():
    one = {"x": BYTES, "label": np.array(["b", "a"] * 3)}
    odd = {"x": BYTES.repeat(2, axis=1)}  # named once it is read
    kind = kind_of([one, {"x": BYTES, "label": np.array(["a"] * 6)}, odd], "some", HOW, ("a", "b"))
    assert (kind.classes, kind.names) == (2, ("a", "b"))
    assert (kind.facts.num, kind.facts.dtype, kind.facts.shape) == (12, "uint8", (2, 2, 1))
    assert kind.settled(one, "this")["label"].tolist() == [1, 0] * 3
    with pytest.raises(InputError, match="label of this"):
        kind.settled({"x": BYTES, "label": np.array(["c"] * 6)}, "this")


def test_without_classes_integers_stay_and_words_go():
    kind = kind_of([{"x": BYTES, "label": np.array([5] * 6)}], "some", HOW, None)
    assert (kind.classes, kind.names) == (None, None)
    label = kind.settled({"x": BYTES, "label": np.array([7] * 6)}, "this")["label"]
    assert label.dtype == np.int32
    assert label.tolist() == [7] * 6
    assert set(kind.settled({"x": BYTES, "label": np.array(["a"] * 6)}, "this")) == {"x"}


def test_batches_may_differ_in_length_alone():
    check_alike(BYTES[:2], BYTES, "this")
    check_alike(None, None, "this")
    check_alike(np.array(["a"]), np.array(["long word"]), "this")  # strings of any length
    check_alike(np.zeros(2, np.int64), np.zeros(3, np.int16), "this")
    for one, first, text in (
        (BYTES[:, :1], BYTES, r"this is uint8 \[1, 2, 1\], but the first was uint8 \[2, 2, 1\]; make all of one kind"),
        (BYTES.astype(float), BYTES, r"float64 \[2, 2, 1\], but the first was uint8"),
        (None, np.zeros(3, int), r"this is missing, but the first was integers \[\]"),
        (np.array(["a"]), np.zeros(3, int), r"strings \[\], but the first was integers"),
    ):
        with pytest.raises(InputError, match=text):
            check_alike(one, first, "this")
