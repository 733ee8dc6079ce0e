"""Other libraries: the names of their data sets, with a split behind a colon, and their errors in one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ensgan.data.labels import some
from ensgan.types import InputError, unknown

TRAIN = "train"


def parts(kind: str, which: str, path: str | Path | None) -> tuple[str, str]:
    """The name of a data set and its split in `NAME:SPLIT`, or the split alone where a `path` gives the data.

    Either is empty where it is not given.

    Raises:
        InputError: neither a name nor a path.
    """
    if path is not None:
        return "", which
    name, colon, split = which.rpartition(":")
    name, split = (name, split) if colon and re.fullmatch(r"\w+", split) else (which, "")
    if not name:
        raise InputError(
            f"{kind} needs a data set; give its name, --data {kind}:NAME, or a folder, --data {kind} --data-dir DIR"
        )
    return name, split


def chosen(kind: str, known: Sequence[str], split: str, place: Path) -> str:
    """The split that is asked for; by default `train`, or the only one. Files without a split have the empty name.

    Raises:
        InputError: there is no such split, or there are several and none is asked for.
    """
    if split:
        if split not in known:
            raise unknown(f"split of {place}", split, [name for name in known if name] or ["(all in one)"])
        return split
    if len(known) > 1 and TRAIN not in known:
        raise InputError(f"{place} has the splits {some(known)}; name one, such as --data {kind}:NAME:{min(known)}")
    return TRAIN if TRAIN in known else known[0]


def reason(error: Exception) -> str:
    """The first line of an error of another library, at most 120 characters; its type where it says nothing."""
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
