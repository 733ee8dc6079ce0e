"""The clock of a run: what its time was spent on, through interruptions, and what was lost by them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ensgan.reporting import read_metrics
from ensgan.reporting.files import write_json
from ensgan.runs.directory import dictionary

LONGEST = 1e12  # seconds, or steps: more is damage


class Lost(NamedTuple):
    """Training after the newest checkpoint of a run that was killed, which has to be done again."""

    steps: int = 0
    seconds: float = 0.0
    trained: float = 0.0  # seconds of all training until then

    def told(self) -> str:
        """In words."""
        steps = "1 step" if self.steps == 1 else f"{self.steps:,} steps"
        return f"{steps} after the newest checkpoint ({self.seconds:.1f} s of training) are done again"


def lost_after(metrics: Path, begin: int) -> Lost:
    """What the log knows of training after step `begin`, from which a run goes on. Records count, steps between do not.

    Raises:
        InputError: the log is damaged.
    """
    records = read_metrics(metrics) if metrics.is_file() else []
    times = {int(r["step"]): float(r["seconds"]) for r in records if r.get("kind") == "train" and r.get("seconds")}
    last = max(times, default=begin)
    kept = times.get(max((step for step in times if step <= begin), default=-1), 0.0)
    trained = times.get(last, 0.0)
    return Lost(max(0, last - begin), max(0.0, trained - kept), trained)


class Clock:
    """Wall-clock seconds by what they were spent on, through interruptions."""

    def __init__(self, path: Path, resume: bool, lost: Lost = Lost()) -> None:  # noqa: B008, a tuple of numbers
        """Starts at zero, or where an earlier part of the run stopped."""
        self.path = path
        self.spent: dict[str, Any] = {
            "compile": 0.0,
            "train": 0.0,
            "read": 0.0,  # streamed batches, a part of the time of training
            "evaluate": 0.0,
            "report": 0.0,
            "checkpoint": 0.0,
            "total": 0.0,
            "interruptions": 0,
            "lost_steps": 0,
            "lost": 0.0,  # seconds of training that had to be done again
            "began": time.time(),  # seconds since 1970
        }
        if resume and path.is_file():
            counts = lambda v: isinstance(v, int | float) and 0 <= v < LONGEST  # neither NaN nor infinite
            numbers = {k: v for k, v in dictionary(path).items() if counts(v)}
            self.spent |= {key: numbers[key] for key in self.spent if key in numbers}
            self.spent["interruptions"] += 1
            self.spent["train"] = max(self.spent["train"], lost.trained)  # its last seconds are in the log alone
            self.spent["lost_steps"] += lost.steps
            self.spent["lost"] += lost.seconds
        self._before, self._start = self.spent["total"], time.perf_counter()

    @contextlib.contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Counts the time inside as spent on `what`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.spent[what] += time.perf_counter() - start

    def write(self, steps: int) -> None:
        """Writes the record beside the run."""
        self.spent["total"] = self._before + time.perf_counter() - self._start
        self.spent["elapsed"] = max(self.spent["total"], time.time() - self.spent["began"])  # a clock can be set back
        record = {key: round(value, 3) if isinstance(value, float) else value for key, value in self.spent.items()}
        write_json(self.path, {**record, "steps": steps})
