"""Sections of the report about scores and training: the matrix, rankings, modes, curves, losses and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ensgan.reporting.figures import course, curves, heat_map
from ensgan.reporting.page import Figure, Section, Table, drawing, member_drawing, names, table

Record = dict[str, Any]
CHANCE = (0.5, "½: cannot tell")


def score_sections(scores: list[Record]) -> list[Section]:
    """The held-out scores: the newest first, then their course."""
    if not scores:
        return [Section("Scores", texts=["No scores yet."])]
    last = scores[-1]
    found = [_matrix(scores), _rankings(last), _modes(last), _score_curves(scores), _distance_curves(scores)]
    return [section for section in found if section is not None]


def training_sections(train: list[Record]) -> list[Section]:
    """The training metrics: losses, and folded away gradients, penalties and augmentation."""
    return [_losses(train), *_health(train)]


def _matrix(scores: list[Record]) -> Section | None:
    steps, fool = _series(scores, "fool")
    if fool is None:
        return None
    M, N = fool.shape[1:]
    held_out = f" on {scores[-1]['num']:,} held-out reals" if "num" in scores[-1] else ""
    now = (
        f"Step {int(steps[-1]):,}{held_out}: the probability (AUC) that a discriminator (column) ranks a "
        "fake of a generator (row) above a real. ½ (no colour): it cannot tell. Towards 0 (red): it recognises "
        "the fakes. Towards 1 (blue): it is fooled."
    )
    then = (
        f"The same pairs from step {int(steps[0]):,} to {int(steps[-1]):,}; each cell reaches from 0 to 1, "
        "with a dotted line at ½."
    )
    pair = [
        drawing(heat_map(fool[-1]), f"score matrix of {M} generators and {N} discriminators", "Now", now),
        drawing(course(steps, fool), "every entry of the score matrix over time", "Over time", then),
    ]
    return Section("Who fools whom", figures=pair, layout="pair" if N <= 8 else "stack")


def _rankings(last: Record) -> Section | None:
    sides = [(kind, word) for kind, word in (("g", "generator"), ("d", "discriminator")) if f"rank_{kind}" in last]
    if not sides:
        return None
    by = "by its distance from ½ and by the MMD together"
    if "left_out" in last:
        by = "by how much the squared MMD of the mixture grows without them"
    notes = [
        f"Best first, at step {int(last['step']):,}, with standard errors. S(G) is the mean of a row of the matrix, "
        f"ideal at ½; generators rank {by}. S(D) is 1 minus the mean of a column; the higher, the sharper."
    ]
    if last.get("members") == "parts":
        notes.append(
            "This pairing drives each generator to a part of the data; only their mixture is to cover all of it, so a "
            "score of one generator far from ½ is no fault."
        )
    return Section("Ranking", notes, tables=[_ranking(last, kind, word) for kind, word in sides])


def _ranking(last: Record, kind: str, word: str) -> Table:
    order = [int(member) for member in last[f"rank_{kind}"]]
    columns = {f"S({kind.upper()})": _with_error(last, f"score_{kind}", f"error_{kind}", "{:.3f}")}
    if kind == "g" and last.get("mmd"):
        columns["squared MMD"] = _with_error(last, "mmd", "mmd_error", "{:.2g}")
    if kind == "g" and last.get("left_out"):
        columns["without it"] = _with_error(last, "left_out", "left_out_error", "{:.2g}")
    if rated := last.get("ratings"):
        first = 0 if kind == "g" else len(rated["glicko"]) - len(last["score_d"])
        columns["Glicko-2"] = _with_error(rated, "glicko", "deviation", "{:.0f}")[first:]
    covered = last.get("coverage")
    if kind == "g" and covered:
        columns["covers"] = [_number(share, "{:.0%}") for share in covered]
    rows = [
        (f"{place}. {word} {member}", *(cells[member] for cells in columns.values()))
        for place, member in enumerate(order, 1)
    ]
    note = ""
    if kind == "g" and covered and len(covered) > len(order):
        floor = _number(last.get("coverage_floor"), "{:.0%}")
        mixture = _number(covered[-1], "{:.0%}")
        note = f"The mixture covers {mixture} of held-out reals, and training reals cover {floor}."
    return table((word, *columns), rows, order, note)


def _modes(last: Record) -> Section | None:
    modes = last.get("modes")
    if not modes:
        return None
    known = {
        "modes": f"modes of {modes.get('total', '?')}",
        "hq": "high quality",
        "kl": "KL",
        "spread": "spread",
    }
    columns = {title: modes[key] for key, title in known.items() if key in modes}
    rows = [
        (str(name), *(_number(values[row]) for values in columns.values())) for row, name in enumerate(modes["names"])
    ]
    return Section("Modes", tables=[table(("", *columns), rows)])


def _score_curves(scores: list[Record]) -> Section | None:
    last, figures = scores[-1], []
    for kind, word in (("g", "generator"), ("d", "discriminator")):
        steps, values = _series(scores, f"score_{kind}")
        if values is not None:
            _, errors = _series(scores, f"error_{kind}", like=values)
            letter = kind.upper()
            picture = curves(steps, values, ylabel=f"S({letter})", errors=errors, line=CHANCE)
            figures.append(member_drawing(picture, f"S({letter}) of every {word}", names(word, values.shape[1])))
    steps, values = _series(scores, "mmd")
    if values is not None:
        _, errors = _series(scores, "mmd_error", like=values)
        floor = last.get("mmd_floor")
        line = None if floor is None else (floor, "floor: reals against reals")
        picture = curves(steps, values, ylabel="squared MMD", errors=errors, line=line)
        figures.append(member_drawing(picture, "Squared MMD of every generator", names("generator", values.shape[1])))
    note = "On held-out data, against the steps of training; bands are standard errors."
    return Section("Scores over time", [note], figures=figures) if figures else None


def _distance_curves(scores: list[Record]) -> Section | None:
    last, figures = scores[-1].get("distances") or {}, []
    for key, found in last.items():
        if not isinstance(found, dict):
            continue  # how they were taken
        same = [score for score in scores if key in (score.get("distances") or {})]
        rows = [[*score["distances"][key]["generators"], score["distances"][key]["mixture"]] for score in same]
        values, members = np.array(rows, float), len(found["generators"])
        if not np.isfinite(values).any():
            continue
        line = None if found["floor"] is None else (found["floor"], "floor: reals against reals")
        picture = curves(np.array([score["step"] for score in same]), values, ylabel=found["title"], line=line)
        figures.append(member_drawing(picture, found["title"], [*names("generator", members), "mixture"]))
    if not figures:
        return None
    note = f"Distances of {last['num']:,} samples to as many held-out reals (report split), in the features: "
    return Section("Distances over time", [f"{note}{last['features']}."], figures=figures)


def _losses(train: list[Record]) -> Section:
    figures: list[Figure] = []
    # A generator's loss is its row of W·loss, a discriminator's its column of P·loss.
    for kind, word, axis in (("g", "generator", 2), ("d", "discriminator", 1)):
        both = [record for record in train if record.get(f"loss_{kind}") and record.get(f"weight_{kind}")]
        steps, loss = _series(both, f"loss_{kind}")
        _, weight = _series(both, f"weight_{kind}")
        if loss is not None and weight is not None:
            # A pair that is not played has no loss, and a weight of 0.
            total = np.where(weight == 0, 0.0, weight * loss).sum(axis=axis)
            picture = curves(steps, total, ylabel="loss")
            figures.append(member_drawing(picture, f"Loss of every {word}", names(word, total.shape[1])))
    if not figures:
        return Section("Losses", texts=["No training steps yet."])
    return Section("Losses", ["Over training batches, weighted as in training: one curve per member."], figures=figures)


def _health(train: list[Record]) -> list[Section]:
    figures = []
    known = (
        ("grad_norm_g", "Gradient norm of every generator", "generator"),
        ("grad_norm_d", "Gradient norm of every discriminator", "discriminator"),
        ("penalty", "Penalty of every discriminator", "discriminator"),
    )
    for key, title, word in known:
        steps, values = _series(train, key)
        if values is not None and (key != "penalty" or values.any()):
            picture = curves(steps, values, ylabel=key.split("_")[0].replace("grad", "gradient norm"))
            figures.append(member_drawing(picture, title, names(word, values.shape[1])))
    steps, augment = _series(train, "augment")
    if augment is not None and augment.any():
        picture = curves(steps, augment[:, None], ylabel="strength")
        figures.append(drawing(picture, "strength of augmentation", "Strength of augmentation"))
    return [Section("Gradients, penalties, augmentation", figures=figures, folded=True)] if figures else []


def _series(records: list[Record], key: str, like: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Steps `[T]` and values `[T, ...]` of the records that hold `key`, with NaN for null.

    None instead of values where there are none, or where they do not fit `like`.
    """
    having = [record for record in records if record.get(key) is not None]
    if not having:
        return np.zeros(0), None
    values = np.array([record[key] for record in having], dtype=float)
    if like is not None and values.shape != like.shape:
        return np.zeros(0), None
    return np.array([record.get("step", 0) for record in having]), values


def _with_error(record: Record, key: str, error: str, form: str) -> list[str]:
    values, errors = record[key], record.get(error) or [None] * len(record[key])
    return [f"{_number(v, form)} ± {_number(e, form)}" for v, e in zip(values, errors, strict=True)]


def _number(value: float | None, form: str = "{:.4g}") -> str:
    return "–" if value is None else form.format(value)
