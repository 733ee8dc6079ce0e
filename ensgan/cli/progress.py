"""How commands that train report progress, and the new folders they get."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

from ensgan.devices import processes
from ensgan.reporting import Console, Watcher


def console() -> Watcher:
    """The reporter of progress; the first of several processes reports for all."""
    return Console(sys.stderr) if processes.first() else Watcher()


@contextlib.contextmanager
def claimed(title: str) -> Iterator[Path]:
    """A new folder `runs/TITLE-N` that no other process gets; it goes again if nothing was written into it."""
    runs = Path("runs")
    runs.mkdir(exist_ok=True)
    directory = next(filter(_made, (runs / f"{title}-{n}" for n in itertools.count(1))))
    try:
        yield directory
    finally:
        for folder in (directory, runs):
            with contextlib.suppress(OSError):  # it holds something
                folder.rmdir()


def _made(directory: Path) -> bool:
    """Whether this process made the folder, and nobody before."""
    try:
        directory.mkdir()
    except FileExistsError:
        return False
    return True
