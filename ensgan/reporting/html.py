"""`report.html`: one self-contained page about a run, made of nothing but the files in its run directory."""

from __future__ import annotations

import json
import math
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ensgan.reporting import page
from ensgan.reporting.figures import course, curves, heat_map, member_color, reliability, scatter_panel
from ensgan.reporting.files import write_atomically
from ensgan.reporting.log import read_metrics
from ensgan.reporting.pictures import WAITS, load_judge, load_samples, png, thumbnails, tile
from ensgan.types import InputError

Record = dict[str, Any]

SAMPLE_BYTES = 1_200_000  # of pixels in all samples; the page stays below 3 MB
PHASES = {
    "compile": "#7a5cc2",
    "train": "#3b6fb6",
    "evaluate": "#2f9967",
    "checkpoint": "#c9a227",
    "other": "#a3abb6",
}
CHANCE = (0.5, "½: cannot tell")


def write_report(run_dir: str | Path) -> Path:
    """Write `report.html` into a run directory from the files there, and return its path.

    Only `config.json` has to exist, so that the report can be written at any time of a run. The same files
    give the same page.

    Raises:
        InputError: there is no run at `run_dir`, or one of its files is damaged.
    """
    run_dir = Path(run_dir)
    if not (run_dir / "config.json").is_file():
        raise InputError(f"no run at {run_dir}: expected config.json")
    config = _json(run_dir / "config.json")
    clock = _json(run_dir / "clock.json", strict=False)
    clock = {key: value for key, value in clock.items() if isinstance(value, int | float)}
    versions = _json(run_dir / "versions.json", strict=False)
    records = read_metrics(run_dir / "metrics.jsonl") if (run_dir / "metrics.jsonl").is_file() else []
    train = [record for record in records if record.get("kind") == "train"]
    scores = [record for record in records if record.get("kind") == "score"]

    name = str(config.get("name") or run_dir.resolve().name)
    sections = [
        _header(name, config, train, scores, clock, versions),
        _samples(run_dir),
        *(_scores(scores) if scores else [page.section("Scores", "<p>No scores yet.</p>")]),
        _judge(run_dir),
        _losses(train),
        _health(train),
        _time(clock),
        page.details("Configuration", page.pre(json.dumps(config, indent=2, ensure_ascii=False))),
        page.details("Versions", page.table(("", "version"), [(key, str(item)) for key, item in versions.items()])),
    ]
    body = "\n".join(section for section in sections if section)
    path = run_dir / "report.html"
    write_atomically(path, page.PAGE.format(title=escape(name), style=page.STYLE, body=body).encode())
    return path


def _header(
    name: str, config: Record, train: list[Record], scores: list[Record], clock: Record, versions: Record
) -> str:
    step = max((int(record.get("step", 0)) for record in (*train, *scores)), default=0)
    steps = config.get("steps")
    facts = {"step": f"{step:,}" + (f" of {steps:,}" if isinstance(steps, int) else "")}
    seconds = clock.get("total", train[-1].get("seconds") if train else None)
    if seconds is not None:
        facts["time"] = _duration(seconds)
    shape = _shape(train, scores)
    if shape:
        facts["generators × discriminators"] = "{} × {}".format(*shape)
    for kind, word in (("g", "generator"), ("d", "discriminator")):
        if scores and scores[-1].get(f"rank_{kind}"):
            best = scores[-1][f"rank_{kind}"][0]
            facts[f"best {word}"] = f"{word} {best}"
    if "device" in versions:
        facts["device"] = str(versions["device"])
    terms = "".join(f"<div><dt>{escape(term)}</dt><dd>{escape(fact)}</dd></div>" for term, fact in facts.items())
    return f"<header><h1>{escape(name)}</h1><dl>{terms}</dl></header>"


def _samples(run_dir: Path) -> str:
    if not (run_dir / "samples.npz").is_file():
        return page.section("Samples", "<p>No samples yet.</p>")
    samples = load_samples(run_dir)
    generators, real, step, classes, _ = samples
    names = [f"generator {i}" + f" ({WAITS})" * samples.waits(i) for i in range(len(generators))]
    if real.ndim == 2:
        pictures = [scatter_panel(points, real, member_color(i)) for i, points in enumerate(generators)]
        note = f"Drawn at step {step:,}. Grey: the data."
        cards = zip(names, pictures, range(len(names)), strict=True)
    else:
        pixels = SAMPLE_BYTES // (real.shape[-1] * (len(generators) + 1))
        shown = [_full_rows(thumbnails(images, pixels), classes) for images in (*generators, real)]
        pictures = [tile(images, columns, 1) for images, columns in shown]
        note = f"Drawn at step {step:,}, {len(shown[0][0])} of each generator."
        note += f" Columns are classes, 0 to {classes - 1}." if shown[0][1] == classes else ""
        cards = zip([*names, "real"], pictures, [*range(len(names)), None], strict=True)
    figures = "".join(
        f'<figure class="{"real" if member is None else "member"}">'
        f"<figcaption>{page.chip(name, member)}</figcaption>"
        f"{page.image(png(picture), f'samples: {name}', 'png', 'pixels' if real.ndim == 4 else '')}</figure>"
        for name, picture, member in cards
    )
    return page.section("Samples", f'<p class="note">{note}</p><div class="cards">{figures}</div>')


def _full_rows(images: np.ndarray, classes: int = 0) -> tuple[np.ndarray, int]:
    """As many of the images as fill a rectangle, and its number of columns: the classes, or what is nearly a square."""
    columns = classes if 0 < classes <= len(images) else math.isqrt(len(images) - 1) + 1
    return images[: len(images) // columns * columns], columns


def _scores(scores: list[Record]) -> list[str]:
    last = scores[-1]
    return [
        _matrix_section(scores),
        _ranking_section(last),
        _modes_section(last),
        _score_curves(scores),
        _distance_curves(scores),
    ]


def _matrix_section(scores: list[Record]) -> str:
    steps, fool = _series(scores, "fool")
    if fool is None:
        return ""
    M, N = fool.shape[1:]
    held_out = f" on {scores[-1]['num']:,} held-out reals" if "num" in scores[-1] else ""
    now = (
        f"Step {int(steps[-1]):,}{held_out}: the probability (AUC) that a discriminator (column) ranks a "
        "fake of a generator (row) above a real. ½ (white): it cannot tell. Towards 0 (red): it recognises "
        "the fakes. Towards 1 (blue): it is fooled."
    )
    then = (
        f"The same pairs from step {int(steps[0]):,} to {int(steps[-1]):,}; each cell reaches from 0 to 1, "
        "with a dotted line at ½."
    )
    pair = page.figure(heat_map(fool[-1]), f"score matrix of {M} generators and {N} discriminators", "Now", now)
    pair += page.figure(course(steps, fool), "course of every entry of the score matrix", "Course", then)
    return page.section("Who fools whom", f'<div class="{"pair" if N <= 8 else "stack"}">{pair}</div>')


def _ranking_section(last: Record) -> str:
    tables = "".join(
        _ranking(last, kind, word)
        for kind, word in (("g", "generator"), ("d", "discriminator"))
        if f"rank_{kind}" in last
    )
    parts = (
        '<p class="note">This pairing drives each generator to a part of the data; only their mixture is '
        "to cover all of it, so a score of one generator far from ½ is no fault.</p>"
        if last.get("members") == "parts"
        else ""
    )
    by = "by its distance from ½ and by the MMD together"
    if "left_out" in last:
        by = "by how much the squared MMD of the mixture grows without them"
    note = (
        f'<p class="note">Best first, at step {int(last["step"]):,}, with standard errors. S(G) is the mean '
        f"of a row of the matrix, ideal at ½; generators rank {by}. "
        "S(D) is 1 minus the mean of a column; the higher, the sharper.</p>"
    )
    return page.section("Ranking", f'{note}{parts}<div class="pair">{tables}</div>') if tables else ""


def _ranking(last: Record, kind: str, word: str) -> str:
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
        text = f"Of held-out reals, the mixture covers {mixture}, training reals {floor}."
        note = f'<p class="note">{text}</p>'
    return f"<div>{page.table((word, *columns), rows, order)}{note}</div>"


def _modes_section(last: Record) -> str:
    modes = last.get("modes")
    if not modes:
        return ""
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
    return page.section("Modes", page.table(("", *columns), rows))


def _score_curves(scores: list[Record]) -> str:
    last, figures = scores[-1], []
    for kind, word in (("g", "generator"), ("d", "discriminator")):
        steps, values = _series(scores, f"score_{kind}")
        if values is not None:
            _, errors = _series(scores, f"error_{kind}", like=values)
            letter = kind.upper()
            picture = curves(steps, values, ylabel=f"S({letter})", errors=errors, line=CHANCE)
            figures.append(
                page.member_figure(picture, f"S({letter}) of every {word}", page.names(word, values.shape[1]))
            )
    steps, values = _series(scores, "mmd")
    if values is not None:
        _, errors = _series(scores, "mmd_error", like=values)
        floor = last.get("mmd_floor")
        line = None if floor is None else (floor, "floor: reals against reals")
        picture = curves(steps, values, ylabel="squared MMD", errors=errors, line=line)
        figures.append(
            page.member_figure(picture, "Squared MMD of every generator", page.names("generator", values.shape[1]))
        )
    note = '<p class="note">On held-out data, against the steps of training; bands are standard errors.</p>'
    return page.section("Scores over time", f'{note}<div class="pair">{"".join(figures)}</div>') if figures else ""


def _distance_curves(scores: list[Record]) -> str:
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
        figures.append(page.member_figure(picture, found["title"], [*page.names("generator", members), "mixture"]))
    if not figures:
        return ""
    text = f"Of {last['num']:,} samples to as many reals that nothing was chosen by (report split), in the features: "
    note = f'<p class="note">{escape(text + last["features"])}.</p>'
    return page.section("Distances over time", f'{note}<div class="pair">{"".join(figures)}</div>')


def _judge(run_dir: Path) -> str:
    if not (run_dir / "judge.json").is_file():
        return ""
    found = load_judge(run_dir)
    sides = [found["before"], found["after"]]
    note = (
        f"Step {found['step']:,}: {found['rule']} of the discriminators that take part, calibrated "
        f"({found['calibrate']}) on held-out reals and draws of {found['sampler']}, and measured on "
        f"{int(sum(sides[1]['count'])):,} others. On the "
        "diagonal, probabilities hold; whiskers are Wilson intervals of two standard errors."
    )
    rows = [
        (name, *(form.format(side[key]) for side in sides))
        for name, key, form in (
            ("Brier score", "brier", "{:.4f}"),
            ("calibration error (ECE)", "error", "{:.4f}"),
            ("Dawid's Z", "z", "{:.1f}"),
        )
    ]
    picture = page.image(png(reliability(*sides)), "reliability of the judge before and after calibration", "png")
    both = f'<div class="pair"><div>{picture}</div><div>{page.table(("", "before", "after"), rows)}</div></div>'
    return page.section("Judge", f'<p class="note">{escape(note)}</p>{both}')


def _losses(train: list[Record]) -> str:
    figures = []
    # A generator's loss is its row of W·loss, a discriminator's its column of P·loss.
    for kind, word, axis in (("g", "generator", 2), ("d", "discriminator", 1)):
        both = [record for record in train if record.get(f"loss_{kind}") and record.get(f"weight_{kind}")]
        steps, loss = _series(both, f"loss_{kind}")
        _, weight = _series(both, f"weight_{kind}")
        if loss is not None and weight is not None:
            # A pair that is not played has no loss, and a weight of 0.
            total = np.where(weight == 0, 0.0, weight * loss).sum(axis=axis)
            picture = curves(steps, total, ylabel="loss")
            figures.append(page.member_figure(picture, f"Loss of every {word}", page.names(word, total.shape[1])))
    if not figures:
        return page.section("Losses", "<p>No training steps yet.</p>")
    note = '<p class="note">Over training batches, weighted as in training: one curve per member.</p>'
    return page.section("Losses", f'{note}<div class="pair">{"".join(figures)}</div>')


def _health(train: list[Record]) -> str:
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
            figures.append(page.member_figure(picture, title, page.names(word, values.shape[1])))
    steps, augment = _series(train, "augment")
    if augment is not None and augment.any():
        picture = curves(steps, augment[:, None], ylabel="strength")
        figures.append(page.figure(picture, "strength of augmentation", "Strength of augmentation", ""))
    return (
        page.details("Gradients, penalties, augmentation", f'<div class="pair">{"".join(figures)}</div>')
        if figures
        else ""
    )


def _time(clock: Record) -> str:
    seconds = {phase: float(clock.get(phase) or 0.0) for phase in PHASES}
    total = float(clock.get("total") or 0.0)
    if total <= 0.0:
        return ""
    seconds["other"] = max(0.0, total - sum(seconds.values()))
    whole = sum(seconds.values())
    bar = "".join(
        f'<span style="width:{100 * seconds[phase] / whole:.2f}%;background:{color}"></span>'
        for phase, color in PHASES.items()
    )
    rows = [(phase, _duration(seconds[phase]), f"{100 * seconds[phase] / whole:.1f} %") for phase in PHASES]
    rows.append(("total", _duration(total), ""))
    notes = []
    if clock.get("steps") and seconds["train"]:
        notes.append(f"{clock['steps'] / seconds['train']:,.3g} steps per second while training.")
    if clock.get("interruptions"):
        notes.append(f"Interruptions: {clock['interruptions']}.")
    note = f'<p class="note">{escape(" ".join(notes))}</p>' if notes else ""
    table = page.table(("", "time", "share"), rows, [*PHASES.values(), None])
    return page.section("Time", f'{note}<div class="bar">{bar}</div>{table}')


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


def _shape(train: list[Record], scores: list[Record]) -> tuple[int, int] | None:
    for record in (*scores[-1:], *train[-1:]):
        if record.get("fool"):
            return len(record["fool"]), len(record["fool"][0])
    return None


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _json(path: Path, strict: bool = True) -> Record:
    """An object from a JSON file; empty where there is none, or, unless `strict`, where a crash left a part of it."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        if not strict:
            return {}
        raise InputError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        if not strict:
            return {}
        raise InputError(f"{path} holds a {type(content).__name__}; expected a JSON object")
    return content
