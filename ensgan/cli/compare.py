"""`ensgan compare`: runs beside each other, with seeds, intervals and paired differences."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path, PurePosixPath

from ensgan.cli.checks import check_spares
from ensgan.cli.places import place_of
from ensgan.data.stores import is_address
from ensgan.evaluation.contest import AXES, Contest, contest
from ensgan.evaluation.contest_page import contest_page
from ensgan.evaluation.contest_text import comma_separated, describe, latex, markdown
from ensgan.reporting.files import write_atomically
from ensgan.runs.curves import contenders
from ensgan.types import InputError, unknown

FORMS = {".html": contest_page, ".csv": comma_separated, ".md": markdown, ".tex": latex}


def compare(runs: list[str], *, over: str = "auto", metrics: str | None = None, out: str | None = None) -> None:
    """Compare runs at equal work: means over seeds with intervals, differences paired by seed, and what they carry.

    The first folder is what the others are compared with. Values are those of the mixture of generators on held-out
    data, from the logs of the runs, where the shortest of them ends.

    Args:
        runs: folders or addresses of runs, of several seeds (`ensgan train --seeds`), or of sweeps; NAME=FOLDER gives
            one a name.
        over: what is equal: flops, steps or seconds (default: FLOPs where all runs know theirs, steps otherwise).
        metrics: short names such as frechet,recall (default: all that every side measured).
        out: also write a page (.html), a table (.md or .tex), or every value (.csv); several with commas.
    """
    with contextlib.ExitStack() as stack:
        _compared([_here(run, stack) for run in runs], over, metrics, out)


def _here(run: str, stack: contextlib.ExitStack) -> str:
    """A side with its folder on this machine, and a name if it was an address."""
    name, address = run.split("=", 1) if re.match("[^:/]+=", run) else (PurePosixPath(run).name, run)
    if not is_address(address):
        return run
    return f"{name}={stack.enter_context(place_of(address))}"


def _compared(runs: list[str], over: str, metrics: str | None, out: str | None) -> None:
    sides, titles = contenders(runs)
    wanted = [] if metrics is None else [name.strip() for name in metrics.split(",")]
    if over != "auto" and over not in AXES:
        raise unknown("axis for --over", over, ["auto", *AXES])
    found = contest(sides, titles, axis=None if over == "auto" else over, metrics=wanted)
    files = [] if out is None else [Path(os.path.expanduser(name.strip())) for name in out.split(",")]
    for file in files:
        if file.suffix not in FORMS:
            raise InputError(f"--out is {file}; its ending says the form, one of: {', '.join(FORMS)}")
        check_spares(file)
    print(describe(found))
    write(found, files)


def write(found: Contest, files: list[Path]) -> None:
    """Writes a comparison in the forms that the files' endings say."""
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, FORMS[file.suffix](found).encode(errors="backslashreplace"))
        print(f"wrote {file}")
