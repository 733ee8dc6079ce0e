"""Names of data sets with a split behind a colon, and which split is meant."""

from pathlib import Path

import pytest

from ensgan.data.libraries import chosen, parts, reason
from ensgan.types import InputError


@pytest.mark.parametrize(
    ("which", "path", "found"),
    [
        ("mnist", None, ("mnist", "")),
        ("mnist:test", None, ("mnist", "test")),
        ("user/name:train", None, ("user/name", "train")),
        ("mnist:1.0.0:test", None, ("mnist:1.0.0", "test")),
        ("mnist:3.0.1", None, ("mnist:3.0.1", "")),  # a version is no split
        ("test", "folder", ("", "test")),
        ("", "folder", ("", "")),
    ],
)
def test_a_split_stands_behind_the_last_colon(which, path, found):
    assert parts("tfds", which, path) == found


@pytest.mark.parametrize("which", ["", ":train"])
def test_a_name_or_a_folder_is_needed(which):
    with pytest.raises(InputError, match=r"hf needs a data set; give its name, --data hf:NAME, or a folder"):
        parts("hf", which, None)


@pytest.mark.parametrize(
    ("known", "split", "found"),
    [(["test", "train"], "", "train"), (["test"], "", "test"), (["test", "train"], "test", "test"), ([""], "", "")],
)
def test_train_is_read_where_no_split_is_named(known, split, found):
    assert chosen("hf", known, split, Path("place")) == found


def test_splits_that_are_not_there_or_not_clear():
    with pytest.raises(InputError, match=r"unknown split of place 'tset'.*test"):
        chosen("hf", ["test", "train"], "tset", Path("place"))
    with pytest.raises(InputError, match=r"place has the splits a, b; name one, such as --data hf:NAME:a"):
        chosen("hf", ["b", "a"][::-1], "", Path("place"))


def test_the_reason_of_an_error_is_one_line():
    assert reason(ValueError("  first\nsecond")) == "first"
    assert reason(KeyError()) == "KeyError"
    assert len(reason(ValueError("x" * 500))) == 120
