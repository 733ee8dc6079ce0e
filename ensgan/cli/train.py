"""`ensgan train`: trains an ensemble."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

from ensgan.cli.distributed import Processes, joined
from ensgan.devices import mesh, processes
from ensgan.evaluation.text import describe_scores
from ensgan.reporting import Console, Watcher
from ensgan.reporting.files import RunFiles
from ensgan.runs import run as training
from ensgan.runs.config import Config
from ensgan.types import InputError


def train(settings: Config, place: Processes, *, run_dir: str | None = None, overwrite: bool = False) -> int:
    """Train an ensemble: M generators against N discriminators.

    Args:
        settings: the configuration, with the flags that change it.
        place: where it computes.
        run_dir: folder of the run (default: runs/NAME-SEED-N).
        overwrite: replace the run that is in the folder.
    """
    if run_dir is not None and not run_dir.strip("\0 "):
        raise InputError("--run-dir is empty; give a folder, or leave it out for runs/NAME-SEED-N")
    given = (("--overwrite", overwrite), ("--run-dir", run_dir))
    with joined(" ".join(["train", *(flag for flag, value in given if value)]), place):
        with contextlib.ExitStack() as stack:
            mine = ""
            if run_dir is None and processes.first():
                mine = str(stack.enter_context(_claimed(settings.name, settings.seed)))
            directory = Path(run_dir or processes.from_first(mine))
            sizes = mesh.parse(place.mesh)
            outcome = training.run(settings, directory, overwrite=overwrite, watcher=console(), sizes=sizes)
        return finish(outcome, directory)


def finish(outcome: training.Outcome, directory: Path) -> int:
    """Prints how a run ended; the exit code of its command."""
    if not processes.first():
        return 0 if outcome.stopped_by is None else 128 + outcome.stopped_by
    if outcome.stopped_by is not None:
        print(
            f"stopped by signal {outcome.stopped_by} at step {outcome.step}; continue with: ensgan resume {directory}"
        )
        return 128 + outcome.stopped_by
    files = RunFiles(directory)
    if outcome.scores is not None:
        print(describe_scores(outcome.scores))
    print(f"\npictures: {files.picture}\nreport:   {files.report}")
    print(f"more:     ensgan sample {directory} --num 100 --out more.png")
    return 0


def console() -> Watcher:
    """The reporter of progress; the first of several processes reports for all."""
    return Console(sys.stderr) if processes.first() else Watcher()


@contextlib.contextmanager
def _claimed(name: str, seed: int) -> Iterator[Path]:
    """A new folder that no other process gets; it goes again if nothing was written into it."""
    runs = Path("runs")
    runs.mkdir(exist_ok=True)
    directory = next(filter(_made, (runs / f"{name}-{seed}-{n}" for n in itertools.count(1))))
    try:
        yield directory
    finally:
        for folder in (directory, runs):
            with contextlib.suppress(OSError):  # it holds something
                folder.rmdir()


def _made(directory: Path) -> bool:
    """Whether this process made the folder, and nobody before."""
    try:
        directory.mkdir()
    except FileExistsError:
        return False
    return True
