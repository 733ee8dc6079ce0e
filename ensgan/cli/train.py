"""`ensgan train`: trains an ensemble."""

from __future__ import annotations

import contextlib
from pathlib import Path
from shlex import quote

from ensgan.cli.distributed import Processes, joined
from ensgan.cli.places import place_of
from ensgan.cli.progress import claimed, console
from ensgan.cli.series import train_series
from ensgan.devices import mesh, processes
from ensgan.evaluation.text import describe_scores
from ensgan.reporting.files import RunFiles
from ensgan.runs import run as training
from ensgan.runs import series
from ensgan.runs.config import Config
from ensgan.runs.tracking import tracker_of
from ensgan.types import InputError


def train(
    settings: Config,
    place: Processes,
    *,
    run_dir: str | None = None,
    overwrite: bool = False,
    seeds: str | None = None,
    track: list[str] | None = None,
) -> int:
    """Train an ensemble: M generators against N discriminators.

    Args:
        settings: the configuration, with the flags that change it.
        place: where it computes.
        run_dir: folder of the run, or an address such as s3://bucket/run (default: runs/NAME-SEED-N).
        overwrite: replace the run that is in the folder.
        seeds: several runs that differ in their seed, one after another, such as 0-9 or 0,2,7.
        track: a function that gets the numbers, such as mysinks:to_csv; give the flag once for each.
    """
    if run_dir is not None and not run_dir.strip("\0 "):
        raise InputError("--run-dir is empty; give a folder, or leave it out for runs/NAME-SEED-N")
    trackers = [tracker_of(each) for each in track or ()]
    numbers = None if seeds is None else series.seeds_of(seeds)
    given = (("--overwrite", overwrite), ("--run-dir", run_dir), (f"--seeds {seeds}", seeds))
    with joined(" ".join(["train", *(flag for flag, value in given if value)]), place):
        if numbers is not None:
            runs = series.seeds(settings, numbers)
            return train_series(runs, place, f"{settings.name}-seeds", run_dir, overwrite, trackers=trackers)
        with contextlib.ExitStack() as stack:
            mine = ""
            if run_dir is None and processes.first():
                mine = str(stack.enter_context(claimed(f"{settings.name}-{settings.seed}")))
            where = run_dir or processes.from_first(mine)
            directory = stack.enter_context(place_of(where, training=True, fresh=not overwrite))
            sizes = mesh.parse(place.mesh)
            outcome = training.run(
                settings, directory, overwrite=overwrite, watcher=console(), sizes=sizes, trackers=trackers
            )
            return finish(outcome, directory)


def finish(outcome: training.Outcome, directory: Path) -> int:
    """Prints how a run ended; the exit code of its command."""
    if not processes.first():
        return 0 if outcome.stopped_by is None else 128 + outcome.stopped_by
    if outcome.stopped_by is not None:
        print(
            f"stopped by signal {outcome.stopped_by} at step {outcome.step}; continue with:",
            f"ensgan resume {quote(str(directory))}",
        )
        return 128 + outcome.stopped_by
    files = RunFiles(directory)
    if outcome.scores is not None:
        print(describe_scores(outcome.scores))
    print(f"\npictures: {files.picture}\nreport:   {files.report}")
    print(f"more:     ensgan sample {quote(str(directory))} --num 100 --out more.png")
    return 0
