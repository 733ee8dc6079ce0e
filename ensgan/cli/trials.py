"""A search as `sweep --trials` and `resume` make it: its folder, its end, and the table of its trials."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from shlex import quote

from ensgan.cli.distributed import Processes
from ensgan.cli.places import place_of
from ensgan.cli.progress import claimed, console
from ensgan.devices import mesh, processes
from ensgan.evaluation.contest import HIGHER
from ensgan.reporting import Tracker
from ensgan.runs import directory as rundir
from ensgan.runs import search as searching
from ensgan.runs.config import Config
from ensgan.runs.origin import with_path
from ensgan.runs.search import Search, name_of
from ensgan.runs.study import Trial
from ensgan.types import InputError


def search_anew(
    search: Search,
    place: Processes,
    title: str,
    run_dir: str | None,
    overwrite: bool,
    trackers: Sequence[Tracker] = (),
) -> int:
    """Begins a search, or goes on with the one in `run_dir`; the exit code.

    Args:
        search: what is searched.
        place: where it computes.
        title: the beginning of the folder's name, if `run_dir` gives none.
        run_dir: the folder, or its address.
        overwrite: forget an earlier search that is there.
        trackers: get the numbers of every run.
    """
    searching.check(search)
    with contextlib.ExitStack() as stack:
        mine = str(stack.enter_context(claimed(title))) if run_dir is None and processes.first() else ""
        folder = stack.enter_context(place_of(run_dir or processes.from_first(mine), training=True))
        with processes.together():
            if processes.first():
                rundir.make(folder)
                with rundir.locked(folder):
                    searching.enter(folder, search, overwrite)
        return _search(folder, search, place, trackers)


def search_on(folder: Path, place: Processes, data_dir: str | None, trackers: Sequence[Tracker] = ()) -> int:
    """Continues a search, perhaps with the data elsewhere; the exit code."""
    with processes.together():
        search = searching.searched(folder)
    located = (lambda config: config) if data_dir is None else (lambda config: with_path(config, data_dir))
    return _search(folder, search, place, trackers, located)


def _search(
    folder: Path,
    search: Search,
    place: Processes,
    trackers: Sequence[Tracker],
    located: Callable[[Config], Config] = lambda config: config,
) -> int:
    """Makes the trials that are left, and prints the table; the exit code."""
    sizes = mesh.parse(place.mesh)
    with contextlib.ExitStack() as stack:
        with processes.together():
            if processes.first():
                stack.enter_context(rundir.locked(folder))
        ended = searching.train(folder, search, watcher=console(), sizes=sizes, trackers=trackers, located=located)
    good = any(trial.state == "done" for trial in ended.trials)
    if ended.stopped_by is not None:
        if processes.first():
            print(f"stopped by signal {ended.stopped_by}; continue with: ensgan resume {quote(str(folder))}")
        return 128 + ended.stopped_by
    if processes.first():
        print("\n".join(table(search, ended.trials)))
        if good:
            first = folder / name_of(ranked(search, ended.trials)[0])
            print(f"\nbest:  {first}\nmore:  ensgan compare {quote(str(first))} OTHER --out compare.html")
        for number, why in ended.failed.items():
            print(f"{folder / f'trial-{number}'} failed: {why}", file=sys.stderr)
    return 0 if good else 2


def ranked(search: Search, trials: Sequence[Trial]) -> list[Trial]:
    """The trials from the best to the worst; those that failed come last."""
    sign = -1 if search.goal in HIGHER else 1
    return sorted(trials, key=lambda each: (each.state != "done", sign * each.worth if each.state == "done" else 0.0))


def table(search: Search, trials: Sequence[Trial]) -> list[str]:
    """The trials by rank, each with its worth and its values, as lines."""
    over = f"mean of {len(search.seeds)} seeds" if len(search.seeds) > 1 else f"seed {search.seeds[0]}"
    better = "higher" if search.goal in HIGHER else "lower"
    rows = [["rank", "trial", search.goal, *search.space]]
    for rank, trial in enumerate(ranked(search, trials), 1):
        done = trial.state == "done"
        values = [f"{value:.5g}" if isinstance(value, float) else str(value) for value in trial.values.values()]
        rows.append(
            [str(rank) if done else "-", name_of(trial), f"{trial.worth:.4g}" if done else trial.state, *values]
        )
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [f"{search.goal} of the mixture, {over}; {better} is better", "", *lines]


def refuse(given: dict[str, object]) -> None:
    """Raises InputError for flags of `resume` that a search does not take."""
    if wrong := [flag for flag, value in given.items() if value]:
        raise InputError(
            f"{wrong[0]} does not go with a search; leave it out, or resume a single run in the folder of a trial"
        )
