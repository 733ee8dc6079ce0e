"""Checks of flags that several commands have."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from ensgan.data.listing import is_run
from ensgan.data.source import LEAST
from ensgan.data.stores import is_address
from ensgan.reporting.files import RunFiles
from ensgan.runs.config import Config
from ensgan.runs.origin import Elsewhere, located
from ensgan.runs.restore import Opened, opened
from ensgan.types import InputError

CLASSIFIER_STEPS, REPEATS = 1500, 100  # if not given
WHOLE = ("folder", "table")  # data that are whatever lies in their folder


def repeats_or_default(repeats: int | None) -> int:
    """The number of half-samples that `--repeats` gives. Raises InputError where it is 1 or negative."""
    if repeats is not None and (repeats < 0 or repeats == 1):
        raise InputError(f"--repeats is {repeats}; give 2 or more, or 0 for no intervals")
    return REPEATS if repeats is None else repeats


def enough(num: int | None) -> int | None:
    """`--num` of samples. Raises InputError where ranks would be noise."""
    if num is not None and num < LEAST:
        raise InputError(f"--num is {num}; scores need at least {LEAST} samples")
    return num


def span_of(text: str | None) -> tuple[float, float] | None:
    """The numbers of `--range`. Raises InputError for other texts."""
    if text is None:
        return None
    numbers = re.fullmatch(r"\s*([-+.\de]+)\s*,\s*([-+.\de]+)\s*", text)
    try:
        low, high = map(float, numbers.groups()) if numbers else (0.0, 0.0)
    except ValueError:
        low = high = 0.0
    if not low < high:
        raise InputError(f"--range is {text!r}; give the values of black and white, such as 0,1")
    return low, high


def counted(num: int, word: str) -> str:
    """A number with a word of it: 1 sample, 1,000 samples."""
    return f"{num:,} {word}{'s' * (num != 1)}"


def check_out(out: Path, *endings: str, folder: bool = False) -> None:
    """Raises InputError where `--out` cannot be written; where it may be a `folder`, the message says how."""
    if out.suffix not in endings:
        also = f", or {out}/ for a folder" if folder and not out.suffix else ""
        raise InputError(f"--out is {out}; give a name that ends in {' or '.join(endings)}{also}")
    if not out.absolute().parent.is_dir():
        raise InputError(f"--out is {out}, but the folder {out.absolute().parent} does not exist; make it first")
    check_spares(out)


def check_spares(out: Path) -> None:
    """Raises InputError where `--out` would replace a file that a run keeps for itself."""
    files = RunFiles(out.absolute().parent)
    if files.config.is_file() and out.name in files.names():
        raise InputError(f"--out is {out}, a file of the run in that folder; give another name, such as my_{out.name}")


def opened_for(out: Path | None, run: Path, data_dir: str | None, step: str | None) -> Opened:
    """A run, as `opened` gives it, from which `out` is written. Raises InputError where that would replace its data."""
    found = opened(run, data_dir, step)
    with contextlib.suppress(Elsewhere):
        if out is not None:
            check_data_apart(out, located(found.config, found.directory))
    return found


def check_data_apart(out: Path, settings: Config) -> None:
    """Raises InputError where `--out` would replace data, or be read as data the next time."""
    place = settings.data.options.get("path")
    check_apart(out, place)
    if settings.data.name in WHOLE and place and not is_address(place):
        above = out.resolve().parents
        if Path(os.path.expanduser(place)).resolve() in above and not any(map(is_run, above)):  # which are no data
            raise InputError(f"--out is {out}, in the folder {place}, whose files are data; give a place elsewhere")


def check_apart(out: Path, read: str | None) -> None:
    """Raises InputError where `--out` is the file that is read."""
    if read and not is_address(read) and out.resolve() == Path(os.path.expanduser(read)).resolve():
        raise InputError(f"--out is {out}, which is read, and would be replaced; give a place elsewhere")


def check_folder(out: Path) -> None:
    """Raises InputError where samples cannot be written into the folder `--out`: it must be empty, or not exist."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out is {out}, which holds other files; give a new or an empty folder")
    if not out.absolute().parent.is_dir():
        raise InputError(f"--out is {out}, but the folder {out.absolute().parent} does not exist; make it first")
