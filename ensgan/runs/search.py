"""A search: trials of some settings, one after another, that are chosen by what those before were worth."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from ensgan.devices import mesh, processes
from ensgan.evaluation.contest import HIGHER
from ensgan.reporting import Tracker, Watcher, read_metrics
from ensgan.reporting.files import RunFiles, write_json
from ensgan.runs import best, series
from ensgan.runs import directory as rundir
from ensgan.runs import run as training
from ensgan.runs.build import TABLES
from ensgan.runs.config import Config, read
from ensgan.runs.parsing import parse
from ensgan.runs.space import Space, as_dict, ends, from_dict
from ensgan.runs.study import Study, Trial, check_installed
from ensgan.types import InputError, out_of_memory


class Search(NamedTuple):
    """What is searched.

    Attributes:
        settings: what all trials have in common, as plain data; its seed is that of the sampler.
        space: the settings that are searched.
        goal: the metric of the mixture that decides.
        seeds: of each trial, whose value is the mean over them.
        trials: how many there are.
    """

    settings: dict[str, Any]
    space: Space
    goal: str
    seeds: tuple[int, ...]
    trials: int

    def config(self, values: Mapping[str, Any]) -> Config:
        """The configuration with values of the settings that are searched."""
        return parse(self.settings, TABLES, [f"--{key}={value}" for key, value in values.items()], "ensgan sweep")[0]

    def study(self, folder: Path) -> Study:
        """Its study."""
        return Study(RunFiles(folder).study, self.space, self.goal in HIGHER, int(self.settings["seed"]))


class Ended(NamedTuple):
    """How a search ended.

    Attributes:
        trials: all of them, in their order.
        failed: why, for each trial that failed now.
        stopped_by: the signal that ended it before all trials were made.
    """

    trials: list[Trial]
    failed: dict[int, str]
    stopped_by: int | None


def name_of(trial: Trial) -> str:
    """The folder of a trial, inside that of its search."""
    return f"trial-{trial.number}"


def check(search: Search) -> None:
    """Raises InputError for a bound or a choice that cannot be trained, or a goal that no run measures."""
    check_installed()
    every = {key: ends(each) for key, each in search.space.items()}
    first = {key: values[0] for key, values in every.items()}
    tried = [first, *({**first, key: value} for key, values in every.items() for value in values[1:])]
    configs = [dataclasses.replace(search.config(values), seed=search.seeds[0]) for values in tried]
    series.check(configs, search.goal)


def searched(folder: Path) -> Search:
    """The search in a folder.

    Raises:
        InputError: its record is damaged.
    """
    file = RunFiles(folder).search
    tree = read(file)
    try:
        found = Search(
            dict(tree["settings"]),
            from_dict(tree["space"]),
            str(tree["goal"]),
            tuple(int(seed) for seed in tree["seeds"]),
            int(tree["trials"]),
        )
        if not (found.space and found.seeds and isinstance(found.settings["seed"], int)):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{file} is not the record of a search; start the search again in another folder") from error
    return found


def enter(folder: Path, search: Search, overwrite: bool) -> None:
    """Writes the record of a search; one that is there is continued, perhaps with another number of trials.

    Args:
        folder: of the search.
        search: what is searched.
        overwrite: forget an earlier search in the folder, with its runs.

    Raises:
        InputError: the folder holds a run, another series, or a search with other settings.
    """
    files = RunFiles(folder)
    if files.config.is_file():
        raise InputError(f"{folder} holds a single run; choose another folder for a search")
    if not files.search.is_file() and files.series.is_file():
        raise InputError(f"{folder} holds another kind of series, seeds or a sweep; choose another folder")
    if overwrite:
        _forget(files)
    elif files.search.is_file():
        _check_same(folder, searched(folder), search)
    rundir.make(folder)
    write_json(files.search, {**search._asdict(), "space": as_dict(search.space)})


def _check_same(folder: Path, before: Search, now: Search) -> None:
    """Raises InputError where a search that goes on would not be the one that began."""
    now = now._replace(settings=json.loads(json.dumps(now.settings)))
    flat = [training.flatten_settings(each.settings) for each in (before, now)]
    changed = {
        key for key, _ in {(k, repr(v)) for k, v in flat[0].items()} ^ {(k, repr(v)) for k, v in flat[1].items()}
    }
    changed |= {f"--{key}" for key in ("goal", "seeds") if getattr(before, key) != getattr(now, key)}
    changed |= {
        f"space for {key}" for key in {**before.space, **now.space} if before.space.get(key) != now.space.get(key)
    }
    if changed:
        raise InputError(
            f"{folder} already holds a search with another {min(changed)}; continue it with "
            f"`ensgan resume {quote(str(folder))}`, choose "
            "another --run-dir, or add --overwrite"
        )


def _forget(files: RunFiles) -> None:
    """Takes away the records of an earlier search, and what its runs left."""
    for name in series.series_of(files.folder):
        run = files.folder / name
        if RunFiles(run).config.is_file():
            with rundir.locked(run):
                rundir.clear(run)
                RunFiles(run).config.unlink()
    for file in (files.search, files.study, files.series):
        file.unlink(missing_ok=True)


def train(
    folder: Path,
    search: Search,
    *,
    watcher: Watcher | None = None,
    sizes: mesh.Sizes | None = mesh.Sizes(),  # noqa: B008, a tuple of numbers
    trackers: Sequence[Tracker] = (),
    located: Callable[[Config], Config] = lambda config: config,
) -> Ended:
    """Makes the trials that are left, each of them runs in folders of their own.

    A trial fails where one of its runs does, and the search goes on. One whose values were tried before gets the value
    that it had then.

    Args:
        folder: of the search.
        search: what is searched, as `enter` wrote it.
        watcher: receives progress.
        sizes: of the mesh, as in `run`.
        trackers: get the numbers of every run.
        located: the configuration with its data where they are now.

    Raises:
        InputError: the study is damaged, or not even the first settings can begin any more.
    """
    watcher, failed = watcher or Watcher(), {}
    with processes.together():
        study = search.study(folder) if processes.first() else None
    while True:
        known, trial = _asked(study, search.trials)
        if trial is None:
            return Ended(known, failed, None)
        told = ", ".join(f"{key}={_short(value)}" for key, value in trial.values.items())
        watcher.note(f"{name_of(trial)} (of {search.trials}): {told}")
        again = next((each for each in known if each.values == trial.values and each.state != "begun"), None)
        why = ""
        if again is not None:
            worth = again.worth
            watcher.note(f"{name_of(trial)} has the values of {name_of(again)}, and so its result")
        else:
            worth, why, stopped_by = _tried(folder, search, trial, watcher, (sizes, trackers, located))
            if stopped_by is not None:
                return Ended(known, failed, stopped_by)
        if study is not None:
            study.tell(trial.number, worth)
        if math.isfinite(worth):
            watcher.note(f"{name_of(trial)}: {search.goal} {worth:.4g}")
        elif again is None:
            failed[trial.number] = why
            watcher.note(f"{name_of(trial)} failed: {why}")


def _asked(study: Study | None, most: int) -> tuple[list[Trial], Trial | None]:
    """The trials so far, and the next one, in all processes; the first of them has the study."""
    text = ""
    with processes.together():
        if study is not None:
            trial = study.ask(most)
            text = json.dumps([study.trials(), trial])
    known, trial = json.loads(processes.from_first(text))
    return [Trial(*each) for each in known], None if trial is None else Trial(*trial)


def _tried(
    folder: Path, search: Search, trial: Trial, watcher: Watcher, how: tuple[Any, Sequence[Tracker], Any]
) -> tuple[float, str, int | None]:
    """What a trial is worth, or NaN and why it failed; and the signal that ended it before."""
    sizes, trackers, located = how
    try:
        runs = series.seeds(located(search.config(trial.values)), search.seeds, f"{name_of(trial)}/")
        with processes.together():
            if processes.first():
                there = series.series_of(folder)
                series.enter(folder, {name: run for name, run in runs.items() if name not in there}, overwrite=False)
        ended = series.train_all(folder, runs, watcher=watcher, sizes=sizes, trackers=trackers)
    except Exception as error:
        if isinstance(error, InputError):
            check(search)  # where nothing can begin any more, the trial is not to blame
        elif processes.several() or not out_of_memory(error):
            raise
        return math.nan, str(error).splitlines()[0] if isinstance(error, InputError) else "out of memory", None
    if ended.stopped_by is not None or ended.failed:
        return math.nan, next(iter(ended.failed.values()), ""), ended.stopped_by
    values = [_worth(folder / name, run, search.goal) for name, run in runs.items()]
    worth = math.fsum(values) / len(values)
    return worth, "" if math.isfinite(worth) else f"{search.goal} is not finite", None


def _worth(directory: Path, config: Config, goal: str) -> float:
    """The goal of a run: that of its last score, or of its best one where `best` has it kept."""
    records = read_metrics(RunFiles(directory).metrics) if processes.first() else []
    scores = [each for each in records if each.get("kind") == "score"]
    if config.best == goal:
        found = best.best_of(scores, goal, config.steps).value
    else:
        found = best.value_of(max(scores, key=lambda each: each["step"]), goal) if scores else math.nan
    return float(processes.from_first(repr(found)))


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else re.sub(r"\s+", " ", str(value))
