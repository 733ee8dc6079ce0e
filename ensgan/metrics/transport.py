"""Optimal transport between two samples: exact, sliced, and entropic."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from ensgan.metrics.checks import check_pair, check_varied
from ensgan.metrics.kernels import bandwidth, squared_distances
from ensgan.types import Array, InputError


def wasserstein(real: Any, fake: Any, p: int = 2) -> float:
    """The exact p-Wasserstein distance of two samples of one size: the best matching, of cost ‖x − y‖^p.

    Takes n² memory and up to n³ time, seconds for 2,000. Of samples from one law in D > 4 dimensions it falls only as
    n^(−1/D) (Fournier & Guillin 2015, Probab. Theory Relat. Fields 162), so its floor is high.

    Args:
        real: `[n, D]`.
        fake: `[n, D]`, as many.
        p: 1 or 2.

    Returns:
        In units of the features.

    Raises:
        InputError: other numbers of samples, numbers that are not finite, or another p.
    """
    if p not in (1, 2):
        raise InputError(f"p is {p}; expected 1 or 2")
    real, fake = check_pair(real, fake, equal=True)
    return matched(cdist(real, fake, "euclidean" if p == 1 else "sqeuclidean")) ** (1 / p)


def matched(cost_NN: np.ndarray) -> float:
    """The mean cost of the best matching."""
    return float(cost_NN[linear_sum_assignment(cost_NN)].mean())


def sliced_wasserstein(real: Any, fake: Any, p: int = 2, *, directions: int = 256, seed: int = 0) -> float:
    """The sliced Wasserstein distance (Rabin et al. 2011, SSVM; Bonneel et al. 2015, J. Math. Imaging Vis. 51).

    The p-th root of the mean of W_p^p over projections on random directions, uniform on the sphere.

    Args:
        real: `[n, D]`.
        fake: `[n, D]`, as many.
        p: 1 or 2.
        directions: how many; the same for the same seed and D.
        seed: the seed of the directions.

    Raises:
        InputError: other numbers of samples, numbers that are not finite, another p, or no direction.
    """
    if p not in (1, 2) or directions < 1:
        raise InputError(f"p is {p} and directions {directions}; expected p 1 or 2, and at least 1 direction")
    real, fake = check_pair(real, fake, equal=True)
    along = unit_directions(real.shape[1], directions, seed)
    return sliced(real @ along, fake @ along, p)


def unit_directions(dim: int, num: int, seed: int = 0) -> np.ndarray:
    """Directions uniform on the sphere, one in each column, `[dim, num]`."""
    along = np.random.default_rng(seed).standard_normal((dim, num))
    return along / np.linalg.norm(along, axis=0, keepdims=True)


def sliced(real_NL: np.ndarray, fake_NL: np.ndarray, p: int = 2) -> float:
    """`sliced_wasserstein` of projections that are known."""
    gap = np.abs(np.sort(real_NL, axis=0) - np.sort(fake_NL, axis=0))
    return float((gap**p).mean() ** (1 / p))


class Unconverged(InputError):
    """An iteration that did not reach its tolerance; other settings may."""


class Sinkhorn(NamedTuple):
    """An entropic transport cost with what proves it."""

    value: float  # the divergence, ≥ 0 up to `error`, in squared units of the features
    potential_real: np.ndarray  # [n] its derivative in the weight of each real, up to a constant
    potential_fake: np.ndarray  # [m] likewise of each fake
    error: float  # by how much the marginals of the plans miss, total variation, at most


def sinkhorn(real: Any, fake: Any, *, blur: float = 0.05, tolerance: float = 1e-3, iterations: int = 2000) -> Sinkhorn:
    """The Sinkhorn divergence OT(x, y) − ½ OT(x, x) − ½ OT(y, y) of squared distances (Feydy et al. 2019, arXiv
    1810.08278), in the log domain.

    OT is min ⟨plan, ‖x − y‖²⟩ + ε KL(plan ‖ product of marginals). The divergence is 0 for equal samples. It tends to
    W₂² as ε falls and to the squared distance of the means as ε grows.

    Args:
        real: `[n, D]`.
        fake: `[m, D]`.
        blur: ε in units of the median squared distance between reals.
        tolerance: total variation by which the plans may miss the marginals.
        iterations: at most.

    Raises:
        Unconverged: the plans miss their marginals by more than `tolerance`.
        InputError: numbers that are not finite, reals that are all equal, or a blur that is not positive.
    """
    if not 0.0 < blur < float("inf"):
        raise InputError(f"blur is {blur}; it must be a number above 0")
    real, fake = check_pair(real, fake)
    check_varied(real, "reals")
    # Plans are those of the samples about their means: ‖x − y‖² is the squared distance there, plus terms of x and of y
    # alone. Means that are far apart cost float32 no digits then.
    gap = real.mean(axis=0) - fake.mean(axis=0)
    real, fake = real - real.mean(axis=0, keepdims=True), fake - fake.mean(axis=0, keepdims=True)
    x, y = jnp.asarray(real, jnp.float32), jnp.asarray(fake, jnp.float32)
    scale = float(bandwidth(x))
    pairs = [(x, y), (x, x), (y, y)]
    found = [_entropic(squared_distances(a, b) / scale, blur, tolerance, iterations) for a, b in pairs]
    error = max(float(each[2]) for each in found)
    if not error <= tolerance:
        raise Unconverged(
            f"Sinkhorn's iteration misses the marginals by {error:.2g} after {iterations} steps, more than "
            f"{tolerance:g}: raise blur (now {blur:g}) or iterations"
        )
    (f_xy, g_xy, _), (f_x, g_x, _), (f_y, g_y, _) = (
        [scale * np.asarray(part, np.float64) for part in each] for each in found
    )
    potential_real = f_xy - 0.5 * (f_x + g_x) + 2.0 * real @ gap + gap @ gap
    potential_fake = g_xy - 0.5 * (f_y + g_y) - 2.0 * fake @ gap
    return Sinkhorn(float(potential_real.mean() + potential_fake.mean()), potential_real, potential_fake, error)


@partial(jax.jit, static_argnums=3)
def _entropic(cost: Array, epsilon: float, tolerance: float, iterations: int) -> tuple[Array, Array, Array]:
    """The potentials of uniform marginals, and by how much the plan misses the first: the second is met."""

    def soft_minimum(values: Array, axis: int) -> Array:
        n = values.shape[axis]
        return -epsilon * (jax.nn.logsumexp(-values / epsilon, axis=axis) - jnp.log(1.0 * n))

    def step(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        f, g, _, k = carry
        new = soft_minimum(cost - g[None], 1)
        # exp((f − new)/ε)/n is the row marginal of the plan that f and g make.
        missed = 0.5 * jnp.abs(jnp.expm1((f - new) / epsilon)).mean()
        g = soft_minimum(cost - new[:, None], 0)
        return new, g, missed, k + 1

    going = lambda carry: (carry[2] > tolerance) & (carry[3] < iterations)
    f = jnp.zeros(cost.shape[0], cost.dtype)
    start = (f, soft_minimum(cost - f[:, None], 0), jnp.asarray(jnp.inf, cost.dtype), jnp.asarray(0))
    f, g, missed, _ = jax.lax.while_loop(going, step, start)
    return f, g, missed
