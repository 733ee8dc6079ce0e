"""Plain-text tables for a terminal or a log file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def format_matrix(matrix: Any, rows: Sequence[str], columns: Sequence[str]) -> str:
    """A matrix `[len(rows), len(columns)]` as aligned text with three decimals; `-` where not finite."""
    values = np.array(matrix, dtype=float)
    cells = [["", *columns], *([name, *map(_cell, row)] for name, row in zip(rows, values, strict=True))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(_aligned(row, widths) for row in cells)


def format_ranking(order: Sequence[int], scores: Any, errors: Any, kind: str = "generator") -> str:
    """A ranking, best first, one member a line: `1. generator 2  0.431 ± 0.012`.

    Args:
        order: indices of members, best first.
        scores: one score per member, in the order of the members.
        errors: one standard error per member, likewise.
        kind: what the members are called.
    """
    scores, errors = np.array(scores, dtype=float), np.array(errors, dtype=float)
    names = [f"{kind} {member}" for member in order]
    width = max(map(len, names), default=0)
    return "\n".join(
        f"{place:>{len(str(len(names)))}}. {name:<{width}}  {_cell(scores[member])} ± {_cell(errors[member])}"
        for place, (member, name) in enumerate(zip(order, names, strict=True), 1)
    )


def format_measured(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """Measurements as aligned text, a metric a line: value and interval of each column, the floor, and n.

    Args:
        columns: heading -> metric -> a `Measured`. Floors and n are those of the first column that has the metric.
    """
    first: dict[str, Any] = {}
    for column in columns.values():
        first = {**column, **first}
    show = lambda value: f"{value:.4g}" if np.isfinite(value) else "-"
    interval = lambda m: f" [{show(m.low)}, {show(m.high)}]" if np.isfinite([m.low, m.high]).any() else ""
    cell = lambda m: "-" if m is None else show(m.value) + interval(m)
    rows = [["", *columns, "floor", "n"]]
    for name, m in first.items():
        rows.append([name, *(cell(column.get(name)) for column in columns.values()), show(m.floor), str(m.n)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_aligned(row, widths) for row in rows)


def _cell(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    name, *cells = row
    return "  ".join([name.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(cells, widths[1:], strict=True))])
