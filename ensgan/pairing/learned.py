"""Pairings that weigh opponents by the loss against them, with a state: learned softmax, hypervolume, bandit.

Discriminators put `own` of their weight P on their own generator, and spread the rest over all.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from ensgan.pairing.aggregation import exponentials
from ensgan.pairing.weights import check_share, discriminator_weights, driven, normalize
from ensgan.types import Array, Evidence, InputError, Pairing, Tree, check_range


def softmax_learned(lam: float = 1.0, rate: float = 0.1, cost: float = 0.001, own: float = 0.0) -> Pairing:
    """GMAN*: softmax weights whose λ_i each generator learns (arXiv 1611.01673, section 4).

    λ_i = softplus(θ_i). The weighted loss Σ_j w_ij L_ij has the derivative Var_w(L_i) ≥ 0 in λ_i, so minimising it
    favours mild discriminators; the term −cost · λ_i favours harsh ones. Every step makes one gradient step of both
    terms in θ, of length at most `rate`. At rest Var_w(L_i) = cost, but this is stable only if the variance grows with
    λ_i, that is if a few losses stand out above many. Otherwise, and always with two opponents, λ_i goes to 0 or grows
    without limit.

    Args:
        lam: initial λ, above 0.
        rate: step size in θ, at least 0.
        cost: weight of −λ_i, in units of a squared loss, at least 0.
        own: share of each discriminator's weight on its own generator, in [0, 1].

    Raises:
        InputError: a number is out of range.
    """
    check_range("rate", rate)
    check_range("cost", cost)
    if not (math.isfinite(lam) and lam > 0.0):
        raise InputError(f"lam is {lam}; it must be finite and above 0; for λ = 0 use the pairing mean")

    def after(state: Tree, evidence: Evidence, key: Array) -> tuple[Array, Array, Tree]:
        del key
        loss, mask = jnp.where(evidence.mask, evidence.loss_g, 0.0), evidence.mask
        W = normalize(exponentials(jax.nn.softplus(state)[:, None] * loss, mask), mask, axis=1)
        mean = jnp.sum(W * loss, axis=1, keepdims=True)
        variance = jnp.sum(W * (loss - mean) ** 2, axis=1)
        slope = jnp.clip((variance - cost) * jax.nn.sigmoid(state), -1.0, 1.0)
        theta = jnp.where(mask.any(axis=1), state - rate * slope, state)
        return W, discriminator_weights(mask, own), theta

    start = lam + math.log(-math.expm1(-lam))  # softplus⁻¹
    return Pairing(lambda M, N: jnp.full((M,), start, float), after, members=driven(own), even=True)


def hypervolume(
    slack: float = 1.1,
    patience: int = 0,
    growth: float | None = None,
    limit: float | None = None,
    own: float = 0.0,
) -> Pairing:
    """W_ij ∝ 1 / (η_i − loss_g_ij): ascent of log Π_j (η_i − L_ij), the hypervolume below the nadir point η_i.

    η_i = slack · max_j L_ij + 1e-8, recomputed every step (Albuquerque et al. 2019, arXiv 1901.08680). Harsh
    discriminators have more weight; with a large slack, weights tend to the mean. Rows are normalised to sum to 1,
    which drops the factor common to all opponents.

    With `patience`, a generator's slack is multiplied by `growth`, up to `limit`, after so many steps without progress.
    Progress is a new minimum of |mean_j fool_ij − ½|, taken as a running mean over about 100 steps.

    Args:
        slack: slack of the nadir point, above 1.
        patience: number of steps without progress after which the slack grows; 0 keeps it constant.
        growth: factor of the slack, at least 1; default 1.02. Needs patience.
        limit: largest slack, at least `slack`; default 2.5. Needs patience.
        own: share of each discriminator's weight on its own generator, in [0, 1].

    Raises:
        InputError: a number is out of range, or needs patience and there is none. A game with losses that can be
            negative raises it as well.
    """
    check_range("patience", patience)
    for name, value in (("growth", growth), ("limit", limit)):
        if value is not None and not patience:
            raise InputError(
                f"{name} is {value}, but without patience the slack never grows; give patience, or do not give {name}"
            )
    growth, limit = 1.02 if growth is None else growth, 2.5 if limit is None else limit
    check_range("growth", growth, 1.0)
    if not (math.isfinite(slack) and slack > 1.0):
        raise InputError(f"slack is {slack}; the nadir point must lie above every loss, so give more than 1")
    if patience and not limit >= slack:
        raise InputError(f"limit is {limit}, below the slack {slack}; give at least the slack")

    def init(M: int, N: int) -> Tree:
        if not patience:
            return {"slack": jnp.full((M,), slack, float)}
        start = {"slack": slack, "distance": 0.5, "best": 0.5, "age": 0.0}
        return {name: jnp.full((M,), value, float) for name, value in start.items()}

    def grown(state: Tree, evidence: Evidence) -> Tree:
        fool = jnp.sum(normalize(jnp.ones(evidence.mask.shape), evidence.mask, axis=1) * _played(evidence), axis=1)
        distance = state["distance"] + 0.01 * (jnp.abs(fool - 0.5) - state["distance"])
        age = jnp.where(distance < state["best"], 0.0, state["age"] + 1.0)
        larger = jnp.minimum(state["slack"] * growth, limit)
        new = {
            "slack": jnp.where(age >= patience, larger, state["slack"]),
            "distance": distance,
            "best": jnp.minimum(distance, state["best"]),
            "age": jnp.where(age >= patience, 0.0, age),
        }
        # No progress can be measured for members without opponents.
        return {name: jnp.where(evidence.mask.any(axis=1), new[name], state[name]) for name in new}

    def after(state: Tree, evidence: Evidence, key: Array) -> tuple[Array, Array, Tree]:
        del key
        loss, mask = jnp.where(evidence.mask, evidence.loss_g, 0.0), evidence.mask
        nadir = state["slack"][:, None] * loss.max(axis=1, keepdims=True) + 1e-8
        W = normalize(1.0 / jnp.maximum(nadir - loss, 1e-8), mask, axis=1)
        return W, discriminator_weights(mask, own), grown(state, evidence) if patience else state

    return Pairing(init, after, members=driven(own), even=True, positive=True)


def bandit(sharpness: float = 15.0, alpha: float = 0.8, own: float = 0.0) -> Pairing:
    """W_ij ∝ exp(sharpness · Q_ij), where Q_ij tracks the learning progress of G_i against D_j.

    Q ← alpha · (fool_ij − fool_ij of the last step) + (1 − alpha) · Q, starting at 0: the `loss_delta` mode of the
    public code of hGAN (Albuquerque et al. 2019, arXiv 1901.08680). There, the reward is the change of D_j's
    probability on the same noise just before and after the generator's update. Here it is the change from step to step,
    which includes the discriminator's own update. With `split` coverage, the changes are those of running means.

    Args:
        sharpness: inverse temperature of the softmax, finite; 0 is the mean.
        alpha: share of the newest reward in Q, in [0, 1].
        own: share of each discriminator's weight on its own generator, in [0, 1].

    Raises:
        InputError: a number is out of range.
    """
    check_share("alpha", alpha)
    if not math.isfinite(sharpness):
        raise InputError(f"sharpness is {sharpness}; it must be finite")

    def init(M: int, N: int) -> Tree:
        return {"value": jnp.zeros((M, N)), "fool": jnp.zeros((M, N)), "met": jnp.zeros((M, N), bool)}

    def after(state: Tree, evidence: Evidence, key: Array) -> tuple[Array, Array, Tree]:
        del key
        mask, fool = evidence.mask, _played(evidence)
        blend = alpha * (fool - state["fool"]) + (1.0 - alpha) * state["value"]
        value = jnp.where(mask & state["met"], blend, state["value"])
        W = normalize(exponentials(sharpness * value, mask), mask, axis=1)
        state = {"value": value, "fool": jnp.where(mask, fool, state["fool"]), "met": mask | state["met"]}
        return W, discriminator_weights(mask, own), state

    return Pairing(init, after, members=driven(own), even=True)


def _played(evidence: Evidence) -> Array:
    return jnp.where(evidence.mask, evidence.fool, 0.0)
