"""A series: runs in one folder, one after another: the seeds of one configuration, or the settings of a sweep."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

import jax

from ensgan.data import Source
from ensgan.devices import mesh, processes
from ensgan.reporting import Tracker, Watcher, read_metrics
from ensgan.reporting.files import RunFiles, write_json
from ensgan.runs import best
from ensgan.runs import directory as rundir
from ensgan.runs import run as training
from ensgan.runs.build import TABLES, game_of, game_settings, source_of
from ensgan.runs.config import Config, read, to_dict
from ensgan.runs.parsing import parse
from ensgan.types import InputError

FILE = RunFiles("").series.name
MOST = 10_000  # runs
FRESH = 16  # runs after which compiled programs are dropped in any case


class Ended(NamedTuple):
    """How a series ended.

    Attributes:
        failed: why, for each run that ended early; the others went on.
        stopped_by: the signal that ended it before all runs were made.
    """

    failed: dict[str, str]
    stopped_by: int | None


def seeds_of(text: str) -> tuple[int, ...]:
    """The seeds in a text such as `0-4,7`.

    Raises:
        InputError: another form, a seed that is named twice, or too many.
    """
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,10})\s*(?:-\s*(\d{1,10})\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise InputError(f"--seeds is {text!r}; give seeds and ranges of them, such as 0-9 or 0,1,5-7")
        if last - first >= MOST:
            raise InputError(f"--seeds is {text!r}, {last - first + 1:,} runs; give at most {MOST:,}")
        found += range(first, last + 1)
    if twice := sorted({seed for seed in found if found.count(seed) > 1}):
        raise InputError(f"--seeds is {text!r}, which names the seed {twice[0]} twice; name each once")
    return tuple(found)


def seeds(config: Config, numbers: Sequence[int], inside: str = "") -> dict[str, Config]:
    """One run for each seed, by the name of its folder."""
    return {f"{inside}seed-{seed}": dataclasses.replace(config, seed=seed) for seed in numbers}


def key_of(flag: str, text: str, form: str) -> tuple[str, str]:
    """The setting and the rest of a text such as `pairing.own=0,.5`.

    Raises:
        InputError: another form, or the seed, which `--seeds` gives.
    """
    key, equals, rest = text.partition("=")
    key = key.strip().removeprefix("--").replace("-", "_")
    if key in ("seed", "seeds"):
        raise InputError(f"{flag} is {text!r}; the seeds of each combination are given by --seeds, such as --seeds 0-4")
    if not equals or not re.fullmatch(r"\w+(\.\w+)*", key):
        raise InputError(f"{flag} is {text!r}; {form}")
    return key, rest


def choices(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The values of settings such as `pairing.own=0,.25,.5`, by their keys.

    Raises:
        InputError: another form, or a setting or a value that is named twice.
    """
    found: dict[str, tuple[str, ...]] = {}
    form = "give a setting and its values, such as pairing.own=0,.25,.5"
    for text in texts:
        key, values = key_of("--set", text, form)
        every = [value.strip() for value in re.split(r",(?![^\[]*\])", values)]  # commas in [ ] belong to a list
        if not all(every):
            raise InputError(f"--set is {text!r}; {form}")
        if key in found or len(set(every)) < len(every):
            raise InputError(f"--set {text} names {'the setting' if key in found else 'a value'} twice; name it once")
        found[key] = tuple(every)
    return found


def grid(texts: Sequence[str]) -> list[dict[str, str]]:
    """Every combination of the values in such texts. Raises InputError as `choices` does."""
    axes = choices(texts)
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def check(combinations: Sequence[Config], goal: str = "") -> None:
    """Raises InputError for settings that cannot be trained, or that do not measure the goal, before any is trained."""
    sources: dict[str, Source] = {}
    for config in combinations:
        settings = to_dict(config)
        count = sum(group.count for group in config.discriminators)
        same = json.dumps([settings["data"], settings["view"], settings["seed"], count])
        if same not in sources:
            sources[same] = source_of(config)
        if goal:
            best.check_metric("--goal", goal, config, sources[same])
        game_of(config, sources[same])


def series_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The configurations of a series by the names of its runs; empty where a folder holds none.

    Raises:
        InputError: its record is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return {}
    runs = read(file).get("runs")
    fits = isinstance(runs, dict) and all(isinstance(each, dict) for each in runs.values())
    if not fits or not all(_inside(name) for name in runs):
        raise InputError(f"{file} is not the record of a series of runs; start the series again in another folder")
    return runs


def _inside(name: str) -> bool:
    """Whether a run's name is that of a folder inside its series."""
    parts = Path(name).parts
    return bool(parts) and not Path(name).is_absolute() and ".." not in parts


def loaded(folder: Path, steps: int | None = None) -> dict[str, Config]:
    """The runs of a series, perhaps with another number of steps.

    Raises:
        InputError: the record is damaged, or of settings that this version does not know.
    """
    flags = [] if steps is None else [f"--steps={steps}"]
    return {name: parse(tree, TABLES, flags)[0] for name, tree in series_of(folder).items()}


def enter(folder: Path, runs: Mapping[str, Config], overwrite: bool) -> None:
    """Writes the record of a series; one that is there is continued, with new runs added, if it has the same settings.

    Raises:
        InputError: the folder holds a run, or a series with other settings.
    """
    if RunFiles(folder).config.is_file():
        raise InputError(f"{folder} holds a single run; choose another folder for a series")
    before = series_of(folder)
    folders = {Path(name).parent for name in before} ^ {Path(name).parent for name in runs}
    if before and Path() in folders:
        raise InputError(f"{folder} holds another kind of series, seeds or a sweep; choose another folder")
    now = json.loads(json.dumps({name: to_dict(config) for name, config in runs.items()}))  # as it will be read
    for name in before.keys() & now.keys():
        if before[name] != now[name] and not overwrite:
            changed = training.flatten_settings(before[name]).items() ^ training.flatten_settings(now[name]).items()
            raise InputError(
                f"{folder} already holds {name} with another {min(key for key, _ in changed)}; continue it with "
                f"`ensgan resume {quote(str(folder))}`, choose another --run-dir, or add --overwrite"
            )
    rundir.make(folder)
    write_json(folder / FILE, {"runs": now if overwrite else before | now})


def train_all(
    folder: Path,
    runs: Mapping[str, Config],
    *,
    overwrite: bool = False,
    watcher: Watcher | None = None,
    sizes: mesh.Sizes | None = mesh.Sizes(),  # noqa: B008, a tuple of numbers
    trackers: Sequence[Tracker] = (),
) -> Ended:
    """Trains the runs one after another; each is the run that it would be alone, bit for bit.

    Runs that are complete are left alone, and those that were interrupted go on. One that fails while it trains does
    not stop the others.

    Args:
        folder: of the series, in which each run has a folder of its name.
        runs: what to train.
        overwrite: replace runs that are there.
        watcher: receives progress.
        sizes: of the mesh, as in `run`.
        trackers: get the numbers of every run.

    Raises:
        InputError: a run could not begin.
    """
    watcher, failed, game = watcher or Watcher(), {}, ""
    for number, (name, config) in enumerate(runs.items(), 1):
        directory = folder / name
        state = processes.from_first(_state(directory, config, overwrite))
        if state == "complete":
            done = _done(directory)
            watcher.note(
                f"{name}: complete with {done:,} steps; to go on, give `ensgan resume` more than that by --steps"
            )
            continue
        watcher.run(name, number, len(runs))
        if game != (game := game_settings(config)) or number % FRESH == 0:
            jax.clear_caches()  # programs take memory, and those of another game are of no use
        again = {"resume": state == "begun", "overwrite": overwrite and state == "other"}
        try:
            ended = training.run(config, directory, watcher=watcher, sizes=sizes, trackers=trackers, **again)
        except InputError as error:
            if not RunFiles(directory).metrics.is_file():  # it could not begin, and nor would the others
                raise
            failed[name] = str(error)
            watcher.note(f"{name} failed: {error}")
            continue
        if ended.stopped_by is not None:
            return Ended(failed, ended.stopped_by)
    return Ended(failed, None)


def _done(directory: Path) -> int:
    """The last step that a run has scores of."""
    file = RunFiles(directory).metrics
    return max((record["step"] for record in read_metrics(file) if record.get("kind") == "score"), default=0)


def _state(directory: Path, config: Config, overwrite: bool) -> str:
    """Whether a run is `new`, `begun`, `complete`, or another one (`other`)."""
    with contextlib.suppress(OSError):
        if not RunFiles(directory).config.is_file():
            return "new"
        if overwrite:
            return "other"
        return "complete" if rundir.scores_at(directory, config.steps) is not None else "begun"
    return "new"
