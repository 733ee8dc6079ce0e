"""A series of runs as `train --seeds`, `sweep` and `resume` make it: its folder, its end, and its table."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote

from ensgan.cli.distributed import Processes
from ensgan.cli.places import place_of
from ensgan.cli.progress import claimed, console
from ensgan.devices import mesh, processes
from ensgan.evaluation.contest import contest
from ensgan.evaluation.contest_page import contest_page
from ensgan.evaluation.contest_text import describe
from ensgan.reporting import Tracker
from ensgan.reporting.files import write_atomically
from ensgan.runs import series
from ensgan.runs.config import Config
from ensgan.runs.curves import contenders
from ensgan.runs.origin import with_path
from ensgan.types import InputError


def train_series(
    runs: Mapping[str, Config],
    place: Processes,
    title: str,
    run_dir: str | None,
    overwrite: bool,
    array: bool = False,
    trackers: Sequence[Tracker] = (),
) -> int:
    """Trains a new series, or goes on with the one in `run_dir`; the exit code.

    Args:
        runs: what to train, by the names of their folders.
        place: where it computes.
        title: the beginning of the folder's name, if `run_dir` gives none.
        run_dir: the folder.
        overwrite: replace runs that are there.
        array: print a line for a Slurm array instead.
        trackers: get the numbers of every run.
    """
    with contextlib.ExitStack() as stack:
        mine = str(stack.enter_context(claimed(title))) if run_dir is None and processes.first() else ""
        folder = stack.enter_context(place_of(run_dir or processes.from_first(mine), training=True))
        with processes.together():
            if processes.first():
                series.enter(folder, runs, overwrite)
        if array:
            count = len(runs)
            part = f"ensgan resume {quote(str(folder))} --part $SLURM_ARRAY_TASK_ID/{count}"
            print(f"sbatch --array=1-{count} --wrap {quote(part)}")
            return 0
        sizes = mesh.parse(place.mesh)
        ended = series.train_all(folder, runs, overwrite=overwrite, watcher=console(), sizes=sizes, trackers=trackers)
        return finish_series(folder, ended)


def go_on(
    folder: Path,
    place: Processes,
    steps: int | None,
    part: str | None,
    data_dir: str | None,
    trackers: Sequence[Tracker] = (),
) -> int:
    """Continues a series, or a part of it such as `2/8`, perhaps with the data elsewhere; the exit code."""
    with processes.together():
        runs = series.loaded(folder, steps)
        names = list(runs)
        if part is not None:
            match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", part)
            k, n = (int(match[1]), int(match[2])) if match else (0, 0)
            if not 1 <= k <= n:
                raise InputError(f"--part is {part!r}; give K/N, the K-th of N shares of the runs, such as 2/8")
            names = names[k - 1 :: n]
        chosen = {name: runs[name] if data_dir is None else with_path(runs[name], data_dir) for name in names}
    sizes = mesh.parse(place.mesh)
    ended = series.train_all(folder, chosen, watcher=console(), sizes=sizes, trackers=trackers)
    return finish_series(folder, ended)


def finish_series(folder: Path, ended: series.Ended) -> int:
    """Prints how a series ended, and its table; the exit code."""
    if not processes.first():
        return 2 if ended.failed else 0
    if ended.stopped_by is not None:
        print(f"stopped by signal {ended.stopped_by}; continue with: ensgan resume {quote(str(folder))}")
        return 128 + ended.stopped_by
    with contextlib.suppress(InputError):  # no run has come to its scores
        found = contest(*contenders([str(folder)]))
        write_atomically(folder / "compare.html", contest_page(found).encode(errors="backslashreplace"))
        print(f"{describe(found)}\n\npage:  {folder / 'compare.html'}")
        print(f"more:  ensgan compare {quote(str(folder))} OTHER --out compare.html")
    for name, why in ended.failed.items():
        print(f"{folder / name} ended early: {why}", file=sys.stderr)
    return 2 if ended.failed else 0
