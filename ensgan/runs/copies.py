"""The copy of a run that is at an address: where it is, its files, and which of them are as they were there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ensgan.data.stores import Entry
from ensgan.reporting.files import RunFiles
from ensgan.runs.checkpoint import MARK

try:
    import fcntl
except ImportError:  # not on Windows, where two commands should not work on one address at a time
    fcntl = None  # type: ignore[assignment]

NAMES = RunFiles("")
PROBE = ".ensgan"  # a file that is written to see whether that works
# What training alone writes: where it changed, this machine has trained since it last saved.
KEYS = (NAMES.config.name, NAMES.clock.name, NAMES.metrics.name)
CHECKPOINT = re.compile(rf"((?:.*/)?{NAMES.checkpoints.name}/[0-9]+)/.+")
OTHER = re.compile(rf"(.*/)?{NAMES.checkpoints.name}/.*|.*\.tmp|{re.escape(PROBE)}")  # among them halves of both

Stamp = tuple[int, int]  # bytes, and nanoseconds of the last change
TAKING: Stamp = (-1, -1)  # of a file that is being taken
# Of each file, stamp and tag when it was the same on both sides; no tag while it is being saved.
Record = dict[str, tuple[int, int, str | None]]


def copy_of(address: str) -> Path:
    """The folder for the copy: in `ENSGAN_RUNS` if that is set, else in `ensgan/runs` in the user's cache."""
    own, address = os.environ.get("ENSGAN_RUNS"), address.rstrip("/")
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ensgan" / "runs"
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", address)[-60:].strip("-.")
    folder = Path(os.path.expanduser(own)) if own else usual
    return folder.absolute() / f"{name}-{hashlib.sha256(address.encode()).hexdigest()[:8]}"


def stamps(folder: Path) -> dict[str, Stamp]:
    """The files of a copy; none of a run that is being replaced, as the older one is the run until then."""
    found = {}
    for place, folders, names in os.walk(folder):
        if NAMES.replaced.name in folders:
            folders.clear()
            continue
        for name in names:
            path = Path(place, name).relative_to(folder).as_posix()
            with contextlib.suppress(OSError):  # it has just gone
                about = os.stat(os.path.join(place, name))
                if counts(path):
                    found[path] = (about.st_size, about.st_mtime_ns)
    return found


def counts(path: str) -> bool:
    """Whether a file belongs to a run, and is no part of one that is being written."""
    if NAMES.replaced.name in path.split("/"):
        return False
    return CHECKPOINT.fullmatch(path) is not None or not OTHER.fullmatch(path)


def checkpoint_of(path: str) -> str | None:
    """The folder of the checkpoint that a file is in."""
    match = CHECKPOINT.fullmatch(path)
    return match[1] if match else None


def complete(paths: Iterable[str]) -> set[str]:
    """The checkpoints that are whole."""
    return {at for path in paths if (at := checkpoint_of(path)) and path == f"{at}/{MARK}"}


def runs_of(paths: Iterable[str]) -> list[str]:
    """The beginnings of the paths of each run, inner ones first; the last is empty, for what is in no run."""
    ends = {path.removesuffix(NAMES.config.name) for path in paths if path.split("/")[-1] == NAMES.config.name}
    return sorted(ends | {""}, key=len, reverse=True)


def inside(run: str, runs: list[str], files: dict[str, Any]) -> dict[str, Any]:
    """The files of one run."""
    return {path: about for path, about in files.items() if next(r for r in runs if path.startswith(r)) == run}


def same(path: str, here: dict[str, Stamp], record: Record) -> bool:
    """Whether a file is as it was when both sides had it, or is being taken."""
    return path in record and record[path][2] is not None and record[path][:2] in (here[path], TAKING)


def trained(here: dict[str, Stamp], record: Record) -> bool:
    """Whether training changed a run since it was saved; files that are missing were lost, not changed."""
    keys = [path for path in here if checkpoint_of(path) or path.split("/")[-1] in KEYS]
    return not all(same(path, here, record) for path in keys)


def foreign(there: dict[str, Entry], record: Record) -> str | None:
    """A file that another machine wrote while it trained, if there is one."""
    keys = [path for path in there if path.split("/")[-1] in KEYS]
    known = lambda path: path in record and record[path][2] in (None, there[path].tag)
    return next((path for path in keys if not known(path)), None)


@contextlib.contextmanager
def locking(file: Path) -> Iterator[Callable[..., bool]]:
    """A function that takes a lock of this file, or changes its kind; it goes with the block or the process."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as opened:

        def take(kind: str, wait: bool = True) -> bool:
            if fcntl is None:
                return True
            try:
                fcntl.flock(opened, getattr(fcntl, kind) | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                return False
            except OSError:  # a file system without locks
                pass
            return True

        yield take
