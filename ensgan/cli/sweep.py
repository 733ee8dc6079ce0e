"""`ensgan sweep`: one configuration with several settings, each with the same seeds."""

from __future__ import annotations

import dataclasses

from ensgan.cli.distributed import Processes, joined
from ensgan.cli.series import train_series
from ensgan.runs import series
from ensgan.runs.build import TABLES
from ensgan.runs.config import Config, to_dict
from ensgan.runs.parsing import parse
from ensgan.runs.tracking import tracker_of
from ensgan.types import InputError


def sweep(
    settings: Config,
    place: Processes,
    *,
    set_: list[str] | None = None,
    seeds: str = "0",
    run_dir: str | None = None,
    overwrite: bool = False,
    print_array: bool = False,
    track: list[str] | None = None,
) -> int:
    """Train every combination of some settings, each with the same seeds, one run after another.

    Args:
        settings: the configuration, with the flags that change it.
        place: where it computes.
        set_: a setting and its values, such as pairing.own=0,.25,.5; give the flag once for each setting.
        seeds: the seeds of each combination, such as 0-4 or 0,2,7.
        run_dir: folder of the sweep (default: runs/NAME-sweep-N).
        overwrite: replace runs that are in the folder.
        print_array: print a line that starts a Slurm array with one run a task, and train nothing.
        track: a function that gets the numbers, such as mysinks:to_csv; give the flag once for each.
    """
    trackers = [tracker_of(each) for each in track or ()]
    if not set_:
        raise InputError("--set is missing; give a setting and its values, such as --set pairing.own=0,.25,.5")
    numbers = series.seeds_of(seeds)
    runs: dict[str, Config] = {}
    by_name: dict[str, Config] = {}
    for values in series.grid(set_):
        flags = [f"--{key}={value}" for key, value in values.items()]
        config = parse(to_dict(settings), TABLES, flags, "ensgan sweep")[0]
        inside = ",".join(f"{key.rpartition('.')[2]}={value}" for key, value in values.items()).replace("/", "_")
        runs |= series.seeds(config, numbers, f"{inside}/")
        if same := next((other for other, before in by_name.items() if before == config), None):
            raise InputError(f"{same} and {inside} are the same settings, written in two ways; give one of them")
        by_name[inside] = config
    series.check([dataclasses.replace(config, seed=numbers[0]) for config in by_name.values()])
    with joined("sweep", place):
        return train_series(runs, place, f"{settings.name}-sweep", run_dir, overwrite, print_array, trackers)
