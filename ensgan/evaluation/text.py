"""Tables and text: what scores, mixtures, distances and refinements look like in a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def describe_scores(scores: Any, split: str = "select") -> str:
    """The score matrix and both rankings as text, and how they were made: on select, whose order other splits keep."""
    order = "" if split == "select" else ", in the order of the select split"
    by = "|S(G) − 0.5| and MMD together"
    if scores.left_out is not None:
        by = "leave-one-out: how much the MMD² of the mixture grows without them"
    rows = [f"generator {i}" for i in range(len(scores.fool))]
    columns = [f"D{j}" for j in range(scores.fool.shape[1])]
    lines = [
        f"score matrix on {scores.num} held-out reals ({split} split) and common noise:",
        "P(D_j scores a fake of G_i above a real), ideal 0.5",
        format_matrix(scores.fool, rows, columns),
        "",
        "the same as mean σ(s − r)",
        format_matrix(scores.probability, rows, columns),
        "",
        f"generators by {by}{order} (MMD² of training reals: {scores.mmd_floor:.5f})",
    ]
    ranking = format_ranking(list(scores.rank_g), scores.score_g.value, scores.score_g.error).splitlines()
    for place, line in zip(scores.rank_g, ranking, strict=True):
        value, error, cover = scores.mmd.value[place], scores.mmd.error[place], scores.coverage[place]
        without = ""
        if scores.left_out is not None:
            without = f"   without it {scores.left_out.value[place]:+.5f} ± {scores.left_out.error[place]:.5f}"
        lines.append(f"{line}   MMD² {value:.5f} ± {error:.5f}{without}   covers {cover:.0%} of held-out reals")
    lines += [
        f"the mixture covers {scores.coverage[-1]:.0%}, training reals {scores.coverage_floor:.0%}",
        "",
        f"discriminators by S(D), the mean AUC of telling reals from the fakes of each generator{order}",
        format_ranking(list(scores.rank_d), scores.score_d.value, scores.score_d.error, "discriminator"),
    ]
    away = [
        f"{kind} {k}"
        for kind, rank, count in (("generator", scores.rank_g, rows), ("discriminator", scores.rank_d, columns))
        for k in sorted(set(range(len(count))) - {int(k) for k in rank})
    ]
    if away:
        lines.append(f"neither play nor belong to the mixture, so not ranked: {', '.join(away)}")
    if scores.members == "parts":
        lines.append(
            f"members are parts of the mixture: the best one, generator {scores.best}, covers "
            f"{scores.coverage[scores.best]:.0%} of held-out reals, the mixture {scores.coverage[-1]:.0%}"
        )
    return "\n".join(lines)


def describe_refinement(table: Any, method: str) -> str:
    """The effect of refinement, with a warning where it made samples worse."""
    mmd = " → ".join(f"{value:.5f} ± {error:.5f}" for value, error in table.mmd)
    line = (
        f"against {table.num} held-out reals, as they come → refined: precision {table.precision[0]:.3f} → "
        f"{table.precision[1]:.3f}, coverage {table.coverage[0]:.3f} → {table.coverage[1]:.3f}, squared MMD {mmd}"
    )
    if table.modes is not None:
        before, after = table.modes
        line += (
            f", modes {before.modes:.0f} → {after.modes:.0f}, high quality {before.hq:.3f} → {after.hq:.3f}, KL "
            f"{before.kl:.4f} → {after.kl:.4f}, spread {before.spread:.2f} → {after.spread:.2f}"
        )
        if math.isnan(before.kl) or math.isnan(after.kl):
            line += " (nan is not defined, because no sample is near a mode)"
    if not table.worse:
        return line
    return f"{line}\ncaution: by the squared MMD, {method} made these samples worse; compare with another --refine"


def describe_players(scores: Any, meta: Any) -> str:
    """Ratings of both sides, and the meta-game of their matrix."""
    names = [f"{side}{k}" for side, count in zip("GD", scores.fool.shape, strict=True) for k in range(count)]
    wins, nash, alpha = ([*g, *d] for g, d in (meta[:2], meta[2:4], meta[4:6]))
    lines = [
        "as players, of fooling and of telling: ratings, with one game of each pair at every evaluation; opponents",
        "that they beat more often than not; weights in the equilibrium of the matrix; time in its α-rank",
        f"{'':<4} {'Glicko-2':>11}    Elo   wins   Nash  α-rank",
    ]
    for k, name in enumerate(names):
        rating = (
            f"{scores.ratings.glicko[k]:>5.0f} ± {scores.ratings.deviation[k]:>3.0f}  {scores.ratings.elo[k]:>5.0f}"
        )
        lines.append(f"{name:<4} {rating}   {wins[k]:>4.0%}  {nash[k]:>5.2f}   {alpha[k]:>5.2f}")
    return "\n".join(lines)


def describe_mixtures(fitted: Any) -> str:
    """All mixtures, the best on the select split first."""
    width = max(map(len, fitted.weights))
    lines = [
        "mixtures of generators by their MMD²: fitted on the calibrate split, chosen on select, measured on report",
        f"{'':<{width}}  {'select':>18}   {'report':>18}   weights",
    ]
    for name in sorted(fitted.weights, key=lambda name: fitted.select[name].value):
        cells = [f"{e.value:>8.5f} ± {e.error:.5f}" for e in (fitted.select[name], fitted.report[name])]
        weights = " ".join(f"{weight:.2f}" for weight in fitted.weights[name])
        lines.append(f"{name:<{width}}  {'   '.join(cells)}   {weights}")
    return "\n".join(lines)


def describe_modes(table: Any) -> str:
    """A table of `evaluate_modes` as text."""
    head = f"{'':<16} modes/{table.total:<3} high quality   KL to uniform   KL from uniform   spread"
    row = lambda name, s: (
        f"{name:<16} {s.modes:>7.1f}   {s.hq:>11.2%}   {s.kl:>13.4f}   {s.kl_forward:>15.4f}   {s.spread:>6.2f}"
    )
    rows = [row(name, s) for name, s in zip(table.names, table.scores, strict=True)]
    last = row("   its deviation", table.perfect_error)
    note = (
        f"{table.num} samples each; high quality is within 3 standard deviations of a mode, spread 1 is the true width"
    )
    lost = [name for name, s in zip(table.names, table.scores, strict=True) if math.isnan(s.kl)]
    why = [f"KL and spread of {', '.join(lost)} are not defined, because no sample is near a mode"] if lost else []
    return "\n".join([note, head, *rows, last, *why])


def describe_classes(table: Any) -> str:
    """A table of `evaluate_classes` as text."""
    judge = table.classifier
    note = (
        f"{table.num} samples each; their classes are those of the classifier {judge.name}, which was trained on the "
        f"train split\nand is right about {judge.accuracy:.2%} of {judge.num} held-out images (select split)"
    )
    head = f"{'':<16} {f'classes of {table.total}':>15}   KL to uniform   KL to data   TV to data   certainty"
    rows = [
        f"{name:<16} {s.modes:>15.1f}   {s.kl:>13.4f}   {s.kl_law:>10.4f}   {s.tv:>10.4f}   "
        + (f"{certainty:>9.2%}" if math.isfinite(certainty) else f"{'-':>9}")
        for name, s, certainty in zip(table.names, table.scores, table.certainty, strict=True)
    ]
    return "\n".join([note, head, *rows])


def describe_distances(table: Any, each: Any) -> str:
    """Distances to held-out reals: of the best generator and the mixture, with intervals, and of each generator.

    Args:
        table: distances of the best generator alone.
        each: distances of all generators, in fewer metrics.
    """
    ((best, member),) = table.generators.items()
    value = lambda found, name: f"{found.rows[name].value:.4g}" if name in found.rows else "-"
    columns = {f"generator {best}, the best": member.rows, "mixture": table.mixture.rows}
    known = dict.fromkeys(name for found in each.generators.values() for name in found.rows)
    lines = [
        f"distances to {member.reals} held-out reals (report split) in the features: {member.features}",
        format_measured(columns, {**table.mixture.refused, **member.refused}),
        _floor(member if member.rows else table.mixture),
        *(f"{name} of each generator: {', '.join(value(e, name) for e in each.generators.values())}" for name in known),
    ]
    return "\n".join([*lines, *_refused(table, each), *_copies(table, each)])


def describe_floor(found: Any) -> str:
    """The floor of a comparison, and copies among the samples."""
    return "\n".join([_floor(found), *found.notes])


def _floor(found: Any) -> str:
    if not found.rows:
        return "there is no floor, because nothing was measured"
    if not any(np.isfinite(row.floor) for row in found.rows.values()):
        return "there is no floor: it needs other reals"
    text = (
        "the floor is what 1 other real gets"
        if found.floor == 1
        else f"the floor is what {found.floor} other reals get"
    )
    if found.floor < found.fakes:
        text += "; so few stand too far apart, and twice as many reals as fakes would give a floor for all"
    return text


def _named(table: Any, each: Any) -> dict[str, Any]:
    """Comparisons by the names of what was compared, each once."""
    return {f"generator {i}": found for i, found in (each.generators | table.generators).items()} | {
        "mixture": table.mixture
    }


def _refused(table: Any, each: Any) -> list[str]:
    """Why a metric is missing for some, where others have it; a line for each reason."""
    named = _named(table, each)
    there = {name for found in named.values() for name in found.rows}
    reasons: dict[tuple[str, str], list[str]] = {}
    for who, found in named.items():
        for name, why in found.refused.items():
            if name in there:
                reasons.setdefault((who, why), []).append(name)
    return [f"{', '.join(names)} of {who}: not defined, because {why}" for (who, why), names in reasons.items()]


def _copies(table: Any, each: Any) -> list[str]:
    return [f"{who}: {note}" for who, found in _named(table, each).items() for note in found.notes]


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


def format_measured(columns: Mapping[str, Mapping[str, Any]], refused: Mapping[str, str] | None = None) -> str:
    """Measurements as aligned text, a metric a line: value and interval of each column, the floor, and n.

    Args:
        columns: heading -> metric -> a `Measured`. Floors and n are those of the first column that has the metric.
        refused: metric -> why it is not defined, a line for each that no column has.
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
    none = {name: why for name, why in (refused or {}).items() if name not in first}
    widths[0] = max([widths[0], *map(len, none)])
    lost = [f"{name:<{widths[0]}}  not defined, because {why}" for name, why in none.items()]
    return "\n".join([*(_aligned(row, widths) for row in rows), *lost])


def _cell(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    name, *cells = row
    return "  ".join([name.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(cells, widths[1:], strict=True))])
