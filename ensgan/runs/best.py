"""The best of a run's scores by one metric of the mixture, and how long ago it was."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from ensgan.data import Source
from ensgan.devices import processes
from ensgan.evaluation.contest import HIGHER, UNDIRECTED
from ensgan.reporting import plain
from ensgan.runs.config import Config
from ensgan.types import InputError, unknown

MODES = ("modes", "hq", "kl")


class Best(NamedTuple):
    """The best score so far.

    Attributes:
        step: where it was; None before the first.
        value: of the metric; NaN before the first.
        since: number of scores after it.
    """

    step: int | None = None
    value: float = math.nan
    since: int = 0

    def told(self, metric: str, step: int) -> str:
        """Says why a run ends at a step."""
        found = f"the best {metric} was {self.value:.4g} at step {self.step}, {self.since} scores ago"
        return f"ending at step {step}: {found}"

    def after(self, step: int, value: float, metric: str) -> Best:
        """The best once another score was taken; one that is not finite is no improvement, nor is an equal one."""
        ahead = value > self.value if metric in HIGHER else value < self.value
        if math.isfinite(value) and (self.step is None or ahead):
            return Best(step, value)
        return self._replace(since=self.since + 1)


def check(config: Config, source: Source) -> None:
    """Raises InputError for a metric that the run does not measure, or for patience without one."""
    if config.patience and not config.best:
        raise InputError("patience is given without best; name the metric that must improve, such as --best frechet")
    if config.best:
        check_metric("--best", config.best, config, source)


def check_metric(flag: str, metric: str, config: Config, source: Source) -> None:
    """Raises InputError for a metric that a run does not measure, or that has no better and worse."""
    known = [*config.distances, *(MODES if source.modes is not None else ())]
    if metric in UNDIRECTED or metric not in known:
        raise unknown(f"metric for {flag}", metric, known)


def value_of(record: dict[str, Any], metric: str) -> float:
    """The metric of the mixture in a record of scores; NaN where it was not measured."""
    modes = record.get("modes") or {}
    if metric in MODES and "mixture" in modes.get("names", ()):
        found = modes[metric][modes["names"].index("mixture")]
    else:
        found = ((record.get("distances") or {}).get(metric) or {}).get("mixture")
    # With the digits of the log, so that a run that goes on decides as one that was not stopped.
    return math.nan if plain(found) is None else float(plain(found))


def best_of(records: Iterable[dict[str, Any]], metric: str, until: int) -> Best:
    """The best of the scores up to a step."""
    best, seen = Best(), set()
    for record in records:
        if record.get("kind") == "score" and record["step"] <= until and record["step"] not in seen:
            seen.add(record["step"])
            best = best.after(record["step"], value_of(record, metric), metric)
    return best


def agreed(best: Best) -> Best:
    """The best that the first process knows, in all processes; it alone has the log."""
    return Best(*json.loads(processes.from_first(json.dumps(best))))
