"""`report.html`: one self-contained page about a run, made of nothing but the files in its folder."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from ensgan.reporting.colors import member_color
from ensgan.reporting.figures import reliability, scatter_panel
from ensgan.reporting.files import RunFiles, read_json, write_atomically
from ensgan.reporting.frames import film_sections
from ensgan.reporting.log import read_metrics
from ensgan.reporting.page import Chip, Figure, Section, data_address, page, table
from ensgan.reporting.pictures import WAITS, load_judge, load_samples, png, thumbnails, tile
from ensgan.reporting.scores import score_sections, training_sections
from ensgan.reporting.times import duration, time_sections
from ensgan.types import InputError

Record = dict[str, Any]

SAMPLE_BYTES = 1_200_000  # of pixels in all samples; the page stays below 5 MB


def write_report(run_dir: str | Path) -> Path:
    """Write `report.html` into a run's folder from the files there, and return its path.

    Only `config.json` has to exist, so that the report can be written at any time of a run. The same files
    give the same page.

    Raises:
        InputError: there is no run at `run_dir`, or one of its files is damaged.
    """
    files = RunFiles(run_dir)
    if not files.config.is_file():
        raise InputError(f"no run at {run_dir}: expected config.json")
    config = _json(files.config)
    clock = _json(files.clock, strict=False)
    clock = {key: value for key, value in clock.items() if isinstance(value, int | float)}
    versions = _json(files.versions, strict=False)
    records = read_metrics(files.metrics) if files.metrics.is_file() else []
    train = [record for record in records if record.get("kind") == "train"]
    scores = [record for record in records if record.get("kind") == "score"]
    written = json.dumps(config, indent=2, ensure_ascii=False)
    sections = [
        *_samples(files),
        *_healings(records),
        *score_sections(scores),
        *_judge(files),
        *training_sections(train),
        *time_sections(clock, train),
        Section("Configuration", pre=written, folded=True),
        Section("Versions", tables=[table(("", "version"), [(k, str(v)) for k, v in versions.items()])], folded=True),
    ]
    title = str(config.get("name") or files.folder.resolve().name)
    data = _json(files.data, strict=False)
    facts = {"data": str(data["name"])} if "name" in data else {}
    facts |= _facts(config, train, scores, clock, versions)
    if law := data.get("class_law"):
        facts["classes"] = str(law["text"])
    for change in data.get("changes", ()):
        facts[f"other data from step {change['step']:,}"] = "; ".join(change["what"])
    text = page(title, facts, sections)
    write_atomically(files.report, text.encode(errors="backslashreplace"))  # paths may be no text
    return files.report


def _facts(
    config: Record, train: list[Record], scores: list[Record], clock: Record, versions: Record
) -> dict[str, str]:
    """The facts at the head of the page."""
    step = max((int(record.get("step", 0)) for record in (*train, *scores)), default=0)
    steps = config.get("steps")
    facts = {"step": f"{step:,}" + (f" of {steps:,}" if isinstance(steps, int) else "")}
    seconds = clock.get("total", train[-1].get("seconds") if train else None)
    if seconds is not None:
        facts["time"] = duration(seconds)
    shape = _shape(train, scores)
    if shape:
        facts["generators × discriminators"] = "{} × {}".format(*shape)
    for kind, word in (("g", "generator"), ("d", "discriminator")):
        if scores and scores[-1].get(f"rank_{kind}"):
            best = scores[-1][f"rank_{kind}"][0]
            facts[f"best {word}"] = f"{word} {best}"
    if "device" in versions:
        facts["device"] = str(versions["device"])
    return facts


def _healings(records: list[Record]) -> list[Section]:
    """The members that stopped being finite or died, and what became of them."""
    found = [record for record in records if record.get("kind") == "healing"]
    if not found:
        return []
    rows = [
        (
            f"{each['step']:,}",
            f"{each['side']} {each['member']}",
            each["cause"],
            f"{each['remedy']}; since then it rests as a copy of the best" if each["rests"] else each["remedy"],
        )
        for each in found
    ]
    note = "Members that made a step fail, or were dead, started again, with a new optimiser and smaller steps."
    return [
        Section("Healed members", [note], tables=[table(("step", "member", "what failed", "starts again as"), rows)])
    ]


def _samples(files: RunFiles) -> list[Section]:
    """The newest samples beside reals, and those over training."""
    if not files.samples.is_file():
        return [Section("Samples", texts=["No samples yet."])]
    samples = load_samples(files.folder)
    generators, real, step, classes, *_ = samples
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
        named = ", ".join(samples.class_names) or f"0 to {classes - 1}"
        note += f" Columns are classes: {named}." if shown[0][1] == classes else ""
        cards = zip([*names, "real"], pictures, [*range(len(names)), None], strict=True)
    figures = [
        Figure(
            name,
            f"samples: {name}",
            data_address(png(picture), "png"),
            chip=Chip(None if member is None else member_color(member)),
            kind="real" if member is None else "member",
            style="pixels" if real.ndim == 4 else "drawing",
        )
        for name, picture, member in cards
    ]
    film = film_sections(files.folder, "photo" if real.ndim == 4 else "drawing")
    return [Section("Samples", [note], figures=figures, layout="cards"), *film]


def _full_rows(images: np.ndarray, classes: int = 0) -> tuple[np.ndarray, int]:
    """As many of the images as fill a rectangle, and its number of columns: the classes, or what is nearly a square."""
    columns = classes if 0 < classes <= len(images) else math.isqrt(len(images) - 1) + 1
    return images[: len(images) // columns * columns], columns


def _judge(files: RunFiles) -> list[Section]:
    if not files.judge.is_file():
        return []
    found = load_judge(files.folder)
    sides = [found["before"], found["after"]]
    note = (
        f"Step {found['step']:,}: {found['rule']} of the discriminators that play, calibrated "
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
    alt = "reliability of the judge before and after calibration"
    picture = Figure("", alt, data_address(png(reliability(*sides)), "png"))
    return [Section("Judge", [note], figures=[picture], tables=[table(("", "before", "after"), rows)])]


def _shape(train: list[Record], scores: list[Record]) -> tuple[int, int] | None:
    for record in (*scores[-1:], *train[-1:]):
        if record.get("fool"):
            return len(record["fool"]), len(record["fool"][0])
    return None


def _json(path: Path, strict: bool = True) -> Record:
    """An object from a JSON file; empty where there is none, or, unless `strict`, where a crash left a part of it."""
    if not path.is_file():
        return {}
    try:
        return read_json(path)
    except ValueError as error:
        if not strict:
            return {}
        raise InputError(f"{path} is damaged: {error}") from error
