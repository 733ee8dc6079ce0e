"""Runs beside each other: what they measured at equal work, with every seed, means, and paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ensgan.metrics.seeds import Difference, Interval, difference, over_seeds
from ensgan.types import InputError, unknown

AXES = {"flops": "FLOPs", "steps": "steps", "seconds": "seconds of training"}
HIGHER = ("precision", "recall", "density", "coverage", "modes", "hq")  # of all others, the lower is better
UNDIRECTED = ("spread",)  # 1 is right
NEAR = 0.01  # share of a position by which a first or last score may miss it: pairings differ by a few FLOPs a step


class Curve(NamedTuple):
    """What one run measured, at each of its T scores.

    Attributes:
        axes: by name: `steps`, `seconds`, and `flops` if it knows them, `[T]`.
        values: by metric, `[T]`; NaN where it was not measured or not defined.
    """

    axes: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]

    def at(self, metric: str, axis: str, position: float) -> float:
        """The value at a position of an axis, interpolated between scores; NaN more than 1 % outside of them."""
        x, y = self.axes[axis], self.values.get(metric, np.zeros(0))
        if len(y) == 0:
            return np.nan
        x, y = x[np.isfinite(y)], y[np.isfinite(y)]
        known = len(x) and x[0] - NEAR * position <= position <= x[-1] + NEAR * position
        return float(np.interp(position, x, y)) if known else np.nan


class Contender(NamedTuple):
    """One side: runs that differ in their seed alone.

    Attributes:
        name: for tables.
        runs: by seed.
        facts: what must agree if values are to be compared: texts by seed and subject.
    """

    name: str
    runs: Mapping[int, Curve]
    facts: Mapping[int, Mapping[str, str]]


class Line(NamedTuple):
    """One metric of all contenders.

    Attributes:
        metric: its short name.
        title: its name for tables.
        means: over seeds, one for each contender.
        differences: of each contender to the first one; None for that one itself.
        lacking: why a contender has no mean, one for each; empty where it has one.
    """

    metric: str
    title: str
    means: list[Interval]
    differences: list[Difference | None]
    lacking: list[str]


class Contest(NamedTuple):
    """The outcome.

    Attributes:
        contenders: the sides; differences are to the first.
        axis: the axis on which they are compared.
        position: where on it: the end of the run that ends first.
        lines: one for each metric.
        titles: of the metrics.
        warnings: what differs, and should not.
    """

    contenders: Sequence[Contender]
    axis: str
    position: float
    lines: list[Line]
    titles: Mapping[str, str]
    warnings: list[str]


def contest(
    contenders: Sequence[Contender],
    titles: Mapping[str, str],
    *,
    axis: str | None = None,
    metrics: Sequence[str] = (),
) -> Contest:
    """Compares runs where the shortest one ends.

    Args:
        contenders: the sides, of different names.
        titles: names of metrics for tables, by short name.
        axis: `flops`, `steps` or `seconds`; None is the first that all runs know.
        metrics: short names; empty for all that every side measured.

    Raises:
        InputError: an unknown axis or metric, runs without scores, or without a metric in common.
    """
    curves = [(side.name, seed, curve) for side in contenders for seed, curve in side.runs.items()]
    for name, seed, curve in curves:
        if not len(curve.axes["steps"]):
            raise InputError(f"{name}, seed {seed} has no scores yet; train it until the first ones")
    if axis is not None and axis not in AXES:
        raise unknown("axis", axis, AXES)
    for name, seed, curve in curves:
        if axis is not None and axis not in curve.axes:
            raise InputError(f"{name}, seed {seed} does not know its {AXES[axis]}; compare --over steps")
    chosen = axis or next(each for each in AXES if all(each in curve.axes for *_, curve in curves))
    known = [each for each in titles if any(each in curve.values for *_, curve in curves)]
    common = [each for each in known if all(any(each in c.values for c in side.runs.values()) for side in contenders)]
    for metric in metrics:
        if metric not in known:
            raise unknown("metric", metric, known)
        if metric not in common:
            lacking = [s.name for s in contenders if not any(metric in c.values for c in s.runs.values())]
            raise InputError(f"{metric} was not measured by {', '.join(lacking)}; common metrics: {', '.join(common)}")
    if not common:
        raise InputError("these runs have no metric in common, so they cannot be compared")
    position = float(min(curve.axes[chosen][-1] for *_, curve in curves))
    lines = [_line(contenders, each, titles[each], chosen, position) for each in metrics or common]
    return Contest(contenders, chosen, position, lines, titles, warnings(contenders))


def _line(contenders: Sequence[Contender], metric: str, title: str, axis: str, position: float) -> Line:
    values = [{seed: c.at(metric, axis, position) for seed, c in side.runs.items()} for side in contenders]
    first, *others = values
    differences = [None, *(difference(each, first) for each in others)]
    means = [over_seeds(list(each.values())) for each in values]
    lacking = [
        "" if mean.num else f"{side.name} {_why(side, metric, axis, position)}"
        for side, mean in zip(contenders, means, strict=True)
    ]
    return Line(metric, title, means, differences, lacking)


def _why(side: Contender, metric: str, axis: str, position: float) -> str:
    """Why a side has no value at a position."""
    measured = [
        curve.axes[axis][np.isfinite(curve.values[metric])] for curve in side.runs.values() if metric in curve.values
    ]
    ends = [(x[0], x[-1]) for x in measured if len(x)]
    if not ends:
        return "never had a finite value"
    first, last = min(low for low, _ in ends), max(high for _, high in ends)
    if position < first:
        return f"was first scored at {first:.4g} {AXES[axis]}, after the {position:.4g} where they are compared"
    return f"was last scored at {last:.4g} {AXES[axis]}, before the {position:.4g} where they are compared"


def verdict(line: Line, names: Sequence[str]) -> list[str]:
    """What the rows of one metric say in words, a sentence for each contender after the first."""
    found = []
    for name, each, lacking in zip(names, line.differences, line.lacking, strict=True):
        if each is None:
            continue
        mean, low, high, num = each.interval
        if num == 0:
            found.append(f"{line.title}: not defined; {'; '.join(filter(None, (line.lacking[0], lacking)))}.")
            continue
        how = f"{num} seeds, {'paired' if each.paired else 'not paired'}" if num > 1 else "one seed"
        ends = f"{mean:+.3g}" + ("" if np.isnan(low) else f" [{low:+.3g}, {high:+.3g}]")
        found.append(f"{line.title}: {name} {_word(line.metric, each)} {names[0]}: {ends} ({how}).")
    return found


def _word(metric: str, found: Difference) -> str:
    if not found.apart:
        return "cannot be told from"
    ahead = (found.interval.mean > 0) == (metric in HIGHER)
    if metric in UNDIRECTED:
        return "differs from" if found.carried else "may differ from"
    if found.carried:
        return "is ahead of" if ahead else "is behind"
    return "may be ahead of" if ahead else "may be behind"


def warnings(contenders: Sequence[Contender]) -> list[str]:
    """A sentence for each fact in which a side differs from the first, and for runs of unequal length."""
    found = []
    first, *others = contenders
    for side in others:
        common = sorted(first.runs.keys() & side.runs.keys())
        if not common:
            found.append(f"{side.name} and {first.name} have no seed in common, so differences are not paired")
        for subject in dict.fromkeys(key for seed in common for key in first.facts.get(seed, ())):
            said = [(first.facts[seed].get(subject), side.facts.get(seed, {}).get(subject)) for seed in common]
            if different := [(ours, theirs) for ours, theirs in said if ours != theirs]:
                ours, theirs = different[0]
                found.append(f"{subject} differ: {first.name} has {ours}, {side.name} has {theirs}")
    for side in contenders:
        ends = {int(curve.axes["steps"][-1]) for curve in side.runs.values()}
        if len(ends) > 1:
            found.append(f"the runs of {side.name} end at different steps, from {min(ends):,} to {max(ends):,}")
    return found
