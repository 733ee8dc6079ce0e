"""Where a run reports: its log, its sinks, and what is said when files cannot be written."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ensgan.reporting import MetricsLog, Sink, Watcher, flatten
from ensgan.runs.clock import Clock
from ensgan.types import InputError

RECORDS, PICTURES, REPORT = "the records in metrics.jsonl", "the pictures", "report.html"
CLOCK, FILM, TRACKERS = "the times of the run", "progress.gif", "what trackers get"


@dataclasses.dataclass
class Outputs:
    """Where a run reports. Files that cannot be written do not end it."""

    log: MetricsLog | None  # None in all processes but the first
    clock: Clock
    watcher: Watcher
    sinks: list[Sink]
    missing: set[str] = dataclasses.field(default_factory=set)  # what could not be written when it was last tried

    def write(self, record: dict[str, Any]) -> None:
        """One record into the log, and into the sinks."""
        self.log_only(record)
        self._track(record["step"], flatten(record))

    def log_only(self, record: dict[str, Any]) -> None:
        """One record into the log. One that cannot be written is kept until it can."""
        if self.log is not None:
            with self.tried(RECORDS):
                self.log.write(record)

    def show(self, step: int, picture: Path) -> None:
        """A picture for the sinks, if there are both."""
        if self.sinks and picture.is_file():
            with Image.open(picture, formats=("PNG",)) as image:
                pixels = np.asarray(image.convert("RGB"))
            self._track(step, {f"pictures/{picture.stem}": pixels})  # `samples` is a number of records

    def _track(self, step: int, values: dict[str, Any]) -> None:
        for sink in self.sinks:
            with self.tried(TRACKERS):
                sink(step, values)

    @contextlib.contextmanager
    def tried(self, what: str) -> Iterator[None]:
        """Files that are written inside; where the system refuses, this is said once, and again when it works."""
        try:
            yield
        except (OSError, InputError) as error:  # of which the second is a log that is gone or damaged
            if what not in self.missing:
                why = getattr(error, "strerror", None) or str(error)
                self.watcher.note(f"not written: {what} ({why}); training goes on, and the next time it is tried again")
            self.missing.add(what)
        else:
            if what in self.missing:
                self.missing.discard(what)
                self.watcher.note(f"written again: {what}")
