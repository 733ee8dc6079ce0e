"""`ensgan resume`: continues a run."""

from __future__ import annotations

from pathlib import Path

from ensgan.cli.distributed import Processes, joined
from ensgan.cli.train import console, finish
from ensgan.devices import mesh, processes
from ensgan.runs import run as training
from ensgan.runs.origin import with_path
from ensgan.runs.restore import load_run


def resume(
    run: Path,
    place: Processes,
    *,
    steps: int | None = None,
    data_dir: str | None = None,
    new_data: bool = False,
) -> int:
    """Continue a run from its newest checkpoint, bit for bit on a CPU.

    Args:
        run: the run's folder.
        place: where it computes.
        steps: train up to this step in all (default: the run's own number).
        data_dir: where the data are now (default: where they were).
        new_data: go on although the data grew or changed, with new splits; what is held out then may have been trained
            with before.
    """
    with joined("resume", place):
        with processes.together():
            settings = load_run(run, {} if steps is None else {"steps": steps})
            if data_dir is not None:
                settings = with_path(settings, data_dir)
        outcome = training.run(
            settings, run, resume=True, watcher=console(), new_data=new_data, sizes=mesh.parse(place.mesh)
        )
        return finish(outcome, run)
