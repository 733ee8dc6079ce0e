"""What a measurement is: a value with its interval, its floor and its number of samples; and which samples count."""

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
        value: of the samples at hand.
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
        level: of the interval.
        seed: of the halves.

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


def check_samples(x: Any, what: str = "samples", least: int = 2) -> np.ndarray:
    """Features or points as float64 `[n, D]`.

    Args:
        x: numbers `[n, D]`.
        what: names them in errors.
        least: how many there must be.

    Raises:
        InputError: another shape, fewer than `least` samples, numbers that are not finite, or samples that are all
            equal.
    """
    x = check_finite(x, what)
    if len(x) < least:
        raise InputError(f"there are {len(x)} {what}; this needs at least {least}: give more")
    if (x == x[:1]).all():
        raise constant(len(x), what)
    return x


def check_finite(x: Any, what: str) -> np.ndarray:
    """`check_samples` of a part of the samples, which may be one."""
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or x.shape[1] < 1:
        raise InputError(f"{what} have the shape {list(x.shape)}; expected one row per sample, [n, D]")
    if not np.isfinite(x).all():
        bad = int((~np.isfinite(x).all(axis=1)).sum())
        raise InputError(f"{bad} of {len(x)} {what} hold NaN or infinite numbers: find out where they come from")
    return x


def constant(n: int, what: str) -> InputError:
    """What is wrong with samples that are all equal."""
    return InputError(f"{what} are constant: all {n} have the same features, so no distance means anything")


def check_pair(real: Any, fake: Any, least: int = 2, equal: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Both samples as float64 `[n, D]` and `[m, D]`.

    Raises:
        InputError: as in `check_samples`, or dimensions that differ; with `equal`, numbers of samples that do.
    """
    real, fake = check_samples(real, "reals", least), check_samples(fake, "fakes", least)
    if real.shape[1] != fake.shape[1]:
        raise InputError(f"reals have {real.shape[1]} features and fakes {fake.shape[1]}; give the same of both")
    if equal and len(real) != len(fake):
        raise InputError(f"there are {len(real)} reals and {len(fake)} fakes; give as many of both")
    return real, fake
