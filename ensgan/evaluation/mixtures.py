"""Weights of a mixture of generators from held-out samples: by rules, by ranks, and by the distance to the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.metrics import Estimate, gaussian_kernel, metagame, squared_distances
from ensgan.types import Array


class KernelMeans(NamedTuple):
    """Means of the kernel of the MMD between S = M + 1 samples of n each, reals first; host arrays in float64.

    Sample b of every generator comes from noise b, so pairs of one b are kept apart: they are not independent.
    """

    rows: np.ndarray  # [S, S, n] mean over c ≠ b of k(x_b of the first, x_c of the second)
    same: np.ndarray  # [S, S] mean over b of k(x_b of the first, x_b of the second)


def kernel_means(real: Any, fakes: Any, scale: Any) -> KernelMeans:
    """The means for reals `[n, D]` and of fakes `[M, n, D]`, with kernels in units of `scale` (`metrics.bandwidth`).

    (M + 1)(M + 2)/2 kernel matrices of n × n are computed, one at a time.
    """
    samples = [real, *fakes]
    S, n = len(samples), len(real)
    rows, same = np.zeros((S, S, n)), np.zeros((S, S))
    for a in range(S):
        for c in range(a, S):
            rows[a, c], rows[c, a], same[a, c] = _pair(samples[a], samples[c], scale)
            same[c, a] = same[a, c]
    return KernelMeans(rows, same)


@jax.jit
def _pair(x: Array, y: Array, scale: Array) -> tuple[Array, Array, Array]:
    k = gaussian_kernel(squared_distances(x, y), scale, jnp.exp)
    here = jnp.eye(len(x), dtype=bool)
    apart = jnp.where(here, 0.0, k)
    return apart.sum(axis=1) / (len(x) - 1), apart.sum(axis=0) / (len(x) - 1), jnp.where(here, k, 0.0).sum() / len(x)


def squared_mmd(its: KernelMeans, weights: np.ndarray) -> Estimate:
    """Squared MMD of the mixture to the reals, unbiased, with its standard error: `metrics.mmd` of a mixture.

    Σ_ik w_i w_k k(g_i, g_k) − 2 Σ_i w_i k(g_i, x) + k(x, x), over pairs of different b.
    """
    row = _row(its, weights)
    return Estimate(float(row.mean()), float(_error(row)))


def leave_one_out(its: KernelMeans, weights: np.ndarray) -> Estimate:
    """By how much the squared MMD of the mixture grows when a member is left out, `[M]`; high is needed, below 0 harms.

    The others keep their proportions. Who has no weight is not missed: 0. Who has all of it cannot be left out: ∞.
    The standard error is that of the difference, on the same samples.
    """
    whole = _row(its, weights)
    value, error = np.zeros(len(weights)), np.zeros(len(weights))
    for i in np.flatnonzero(weights):
        others = np.where(np.arange(len(weights)) == i, 0.0, weights)
        if others.sum() <= 0:
            value[i], error[i] = np.inf, np.nan
            continue
        change = _row(its, others / others.sum()) - whole
        value[i], error[i] = change.mean(), _error(change)
    return Estimate(value, error)


def gram(its: KernelMeans) -> np.ndarray:
    """`[M, M]`: inner products of the generators' mean embeddings less that of the reals, so that wᵀ gram w is MMD².

    All pairs count, also those of one b. That is biased upwards by about 1/n, least for equal weights, but it is a
    square, and so a convex function of the weights, which the unbiased estimate need not be.
    """
    n = its.rows.shape[-1]
    every = ((n - 1) * its.rows.mean(axis=-1) + its.same) / n
    return every[1:, 1:] - every[1:, :1] - every[:1, 1:] + every[0, 0]


def _row(its: KernelMeans, weights: np.ndarray) -> np.ndarray:
    """`[n]`, whose mean is the squared MMD of the mixture: the signed weights of a mixture less the reals."""
    signed = np.append(-1.0, weights)
    return np.einsum("a,acb,c->b", signed, its.rows, signed)


def _error(row: np.ndarray) -> np.ndarray:
    return 2.0 * row.std() / np.sqrt(len(row))


def uniform(members: int) -> np.ndarray:
    """The same weight for all."""
    return np.full(members, 1.0 / members)


def top_k(order: np.ndarray, k: int) -> np.ndarray:
    """The same weight for the first k of `order`, none for the others."""
    weights = np.zeros(len(order))
    weights[np.asarray(order)[:k]] = 1.0 / min(k, len(order))
    return weights


def softmax(score: np.ndarray, temperature: float) -> np.ndarray:
    """Weights ∝ exp(score / temperature); higher scores are better."""
    score = np.asarray(score, np.float64)
    weights = np.exp((score - score.max()) / temperature)
    return weights / weights.sum()


def nash(fool: np.ndarray) -> np.ndarray:
    """The generators' side of the exact equilibrium of the payoff `fool` `[M, N]`.

    It favours who fools most against the discriminators that see most, and so also generators with contracted modes.
    """
    return metagame.linear_program(fool)[0]


def quadratic(gram: np.ndarray) -> np.ndarray:
    """The exact minimum of wᵀ gram w over the simplex, by an active set.

    With gram = Aᵀ A, non-negative least squares of A u = 0, 1ᵀ u = 1 (Lawson & Hanson 1974, chapter 23) has the
    solution u = w / (1 + wᵀ gram w): for u = t w the sum of squares is least in t at d / (1 + d), which grows with d =
    wᵀ gram w.
    """
    from scipy.optimize import nnls

    values, vectors = np.linalg.eigh(0.5 * (gram + gram.T))
    values = values.clip(0.0)
    # In units such that the sum of weights is no less important than distances.
    root = np.sqrt(values / max(values.max(), 1e-300))[:, None] * vectors.T
    found, _ = nnls(
        np.vstack([root, np.ones((1, len(gram)))]), np.append(np.zeros(len(gram)), 1.0), maxiter=100 * len(gram)
    )
    return found / found.sum()


def exponentiated_gradient(gram: np.ndarray, steps: int = 2000) -> np.ndarray:
    """Exponentiated gradient on the same objective (Kivinen & Warmuth 1997): weights times exp(−rate · slope).

    The rate grows while steps help and is halved where one would not.
    """
    weights, scale = uniform(len(gram)), max(float(np.abs(gram).max()), 1e-300)
    value, rate = weights @ gram @ weights, 0.5 / scale
    for _ in range(steps):
        slope = 2.0 * gram @ weights
        tried = np.maximum(weights * np.exp(-rate * (slope - slope.min())), 1e-12)
        tried /= tried.sum()
        new = tried @ gram @ tried
        if new <= value:
            weights, value, rate = tried, new, min(1.5 * rate, 1e6 / scale)
        else:
            rate *= 0.5
    return weights


def evolution(
    score: Callable[[np.ndarray, int], float],
    members: int,
    *,
    sigma: float = 0.01,
    generations: int = 5000,
    seed: int = 0,
) -> np.ndarray:
    """Lipizzaner's (1+1)-ES (Schmiedlechner et al. 2018): w′ = max(w + N(0, σ²), 0) / Σ, kept where its score is lower.

    Args:
        score: `score(weights, generation)`, lower is better. A noisy one draws its samples by the generation: the
            incumbent is scored again beside every challenger, with the same random numbers.
        members: how many weights.
        sigma: standard deviation of a mutation.
        generations: how many challengers.
        seed: the seed of the mutations.
    """
    rng, weights = np.random.default_rng(seed), uniform(members)
    for generation in range(generations):
        tried = np.maximum(weights + sigma * rng.standard_normal(members), 0.0)
        if tried.sum() > 0:
            tried /= tried.sum()
            if score(tried, generation) < score(weights, generation):
                weights = tried
    return weights


def greedy(gram: np.ndarray, picks: int = 100) -> np.ndarray:
    """Forward selection with replacement (Caruana et al. 2004): whole numbers of picks, over their sum.

    Each pick is the member that makes the distance of the mixture so far least; of all numbers of picks on the way, up
    to `picks`, the best is taken.
    """
    counts, best, least = np.zeros(len(gram)), uniform(len(gram)), np.inf
    for size in range(1, picks + 1):
        # (c + e_i)ᵀ gram (c + e_i) less what is the same for all i
        counts[(2.0 * gram @ counts + np.diag(gram)).argmin()] += 1.0
        value = counts @ gram @ counts / size**2
        if value < least:
            best, least = counts / size, value
    return best


class Evidence(NamedTuple):
    """The data that weights are fitted to: statistics of M generators on the calibrate split."""

    gram: np.ndarray  # [M, M]
    fool: np.ndarray  # [M, N] AUC
    order: np.ndarray  # [M] best first

    @property
    def score(self) -> np.ndarray:
        """−|S(G_i) − ½|, `[M]`."""
        return -np.abs(self.fool.mean(axis=1) - 0.5)


# Each gives one fit, or one for each value of its setting, of which the select split chooses.
FITS: dict[str, Callable[[Evidence], list[np.ndarray]]] = {
    "uniform": lambda e: [uniform(len(e.gram))],
    "single": lambda e: list(np.eye(len(e.gram))),
    "top_k": lambda e: [top_k(e.order, k) for k in range(1, len(e.gram) + 1)],
    "softmax": lambda e: [softmax(e.score, temperature) for temperature in (0.01, 0.03, 0.1, 0.3)],
    "nash": lambda e: [nash(e.fool)],
    "quadratic": lambda e: [quadratic(e.gram)],
    "exponentiated_gradient": lambda e: [exponentiated_gradient(e.gram)],
    "evolution": lambda e: [evolution(lambda w, _: float(w @ e.gram @ w), len(e.gram))],
    "greedy": lambda e: [greedy(e.gram)],
}


class Fitted(NamedTuple):
    """Mixtures by name, and how far they are from the data."""

    weights: dict[str, np.ndarray]  # [M] each, fitted on the calibrate split
    select: dict[str, Estimate]  # squared MMD on the select split, which chose
    report: dict[str, Estimate]  # squared MMD on the report split, which nothing was fitted to
    chosen: str  # the one of least squared MMD on the select split


def fit(
    evidence: Evidence, select: KernelMeans, report: KernelMeans, others: dict[str, np.ndarray] | None = None
) -> Fitted:
    """Fits all mixtures, chooses on one split and measures on another.

    Args:
        evidence: statistics of the calibrate split.
        select: kernel means on the select split, with noise of its own.
        report: kernel means on the report split, likewise.
        others: weights by name that are not fitted here, such as those that training found.
    """
    candidates = {name: [weights] for name, weights in (others or {}).items()}
    candidates |= {name: fits(evidence) for name, fits in FITS.items()}
    distance = lambda weights: squared_mmd(select, weights).value
    weights = {name: min(several, key=distance) for name, several in candidates.items()}
    on = lambda its: {name: squared_mmd(its, w) for name, w in weights.items()}
    on_select = on(select)
    return Fitted(weights, on_select, on(report), min(on_select, key=lambda name: on_select[name].value))
