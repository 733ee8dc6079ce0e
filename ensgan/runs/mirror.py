"""The folder of a run; of one at an address, the copy that commands work in, from where what changes is saved."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ensgan.data.stores import is_address, why
from ensgan.devices import processes
from ensgan.reporting.files import RunFiles
from ensgan.runs.bucket import Bucket
from ensgan.types import InputError

EVERY = 2.0  # seconds between two looks at the copy
LONGEST = 120.0  # seconds between two attempts at a store that refuses
PATIENCE = 300.0  # seconds of attempts at the end
# What grows all the time: it is saved with the next checkpoint or score, not for its own sake.
GROWING = tuple(each.name for each in (RunFiles("").metrics, RunFiles("").tensorboard, RunFiles("").profile))


@contextlib.contextmanager
def folder_of(place: str, *, training: bool = False, fresh: bool = False) -> Iterator[Path]:
    """The folder of a run, to be worked in; of an address, a copy that is saved there, at the latest at the end.

    Several processes of one run all call this; the first one takes and saves.

    Args:
        place: a folder, or an address such as s3://bucket/runs/x.
        training: whether to save while it is worked in. A store that refuses then stops nothing.
        fresh: whether a run at the address is one too many.

    Raises:
        InputError: the address cannot be used, or has not got everything at the end.
    """
    if not is_address(place):
        yield Path(os.path.expanduser(place))
        return
    bucket = Bucket(place)
    with contextlib.ExitStack() as stack:
        with processes.together():
            if processes.first():
                stack.enter_context(bucket.in_use(fresh))
                if training:
                    bucket.check_writable()
        _check_shared(bucket.folder)
        stack.enter_context(_named(bucket.folder, place.rstrip("/")))
        if not processes.first():
            yield bucket.folder
            return
        saver = Saver(bucket, training)
        try:
            yield bucket.folder
        except BaseException as error:
            try:
                saver.end(PATIENCE if isinstance(error, Exception) else 0.0)
            except InputError as also:
                print(f"note: {also}", file=sys.stderr, flush=True)
            raise
        saver.end(PATIENCE)


@contextlib.contextmanager
def _named(folder: Path, address: str) -> Iterator[None]:
    """What is wrong is said of the address, and not of the copy."""
    try:
        yield
    except InputError as error:
        raise type(error)(str(error).replace(str(folder), address)) from error


def _check_shared(folder: Path) -> None:
    """Raises InputError where processes of one run do not see the same copy."""
    if not processes.several():
        return
    mark = folder.with_name(f"{folder.name}.use")
    with processes.together():
        if processes.first():
            mark.touch()
    seen = str(mark.stat().st_mtime_ns) if mark.is_file() else ""
    first = processes.from_first(seen)
    with processes.together():
        if seen != first:
            raise InputError(
                f"{folder} is another folder than that of process 0; set the environment variable ENSGAN_RUNS to a "
                "folder that all processes see"
            )


class Saver:
    """Saves a copy at its address.

    Args:
        bucket: the address and its copy.
        watching: whether a thread does so again and again until the end.
    """

    def __init__(self, bucket: Bucket, watching: bool) -> None:
        """Starts the thread."""
        self.bucket = bucket
        self.problem, self.final = "", False  # why it could not be saved the last time, and whether that stays so
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if watching:
            self._thread.start()

    def end(self, patience: float) -> None:
        """Saves what is left. Raises InputError where that fails for `patience` seconds."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(patience or None)
        wait, last = 1.0, time.monotonic() + patience
        while self.bucket.unsaved() and not self._saved():
            if self.final or time.monotonic() + wait > last:
                raise InputError(
                    f"not everything is at {self.bucket.address} ({self.problem}), but it is safe in "
                    f"{self.bucket.folder}; any command saves it later, such as `ensgan report {self.bucket.address}`"
                )
            time.sleep(wait)
            wait = min(2 * wait, LONGEST)

    def _watch(self) -> None:
        wait = EVERY
        while not self._ended.wait(wait):
            growing = lambda path: any(part in GROWING for part in path.split("/"))
            if all(map(growing, self.bucket.unsaved())):
                continue
            wait = EVERY if self._saved() else min(2 * wait, LONGEST)

    def _saved(self) -> bool:
        """Whether an attempt succeeded; the first of several that fail, and the first that does not, are noted."""
        try:
            self.bucket.push()
        except Exception as error:  # backends raise errors of many kinds
            known, self.final = bool(self.problem), isinstance(error, InputError)
            self.problem = str(error) if self.final else why(error)
            if not known:
                self._note(f"what changes is not saved there now ({self.problem}); it is kept here, and tried again")
            return False
        if self.problem:
            self._note("everything is saved there again")
        self.problem = ""
        return True

    def _note(self, text: str) -> None:
        print(f"note: {self.bucket.address}: {text}", file=sys.stderr, flush=True)
