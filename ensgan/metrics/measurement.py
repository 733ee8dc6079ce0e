"""Measurements: a value with its interval, its floor and its number of samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ensgan.types import InputError


class Estimate(NamedTuple):
    """A value and its standard error."""

    value: Any
    error: Any


class Measured(NamedTuple):
    """A measured value, how sure it is, and what real data get.

    Attributes:
        value: the value for the given samples.
        low: lower end of the 95 % interval.
        high: upper end.
        floor: what real data get against other real data; the best that a value can mean.
        n: fakes that it was taken over.
    """

    value: float
    low: float
    high: float
    floor: float
    n: int


def half_intervals(
    statistic: Callable[..., Any],
    value: Any,
    sizes: tuple[int, ...],
    *,
    repeats: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Bootstrap intervals from halves drawn without replacement.

    The mean of a random half varies around the mean of all by as much as the mean of all does around the truth, and the
    same holds for whatever is smooth in means (subsampling; Politis & Romano 1994, Ann. Stat. 22). No sample comes
    twice, as it does in the ordinary bootstrap, which upsets nearest neighbours, duplicates and optimal matchings. The
    draws are moved so that their mean is `value`, since a distance is larger between fewer samples. Where both laws are
    equal, distances are not smooth, and the interval is too wide rather than too narrow.

    Args:
        statistic: `statistic(*indices)`, with one array of sample numbers for each of `sizes`; a number or an array.
        value: the statistic of all samples.
        sizes: how many samples each argument indexes.
        repeats: how many halves are drawn.
        level: level of the interval.
        seed: the seed of the halves.

    Returns:
        The lower and upper ends, each of the shape of `value`.

    Raises:
        InputError: fewer than two samples, or than two halves.
    """
    if repeats < 2:
        raise InputError(f"repeats is {repeats}; an interval needs at least 2 halves")
    if min(sizes) < 2:
        raise InputError(f"{min(sizes)} samples have no half; an interval needs at least 2 samples")
    rng = np.random.default_rng(seed)
    draws = np.array([statistic(*(rng.permutation(n)[: n // 2] for n in sizes)) for _ in range(repeats)])
    low, high = np.quantile(draws - draws.mean(axis=0, keepdims=True), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return value + low, value + high
