"""`ensgan train`: trains an ensemble."""

from __future__ import annotations

import sys
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
        free = lambda: processes.from_first(str(_free_directory(settings.name, settings.seed)))
        directory = Path(run_dir or free())
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


def _free_directory(name: str, seed: int) -> Path:
    n = 1
    while (directory := Path("runs") / f"{name}-{seed}-{n}").exists():
        n += 1
    return directory
