"""Fakes against reals: every distance and score with its interval, its floor and its number of samples."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import cdist, pdist, squareform
from scipy.special import softmax

from ensgan.data import folder, read_images
from ensgan.data.source import dequantized
from ensgan.features import Classifier, Features, extract, identity, of_classifier, statistics, train_classifier
from ensgan.metrics import (
    Measured,
    bandwidth,
    class_scores,
    duplicate_radius,
    frechet_distance,
    half_intervals,
    inception_score,
    moments,
    sinkhorn,
)
from ensgan.metrics.gaussian import raw_moments
from ensgan.metrics.kernels import cubic_kernel, gaussian_kernel, unbiased_mmd
from ensgan.metrics.measured import check_pair
from ensgan.metrics.neighbours import from_distances
from ensgan.metrics.transport import Unconverged, matched, sliced, unit_directions
from ensgan.types import InputError, unknown

PAIRS = 2000  # samples of each kind where all pairs are compared
MATCHED = 500  # where they are matched, exactly in n³ time or by Sinkhorn's iteration
PIXELS = 8  # side of the images that are compared pixel by pixel
DIRECTIONS = 128  # of the sliced distance
TRAINING = (0.4, 0.1, 0.25, 0.25)  # of labelled reals: trains a classifier, judges it, and the rest is compared


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


class Sample(NamedTuple):
    """Samples as the metrics see them."""

    features: np.ndarray  # float64 [n, D]
    probability: np.ndarray | None  # float64 [n, K], of classes; None without a classifier

    def part(self, start: int, end: int) -> Sample:
        """Samples from `start` to before `end`."""
        chances = self.probability
        return Sample(self.features[start:end], None if chances is None else chances[start:end])


class Unit(NamedTuple):
    """What distances between reals say of lengths, the same for a value and its floor."""

    reals: np.ndarray  # [n, D], n at most 2,000
    scale: float  # the median squared distance


class Metric(NamedTuple):
    """A family of metrics that share their work.

    Attributes:
        names: of its numbers.
        prepare: `prepare(real, fake, unit) -> of` for two `Sample`s and a `Unit`; `of(i, j)` is the metric of reals i
            and fakes j, one number for each of `names`.
        most: the most samples of each kind, as many of both; None takes all there are.
        least: samples of each kind that it needs.
        half: those that a half needs, for an interval.
        low: the least value that has a meaning.
        high: the greatest.
    """

    names: tuple[str, ...]
    prepare: Callable[[Sample, Sample, Unit], Callable[[np.ndarray, np.ndarray], Any]]
    most: int | None = PAIRS
    least: int = 4
    half: int = 2
    low: float = 0.0
    high: Any = np.inf


def _frechet(real: Sample, fake: Sample, unit: Unit) -> Callable[..., float]:
    moments(real.features, "reals"), moments(fake.features, "fakes")  # what they refuse; halves may have fewer
    return lambda i, j: frechet_distance(raw_moments(real.features[i]), raw_moments(fake.features[j]))


def _of_pairs(between: Callable[..., np.ndarray], statistic: Callable[..., Any]) -> Callable[..., Callable[..., Any]]:
    """A metric that is a statistic of the matrices of all pairs: `between(x, y, unit)`."""

    def prepare(real: Sample, fake: Sample, unit: Unit) -> Callable[..., Any]:
        x, y = real.features, fake.features
        rr, ff, rf = between(x, x, unit), between(y, y, unit), between(x, y, unit)
        return lambda i, j: statistic(rr[np.ix_(i, i)], ff[np.ix_(j, j)], rf[np.ix_(i, j)])

    return prepare


def _squared(x: np.ndarray, y: np.ndarray, unit: Unit) -> np.ndarray:
    return cdist(x, y, "sqeuclidean")


def _gaussian(x: np.ndarray, y: np.ndarray, unit: Unit) -> np.ndarray:
    return gaussian_kernel(_squared(x, y, unit), unit.scale)


def _cubic(x: np.ndarray, y: np.ndarray, unit: Unit) -> np.ndarray:
    return cubic_kernel(x, y)


def _wasserstein(real: Sample, fake: Sample, unit: Unit) -> Callable[..., float]:
    cost = _squared(real.features, fake.features, unit)
    return lambda i, j: matched(cost[np.ix_(i, j)]) ** 0.5


def _sliced(real: Sample, fake: Sample, unit: Unit) -> Callable[..., float]:
    along = unit_directions(unit.reals.shape[1], DIRECTIONS)
    x, y = real.features @ along, fake.features @ along
    return lambda i, j: sliced(x[i], y[j])


def _sinkhorn(real: Sample, fake: Sample, unit: Unit) -> Callable[..., float]:
    # Potentials are the derivative in the weights of samples, so means of them over halves vary as the divergence does
    # to first order; so does the limit law of Mena & Niles-Weed 2019 (arXiv 1905.11882).
    found = sinkhorn(real.features, fake.features)
    return lambda i, j: found.potential_real[i].mean() + found.potential_fake[j].mean()


def _duplicates(real: Sample, fake: Sample, unit: Unit) -> Callable[..., float]:
    same = squareform(pdist(fake.features) <= duplicate_radius(unit.reals))  # False of a sample and itself
    return lambda i, j: same[np.ix_(j, j)].sum() / (len(j) * (len(j) - 1))


def _score(splits: int) -> Callable[..., Callable[..., float]]:
    def prepare(real: Sample, fake: Sample, unit: Unit) -> Callable[..., float]:
        assert fake.probability is not None
        chances = fake.probability
        return lambda i, j: inception_score(chances[j], splits).value

    return prepare


def _classes(real: Sample, fake: Sample, unit: Unit) -> Callable[..., float]:
    assert real.probability is not None
    assert fake.probability is not None
    total = real.probability.shape[1]
    label, drawn = real.probability.argmax(axis=1), fake.probability.argmax(axis=1)
    return lambda i, j: class_scores(drawn[j], np.bincount(label[i], minlength=total) / len(i)).tv


NEIGHBOURS = ("precision", "recall", "density", "coverage")
METRICS = (
    Metric(("Fréchet distance",), _frechet, most=None),
    Metric(("kernel distance (cubic)",), _of_pairs(_cubic, unbiased_mmd), low=-np.inf),
    Metric(("MMD² (Gaussian)",), _of_pairs(_gaussian, unbiased_mmd), low=-np.inf),
    Metric(NEIGHBOURS, _of_pairs(_squared, from_distances), least=6, half=6, high=np.array([1.0, 1.0, np.inf, 1.0])),
    Metric(("sliced Wasserstein",), _sliced),
    Metric(("Wasserstein",), _wasserstein, most=MATCHED),
    Metric(("Sinkhorn divergence",), _sinkhorn, most=MATCHED),
    Metric(("duplicate pairs",), _duplicates),
)
# Metrics by the names that configurations and logs use.
SHORT = {
    "frechet": "Fréchet distance",
    "kid": "kernel distance (cubic)",
    "mmd": "MMD² (Gaussian)",
    **{name: name for name in NEIGHBOURS},
    "sliced": "sliced Wasserstein",
    "wasserstein": "Wasserstein",
    "sinkhorn": "Sinkhorn divergence",
    "duplicates": "duplicate pairs",
}


def of_classes(splits: int) -> tuple[Metric, ...]:
    """Those that take probabilities of classes; the score is a mean over as many parts as `splits`."""
    return (
        Metric(("classifier score",), _score(splits), most=None, least=max(4, 2 * splits), low=1.0),
        Metric(("TV of classes",), _classes, most=None),
    )


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


def compare_folders(
    real: str | Path,
    fake: str | Path,
    *,
    size: int | None = None,
    features: Features | None = None,
    classifier_steps: int = 0,
    num: int | None = None,
    names: Collection[str] | None = None,
    seed: int = 0,
    repeats: int = 100,
    strict: bool = True,
    cache: str | Path | None = None,
) -> tuple[Comparison, Classifier | None]:
    """Compares images in two folders, made by anything.

    Args:
        real: the folder of reals. With a classifier, its subfolders are the classes.
        fake: the folder of fakes.
        size: images are cropped and resized to `size` × `size` pixels as they are read; else they have one size.
        features: as in `compare`.
        classifier_steps: above 0, features are those of a classifier trained on 40 % of the reals for so many steps,
            and half of the reals, which it has not seen, are compared.
        num: the most images of each folder, drawn by `seed`; all if not given.
        names: metrics that are taken; all if not given.
        seed: of what is drawn.
        repeats: halves that an interval is taken from.
        strict: as in `compare`.
        cache: a folder that keeps features.

    Returns:
        The comparison, and the classifier if there is one.

    Raises:
        InputError: an empty folder, images of other sizes, too few of them, or no classes where a classifier is asked.
    """
    drawn = read_images(fake, size=size)
    judge = None
    if classifier_steps > 0:
        source = folder(real, size=size, seed=seed, resident=True, fractions=TRAINING)
        if source.classes is None or source.classes < 2:
            raise InputError(f"{real} has no classes; a classifier needs two or more, each a subfolder of images")
        there = np.concatenate([source.arrays[split]["x"] for split in ("calibrate", "report")])
        _check_shapes(there, drawn)
        judge = train_classifier(source, seed=seed, steps=classifier_steps)
    else:
        there = read_images(real, size=size)
    found = compare(
        *_chosen(there, drawn, num, seed),
        features=features if judge is None else of_classifier(judge),
        names=names,
        repeats=repeats,
        seed=seed,
        strict=strict,
        cache=cache,
    )
    return found, judge


def frechet_of_folders(
    real: str | Path,
    fake: str | Path,
    *,
    features: Features | None = None,
    size: int | None = None,
    num: int | None = None,
    seed: int = 0,
    cache: str | Path | None = None,
) -> tuple[float, int, int]:
    """The Fréchet distance alone, from means and covariances: no features are held, however many images there are.

    Args:
        real: the folder of reals.
        fake: the folder of fakes.
        features: as in `compare`.
        size: as in `compare_folders`.
        num: as in `compare_folders`.
        seed: of what is drawn.
        cache: a folder that keeps means and covariances; features of images that it knows are not taken again.

    Returns:
        The distance, and how many reals and fakes there were.

    Raises:
        InputError: as in `compare_folders` and `metrics.moments`.
    """
    features = features or identity(PIXELS)
    images = _chosen(read_images(real, size=size), read_images(fake, size=size), num, seed)
    named = zip(("reals", "fakes"), images, strict=True)
    of_reals, of_fakes = (statistics(features, x, cache=cache, what=what) for what, x in named)
    return frechet_distance(of_reals, of_fakes), of_reals.n, of_fakes.n


def _chosen(real: np.ndarray, fake: np.ndarray, num: int | None, seed: int) -> list[np.ndarray]:
    """At most `num` of each, in random order, as networks see them."""
    _check_shapes(real, fake)
    rng = np.random.default_rng(seed)
    return [dequantized(part[rng.permutation(len(part))[:num]], rng, 256, False) for part in (real, fake)]


def _check_shapes(real: np.ndarray, fake: np.ndarray) -> None:
    if real.shape[1:] != fake.shape[1:]:
        shape = lambda x: "×".join(map(str, x.shape[1:]))
        fix = "give a size, to which all are cropped and resized"
        if real.shape[1:3] == fake.shape[1:3]:
            fix = "save both as grey or both as RGB images"
        raise InputError(f"real images are {shape(real)}, fake ones {shape(fake)} (height×width×channels): {fix}")
