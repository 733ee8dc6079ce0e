"""Labels of any integers or strings as classes 0..K-1, in natural order, with their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ensgan.data.checks import as_array
from ensgan.types import InputError

Classes = int | Sequence[str] | None  # how many classes, or their names in order; None is as many as labels differ
SHOWN = 10  # names in messages
LONGEST = 200  # characters of a name in messages
ENDS = {ord(each): ascii(each)[1:-1] for each in "\n\r\t\v\f\x1c\x1d\x1e\x85\u2028\u2029"}


def natural(text: str) -> tuple[list[Any], str]:
    """A key for sorting names as people do: class2 comes before class10, and -2 before -1."""
    if re.fullmatch(r"-[0-9]+", text):
        return ["", int(text), ""], text
    parts = re.split(r"([0-9]+)", text)
    return [int(part) if k % 2 else part for k, part in enumerate(parts)], text


def some(names: Iterable[str], shown: int = SHOWN) -> str:
    """The first names, and how many more there are; all in one line, and long ones cut."""
    names = list(names)
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(map(_short, names[:shown])) + more


def _short(name: str) -> str:
    """A name with escapes in place of ends of lines, without the middle of a long one; quoted if it ends in a gap."""
    name = name.translate(ENDS)
    name = name if name == name.strip() else repr(name)
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}...{name[-LONGEST // 2 :]}"


def map_labels(label: Any, num: int, what: str, classes: Classes = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels as classes.

    Args:
        label: integers or strings `[num]`.
        num: how many samples there are.
        what: the name of the labels in errors.
        classes: their names in order; or how many there are; or None for one class per label that occurs. Integers in
            0..K-1 stand for themselves where K is given.

    Returns:
        The classes, int32 `[num]`, and the names of all classes in order. Integers are sorted by value, strings
        naturally.

    Raises:
        InputError: labels of another kind, another number of them, a label without a class, or more of them than
            classes.
    """
    label = plain_labels(label, num, what)
    if classes is None:
        return _by_name(label, names := _distinct(label), what), names
    if not isinstance(classes, int | np.integer):
        return _by_name(label, names := tuple(map(str, classes)), what), names
    if label.dtype.kind in "iu" and (not label.size or (label.min() >= 0 and label.max() < classes)):
        return label.astype(np.int32), tuple(map(str, range(classes)))
    names = _distinct(label)
    if len(names) != classes:
        seen = f"{label.min()}..{label.max()}" if label.dtype.kind in "iu" else some(map(repr, names))
        raise InputError(f"{what} holds labels {seen}; expected 0..{classes - 1}, or {classes} different labels")
    return _by_name(label, names, what), names


def plain_labels(label: Any, num: int, what: str) -> np.ndarray:
    """Labels as an array of integers or of str, `[num]`. Raises InputError for others, and for empty texts."""
    label = as_array(label, what)
    if label.dtype.kind == "S":
        label = np.char.decode(label, "utf-8", "backslashreplace")  # so that different labels stay so
    if label.dtype.kind == "O" and all(isinstance(each, str) for each in label.flat):
        label = label.astype(str)
    if label.dtype.kind not in "iuUT" or label.shape != (num,):
        seen = f"{what} is {label.dtype} {list(label.shape)}"
        raise InputError(f"{seen}; expected integers or strings [{num}], one per sample{_instead(label, num)}")
    if label.dtype.kind in "iu":
        return label
    label = label.astype(str)
    if (empty := np.flatnonzero(np.char.str_len(np.char.strip(label)) == 0)).size:
        raise InputError(f"{what} has an empty text for sample {empty[0]}; give every sample a label, or remove it")
    return label


def _instead(label: np.ndarray, num: int) -> str:
    """How labels of another form become integers; empty where nobody can know."""
    if label.shape == (num, 1):
        return "; take the column, such as y[:, 0]"
    if label.dtype.kind in "mMO" and label.shape == (num,):
        return "; convert them with y.astype(str)"
    if label.dtype.kind not in "iufb" or not label.size:
        return ""
    if label.ndim == 2 and len(label) == num and ((label == 0) | (label == 1)).all() and (label.sum(axis=1) == 1).all():
        return "; these seem to be one-hot: take y.argmax(axis=1)"
    whole = label.shape == (num,) and np.isfinite(label).all() and (label == np.rint(label)).all()
    return "; convert them with y.astype(int)" if whole else ""


def class_number(asked: str, names: Sequence[str]) -> int | None:
    """The class that a user means by its name, or by its number where names are not numbers; None if there is none."""
    if asked in names:
        return list(names).index(asked)
    numbers = any(re.fullmatch("-?[0-9]+", name) for name in names)
    if numbers or not re.fullmatch("[0-9]{1,9}", asked) or int(asked) >= len(names):
        return None
    return int(asked)


def _distinct(label: np.ndarray) -> tuple[str, ...]:
    names = [str(each) for each in np.unique(label)]
    return tuple(names if label.dtype.kind in "iu" else sorted(names, key=natural))


def _by_name(label: np.ndarray, names: tuple[str, ...], what: str) -> np.ndarray:
    values, where = np.unique(label, return_inverse=True)
    number = {name: k for k, name in enumerate(names)}
    found = [number[str(value)] if str(value) in number else class_number(str(value), names) for value in values]
    if None in found:
        wrong = str(values[found.index(None)])
        raise InputError(f"{what} holds label {wrong!r}; the classes are: {some(names)}")
    return np.array(found, np.int32)[where.reshape(label.shape)] if label.size else np.zeros(0, np.int32)
