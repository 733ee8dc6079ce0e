"""The folder of a run as a command line gives it; where that is an address, messages name the address."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from ensgan.cli import streams
from ensgan.data.stores import is_address
from ensgan.devices import processes
from ensgan.runs import mirror


@contextlib.contextmanager
def place_of(run: str, *, training: bool = False, fresh: bool = False) -> Iterator[Path]:
    """The folder of a run, as in `mirror.folder_of`."""
    with mirror.folder_of(run, training=training, fresh=fresh) as folder:
        if not is_address(run):
            yield folder
            return
        address = run.rstrip("/")
        if training and processes.first():
            print(f"note: {address} is worked on in {folder}, and saved from there", file=sys.stderr, flush=True)
        with streams.called(str(folder), address):
            yield folder
