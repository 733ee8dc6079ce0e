"""`metrics.jsonl`: one strict JSON record a line, appended while training runs and read by the report."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, Self

import numpy as np

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
        self._file = path.open("a", encoding="utf-8")

    def write(self, record: dict[str, Any]) -> None:
        """Append one record. Arrays become lists, floats keep 6 digits, NaN and ±∞ become null."""
        self._file.write(_line(record))
        self._file.flush()

    def close(self) -> None:
        """Close the file; twice does no harm."""
        self._file.close()

    def __enter__(self) -> Self:
        """The log itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """All records of a JSONL file, in the order of the file. A last line that was cut off is left out.

    Raises:
        InputError: there is no such file, or a line before the last one is not a JSON object.
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
            raise InputError(f"{path}, line {number} is not a JSON object; remove that line to read the others")
    return records


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file such that a reader, or a crash, finds the old content or the new, never a part."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _line(record: dict[str, Any]) -> str:
    return json.dumps(plain(record), allow_nan=False, separators=(",", ":")) + "\n"


def plain(value: Any) -> Any:
    """The value in JSON's own types: arrays become lists, floats keep 6 digits, NaN and ±∞ become null."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) or np.ndim(value) == 0:
        return _number(value)
    return [plain(item) for item in np.asarray(value)]


def _number(value: Any) -> float | int | bool | None:
    if not isinstance(value, float):
        value = np.asarray(value)
        # bfloat16 and its relatives are of no kind that numpy knows: all but bools and integers are floats.
        if value.dtype.kind in "biu":
            return value.item()
    value = float(value)
    # More than six digits are noise in a mean over a batch, and would double the file.
    return float(f"{value:.6g}") if math.isfinite(value) else None
