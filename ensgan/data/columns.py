"""The columns of a table, how a sample comes back to its numbers, and which of them may be no measurements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

EXACT = 2**53  # above it not every whole number is one of float64


class Columns(NamedTuple):
    """The columns of a table: names, and the shift and scale `[D]` that a sample has undergone."""

    names: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray

    def done(self, x: Any) -> np.ndarray:
        """Samples `[n, D]` of the table as networks see them, float32."""
        return self.scaled(x).astype(np.float32)

    def scaled(self, x: Any) -> np.ndarray:
        """Samples `[n, D]` of the table shifted and scaled, float64."""
        return (np.asarray(x, np.float64) - self.mean) / self.std

    def undone(self, x: Any) -> np.ndarray:
        """Samples `[n, D]` in the numbers of the table."""
        return np.asarray(x, np.float64) * self.std + self.mean


def hints(found: dict[str, Any], names: list[str], counting: Sequence[str]) -> tuple[str, ...]:
    """What may be no measurements among columns: those that count the rows, and whole numbers that become equal."""
    said = [
        f"column {name!r} only counts the rows; if it is no part of a sample, name the others by --data.columns"
        for name in names
        if name in counting
    ]
    for name in names:
        column = found[name]
        if (
            isinstance(column, np.ndarray)
            and column.dtype.kind in "iu"
            and (np.abs(column.astype(float)) > EXACT).any()
        ):
            said.append(
                f"column {name!r} has whole numbers above {EXACT:,}, of which only the first digits are kept; if they "
                "are names of rows, leave the column out by --data.columns"
            )
    return tuple(said)
