"""The columns of a table, and how a sample comes back to the numbers of its table."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


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
