"""What runs measured over training, read from their folders, for comparisons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from ensgan.evaluation.contest import Contender, Curve
from ensgan.reporting import read_metrics
from ensgan.reporting.files import RunFiles
from ensgan.runs import directory as rundir
from ensgan.runs.series import series_of
from ensgan.types import InputError

MODES = {"modes": "modes covered", "hq": "high-quality share", "kl": "KL of modes", "spread": "spread of modes"}


def contenders(places: Sequence[str]) -> tuple[list[Contender], dict[str, str]]:
    """The sides of a comparison, and the titles of their metrics.

    Args:
        places: folders of runs, of seeds (`ensgan train --seeds`), or of sweeps, each of whose settings is a side.
            `NAME=FOLDER` gives a side another name.

    Raises:
        InputError: a folder is no such one, or sides have the same name or runs.
    """
    sides: dict[str, list[Path]] = {}
    seen: dict[Path, str] = {}
    for place in places:
        for name, runs in _sides(place).items():
            if name in sides:
                raise InputError(f"two sides are called {name}; give one another name, such as other={place}")
            sides[name] = runs
            for run in runs:
                if other := seen.get(run.resolve()):
                    raise InputError(f"{run} is in {other} and in {name}; compare each run once")
                seen[run.resolve()] = name
    titles: dict[str, str] = {}
    return [_contender(name, runs, titles) for name, runs in sides.items()], titles


def _sides(place: str) -> dict[str, list[Path]]:
    """The folders of runs in a place, by the name of their side."""
    name, equals, path = place.partition("=")
    folder = Path(place)
    if equals and not folder.exists():
        folder = Path(path)
    else:
        name = folder.resolve().name
    folder = folder.expanduser()
    rundir.recover(folder)
    if RunFiles(folder).config.is_file():
        return {name: [folder]}
    found = series_of(folder)
    runs = [folder / each for each in found] if found else sorted(p.parent for p in folder.glob("seed-*/config.json"))
    if not runs:
        raise InputError(f"{folder} is no run, and has no runs of several seeds; give what `ensgan train` made")
    begun = [run for run in runs if RunFiles(run).config.is_file()]
    if not begun:
        raise InputError(f"no run in {folder} has begun; train with `ensgan resume {quote(str(folder))}`")
    groups: dict[str, list[Path]] = {}
    for run in begun:
        inner = run.parent.relative_to(folder)
        groups.setdefault(name if inner == Path() else str(inner), []).append(run)
    return groups


def _contender(name: str, runs: Sequence[Path], titles: dict[str, str]) -> Contender:
    curves, facts = {}, {}
    for run in runs:
        settings = rundir.settings(RunFiles(run).config)
        seed = int(settings.get("seed", 0))
        if seed in curves:
            raise InputError(f"two runs of {name} have the seed {seed}; {run} is one of them")
        curves[seed] = curve_of(run, titles)
        facts[seed] = _facts(run, settings)
    return Contender(name, curves, facts)


def curve_of(directory: Path, titles: dict[str, str]) -> Curve:
    """What the run in a folder measured; its metrics' titles are added to `titles`.

    Raises:
        InputError: its log is damaged.
    """
    file = RunFiles(directory).metrics
    records = read_metrics(file) if file.is_file() else []
    train = [record for record in records if record.get("kind") == "train"]
    scores = {record["step"]: record for record in records if record.get("kind") == "score"}
    steps = np.array(sorted(scores), np.float64)
    axes = {"steps": steps}
    for key in ("flops", "seconds"):
        known = np.array([(0.0, 0.0), *((r["step"], r[key]) for r in train if r.get(key) is not None)])
        if len(known) > 1:
            axes[key] = np.interp(steps, known[:, 0], known[:, 1])
    rows = [_values(scores[step], titles) for step in sorted(scores)]
    metrics = dict.fromkeys(key for row in rows for key in row)
    number = lambda value: np.nan if value is None else float(value)
    return Curve(axes, {key: np.array([number(row.get(key)) for row in rows]) for key in metrics})


def _values(record: dict[str, Any], titles: dict[str, str]) -> dict[str, Any]:
    """The values of the mixture in one record of scores."""
    found: dict[str, Any] = {}
    for key, each in (record.get("distances") or {}).items():
        if isinstance(each, dict):
            titles.setdefault(key, each["title"])
            found[key] = each["mixture"]
    modes = record.get("modes") or {}
    if "mixture" in modes.get("names", ()):
        for key, title in ((key, title) for key, title in MODES.items() if key in modes):
            titles.setdefault(key, title)
            found[key] = modes[key][modes["names"].index("mixture")]
    return found


def _facts(directory: Path, settings: dict[str, Any]) -> dict[str, str]:
    """What must be the same in runs that are compared."""
    files, versions = RunFiles(directory), rundir.versions_of(directory)
    data = rundir.dictionary(files.data)
    records = read_metrics(files.metrics) if files.metrics.is_file() else []
    distances = next((r["distances"] for r in reversed(records) if r.get("distances")), {})
    splits = data.get("splits") or {}
    return {
        "the data": f"{data.get('name', settings['data'].get('name'))} ({versions.get('data', 'unknown')})",
        "the splits": ", ".join(f"{key} {num:,}" for key, num in splits.items() if num)
        or ("endless" if splits else "unknown"),
        "the features of distances": str(distances.get("features", "none")),
        "the samples of distances": str(distances.get("num", "none")),
        "the laws of labels": json.dumps((data.get("class_law") or {}).get("text", "none")),
        "versions of ensgan": str(versions.get("ensgan", "unknown")),
        "versions of jax": str(versions.get("jax", "unknown")),
    }
