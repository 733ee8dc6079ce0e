"""Rules by which the logits of N discriminators become one score, fitted or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.metrics import ranks
from ensgan.sampling import calibration
from ensgan.sampling.forest import forest_of, walked
from ensgan.types import Array, unknown


def mean_logit(logit_Nn: Array) -> Array:
    """The mean of the logits: the geometric mean of the density ratios."""
    return logit_Nn.mean(0)


def mean_probability(logit_Nn: Array) -> Array:
    """The logit of the mean probability of being real."""
    return jax.nn.logsumexp(jax.nn.log_sigmoid(logit_Nn), axis=0) - jax.nn.logsumexp(
        jax.nn.log_sigmoid(-logit_Nn), axis=0
    )


def log_mean_ratio(logit_Nn: Array) -> Array:
    """The logarithm of the mean density ratio."""
    return jax.nn.logsumexp(logit_Nn, axis=0) - jnp.log(len(logit_Nn))


def minimum(logit_Nn: Array) -> Array:
    """The severest discriminator."""
    return logit_Nn.min(0)


def median(logit_Nn: Array) -> Array:
    """The median of the logits."""
    return jnp.median(logit_Nn, axis=0)


RULES: dict[str, Callable[[Array], Array]] = {
    "mean_logit": mean_logit,
    "mean_probability": mean_probability,
    "log_mean_ratio": log_mean_ratio,
    "minimum": minimum,
    "median": median,
}
"""Rules `[N, n] -> [n]` that nothing is fitted for."""


class Scored(NamedTuple):
    """The scores that a rule is fitted on."""

    logit_Nn: np.ndarray  # logits of reals and fakes, on one scale
    real: np.ndarray  # bool [n]
    payoff: Callable[[], np.ndarray]  # weights [N] of the judging discriminators in the held-out equilibrium
    seed: int


class Rule(NamedTuple):
    """How N logits become one score.

    Attributes:
        fit: `fit(scored)` gives the first arguments of `apply`, arrays or dicts of arrays, and None or scores `[n]` to
            calibrate on, where the rule would flatter itself on the samples that it was fitted on.
        apply: `apply(*arguments, logit_Nn)` gives the score `[n]`.
        smooth: whether the score has a gradient everywhere.
        fitted: whether it depends on what it is fitted on.
    """

    fit: Callable[[Scored], tuple[tuple[Any, ...], np.ndarray | None]]
    apply: Callable[..., Array]
    smooth: bool = True
    fitted: bool = True


def _weighted(weight: Array, logit_Nn: Array) -> Array:
    return (weight[:, None] * logit_Nn).sum(0)


def stacked(weight: Array, bias: Array, logit_Nn: Array) -> Array:
    """A weighted sum of the logits and a bias."""
    return _weighted(weight, logit_Nn) + bias


def _fit_stacking(scored: Scored) -> tuple[tuple[Array, Array], np.ndarray]:
    weight, bias = calibration.logistic_regression(scored.logit_Nn.T, scored.real)
    unseen = calibration.unseen(scored.logit_Nn.T, scored.real, scored.seed)
    return (jnp.asarray(weight, jnp.float32), jnp.float32(bias)), unseen


def _fit_weighted(scored: Scored) -> tuple[tuple[Array], None]:
    """Weights ∝ 2 S(D_j) − 1 against the sampler, none below 0; equal ones where no discriminator beats chance."""
    fake_Nn, real_Nn = scored.logit_Nn[:, ~scored.real], scored.logit_Nn[:, scored.real]
    fool = np.asarray(ranks.auc(jnp.asarray(fake_Nn)[None], jnp.asarray(real_Nn)))[0]
    better = np.maximum(1.0 - 2.0 * fool, 0.0)
    share = better / better.sum() if better.sum() > 0 else np.full(len(fool), 1.0 / len(fool))
    return (jnp.asarray(share, jnp.float32),), None


def _as_it_is(rule: Callable[[Array], Array]) -> Rule:
    return Rule(lambda scored: ((), None), rule, fitted=False)


JUDGES: dict[str, Rule] = {
    **{name: _as_it_is(rule) for name, rule in RULES.items()},
    "weighted": Rule(_fit_weighted, _weighted),
    "nash": Rule(lambda scored: ((jnp.asarray(scored.payoff(), jnp.float32),), None), _weighted),
    "stacking": Rule(_fit_stacking, stacked),
    "forest": Rule(lambda scored: forest_of(scored.logit_Nn.T, scored.real, scored.seed), walked, smooth=False),
}
"""All rules by name; those that are not in `RULES` are fitted."""

FITTED = tuple(name for name, rule in JUDGES.items() if rule.fitted)


def is_smooth(rule: str | None, calibrate: str | None) -> bool:
    """Whether a judge with this rule and calibration, or the usual ones, has a gradient: flat places have none.

    Raises:
        InputError: an unknown rule or calibration.
    """
    if rule is not None and rule not in JUDGES:
        raise unknown("rule", rule, JUDGES)
    if calibrate is not None and calibrate not in calibration.CALIBRATORS:
        raise unknown("calibration", calibrate, calibration.CALIBRATORS)
    return (rule is None or JUDGES[rule].smooth) and (calibrate is None or calibration.CALIBRATORS[calibrate].smooth)
