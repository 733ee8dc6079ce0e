"""Fakes against reals: every distance and score with its interval, its floor and its number of samples."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.special import softmax

from ensgan.data import to_uint8
from ensgan.evaluation.families import METRICS, PAIRS, Metric, Sample, Unit, of_classes
from ensgan.evaluation.features import Features, extract, identity
from ensgan.metrics import Measured, bandwidth, half_intervals
from ensgan.metrics.checks import check_pair
from ensgan.metrics.transport import Unconverged
from ensgan.types import InputError, unknown

PIXELS = 8  # side of the images that are compared pixel by pixel


class Comparison(NamedTuple):
    """Fakes against reals.

    Attributes:
        rows: name of a metric -> what was measured.
        refused: name of a metric -> why it was not measured.
        features: what samples were compared by.
        reals: how many there were.
        fakes: how many there were.
        floor: how many reals stood for the fakes to find the floor.
        notes: copies among the samples, and what else may be a mistake.
    """

    rows: dict[str, Measured]
    refused: dict[str, str]
    features: str
    reals: int
    fakes: int
    floor: int
    notes: tuple[str, ...] = ()


class Measure(NamedTuple):
    """How fakes are compared with reals.

    Attributes:
        features: by default the samples themselves, images at most 8 pixels wide and high. Those with classes add the
            score of their probabilities, and the total variation of classes.
        names: the metrics to take; None for all.
        repeats: number of half-samples for the confidence intervals; 0 = no intervals, which are then NaN.
        seed: the seed of which samples are taken.
        strict: raise what a metric refuses; else note it in `refused`.
        cache: a folder that keeps features.
    """

    features: Features | None = None
    names: Collection[str] | None = None
    repeats: int = 100
    seed: int = 0
    strict: bool = True
    cache: str | Path | None = None


def compare(
    real: Any, fake: Any, *, more: Any = None, floor: Mapping[str, float] | None = None, **how: Any
) -> Comparison:
    """All metrics of fakes against reals, in features.

    Every row has the interval of `half_intervals` and, as its floor, what reals get against reals. That takes as many
    other reals as there are fakes: those of `more`; else part of `real`, if there are twice as many as fakes; else two
    halves of `real`, and `Comparison.floor` says how few they are. A floor from fewer samples is too high. The Fréchet
    distance takes all samples; metrics that compare pairs take as many of both, up to 2,000, and those that match
    samples up to 500.

    Args:
        real: samples `[n, ...]` as networks see them, or points `[n, D]`, in any order.
        fake: samples `[m, ...]`.
        more: other reals, for the floor; as many as there are fakes are taken.
        floor: known floors, by metric: those that as many other fakes found with the same reals and seed.
        how: the fields of `Measure`.

    Raises:
        InputError: an unknown metric; features that are not finite; and with `strict` samples for which a metric is
            not defined, or too few of them for its interval.
    """
    by = Measure(**how)
    features = by.features or identity(PIXELS)
    families = METRICS + (of_classes(features.splits) if features.classes else ())
    known = [name for family in families for name in family.names]
    for name in by.names or ():
        if name not in known:
            raise unknown("metric", name, known)
    given = {"reals": real, "fakes": fake, **({} if more is None else {"other reals": more})}
    samples = _samples(given, np.shape(real)[1:], features, by)
    reals, fakes = samples["reals"], samples["fakes"]
    try:
        check_pair(reals.features, fakes.features, least=1)
    except InputError as error:  # samples that are not finite
        if by.strict:
            raise
        wanted = dict.fromkeys(by.names or known, str(error))
        return Comparison({}, wanted, features.name, len(reals.features), len(fakes.features), 0)
    n, m = len(reals.features), len(fakes.features)
    if more is not None:
        pair = (reals, samples["other reals"].part(0, m))
    else:
        cut = m if n >= 2 * m else n // 2
        pair = (reals.part(cut, n if n >= 2 * m else 2 * cut), reals.part(0, cut))
    few = reals.features[:PAIRS]
    unit = Unit(few, float(bandwidth(jnp.asarray(few, jnp.float32))) if n > 1 else 0.0)

    rows, refused = {}, {}
    for metric in families:
        if by.names is not None and not set(by.names) & set(metric.names):
            continue
        try:
            known_floor = [(floor or {}).get(name) for name in metric.names]
            rows.update(_measured(metric, (reals, fakes), pair, unit, by, known_floor))
        except InputError as error:
            if by.strict and not isinstance(error, Unconverged):  # which no other samples would mend
                raise
            refused.update(dict.fromkeys(metric.names, str(error)))
    rows, refused = ({k: v for k, v in part.items() if by.names is None or k in by.names} for part in (rows, refused))
    return Comparison(rows, refused, features.name, n, m, len(pair[1].features), copies(real, fake))


def copies(real: Any, fake: Any) -> tuple[str, ...]:
    """Notes about copies: fakes that are reals, and samples that come several times. Images are compared as pixels."""
    kind, found = "picture" if np.ndim(real) == 4 else "sample", []
    pixels = lambda x: x if x.dtype == np.uint8 or x.ndim != 4 else to_uint8(x)
    rows = {
        name: [hash(each.tobytes()) for each in np.ascontiguousarray(pixels(np.asarray(x)))]
        for name, x in (("reals", real), ("fakes", fake))
    }
    for name, each in rows.items():
        different = len(set(each))
        if different == 1 < len(each):
            found.append(f"{name}: {len(each)} copies of one {kind}")
        elif 2 * different <= len(each):
            found.append(f"{name}: {len(each)} {kind}s, of which only {different} are different")
    there = set(rows["reals"])
    if same := sum(each in there for each in rows["fakes"]):
        found.append(f"identical to the reals: {same} of {len(rows['fakes'])}")
    return tuple(found)


def _samples(given: dict[str, Any], shape: Any, features: Features, by: Measure) -> dict[str, Sample]:
    """Features and probabilities of each kind of samples, in random order."""
    shuffle, samples = np.random.default_rng(by.seed).permutation, {}
    for name, x in given.items():
        x = np.asarray(x)
        if x.shape[1:] != shape:
            raise InputError(f"{name} have the shape {list(x.shape[1:])}, reals {list(shape)}; give one shape")
        order = shuffle(len(x))
        rows = extract(features, x, cache=by.cache)[order].astype(np.float64)
        width = rows.shape[1] - features.classes
        samples[name] = Sample(rows[:, :width], softmax(rows[:, width:], axis=1) if features.classes else None)
    return samples


def _few(sizes: tuple[int, int], least: int) -> str:
    name, num = "real" if sizes[0] <= sizes[1] else "fake", min(sizes)
    return f"there {'is' if num == 1 else 'are'} {num} {name}{'s' * (num != 1)}; at least {least} are needed"


def _measured(
    metric: Metric,
    samples: tuple[Sample, Sample],
    pair: tuple[Sample, Sample],
    unit: Unit,
    by: Measure,
    known_floor: Sequence[float | None],
) -> dict[str, Measured]:
    """The value of a metric on (reals, fakes), its interval, and its floor on a pair of reals."""

    def prepared(real: Sample, fake: Sample) -> tuple[Callable[..., Any], tuple[int, int]]:
        sizes = (len(real.features), len(fake.features))
        if min(sizes) < metric.least:
            raise InputError(f"{_few(sizes, metric.least)}: give more")
        if metric.most is not None:
            sizes = (min(*sizes, metric.most),) * 2
        return metric.prepare(real.part(0, sizes[0]), fake.part(0, sizes[1]), unit), sizes

    of, sizes = prepared(*samples)
    value = np.atleast_1d(of(*map(np.arange, sizes)))
    low = high = np.full(len(value), np.nan)
    enough = min(sizes) >= max(2, 2 * metric.half)
    if by.repeats and not enough and by.strict:
        raise InputError(f"{_few(sizes, max(2, 2 * metric.half))}: give more, or take no interval")
    if by.repeats and enough:
        halves = {"repeats": by.repeats, "seed": by.seed}
        low, high = half_intervals(lambda i, j: np.atleast_1d(of(i, j)), value, sizes, **halves)
    if None not in known_floor:
        floor = np.array(known_floor, np.float64)
    else:
        try:
            against, others = prepared(*pair)
            floor = np.atleast_1d(against(*map(np.arange, others)))
        except InputError:  # there are too few reals for a floor, though not for a value
            floor = np.full(len(value), np.nan)
    ends = [np.clip(end, metric.low, metric.high) for end in (low, high)]
    numbers = np.stack([value, *ends, floor], axis=1)
    return {
        name: Measured(float(v), float(low), float(high), float(least), sizes[1])
        for name, (v, low, high, least) in zip(metric.names, numbers, strict=True)
    }
