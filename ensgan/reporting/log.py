"""`metrics.jsonl`: one strict JSON record a line, appended while training runs and read by the report."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

from ensgan.reporting.files import SUM, believed, checksum, plain, write_atomically
from ensgan.reporting.forms import is_sound, of_one_game
from ensgan.types import InputError


class MetricsLog:
    """Appends records to a JSONL file; every record has left the program when `write` returns."""

    def __init__(self, path: str | Path, resume_step: int | None = None) -> None:
        """Open the file, and repair it: a last line that was cut off by a crash would spoil the next record.

        Args:
            path: the file; it and its folder are made if they are missing.
            resume_step: the step that training resumes from; records of later steps are dropped, since they
                will come again. Records without a step stay.

        Raises:
            InputError: a line before the last one is not a JSON object.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            keep = read_metrics(path)
            if resume_step is not None:
                keep = [record for record in keep if record.get("step", 0) <= resume_step]
            text = "".join(_line(record) for record in keep)
            if text.encode() != path.read_bytes():
                write_atomically(path, text.encode())
        self._path, self._rest = path, b""
        self._file = path.open("ab", buffering=0)

    def write(self, record: dict[str, Any]) -> None:
        """Append one record. Arrays become lists, floats keep 6 digits, NaN and ±∞ become null.

        Raises:
            OSError: it could not be written now (a full disk, a folder that is gone). It is kept, and written before
                the next record, or when the log is closed.
        """
        self._rest += _line(record).encode()
        self._flush()

    def close(self) -> None:
        """Write what could not be written, and close the file; twice does no harm. Raises OSError, as `write` does."""
        try:
            if self._rest:
                self._flush()
        finally:
            self._file.close()

    def _flush(self) -> None:
        if not (self._path.exists() and os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))):
            again = self._path.open("ab", buffering=0)  # nothing is written into a file that was removed
            self._file.close()
            self._file = again
        while self._rest:
            self._rest = self._rest[self._file.write(self._rest) :]

    def __enter__(self) -> Self:
        """The log itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the file. Of two errors the first is told."""
        try:
            self.close()
        except OSError:
            if kind is None:
                raise


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """All records of a JSONL file, in the order of the file. A last line that was cut off is left out.

    Raises:
        InputError: there is no such file, a line before the last one is no record, or one has arrays of other sizes.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no metrics at {path}: expected a JSONL file")
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    records = []
    for number, line in numbered:
        record = _record(line)
        if record is not None:
            records.append(record)
        elif number != numbered[-1][0]:
            raise _wrong(path, number, "is not a JSON object, or not what was written")
    if not all(SUM in line for _, line in numbered):
        for (number, _), sound in zip(numbered, of_one_game(records), strict=False):
            if not sound:
                raise _wrong(path, number, "is of a game with other members")
    return records


def _wrong(path: Path, number: int, what: str) -> InputError:
    return InputError(f"{path}, line {number} {what}; remove that line to read the others")


def _record(line: str) -> dict[str, Any] | None:
    """The record of a line; None where it is no JSON object, of another form, or not what was written.

    A record with its checksum is as it was written, so only others are looked at, which would take time.
    """
    try:
        record = json.loads(line)
        sound = isinstance(record, dict) and (SUM in record or is_sound(record))
        return believed(record) if sound else None
    except (ValueError, RecursionError):
        return None


def _line(record: dict[str, Any]) -> str:
    found = plain(record)
    return json.dumps({**found, SUM: checksum(found)}, allow_nan=False, separators=(",", ":")) + "\n"
