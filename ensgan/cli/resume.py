"""`ensgan resume`: continues a run."""

from __future__ import annotations

from ensgan.cli.distributed import Processes, joined
from ensgan.cli.places import place_of
from ensgan.cli.progress import console
from ensgan.cli.series import go_on
from ensgan.cli.train import finish
from ensgan.cli.trials import refuse, search_on
from ensgan.devices import mesh, processes
from ensgan.reporting.files import RunFiles
from ensgan.runs import run as training
from ensgan.runs.origin import with_path
from ensgan.runs.restore import load_run
from ensgan.runs.series import series_of
from ensgan.runs.tracking import tracker_of
from ensgan.types import InputError


def resume(
    run: str,
    place: Processes,
    *,
    steps: int | None = None,
    data_dir: str | None = None,
    new_data: bool = False,
    part: str | None = None,
    track: list[str] | None = None,
) -> int:
    """Continue a run, a series of runs or a search from the newest checkpoints, bit for bit on a CPU.

    Args:
        run: the run's folder, or its address.
        place: where it computes.
        steps: train up to this step in all (default: the run's own number).
        data_dir: where the data are now (default: where they were).
        new_data: go on although the data grew or changed, with new splits; what is held out then may have been trained
            with before.
        part: of a series of runs, such as 2/8, the second of eight shares, for several machines.
        track: a function that gets the numbers, such as mysinks:to_csv; give the flag once for each.
    """
    trackers = [tracker_of(each) for each in track or ()]
    with joined("resume", place), place_of(run, training=True) as folder:
        if RunFiles(folder).search.is_file():
            refuse({"--steps": steps, "--part": part, "--new-data": new_data})
            return search_on(folder, place, data_dir, trackers)
        if series_of(folder):
            if new_data:
                raise InputError("--new-data is for single runs; resume those in the folder one by one")
            return go_on(folder, place, steps, part, data_dir, trackers)
        if part is not None:
            raise InputError(f"--part is for a series of runs, and {run} is a single run; leave it out")
        with processes.together():
            settings = load_run(folder, {} if steps is None else {"steps": steps})
            if data_dir is not None:
                settings = with_path(settings, data_dir)
        outcome = training.run(
            settings,
            folder,
            resume=True,
            watcher=console(),
            new_data=new_data,
            sizes=mesh.parse(place.mesh),
            trackers=trackers,
        )
        return finish(outcome, folder)
