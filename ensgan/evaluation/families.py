"""The metrics that compare reals and fakes, one family of features or pairs at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.distance import cdist, pdist, squareform

from ensgan.metrics import class_scores, duplicate_radius, frechet_distance, inception_score, moments, sinkhorn
from ensgan.metrics.checks import check_varied
from ensgan.metrics.gaussian import raw_moments
from ensgan.metrics.kernels import cubic_kernel, gaussian_kernel, unbiased_mmd
from ensgan.metrics.neighbours import from_distances
from ensgan.metrics.transport import matched, sliced, unit_directions

PAIRS = 2000  # samples of each kind where all pairs are compared
MATCHED = 500  # where they are matched, exactly in n³ time or by Sinkhorn's iteration
DIRECTIONS = 128  # of the sliced distance


class Sample(NamedTuple):
    """Samples as the metrics see them."""

    features: np.ndarray  # float64 [n, D]
    probability: np.ndarray | None  # float64 [n, K], of classes; None without a classifier

    def part(self, start: int, end: int) -> Sample:
        """Samples from `start` to before `end`."""
        chances = self.probability
        return Sample(self.features[start:end], None if chances is None else chances[start:end])


class Unit(NamedTuple):
    """The units of length that distances between reals give, the same for a value and its floor."""

    reals: np.ndarray  # [n, D], n at most 2,000
    scale: float  # the median squared distance


class Metric(NamedTuple):
    """A family of metrics that share their work.

    Attributes:
        names: the names of its numbers.
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
    least: int = 2
    half: int = 2
    low: float = 0.0
    high: Any = np.inf


NEIGHBOURS = ("precision", "recall", "density", "coverage")


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
    check_varied(unit.reals, "reals")
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


METRICS = (
    Metric(("Fréchet distance",), _frechet, most=None),
    Metric(("kernel distance (cubic)",), _of_pairs(_cubic, unbiased_mmd), low=-np.inf),
    Metric(("MMD² (Gaussian)",), _of_pairs(_gaussian, unbiased_mmd), low=-np.inf),
    Metric(NEIGHBOURS, _of_pairs(_squared, from_distances), least=6, half=6, high=np.array([1.0, 1.0, np.inf, 1.0])),
    Metric(("sliced Wasserstein",), _sliced, least=1),
    Metric(("Wasserstein",), _wasserstein, most=MATCHED, least=1),
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
        Metric(("classifier score",), _score(splits), most=None, least=splits, half=splits, low=1.0),
        Metric(("TV of classes",), _classes, most=None, least=1),
    )
