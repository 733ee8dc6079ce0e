"""Calibration: a score becomes the log odds of being real, and how well those odds hold on other data.

Scores are float `[n]`, high for what looks real; `real` is bool `[n]`. A calibrator gives the log density ratio of the
data and the fakes, `[n]`. Fitted on the host, applied in JAX.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from ensgan.types import Array, InputError, unknown


class Quality(NamedTuple):
    """How far probabilities can be trusted, on data that they were not fitted on."""

    brier: float  # mean (p − real)², 0 to 1; ¼ for p = ½ everywhere
    error: float  # expected calibration error, 0 to 1
    z: float  # Dawid's statistic; see `quality`
    predicted: np.ndarray  # [bins] mean p of each bin, NaN where it is empty
    observed: np.ndarray  # [bins] share of reals there
    count: np.ndarray  # [bins] samples there


def temperature(score: Any, real: Any) -> Partial:
    """Scores divided by the one T > 0 of least log loss (Guo et al. 2017, arXiv 1706.04599, section 4.2).

    Repairs how sure a judge is, and neither an offset nor a wrong shape.

    Args:
        score: `[n]`.
        real: bool `[n]`.

    Raises:
        InputError: as in `logistic`.
    """
    from scipy.optimize import minimize_scalar

    score, real, offset = _checked(score, real)
    sign = np.where(real, -1.0, 1.0)
    scale = np.abs(score).mean() or 1.0
    loss = lambda u: np.logaddexp(0.0, sign * (score * np.exp(u) / scale - offset)).mean()
    factor = np.exp(minimize_scalar(loss, bounds=(-12.0, 12.0), method="bounded").x) / scale
    return _affine(factor, 0.0)


def logistic(score: Any, real: Any, least: float = -np.inf) -> Partial:
    """a · score + b of least log loss (Platt 1999).

    Args:
        score: `[n]`; any scale and offset.
        real: bool `[n]`.
        least: the smallest slope a. Where it is greater than that of least loss, b = 0.

    Raises:
        InputError: shapes differ, a score is not finite, or there are fewer than two reals or two fakes.
    """
    score, real, offset = _checked(score, real)
    weight, bias = logistic_regression(score[:, None], real)
    return _affine(weight[0], bias + offset) if weight[0] > least else _affine(least, 0.0)


def isotonic(score: Any, real: Any) -> Partial:
    """The non-decreasing step function of least squares, by pooling adjacent violators (Zadrozny & Elkan 2002).

    Linear between the pools. One fake is added at the highest score and one real at the lowest: where k reals lie above
    all fakes, the ratio there is k, and not infinite (in the spirit of Laplace's rule of succession). It is flat in
    places, so its gradients say little.

    Args:
        score: `[n]`.
        real: bool `[n]`.

    Raises:
        InputError: as in `logistic`.
    """
    from sklearn.isotonic import IsotonicRegression

    score, real, offset = _checked(score, real)
    x, y = np.append(score, [score.max(), score.min()]), np.append(real, [False, True])
    pools = IsotonicRegression(out_of_bounds="clip").fit(x, y)
    p = pools.y_thresholds_
    knots = jnp.asarray(pools.X_thresholds_, jnp.float32), jnp.asarray(np.log(p / (1.0 - p)) + offset, jnp.float32)
    return Partial(_interpolated, *knots)


class Kind(NamedTuple):
    """A way to calibrate.

    Attributes:
        fit: `fit(score, real, least)` gives `apply` with its first arguments.
        apply: `apply(*arrays, score)`.
        smooth: whether the result has a gradient everywhere.
    """

    fit: Callable[[Any, Any, float], Partial]
    apply: Callable[..., Array]
    smooth: bool = True


def _line(weight: Array, bias: Array, score: Array) -> Array:
    return weight * score + bias


def _interpolated(x: Array, y: Array, score: Array) -> Array:
    return jnp.interp(score, x, y)


CALIBRATORS: dict[str, Kind] = {
    "temperature": Kind(lambda score, real, least: temperature(score, real), _line),
    "logistic": Kind(logistic, _line),
    "isotonic": Kind(lambda score, real, least: isotonic(score, real), _interpolated, smooth=False),
}


def fit(method: str, score: Any, real: Any, least: float = -np.inf) -> Partial:
    """A calibrator by name: temperature, logistic or isotonic.

    Unequal numbers of reals and fakes are accounted for: what comes back is the log density ratio, the log odds for
    equal numbers of both.

    Args:
        method: the name.
        score: `[n]`.
        real: bool `[n]`.
        least: the smallest slope of `logistic`; the others never fall.

    Raises:
        InputError: an unknown name, or as in `logistic`.
    """
    if method not in CALIBRATORS:
        raise unknown("calibration", method, CALIBRATORS)
    return CALIBRATORS[method].fit(score, real, least)


def logistic_regression(x: np.ndarray, real: np.ndarray, penalty: float = 1.0) -> tuple[np.ndarray, float]:
    """Weights `[F]` and bias of the log odds, `x` `[n, F]`; columns are standardised before the penalty ½|w|².

    `penalty` is its factor against the sum of the log losses.
    """
    from sklearn.linear_model import LogisticRegression

    mean, std = x.mean(0), x.std(0)
    std = np.where(std > 0, std, 1.0)  # a constant column stays 0
    found = LogisticRegression(C=1.0 / penalty, max_iter=1000, tol=1e-8).fit((x - mean[None]) / std[None], real)
    weight = found.coef_[0] / std
    return weight, float(found.intercept_[0] - weight @ mean)


def unseen(x: np.ndarray, real: np.ndarray, seed: int = 0) -> np.ndarray:
    """Scores `[n]` of samples that no `logistic_regression` was fitted on: each tenth by the regression on the others.

    What is calibrated on them is shrunk where a regression on few samples is surer of itself than it is right (van
    Houwelingen & Le Cessie 1990, Statistics in Medicine 9).

    Args:
        x: `[n, F]`.
        real: bool `[n]`, at least two of each kind.
        seed: the seed of the tenths, each with its share of both kinds.
    """
    from sklearn.model_selection import StratifiedKFold

    parts = min(10, int(min(real.sum(), (~real).sum())))
    score = np.zeros(len(x))
    for others, mine in StratifiedKFold(parts, shuffle=True, random_state=seed).split(x, real):
        weight, bias = logistic_regression(x[others], real[others])
        score[mine] = x[mine] @ weight + bias
    return score


def regression(fake_Nb: Array, real_Nn: Array, weight_n: Array, steps: int = 200) -> tuple[Array, Array]:
    """`logistic_regression` inside a compiled program: weights `[N]` and bias, by steps on a bound of the curvature.

    σ′ is at most ¼, so one matrix bounds the curvature everywhere, and no step can overshoot (Böhning & Lindsay 1988).

    Args:
        fake_Nb: fakes, of N numbers each.
        real_Nn: reals.
        weight_n: how much each real counts; fakes count 1.
        steps: how many.
    """
    x = jnp.concatenate([fake_Nb, real_Nn], axis=1)
    count = jnp.concatenate([jnp.ones(fake_Nb.shape[1]), weight_n])
    real = jnp.arange(x.shape[1]) >= fake_Nb.shape[1]
    mean = (x * count[None]).sum(1) / count.sum()
    x = x - mean[:, None]
    std = jnp.sqrt((x**2 * count[None]).sum(1) / count.sum())
    std = jnp.where(std > 0, std, 1.0)
    x = jnp.concatenate([x / std[:, None], jnp.ones((1, x.shape[1]))])
    ridge = jnp.ones(len(x)).at[-1].set(0.0)  # ½|w|², and nothing on the bias
    factor = jax.scipy.linalg.cho_factor(0.25 * (x * count[None]) @ x.T + jnp.diag(ridge))

    def one(_: Any, w: Array) -> Array:
        slope = x @ (count * (jax.nn.sigmoid(w @ x) - real)) + ridge * w
        return w - jax.scipy.linalg.cho_solve(factor, slope)

    w = jax.lax.fori_loop(0, steps, one, jnp.zeros(len(x)))
    weight = w[:-1] / std
    return weight, w[-1] - weight @ mean


def quality(log_ratio: Any, real: Any, bins: int = 10) -> Quality:
    """Brier score, calibration error, Dawid's Z and the reliability curve of σ(log ratio).

    Reals and fakes should be as many as each other: otherwise σ(log ratio) is no probability of being real. Z is Σ(y −
    p)/√Σp(1 − p), as in MH-GAN (Turner et al. 2019, arXiv 1811.11357). It would be standard normal if it were drawn for
    each sample whether it is a real; as their numbers are fixed, it varies less, with twice the standard deviation of
    p for a calibrated judge. So a large |Z| speaks against calibration, and a small one says little.

    Args:
        log_ratio: `[n]`.
        real: bool `[n]`.
        bins: equal bins of probability.

    Raises:
        InputError: shapes differ, a number is not finite, or there are fewer than two reals or two fakes.
    """
    from sklearn.metrics import brier_score_loss

    score, real, _ = _checked(log_ratio, real)
    # The curve is our own: scikit-learn's leaves out empty bins and does not count their samples.
    p = np.exp(-np.logaddexp(0.0, -score))
    which = np.minimum((p * bins).astype(int), bins - 1)
    count = np.bincount(which, minlength=bins)
    mean = lambda v: np.divide(np.bincount(which, v, bins), count, out=np.full(bins, np.nan), where=count > 0)
    predicted, observed = mean(p), mean(real.astype(float))
    gap = np.abs(predicted - observed)[count > 0]
    variance = (p * (1.0 - p)).sum()
    return Quality(
        brier=float(brier_score_loss(real, p)),
        error=float((count[count > 0] * gap).sum() / len(p)),
        z=float((real - p).sum() / np.sqrt(max(variance, 1e-12))),
        predicted=predicted,
        observed=observed,
        count=count,
    )


def _affine(weight: float, bias: float) -> Partial:
    return Partial(_line, jnp.float32(weight), jnp.float32(bias))


def _checked(score: Any, real: Any) -> tuple[np.ndarray, np.ndarray, float]:
    """Scores, which are real, and what turns log odds into a log density ratio: log(fakes / reals)."""
    score, real = np.asarray(score, np.float64), np.asarray(real, bool)
    if score.ndim != 1 or score.shape != real.shape:
        raise InputError(f"scores have shape {score.shape} and `real` {real.shape}; give both as [n]")
    reals = int(real.sum())
    if reals < 2 or len(real) - reals < 2:
        raise InputError(f"there are {reals} reals and {len(real) - reals} fakes; calibration needs at least 2 of each")
    if not np.isfinite(score).all():
        raise InputError(f"{int((~np.isfinite(score)).sum())} of {len(score)} scores are not finite; all must be")
    return score, real, float(np.log((len(real) - reals) / reals))
