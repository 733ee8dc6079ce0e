"""Comparisons of runs as text: for a terminal, Markdown, LaTeX, and CSV with every value."""

from __future__ import annotations

import csv
import io

from ensgan.evaluation.contest import AXES, Contest, verdict
from ensgan.metrics.seeds import FEWEST, Interval


def describe(found: Contest) -> str:
    """Tables for a terminal, what they say in words, and warnings."""
    rows = _rows(found)
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    pad = lambda row: "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    return "\n".join([heading(found), "", *map(pad, rows), "", *sentences(found)])


def markdown(found: Contest) -> str:
    """The table in Markdown, with what it says below."""
    head, *rows = [[cell.replace("|", "\\|") for cell in row] for row in _rows(found)]
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join([heading(found), "", *lines, "", *(f"- {each}" for each in sentences(found))]) + "\n"


def latex(found: Contest) -> str:
    """The table for LaTeX with the package booktabs, and what it says as comments."""
    head, *rows = [[_escaped(cell) for cell in row] for row in _rows(found)]
    line = lambda row: " & ".join(row) + r" \\"
    return "\n".join(
        [
            *(f"% {each}" for each in (heading(found), *sentences(found))),
            rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
            r"\toprule",
            line(head),
            r"\midrule",
            *map(line, rows),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def comma_separated(found: Contest) -> str:
    """Every value of every run, one a line: side, seed, steps, FLOPs, seconds, metric, value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["side", "seed", *AXES, "metric", "value"])
    for side in found.contenders:
        for seed, curve in side.runs.items():
            for metric, values in curve.values.items():
                for t, value in enumerate(values):
                    where = [f"{curve.axes[axis][t]:.10g}" if axis in curve.axes else "" for axis in AXES]
                    writer.writerow([side.name, seed, *where, metric, f"{value:.6g}"])
    return text.getvalue()


def heading(found: Contest) -> str:
    """Where the sides are compared, and how."""
    where = {"flops": "{:.4g} FLOPs", "steps": "{:,.0f} steps", "seconds": "{:.4g} seconds of training"}
    several = any(len(side.runs) > 1 for side in found.contenders)
    spread = ": means over seeds, each with its own split of the data, and 95 % bootstrap intervals" if several else ""
    return f"mixtures of generators at {where[found.axis].format(found.position)}{spread}"


def sentences(found: Contest) -> list[str]:
    """What the rows say, and what is to be minded."""
    names = [side.name for side in found.contenders]
    said = [text for line in found.lines for text in verdict(line, names)]
    few = min(len(side.runs) for side in found.contenders) < FEWEST
    caution = (
        [f"Note: with fewer than {FEWEST} seeds a side, nothing here is a claim."] if few and len(names) > 1 else []
    )
    return [*said, *caution, *(f"Warning: {each}." for each in found.warnings)]


def _rows(found: Contest) -> list[list[str]]:
    """The table as cells: a row for each metric, a column for each side."""
    head = ["", *(f"{side.name} ({_seeds(len(side.runs))})" for side in found.contenders)]
    return [head, *([line.title, *map(shown, line.means)] for line in found.lines)]


def shown(mean: Interval) -> str:
    """A mean with its interval, as a cell of a table."""
    return str(mean) if mean.num else "not defined"


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _escaped(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {each: f"\\{each}" for each in "&%$#_{}"}
    return "".join(special.get(letter, letter) for letter in text)
