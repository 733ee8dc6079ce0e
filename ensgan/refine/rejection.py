"""Rejection: proposals are kept with a probability that grows with their ratio."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.refine.contract import (
    PILOT,
    Draw,
    NothingAccepted,
    Portions,
    Ratio,
    Refined,
    as_partial,
    check_budget,
    cut,
    known,
)
from ensgan.types import Array, InputError, Tree, check_range

PORTION = 16  # batches of proposals in one compiled call
PATIENCE = 128  # batches without one acceptance, after which rejection gives up


def drs(
    key: Array,
    draw: Draw,
    log_ratio: Ratio,
    num: int,
    *,
    budget: float | None = None,
    gamma: float = 0.0,
    percentile: float | None = None,
    pilot: int = 10_000,
    **work: Unpack[Portions],
) -> Refined:
    """Discriminator rejection sampling (Azadi et al. 2019, arXiv 1810.06758).

    A proposal with log ratio F is kept with probability σ(F̂), F̂ = F − F_M − log(1 − exp(F − F_M − ε)) − γ. F_M is the
    largest F so far, of the pilot at first. With γ = 0 that probability is exp(F − F_M): exact, and costly where ratios
    reach far.

    Args:
        key: a key.
        draw: the sampler.
        log_ratio: log p_data/p_sampler.
        num: how many samples.
        budget: mean acceptance in (0, 1), for which γ is found on the pilot; None leaves γ as it is.
        gamma: γ; positive ones keep fewer samples.
        percentile: takes this percentile of F̂ on the pilot for γ instead, in [0, 100]; the paper's are 80 and 95.
        pilot: samples that F_M and γ are taken from.
        work: `batch` and `progress`; see `Portions`.

    Raises:
        InputError: a number out of range, more than one way to set γ, or nothing is accepted.
    """
    check_range("gamma", gamma, low=-math.inf)
    if (budget is not None) + (percentile is not None) + (gamma != 0.0) > 1:
        raise InputError("drs takes one of budget, gamma and percentile; leave out the others")
    if percentile is not None:
        check_range("percentile", percentile, high=100.0 + 1e-9)
    if budget is not None:
        check_budget(budget)
    batch, _ = cut(num, work)
    f = _pilot(key, draw, log_ratio, pilot, batch)
    top = f.max()
    hat = _drs_logit(f, top)
    if budget is not None:
        low, high = -60.0 - hat.max(), 60.0 - jnp.where(hat > -jnp.inf, hat, jnp.inf).min()
        gamma = -float(_bisect(_mean_sigmoid, hat, jnp.float32(budget), low, high))
    elif percentile is not None:
        gamma = float(jnp.percentile(hat, percentile))
    tuning = (top, jnp.float32(gamma))
    return _reject(key, draw, log_ratio, num, _Rule(_drs, tuning, len(f)), work)


def obrs(
    key: Array,
    draw: Draw,
    log_ratio: Ratio,
    num: int,
    *,
    budget: float = 0.5,
    pilot: int = 10_000,
    **work: Unpack[Portions],
) -> Refined:
    """Optimal budgeted rejection sampling (Verine et al. 2024, arXiv 2311.00460).

    A proposal with ratio r is kept with probability min(c · r/M, 1), M the largest ratio, with c such that the mean of
    it is the budget. Of all rules that keep this share, it comes closest to the data in every f-divergence. M is one
    with c, so it is c/M that is found, by bisection on the pilot.

    Args:
        key: a key.
        draw: the sampler.
        log_ratio: log p_data/p_sampler; a constant added to it changes nothing.
        num: how many samples.
        budget: mean acceptance in (0, 1]; 1 keeps everything, 1/M is exact rejection.
        pilot: samples on which the threshold is found; its relative error is about 1/√pilot.
        work: `batch` and `progress`; see `Portions`.

    Raises:
        InputError: a number out of range, or nothing is accepted.
    """
    check_budget(budget)
    batch, _ = cut(num, work)
    f = _pilot(key, draw, log_ratio, pilot, batch)
    if budget == 1.0:
        shift = jnp.float32(jnp.inf)
    else:
        low, high = math.log(budget) - f.max(), -jnp.where(f > -jnp.inf, f, jnp.inf).min()
        shift = _bisect(_mean_capped, f, jnp.float32(budget), low, jnp.maximum(low, high))
    return _reject(key, draw, log_ratio, num, _Rule(_obrs, shift, len(f)), work)


def _drs_logit(f: Array, top: Array, epsilon: float = 1e-6) -> Array:
    """F̂ before γ."""
    below = jnp.minimum(f - top, 0.0) - epsilon
    return below - jnp.log(-jnp.expm1(below))


def _drs(tuning: tuple[Array, Array], f: Array) -> tuple[Array, tuple[Array, Array]]:
    top, gamma = jnp.maximum(tuning[0], f.max()), tuning[1]
    return jax.nn.log_sigmoid(_drs_logit(f, top) - gamma), (top, gamma)


def _obrs(shift: Array, f: Array) -> tuple[Array, Array]:
    return jnp.where(f > -jnp.inf, jnp.minimum(f + shift, 0.0), -jnp.inf), shift


class _Carry(NamedTuple):
    x: Tree  # [num, ...] samples kept so far
    log_weight: Array  # [num] log ratio over acceptance: what is still missing to the data
    filled: Array
    accepted: Array
    round: Array
    idle: Array  # rounds since the last acceptance
    tuning: Tree


class _Rule(NamedTuple):
    accept: Callable[[Tree, Array], tuple[Array, Tree]]  # (tuning, log ratios) -> log probabilities, new tuning
    tuning: Tree
    spent: int  # draws of the pilot


def _reject(key: Array, draw: Draw, log_ratio: Ratio, num: int, rule: _Rule, work: Portions) -> Refined:
    """Rounds of `batch` proposals until `num` are kept."""
    batch, progress = cut(num, work)
    draw, log_ratio = as_partial(draw), as_partial(log_ratio)
    form = jax.eval_shape(lambda k: draw(k, num), key)
    zero = jnp.zeros((), jnp.int32)
    empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), form)
    carry = _Carry(empty, jnp.zeros(num), zero, zero, zero, zero, rule.tuning)
    proposed, kept = 0, 0
    while int(carry.filled) < num:
        carry = _rounds(key, draw, log_ratio, carry, rule.accept, batch)
        proposed, kept = int(carry.round) * batch, int(carry.accepted)
        if int(carry.idle) >= PATIENCE:
            raise NothingAccepted(
                f"{kept} of {proposed} proposals were accepted, and none of the last {PATIENCE * batch}: the judge "
                "finds almost nothing that looks real; accept a larger share, or use mh"
            )
        if progress is not None:
            progress(min(int(carry.filled), num))
    cost = (proposed + rule.spent) / num
    return Refined(carry.x, kept / proposed, cost, cost, _kish(np.asarray(carry.log_weight)))


@partial(jax.jit, static_argnames=("accept", "batch"))
def _rounds(key: Array, draw: Draw, log_ratio: Ratio, carry: _Carry, accept: Any, batch: int) -> _Carry:
    num = len(carry.log_weight)
    last = carry.round + PORTION

    def more(c: _Carry) -> Array:
        return (c.filled < num) & (c.round < last) & (c.idle < PATIENCE)

    def one(c: _Carry) -> _Carry:
        key_x, key_u = jax.random.split(jax.random.fold_in(key, c.round))
        x = draw(key_x, batch)
        f = known(log_ratio(x))
        log_a, tuning = accept(c.tuning, f)
        keep = jnp.log(jax.random.uniform(key_u, (batch,))) < log_a
        place = jnp.where(keep, c.filled + jnp.cumsum(keep) - 1, num)  # what is beyond the end is dropped
        put = lambda into, values: into.at[place].set(values, mode="drop")
        weight = jnp.where(keep, f - log_a, 0.0)
        return _Carry(
            x=jax.tree.map(put, c.x, x),
            log_weight=put(c.log_weight, weight),
            filled=c.filled + keep.sum(dtype=jnp.int32),
            accepted=c.accepted + keep.sum(dtype=jnp.int32),
            round=c.round + 1,
            idle=jnp.where(keep.any(), 0, c.idle + 1),
            tuning=tuning,
        )

    return jax.lax.while_loop(more, one, carry)


def _pilot(key: Array, draw: Draw, log_ratio: Ratio, num: int, batch: int) -> Array:
    """Log ratios of at least `num` fresh draws."""
    if num < 1:
        raise InputError(f"pilot is {num}; give at least 1 sample")
    key = jax.random.fold_in(key, PILOT)
    f = _scores(key, as_partial(draw), as_partial(log_ratio), -(-num // batch), batch)
    if not bool((f > -jnp.inf).any()) or bool((f == jnp.inf).any()):
        raise NothingAccepted(
            f"of {len(f)} samples, {int((f == jnp.inf).sum())} have an infinite ratio and {int((f == -jnp.inf).sum())} "
            "the ratio 0, so ratios cannot be compared; check the judge"
        )
    return f


@partial(jax.jit, static_argnames=("rounds", "batch"))
def _scores(key: Array, draw: Draw, log_ratio: Ratio, rounds: int, batch: int) -> Array:
    one = lambda i: known(log_ratio(draw(jax.random.fold_in(key, i), batch)))
    return jax.lax.map(one, jnp.arange(rounds)).reshape(-1)


@partial(jax.jit, static_argnums=0)
def _bisect(rising: Callable[[Array], Array], f: Array, wanted: Array, low: Array, high: Array) -> Array:
    """The shift at which `rising(f + shift)` is `wanted`, to float32; `high` where it is less everywhere."""

    def half(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = 0.5 * (ends[0] + ends[1])
        less = rising(f + middle) < wanted
        return jnp.where(less, middle, ends[0]), jnp.where(less, ends[1], middle)

    return jax.lax.fori_loop(0, 60, half, (jnp.float32(low), jnp.float32(high)))[1]


def _mean_sigmoid(f: Array) -> Array:
    return jax.nn.sigmoid(f).mean()


def _mean_capped(f: Array) -> Array:
    return jnp.exp(jnp.minimum(f, 0.0)).mean()


def _kish(log_weight: np.ndarray) -> float:
    """(Σw)²/Σw², Kish's effective sample size."""
    w = np.exp(log_weight.astype(np.float64) - log_weight.max())
    return float(w.sum() ** 2 / (w**2).sum())
