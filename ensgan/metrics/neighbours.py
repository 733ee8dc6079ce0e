"""How two samples cover each other, by balls that reach to the k-th neighbour."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import cdist

from ensgan.metrics.checks import check_pair
from ensgan.metrics.kernels import squared_distances
from ensgan.types import InputError


class Neighbours(NamedTuple):
    """Shares of samples in each other's balls."""

    precision: float  # share of fakes within a ball of any real, in [0, 1]
    recall: float  # share of reals within a ball of any fake, in [0, 1]
    density: float  # balls of reals that a fake lies in, over k, mean; may exceed 1
    coverage: float  # share of reals whose ball holds a fake, in [0, 1]


def neighbours(real: Any, fake: Any, *, manifold: int = 3, ball: int = 5) -> Neighbours:
    """Precision and recall (Kynkäänniemi et al. 2019, arXiv 1904.06991), density and coverage (Naeem et al. 2020, arXiv
    2002.09797).

    A ball is closed and reaches to a sample's k-th neighbour of its own kind, not counting itself.

    Args:
        real: features `[n, D]`.
        fake: features `[m, D]`.
        manifold: k of precision and recall.
        ball: k of density and coverage.

    Raises:
        InputError: no more than k samples of a kind, or features that are not finite.
    """
    if min(manifold, ball) < 1:
        raise InputError(f"manifold is {manifold} and ball {ball}; give at least 1 neighbour")
    real, fake = check_pair(real, fake, least=max(manifold, ball) + 1)
    distances = (cdist(x, y, "sqeuclidean") for x, y in ((real, real), (fake, fake), (real, fake)))
    return from_distances(*distances, manifold=manifold, ball=ball)


def from_distances(
    real_NN: np.ndarray, fake_MM: np.ndarray, cross_NM: np.ndarray, *, manifold: int = 3, ball: int = 5
) -> Neighbours:
    """`neighbours` of distances, squared or not, that are known."""
    # The nearest of each sample's own kind is itself, so the k-th neighbour is number k counting from 0.
    ranked = np.partition(real_NN, (manifold, ball), axis=1)
    wide = cross_NM <= ranked[:, manifold, None]
    own = cross_NM <= np.partition(fake_MM, manifold, axis=1)[None, :, manifold]
    near = cross_NM <= ranked[:, ball, None]
    return Neighbours(
        float(wide.any(axis=0).mean()),
        float(own.any(axis=1).mean()),
        float(near.sum(axis=0).mean() / ball),
        float(near.any(axis=1).mean()),
    )


def coverage(real: Any, fake: Any, k: int = 5) -> float:
    """Share of reals whose k-nearest-neighbour ball holds at least one fake (Naeem et al. 2020, arXiv 2002.09797),
    in float32 for samples of many dimensions.

    Args:
        real: `[n, D]`, n > k.
        fake: `[m, D]`.
        k: which neighbour sets the radius.

    Raises:
        InputError: arrays of other shapes, numbers that are not finite, no more than k reals, or no fakes.
    """
    real, fake = check_pair(real, fake, 1)
    if not 1 <= k < len(real):
        raise InputError(f"there are {len(real)} reals and {len(fake)} fakes; give more than {k} and at least 1")
    x, y = jnp.asarray(real), jnp.asarray(fake)
    own = np.array(squared_distances(x, x))
    np.fill_diagonal(own, -np.inf)  # itself, whatever rounding left of 0
    radius = np.partition(own, k, axis=1)[:, k]
    nearest = np.asarray(squared_distances(x, y)).min(axis=1)
    return float((nearest <= radius).mean())
