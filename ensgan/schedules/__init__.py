"""Schedules: changes of the members between stretches of steps, made on the host, as functions of the state."""

from collections.abc import Callable

from ensgan.schedules.boosting import adagan, boosted_weights, cascade, fit_classifier
from ensgan.schedules.evolution import children, diversity, population_based, tournament
from ensgan.schedules.members import changed, copied, fitness, key_of
from ensgan.schedules.slots import branch, double_oracle, exchange, history, messengers, snapshots
from ensgan.types import Schedule


def none() -> None:
    """No schedule: all members play and learn from the first step to the last."""


SCHEDULES: dict[str, Callable[..., Schedule | None]] = {
    "none": none,
    "tournament": tournament,
    "population_based": population_based,
    "children": children,
    "snapshots": snapshots,
    "history": history,
    "branch": branch,
    "double_oracle": double_oracle,
    "messengers": messengers,
    "exchange": exchange,
    "adagan": adagan,
    "cascade": cascade,
}

__all__ = [
    "SCHEDULES",
    "adagan",
    "boosted_weights",
    "branch",
    "cascade",
    "changed",
    "children",
    "copied",
    "diversity",
    "double_oracle",
    "exchange",
    "fit_classifier",
    "fitness",
    "history",
    "key_of",
    "messengers",
    "none",
    "population_based",
    "snapshots",
    "tournament",
]
