"""Numbers over seeds: means and differences with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

FEWEST = 5  # seeds, below which an interval that leaves out 0 is no evidence: of 3 seeds, 1 in 4 do so by luck
RESAMPLES = 9999
LEVEL = 0.95


class Interval(NamedTuple):
    """A mean over seeds.

    Attributes:
        mean: of the values.
        low: lower end of the 95 % bootstrap interval; NaN for a single seed.
        high: upper end.
        num: number of seeds.
    """

    mean: float
    low: float
    high: float
    num: int

    def __str__(self) -> str:
        """The mean, and the interval in brackets if there is one."""
        ends = "" if np.isnan(self.low) else f" [{self.low:.3g}, {self.high:.3g}]"
        return f"{self.mean:.3g}{ends}"


class Difference(NamedTuple):
    """The mean of one side minus that of the other.

    Attributes:
        interval: of the difference; `num` counts pairs, or the seeds of the smaller side.
        paired: whether values of the same seed were subtracted; otherwise the sides have no seed in common.
    """

    interval: Interval
    paired: bool

    @property
    def apart(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval.low > 0 or self.interval.high < 0

    @property
    def carried(self) -> bool:
        """Whether the rows carry a difference: at least 5 seeds, and an interval without 0."""
        return self.apart and self.interval.num >= FEWEST


def over_seeds(values: Sequence[float]) -> Interval:
    """The mean of one value per seed, with a BCa bootstrap interval (Efron 1987).

    Values that are not finite are left out. The interval holds what differs between seeds, and no more: not the split
    of the data, if all seeds share it. Of fewer than about ten seeds, bootstrap intervals are somewhat too narrow.

    Args:
        values: one number per seed.

    Returns:
        Mean and interval; NaN without values.
    """
    found = np.array([value for value in values if np.isfinite(value)], np.float64)
    if not len(found):
        return Interval(np.nan, np.nan, np.nan, 0)
    low, high = _bootstrap((found,), lambda x, axis: x.mean(axis=axis))
    return Interval(float(found.mean()), float(low), float(high), len(found))


def band(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and ends of the interval at each of T points, `[T]` each.

    Args:
        values: `[seeds, T]`; a point with a value that is not finite has neither mean nor interval.
    """
    whole = np.isfinite(values).all(axis=0)
    mean, low, high = (np.full(values.shape[1], np.nan) for _ in range(3))
    mean[whole] = values[:, whole].mean(axis=0)
    varies = whole & (np.ptp(values, axis=0) > 0)
    if len(values) > 1 and varies.any():
        low[varies], high[varies] = _bootstrap((values[:, varies],), lambda x, axis: x.mean(axis=axis), 999)
    return mean, low, high


def difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Difference:
    """The mean difference between two sides with one value per seed.

    Seeds that both sides have are paired, since they share the order and the splits of the data; others are left out.
    Without a common seed, both sides are resampled on their own.

    Args:
        ours: value by seed.
        theirs: value by seed, which is subtracted.

    Returns:
        The difference with its interval.
    """
    ours, theirs = ({seed: x for seed, x in side.items() if np.isfinite(x)} for side in (ours, theirs))
    common = sorted(ours.keys() & theirs.keys())
    if common:
        return Difference(over_seeds([ours[seed] - theirs[seed] for seed in common]), True)
    a, b = (np.array(list(side.values()), np.float64) for side in (ours, theirs))
    if not len(a) or not len(b):
        return Difference(Interval(np.nan, np.nan, np.nan, 0), False)
    low, high = _bootstrap((a, b), lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis))
    return Difference(Interval(float(a.mean() - b.mean()), float(low), float(high), min(len(a), len(b))), False)


def _bootstrap(samples: tuple[np.ndarray, ...], statistic: Any, resamples: int = RESAMPLES) -> tuple[Any, Any]:
    """The ends of the interval, over the first axis; NaN where a sample is a single value.

    Where nothing varies, both are the value itself.
    """
    if min(map(len, samples)) < 2:
        return np.nan, np.nan
    if all(np.ptp(sample) == 0 for sample in samples):
        same = float(statistic(*samples, axis=0))
        return same, same
    from scipy.stats import bootstrap  # slow to import

    several = {"n_resamples": resamples, "confidence_level": LEVEL, "vectorized": True, "axis": 0, "method": "BCa"}
    found = bootstrap(samples, statistic, rng=np.random.default_rng(0), **several).confidence_interval
    return found.low, found.high
