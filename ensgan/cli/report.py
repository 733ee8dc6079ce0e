"""`ensgan report`: writes a run's pictures and report again."""

from __future__ import annotations

from pathlib import Path

from ensgan.reporting import write_reliability, write_report, write_samples
from ensgan.reporting.files import RunFiles
from ensgan.runs.film import write_film
from ensgan.runs.restore import load_run


def report(run: Path) -> None:
    """Write report.html, samples.png and progress.gif again from what the run left.

    Args:
        run: the run's folder.
    """
    load_run(run)
    files = RunFiles(run)
    if files.samples.is_file():
        write_samples(run)
    write_film(run)
    if files.judge.is_file():
        write_reliability(run)
    print(write_report(run))
