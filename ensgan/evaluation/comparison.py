"""Fakes against reals: every distance and score with its interval, its floor and its number of samples."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.special import softmax

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
    """

    rows: dict[str, Measured]
    refused: dict[str, str]
    features: str
    reals: int
    fakes: int
    floor: int


def compare(
    real: Any,
    fake: Any,
    *,
    more: Any = None,
    features: Features | None = None,
    names: Collection[str] | None = None,
    repeats: int = 100,
    seed: int = 0,
    strict: bool = True,
    floor: Mapping[str, float] | None = None,
    cache: str | Path | None = None,
) -> Comparison:
    """All metrics of fakes against reals, in features.

    Every row has the interval of `half_intervals` and, as its floor, what reals get against reals. That takes as many
    other reals as there are fakes: those of `more`; else part of `real`, if there are twice as many as fakes; else two
    halves of `real`, of which `floor` says how few they are. A floor from fewer samples is too high. The Fréchet
    distance takes all samples; where pairs are compared, as many of both are taken, up to 2,000, and where they are
    matched, up to 500.

    Args:
        real: samples `[n, ...]` as networks see them, or points `[n, D]`, in any order.
        fake: samples `[m, ...]`.
        more: other reals, for the floor; as many as fakes are taken.
        features: by default the samples themselves, images at most 8 pixels wide and high. Those with classes add the
            score of their probabilities, and the total variation of classes.
        names: metrics that are taken; all if not given.
        repeats: halves that an interval is taken from; 0 does without intervals, which are then NaN.
        seed: of which samples are taken.
        strict: raises what a metric refuses; else it is noted in `refused`.
        floor: floors that are known, by metric: those that as many other fakes found with the same reals and seed.
        cache: a folder that keeps features.

    Raises:
        InputError: an unknown metric; features that are not finite or constant; and with `strict` too few samples for a
            metric.
    """
    features = features or identity(PIXELS)
    families = METRICS + (of_classes(features.splits) if features.classes else ())
    known = [name for family in families for name in family.names]
    for name in names or ():
        if name not in known:
            raise unknown("metric", name, known)
    shuffle = np.random.default_rng(seed).permutation
    given = {"reals": real, "fakes": fake, **({} if more is None else {"other reals": more})}
    samples = {}
    for name, x in given.items():
        x = np.asarray(x)
        if x.shape[1:] != np.shape(real)[1:]:
            raise InputError(
                f"{name} have the shape {list(x.shape[1:])}, reals {list(np.shape(real)[1:])}; give one shape"
            )
        order = shuffle(len(x))
        rows = extract(features, x, cache=cache)[order].astype(np.float64)
        width = rows.shape[1] - features.classes
        samples[name] = Sample(rows[:, :width], softmax(rows[:, width:], axis=1) if features.classes else None)
    reals, fakes = samples["reals"], samples["fakes"]
    check_pair(reals.features, fakes.features, least=4)
    n, m = len(reals.features), len(fakes.features)
    if more is not None:
        pair = (reals, samples["other reals"].part(0, m))
    else:
        cut = m if n >= 2 * m else n // 2
        pair = (reals.part(cut, n if n >= 2 * m else 2 * cut), reals.part(0, cut))
    few = reals.features[:PAIRS]
    unit = Unit(few, float(bandwidth(jnp.asarray(few, jnp.float32))))

    rows, refused = {}, {}
    for metric in families:
        if names is not None and not set(names) & set(metric.names):
            continue
        try:
            known_floor = [(floor or {}).get(name) for name in metric.names]
            rows.update(_measured(metric, reals, fakes, pair, unit, repeats, seed, known_floor))
        except InputError as error:
            if strict and not isinstance(error, Unconverged):  # which no other samples would mend
                raise
            refused.update(dict.fromkeys(metric.names, str(error)))
    rows, refused = ({k: v for k, v in part.items() if names is None or k in names} for part in (rows, refused))
    return Comparison(rows, refused, features.name, n, m, len(pair[1].features))


def _measured(
    metric: Metric,
    real: Sample,
    fake: Sample,
    pair: tuple[Sample, Sample],
    unit: Unit,
    repeats: int,
    seed: int,
    known_floor: Sequence[float | None],
) -> dict[str, Measured]:
    def prepared(real: Sample, fake: Sample, least: int) -> tuple[Callable[..., Any], tuple[int, int]]:
        sizes = (len(real.features), len(fake.features))
        if min(sizes) < least:
            without = ", or take no interval" if min(sizes) >= metric.least else ""
            raise InputError(
                f"{' and '.join(metric.names)}: there are {min(sizes)} samples; at least {least} are needed: "
                f"give more{without}"
            )
        if metric.most is not None:
            sizes = (min(*sizes, metric.most),) * 2
        return metric.prepare(real.part(0, sizes[0]), fake.part(0, sizes[1]), unit), sizes

    of, sizes = prepared(real, fake, max(metric.least, 2 * metric.half if repeats else 0))
    value = np.atleast_1d(of(*map(np.arange, sizes)))
    low = high = np.full(len(value), np.nan)
    if repeats:
        low, high = half_intervals(lambda i, j: np.atleast_1d(of(i, j)), value, sizes, repeats=repeats, seed=seed)
    if None not in known_floor:
        floor = np.array(known_floor, np.float64)
    else:
        try:
            against, others = prepared(*pair, metric.least)
            floor = np.atleast_1d(against(*map(np.arange, others)))
        except InputError:  # there are too few reals for a floor, though not for a value
            floor = np.full(len(value), np.nan)
    ends = [np.clip(end, metric.low, metric.high) for end in (low, high)]
    numbers = np.stack([value, *ends, floor], axis=1)
    return {
        name: Measured(float(v), float(low), float(high), float(least), sizes[1])
        for name, (v, low, high, least) in zip(metric.names, numbers, strict=True)
    }
