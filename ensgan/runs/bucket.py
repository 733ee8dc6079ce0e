"""An address that holds a run: what is taken from it into the copy on this machine, and saved to it.

Nothing half-written is believed: the file that makes a checkpoint one is written last and removed first. Changes of the
copy that are not saved yet are never overwritten.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ensgan.data.stores import Entry, download, listed, store, tried, why
from ensgan.reporting.files import RunFiles, write_json
from ensgan.runs import directory as rundir
from ensgan.runs.checkpoint import MARK
from ensgan.runs.copies import (
    PROBE,
    TAKING,
    Record,
    Stamp,
    checkpoint_of,
    complete,
    copy_of,
    counts,
    foreign,
    inside,
    locking,
    runs_of,
    same,
    stamps,
    trained,
)
from ensgan.types import InputError

CONFIG, LOG = RunFiles("").config.name, RunFiles("").metrics.name
AT_ONCE = 8  # requests
HEAD = 2**16  # bytes


class Bucket:
    """An address and its copy, which processes of one machine, or of a shared file system, may use together.

    Args:
        address: such as s3://bucket/runs/x.

    Raises:
        InputError: as in `store`.
    """

    def __init__(self, address: str) -> None:
        """Looks for nothing yet."""
        self._files, self._root = store(address)
        self.address = address.rstrip("/")
        self.folder = copy_of(address)
        self.record = self.folder.with_name(f"{self.folder.name}.json")
        self._ours: set[str] = set()  # the runs that this process saw being trained here

    @contextlib.contextmanager
    def in_use(self, fresh: bool = False) -> Iterator[None]:
        """Takes what is new, as `pull` does, unless another process uses the copy, and keeps it so while inside."""
        rundir.make(self.folder)
        try:
            with locking(self.folder.with_name(f"{self.folder.name}.use")) as lock:
                if lock("LOCK_EX", wait=False):
                    self.pull(fresh)
                lock("LOCK_SH")
                yield
        finally:
            with contextlib.suppress(OSError):  # it holds something
                self.folder.rmdir()

    def pull(self, fresh: bool = False) -> None:
        """Makes the copy what is at the address, except for runs with changes that are not saved there yet.

        Args:
            fresh: for a new run; there must be none.

        Raises:
            InputError: the address cannot be read, there is a run, or both sides have changes.
        """
        try:
            there = self._listed()
            if fresh and CONFIG in there:
                raise InputError(
                    f"{self.address} already holds a run; continue it with `ensgan resume {self.address}`, choose "
                    "another --run-dir, or add --overwrite to replace it"
                )
            self._pull(there)
        except InputError:
            raise
        except Exception as error:  # of many kinds
            text = f"{self.address} cannot be read ({why(error)}); check its name, the connection and the credentials"
            raise InputError(text) from error

    def check_writable(self) -> None:
        """Raises InputError where nothing can be written."""
        try:
            tried(self._files.pipe_file, f"{self._root}/{PROBE}", b"")
            self._remove(PROBE)
        except Exception as error:  # of many kinds
            text = f"{self.address} cannot be written ({why(error)}); check its name and the credentials"
            raise InputError(text) from error

    def unsaved(self) -> list[str]:
        """The files of the copy that are not at the address as they are now, and those of checkpoints that went."""
        here, record = stamps(self.folder), self._remembered()
        whole = complete(here)
        new = [p for p in here if not same(p, here, record) and (not (at := checkpoint_of(p)) or at in whole)]
        ours = lambda path: any(path.startswith(run) for run in self._ours)
        return new + [path for path in record if path not in here and checkpoint_of(path) and ours(path)]

    def push(self) -> None:
        """Saves what changed here since it was saved.

        Raises:
            InputError: another machine trains at this address.
            Exception: those of the requests.
        """
        with locking(self.folder.with_name(f"{self.folder.name}.save")) as lock, ThreadPoolExecutor(AT_ONCE) as pool:
            lock("LOCK_EX")
            here, record, there = stamps(self.folder), self._remembered(), self._listed()
            runs = runs_of([*here, *there])
            for run in runs:
                self._push(run, inside(run, runs, here), inside(run, runs, there), record, pool.map)
            there = self._listed()
            self._check_arrived([path for path, (*_, tag) in record.items() if tag is None], here, there)
            self._remember({p: (size, at, tag or there[p].tag) for p, (size, at, tag) in record.items() if p in there})

    def _pull(self, there: dict[str, Entry]) -> None:
        for place in self.folder.rglob(RunFiles("").replaced.name):
            rundir.recover(place.parent)
        here, record = stamps(self.folder), self._remembered()
        if here and not there and any(tag for *_, tag in record.values()):
            raise InputError(
                f"there is nothing at {self.address} any more, and {self.folder} still holds what was there; move "
                "that folder away to begin again"
            )
        runs = runs_of([*here, *there])
        wanted: list[str] = []
        for run in runs:
            mine, theirs = inside(run, runs, here), inside(run, runs, there)
            if trained(mine, record):
                if foreign(theirs, record):
                    raise InputError(
                        f"{self.address} was changed by another machine, and {self.folder} has steps that were never "
                        "saved there; move that folder away to go on with what is at the address"
                    )
                continue
            whole = complete(theirs)
            files = [path for path in theirs if not (at := checkpoint_of(path)) or at in whole]
            known = {p for p in theirs if p in record and record[p][2] in (None, theirs[p].tag)}
            new = [p for p in files if p not in mine or p not in known or record[p][:2] == TAKING]
            places = {checkpoint_of(path) for path in new}
            wanted += [path for path in files if path in new or (checkpoint_of(path) and checkpoint_of(path) in places)]
            for place in {at for path in mine if (at := checkpoint_of(path))} - whole:
                shutil.rmtree(self.folder / place)
            for path in mine.keys() - theirs.keys():
                if not checkpoint_of(path) and path in record and same(path, mine, record):  # it was removed there
                    (self.folder / path).unlink()
        record |= {path: (*TAKING, there[path].tag) for path in wanted}
        self._remember(record)
        jobs: dict[str, list[str]] = {}
        for path in wanted:
            jobs.setdefault(checkpoint_of(path) or path, []).append(path)
        part = self.folder.with_name(f"{self.folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda place: self._fetch(place, jobs[place], there, part), jobs))
        shutil.rmtree(part, ignore_errors=True)
        now = stamps(self.folder)
        got = {path: (*now[path], there[path].tag) for path in wanted if path in now}
        self._remember(record | got)

    def _fetch(self, place: str, paths: list[str], there: dict[str, Entry], part: Path) -> None:
        """Fetches a file or a checkpoint, which gets its name once it is whole."""
        try:
            for path in paths:
                download(self._files, f"{self._root}/{path}", part / path, there[path].size)
        except FileNotFoundError:  # it was removed there meanwhile
            return
        target = self.folder / place
        if target.is_dir():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part / place, target)

    def _push(
        self, run: str, mine: dict[str, Stamp], theirs: dict[str, Entry], record: Record, each: Callable[..., Any]
    ) -> None:
        """Saves one run: its files, then checkpoints; then those go that are gone here."""
        changed, found = trained(mine, record), foreign(theirs, record)
        if changed and found:
            raise InputError(f"another machine trains at {self.address}, as its {found} says; end one of the two")
        here = changed or (run in self._ours and not found)
        self._ours = self._ours | {run} if here else self._ours - {run}
        whole, old = complete(mine), complete(theirs)
        dirty = [path for path in mine if not same(path, mine, record) or (here and path not in theirs)]
        moved = {at for path in dirty if (at := checkpoint_of(path))} & whole
        restarted = bool(old and whole) and not (old & whole) - moved and not self._goes_on(f"{run}{LOG}")
        # No checkpoint stands beside the files of another run, or has files of two.
        self._remove_all([f"{at}/{MARK}" for at in (old if restarted else old & moved)], each)
        plain = sorted((p for p in dirty if not checkpoint_of(p)), key=lambda p: not p.endswith(CONFIG))
        heavy = [path for path in mine if checkpoint_of(path) in moved]
        if plain or heavy:
            record |= {path: (*mine[path], None) for path in (*plain, *heavy)}
            self._remember(record)
        list(each(self._send, plain))  # a log is never behind a checkpoint
        if moved:
            marks = [path for path in heavy if path.endswith(f"/{MARK}")]
            rest = [path for path in heavy if path not in marks]
            list(each(self._send, rest))
            self._check_arrived(rest, mine, self._listed())
            now = stamps(self.folder)
            gone = {checkpoint_of(path) for path in heavy if now.get(path) != mine[path]}  # meanwhile, by newer ones
            list(each(self._send, [path for path in marks if checkpoint_of(path) not in gone]))
        if here and whole:
            self._remove_all([p for p in theirs if (at := checkpoint_of(p)) and at not in whole], each)
        if restarted:
            self._remove_all([p for p in theirs if not checkpoint_of(p) and p in record and p not in mine], each)

    def _goes_on(self, log: str) -> bool:
        """Whether the log here goes on from the one there; the times in its first line are those of one run alone."""
        with contextlib.suppress(FileNotFoundError), (self.folder / log).open("rb") as file:
            here, there = file.read(HEAD), tried(self._files.cat_file, f"{self._root}/{log}", 0, HEAD)
            return here.split(b"\n")[0] == there.split(b"\n")[0]
        return False

    def _check_arrived(self, paths: Iterable[str], here: dict[str, Stamp], there: dict[str, Entry]) -> None:
        """Raises OSError for a file that is not as long there as here, unless it changed meanwhile."""
        now = stamps(self.folder)
        for path in paths:
            size = there[path].size if path in there else -1
            if path in here and now.get(path) == here[path] and size != here[path][0]:
                raise OSError(f"{path} did not arrive whole")

    def _send(self, path: str) -> None:
        file = self.folder / path
        try:
            if checkpoint_of(path):
                tried(self._files.put_file, str(file), f"{self._root}/{path}")
            else:  # it may grow while it is read
                tried(self._files.pipe_file, f"{self._root}/{path}", file.read_bytes())
        except FileNotFoundError:
            if file.exists():  # then it is the bucket that is missing
                raise

    def _remove_all(self, paths: Iterable[str], each: Callable[..., Any]) -> None:
        """Removes files there, first those that make checkpoints."""
        marks = [path for path in paths if path.endswith(f"/{MARK}")]
        list(each(self._remove, marks))
        list(each(self._remove, [path for path in paths if path not in marks]))

    def _remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            tried(self._files.rm_file, f"{self._root}/{path}")

    def _listed(self) -> dict[str, Entry]:
        return {path: entry for path, entry in listed(self._files, self._root).items() if counts(path)}

    def _remembered(self) -> Record:
        found = rundir.dictionary(self.record)
        files = found.get("files", {}) if found.get("address") == self.address else {}
        return {path: (size, at, tag) for path, (size, at, tag) in files.items()}

    def _remember(self, record: Record) -> None:
        self.record.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.record, {"address": self.address, "files": record})
