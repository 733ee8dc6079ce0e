"""Data copying: whether samples are nearer to the training data than other reals are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from ensgan.metrics.checks import Undefined, as_numbers
from ensgan.types import InputError

LEAST = 20  # samples of each kind, below which the normal law of the statistic is not to be trusted
LEAST_IN_CELL = 10


class Copying(NamedTuple):
    """The data-copying test.

    Attributes:
        share: of all pairs of a fake and a real, those in which the fake is nearer to its nearest training sample than
            the real is to its own, ties counted half: ½ for a perfect generator, 1 for copies, less than ½ for samples
            that are off the data.
        statistic: C_T, the mean over cells of the Mann-Whitney z-scores, weighted by the shares of the reals; far below
            0 for copies, near 0 for a perfect generator. In one cell it is a z-score.
        z: C_T over its standard deviation, a standard normal for a perfect generator.
        p: the probability that a perfect generator has so low a z.
        cells: how many cells had enough samples of both kinds.
    """

    share: float
    statistic: float
    z: float
    p: float
    cells: int


def copying(real: Any, fake: Any, real_cell: Any = None, fake_cell: Any = None) -> Copying:
    """The test of Meehan, Chaudhuri & Dasgupta 2020 (arXiv 2004.05675), section 3: C_T.

    Distances of held-out reals and of fakes to the training data have the same law if the generator is perfect, given
    the training data, whatever those are. So their ranks decide, with no assumption about the law itself. Cells keep
    copies in one region from being balanced by bad samples in another; a cell with fewer than 10 reals or fakes is left
    out.

    Args:
        real: the distance of each held-out real to its nearest training sample, `[n]`, n at least 20.
        fake: that of each fake, `[m]`, m at least 20.
        real_cell: the cell of each real, whole numbers `[n]` that do not depend on the reals or fakes; None for one.
        fake_cell: that of each fake, `[m]`.

    Raises:
        InputError: distances that are not finite or not one number per sample.
        metrics.checks.Undefined: too few reals or fakes, in all or in every cell; or distances that are all equal.
    """
    real, fake = _distances(real, "reals"), _distances(fake, "fakes")
    for what, found in (("reals", real), ("fakes", fake)):
        if len(found) < LEAST:
            raise Undefined(f"there are {len(found)} {what}, and at least {LEAST} are needed")
    if min(real.min(), fake.min()) == max(real.max(), fake.max()):
        raise Undefined("all distances to the training samples are equal")
    where = np.zeros(len(real), int) if real_cell is None else np.asarray(real_cell)
    there = np.zeros(len(fake), int) if fake_cell is None else np.asarray(fake_cell)
    scores, weights = [], []
    for cell in np.unique(where):
        x, y = real[where == cell], fake[there == cell]
        if min(len(x), len(y)) >= LEAST_IN_CELL:
            scores.append(mann_whitney(x, y)[1])
            weights.append(len(x))
    if not scores:
        raise Undefined(f"no cell has {LEAST_IN_CELL} reals and {LEAST_IN_CELL} fakes")
    weight = np.array(weights) / sum(weights)
    statistic = float(weight @ scores)
    z = statistic / float(np.sqrt(weight @ weight))
    return Copying(mann_whitney(real, fake)[0], statistic, z, float(ndtr(z)), len(scores))


def mann_whitney(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """P(y < x) + ½ P(y = x) over all pairs of `x` `[n]` and `y` `[m]`, and the z-score, below 0 where y is less.

    The variance is that of ranks with ties; if all numbers are equal the score is 0.
    """
    from scipy.stats import rankdata

    n, m = len(x), len(y)
    both = np.concatenate([x, y])
    above = rankdata(both)[n:].sum() - m * (m + 1) / 2  # pairs in which y is greater
    ties = np.unique(both, return_counts=True)[1].astype(np.float64)
    total = n + m
    variance = n * m / 12 * (total + 1 - (ties**3 - ties).sum() / (total * (total - 1)))
    return float(1 - above / (n * m)), float((above - n * m / 2) / np.sqrt(variance)) if variance > 0 else 0.0


def smallest_share(n: int, m: int, z: float) -> float:
    """The least share of pairs that is `z` standard deviations above ½, for n reals and m fakes without ties."""
    return 0.5 + z * float(np.sqrt((n + m + 1) / (12 * n * m)))


def _distances(x: Any, what: str) -> np.ndarray:
    x = as_numbers(x, f"distances of {what}")
    if x.ndim != 1 or not np.isfinite(x).all():
        raise InputError(f"distances of {what} have the shape {list(x.shape)}; expected one finite number per sample")
    return x
