"""Comparisons of runs as a page: tables, what they say, and curves over work, steps and time."""

from __future__ import annotations

import numpy as np

from ensgan.evaluation.contest import AXES, Contender, Contest, Line
from ensgan.evaluation.contest_text import heading, sentences, shown
from ensgan.metrics.seeds import band
from ensgan.reporting.colors import member_color
from ensgan.reporting.figures import Band, bands
from ensgan.reporting.page import Figure, Section, Table, data_address, page, table


def contest_page(found: Contest) -> str:
    """One self-contained HTML page."""
    names = [side.name for side in found.contenders]
    colors = [member_color(k) for k in range(len(names))]
    means = table(("", *names), [(line.title, *map(shown, line.means)) for line in found.lines])
    tables = [means]
    if len(names) > 1:
        rows = [
            (f"{line.title}: {name} − {names[0]}", shown(each.interval), str(each.interval.num), _yes(each.carried))
            for line in found.lines
            for name, each in zip(names, line.differences, strict=True)
            if each is not None
        ]
        tables.append(table(("difference", "mean [95 % interval]", "seeds", "carried by the rows"), rows))
    sections = [
        Section(
            "At equal work" if found.axis == "flops" else "At equal length",
            [heading(found)],
            tables=tables,
            layout="stack",
        ),
        Section("In words", texts=sentences(found)),
        *(_curves(found, axis, colors) for axis in AXES if all(_knows(side, axis) for side in found.contenders)),
        Section("Every seed", tables=[_every(found, line) for line in found.lines], layout="stack", folded=True),
    ]
    facts = {"sides": ", ".join(names), "runs": str(sum(len(side.runs) for side in found.contenders))}
    return page(" against ".join(names) if len(names) < 4 else f"{len(names)} sides", facts, sections)


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _knows(side: Contender, axis: str) -> bool:
    return all(axis in curve.axes for curve in side.runs.values())


def _curves(found: Contest, axis: str, colors: list[str]) -> Section:
    figures = []
    legend = [(side.name, color) for side, color in zip(found.contenders, colors, strict=True)]
    for line in found.lines:
        drawn = [_band(side, axis, line.metric, color) for side, color in zip(found.contenders, colors, strict=True)]
        if any(np.isfinite(each.every).any() for each in drawn):
            svg = bands(drawn, xlabel=AXES[axis], ylabel=line.title)
            title = f"{line.title} over {AXES[axis]}"
            figures.append(Figure(line.title, title, data_address(svg, "svg"), legend=legend))
    note = "Mixtures of generators on held-out data. Thick: mean and 95 % interval over seeds; thin: every seed."
    return Section(f"Over {AXES[axis]}", [note], figures=figures, folded=axis != found.axis)


def _band(side: Contender, axis: str, metric: str, color: str) -> Band:
    """The curves of one side at the steps that all its runs scored."""
    runs = [curve for curve in side.runs.values() if metric in curve.values]
    steps = sorted(set.intersection(*(set(curve.axes["steps"]) for curve in runs))) if runs else []
    at = [np.isin(curve.axes["steps"], steps) for curve in runs]
    if not steps:
        return Band(color, np.zeros(0), np.zeros((0, 0)), *[np.zeros(0)] * 3)
    every = np.stack([curve.values[metric][there] for curve, there in zip(runs, at, strict=True)])
    x = np.mean([curve.axes[axis][there] for curve, there in zip(runs, at, strict=True)], axis=0)
    return Band(color, x, every, *band(every))


def _every(found: Contest, line: Line) -> Table:
    seeds = sorted({seed for side in found.contenders for seed in side.runs})
    value = lambda side, seed: side.runs[seed].at(line.metric, found.axis, found.position)
    rows = [
        (str(seed), *(f"{value(side, seed):.4g}" if seed in side.runs else "–" for side in found.contenders))
        for seed in seeds
    ]
    return table((f"{line.title}, seed", *(side.name for side in found.contenders)), rows)
