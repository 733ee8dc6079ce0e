"""Progress of a run: a live bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

import numpy as np
from rich.console import Console as Terminal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ensgan.reporting.times import in_bytes
from ensgan.types import InputError, printable


class Watcher:
    """Is told what happens in a run; this one says nothing."""

    def note(self, text: str) -> None:
        """Something worth a line happened."""

    def run(self, name: str, number: int, count: int) -> None:
        """Run `number` of `count` begins, where there are several."""

    def start(self, step: int, steps: int) -> None:
        """Training begins at `step` of `steps`."""

    def progress(self, step: int, record: dict[str, Any]) -> None:
        """A training record was written."""

    def scoring(self) -> None:
        """Held-out scores, pictures and the report are being made."""

    def scored(self, step: int, scores: Any) -> None:
        """Held-out scores were taken: anything with `score_g`, `mmd` and `rank_g`."""

    def finish(self) -> None:
        """Training ended."""


class Console(Watcher):
    """Talks on `stream`; at least `pause` seconds go by between two plain lines, so that long logs stay short."""

    def __init__(self, stream: TextIO = sys.stderr, pause: float = 5.0) -> None:
        """Looks whether the stream is a terminal."""
        if pause < 0:
            raise InputError(f"pause is {pause}; it is a number of seconds, at least 0")
        self.stream, self.pause = stream, pause
        self.live = stream.isatty()
        self._bar: Progress | None = None
        self._task: Any = None
        self._last, self._steps = 0.0, 0
        self._title, self._number, self._count = "training", 1, 1
        self._begun: float | None = None  # when the first run began
        self._before: dict[str, Any] | None = None  # what the last line counted

    def note(self, text: str) -> None:
        """Prints the line, above the bar if there is one; names in it may come from strangers."""
        text = printable(text)
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=self.stream, flush=True)

    def run(self, name: str, number: int, count: int) -> None:
        """Names the run, before its lines or in front of the bar, which counts the steps of all runs."""
        self._title, self._number, self._count = f"{name} ({number} of {count})", number, count
        if not self.live:
            self.note(self._title)

    def start(self, step: int, steps: int) -> None:
        """Shows the bar, on a terminal."""
        self._steps, self._before = steps, None
        if self.live:
            self._bar = Progress(
                TextColumn(self._title, markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[state]}"),
                console=Terminal(file=getattr(self.stream, "free", self.stream)),
            )
            self._task = self._bar.add_task("", total=steps * self._count, completed=self._done(step), state="")
            self._bar.start()
            (task,) = self._bar.tasks
            self._begun = task.start_time = task.start_time if self._begun is None else self._begun

    def progress(self, step: int, record: dict[str, Any]) -> None:
        """Moves the bar, or prints a line now and then."""
        loss_g = float(np.nansum(np.asarray(record["weight_g"]) * np.asarray(record["loss_g"]), 1).mean())
        loss_d = float(np.nansum(np.asarray(record["weight_d"]) * np.asarray(record["loss_d"]), 0).mean())
        text = f"loss G {loss_g:.3f}  D {loss_d:.3f}"
        if self._bar is None and time.perf_counter() - self._last < self.pause and step < self._steps:
            return
        self._last = time.perf_counter()
        now = {"step": step, **{key: record[key] for key in ("seconds", "samples", "flops") if key in record}}
        text += rates(self._before, now) + strain(record.get("speed", {}))
        self._before = now
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done(step), state=text)
            return
        self.note(f"step {step:>{len(str(self._steps))}}/{self._steps}  {text}")

    def _done(self, step: int) -> int:
        """The steps of all runs, if those before had as many as this one."""
        return (self._number - 1) * self._steps + step

    def scoring(self) -> None:
        """Says so beside the bar, which stands still meanwhile."""
        if self._bar is not None:
            self._bar.update(self._task, state="scoring")

    def scored(self, step: int, scores: Any) -> None:
        """Prints one line with every S(G), and the generator that is ranked first."""
        each = "  ".join(f"G{i} {value:.2f}" for i, value in enumerate(scores.score_g.value))
        by = "best by S(G) and MMD" if scores.left_out is None else "most needed in the mixture"
        self.note(f"step {step}: held-out S(G), ideal 0.5: {each}; {by}: G{int(scores.rank_g[0])}")

    def finish(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def rates(before: dict[str, Any] | None, now: dict[str, Any]) -> str:
    """Steps, samples and FLOPs per second between two counts; empty where no time has passed."""
    if before is None or now["seconds"] <= before["seconds"]:
        return ""
    each = lambda key: (now[key] - before[key]) / (now["seconds"] - before["seconds"])
    found = [f"{each('step'):.1f} steps/s"]
    if "samples" in before and "samples" in now:
        found.append(f"{each('samples'):,.0f} samples/s")
    if "flops" in before and "flops" in now:
        found.append(f"{each('flops') / 1e9:.3g} GFLOP/s")
    return "  " + ", ".join(found)


def strain(speed: dict[str, Any]) -> str:
    """What of its device a run uses, from the `speed` of a record; empty where nothing is known."""
    found = []
    if (share := speed.get("share_of_product")) is not None:
        found.append(f"{share:.0%} of the speed of a matrix product")
    if (peak := speed.get("peak_bytes")) is not None:
        found.append(f"{in_bytes(peak)} at most")
    return "".join(f", {each}" for each in found)
