"""`ensgan sweep`: one configuration with several settings, each with the same seeds."""

from __future__ import annotations

import dataclasses

from ensgan.cli.distributed import Processes, joined
from ensgan.cli.series import train_series
from ensgan.cli.trials import search_anew
from ensgan.data.stores import is_address
from ensgan.reporting.files import RunFiles
from ensgan.runs import series
from ensgan.runs.build import TABLES
from ensgan.runs.config import Config, to_dict
from ensgan.runs.parsing import parse
from ensgan.runs.search import Search
from ensgan.runs.space import ranges
from ensgan.runs.tracking import tracker_of
from ensgan.types import InputError


def sweep(
    settings: Config,
    place: Processes,
    *,
    set_: list[str] | None = None,
    search: list[str] | None = None,
    trials: int | None = None,
    goal: str | None = None,
    seeds: str = "0",
    run_dir: str | None = None,
    overwrite: bool = False,
    print_array: bool = False,
    track: list[str] | None = None,
) -> int:
    """Train every combination of some settings, or with --trials those that a search by Optuna chooses.

    Args:
        settings: the configuration, with the flags that change it; --seed is the seed of a search.
        place: where it computes.
        set_: a setting and its values, such as pairing.own=0,.25,.5; give the flag once for each setting.
        search: a setting and its bounds, such as optimizer.learning-rate=1e-4..1e-2,log; once for each, with --trials.
        trials: how many combinations a search tries (extra optuna).
        goal: the metric that a search improves, such as frechet: that of the last score, or of the best with --best.
        seeds: the seeds of each combination, such as 0-4 or 0,2,7; a search takes the mean over them.
        run_dir: folder of the sweep, or an address such as s3://bucket/sweep (default: runs/NAME-sweep-N).
        overwrite: replace runs that are in the folder.
        print_array: print a line that starts a Slurm array with one run a task, and train nothing.
        track: a function that gets the numbers, such as mysinks:to_csv; give the flag once for each.
    """
    trackers = [tracker_of(each) for each in track or ()]
    numbers = series.seeds_of(seeds)
    title = f"{settings.name}-sweep"
    if trials is not None:
        found = _search(settings, set_ or [], search or [], trials, goal, numbers)
        if print_array:
            raise InputError(
                "--print-array does not go with --trials, whose runs follow from those before; leave it out"
            )
        with joined("sweep", place):
            return search_anew(found, place, title, run_dir, overwrite, trackers)
    for flag, value in (("--search", search), ("--goal", goal)):
        if value:
            raise InputError(f"{flag} is for a search, and --trials is missing; give how many it tries: --trials 20")
    if not set_:
        raise InputError("--set is missing; give a setting and its values, such as --set pairing.own=0,.25,.5")
    if run_dir is not None and not is_address(run_dir) and RunFiles(run_dir).search.is_file():
        raise InputError(f"{run_dir} holds a search; continue it with --trials, or choose another --run-dir")
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
        return train_series(runs, place, title, run_dir, overwrite, print_array, trackers)


def _search(
    settings: Config, sets: list[str], bounds: list[str], trials: int, goal: str | None, seeds: tuple[int, ...]
) -> Search:
    """The search that the flags describe."""
    if not 1 <= trials <= series.MOST:
        raise InputError(f"--trials is {trials}; give 1 to {series.MOST:,}")
    if not sets and not bounds:
        raise InputError("--trials has nothing to search; add bounds, such as --search pairing.lam=.5..4, or --set")
    if not goal:
        known = f", such as --goal {settings.distances[0]}" if settings.distances else ""
        raise InputError(f"--goal is missing; give the metric that the search improves{known}")
    lists, numbers = series.choices(sets), ranges(bounds, settings)
    if twice := sorted(lists.keys() & numbers.keys()):
        raise InputError(f"{twice[0]} is given by --set and by --search; give it once")
    return Search(to_dict(settings), {**lists, **numbers}, goal, seeds, trials)
