"""Better samples with a judge: rejection, Metropolis-Hastings chains, Langevin in latent space, and gradients.

Every method takes `log_ratio`, an estimate of log p_data/p_sampler, and the sampler `draw(key, n)` that it was
estimated against. `draw` gives n samples on axis 0 of an array, or of every leaf of a tree; `log_ratio` maps that to
`[n]`. The work is done in compiled portions of `batch` samples or chains, between which `progress(done)` is called on
the host. A ratio that is NaN counts as 0. Functions that are `jax.tree_util.Partial` of one hashable function are
compiled once, others whenever a new one comes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from ensgan.calibration import Quality
from ensgan.types import Array, InputError, Tree, check_range

Ratio = Callable[[Any], Array]
Draw = Callable[[Array, int], Any]
Progress = Callable[[int], None]

PILOT = 2**32 - 1  # sets draws that only measure apart from those of portions and rounds, which count from 0
PORTION = 16  # batches of proposals in one compiled call
PATIENCE = 128  # batches without one acceptance, after which rejection gives up


class Refined(NamedTuple):
    """Samples and what they cost. Host numbers."""

    x: Any  # [num, ...] or a tree of such
    acceptance: float  # share of proposals that were accepted; of gradient steps, which are always taken, 1
    generated: float  # evaluations of the generator per sample; one with its gradient counts as one
    judged: float  # evaluations of the judge per sample; one with its gradient counts as one
    effective: float  # effective sample size for the law p_sampler · exp(log_ratio), at most num; NaN if unknown


class Judge(NamedTuple):
    """Discriminators as one: a score for each sample, what it means, and how far it can be trusted."""

    score: Partial  # of samples [n, ...], or of a pair (samples, labels) in a conditional game, [n]; high is real
    meaning: str  # `log_ratio`, `log_ratio_plus_constant` or `uncalibrated`, as in `types.Loss`
    rule: str  # how discriminators were combined
    smooth: bool  # whether its gradient says where more real samples lie
    law: np.ndarray | None = None  # [M] weights of the generators of the sampler it was calibrated against
    before: Quality | None = None  # of σ(score) without calibration, on samples that nothing was fitted on
    after: Quality | None = None  # of σ(score), on the same samples

    @property
    def calibrated(self) -> bool:
        """Whether it was calibrated against a sampler."""
        return self.law is not None

    @property
    def log_ratio(self) -> Partial:
        """The score as an estimate of log p_data/p_sampler.

        Raises:
            InputError: it is none.
        """
        if self.meaning != "log_ratio":
            raise InputError(
                f"a logit of this loss is {self.meaning}, so the score is no density ratio; calibrate it with "
                f"ensgan.combine.fit(game, state, source, {self.rule!r})"
            )
        return self.score


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
    batch: int = 1024,
    progress: Progress | None = None,
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
        batch: proposals at a time.
        progress: called with the number of samples so far.

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
    _check_num(num, batch)
    f = _pilot(key, draw, log_ratio, pilot, batch)
    top = f.max()
    hat = _drs_logit(f, top)
    if budget is not None:
        low, high = -60.0 - hat.max(), 60.0 - jnp.where(hat > -jnp.inf, hat, jnp.inf).min()
        gamma = -float(_bisect(_mean_sigmoid, hat, jnp.float32(budget), low, high))
    elif percentile is not None:
        gamma = float(jnp.percentile(hat, percentile))
    tuning = (top, jnp.float32(gamma))
    return _reject(key, draw, log_ratio, num, _drs, tuning, len(f), batch, progress)


def obrs(
    key: Array,
    draw: Draw,
    log_ratio: Ratio,
    num: int,
    *,
    budget: float = 0.5,
    pilot: int = 10_000,
    batch: int = 1024,
    progress: Progress | None = None,
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
        batch: proposals at a time.
        progress: called with the number of samples so far.

    Raises:
        InputError: a number out of range, or nothing is accepted.
    """
    check_budget(budget)
    _check_num(num, batch)
    f = _pilot(key, draw, log_ratio, pilot, batch)
    if budget == 1.0:
        shift = jnp.float32(jnp.inf)
    else:
        low, high = math.log(budget) - f.max(), -jnp.where(f > -jnp.inf, f, jnp.inf).min()
        shift = _bisect(_mean_capped, f, jnp.float32(budget), low, jnp.maximum(low, high))
    return _reject(key, draw, log_ratio, num, _obrs, shift, len(f), batch, progress)


def mh(
    key: Array,
    draw: Draw,
    log_ratio: Ratio,
    num: int,
    *,
    steps: int = 640,
    start: Any = None,
    batch: int = 1024,
    progress: Progress | None = None,
) -> Refined:
    """Independence Metropolis-Hastings chains, one for each sample (MH-GAN, Turner et al. 2019, arXiv 1811.11357).

    A chain takes a proposal x' with probability min(1, r(x')/r(x)). Chains share no proposals, so samples are
    independent. Started from a real, a chain cannot begin on a fake whose ratio is wrongly high and which it never
    leaves. One that never leaves its real would give that real back, so it gives the state of a chain with the same
    proposals that began with a fake; few steps are therefore too few with reals as well.

    Args:
        key: a key.
        draw: the sampler.
        log_ratio: log p_data/p_sampler; a constant added to it changes nothing.
        num: how many samples.
        steps: K, proposals of each chain; the paper's is 640.
        start: None for a fake, or reals on axis 0, held out from the judge's training, of which each chain takes one.
        batch: chains at a time.
        progress: called with the number of samples so far.

    Raises:
        InputError: a number out of range, or no chain ever accepts.
    """
    check_steps(steps)
    reals = None if start is None else jax.tree.map(jnp.asarray, start)
    draw, log_ratio = _callable(draw), _callable(log_ratio)
    run = lambda key: _chains(key, draw, log_ratio, reals, jnp.int32(steps), min(batch, num))
    x, taken = _portions(run, key, num, batch, progress)
    if not taken.any():
        raise InputError(
            f"none of {steps} proposals was accepted in any of {num} chains: the judge finds no fake as good as where "
            "they began; give more steps, or start chains from fakes"
        )
    extra = 0.0 if start is None else 1.0
    return Refined(x, float(taken.mean()) / steps, steps + 1.0, steps + 1.0 + extra, math.nan)


def ddls(
    key: Array,
    draw: Draw,
    log_ratio: Ratio,
    num: int,
    *,
    generate: Callable[[Any], Any],
    log_prior: Callable[[Any], Array] | None = None,
    steps: int = 200,
    rate: float = 0.01,
    batch: int = 1024,
    progress: Progress | None = None,
) -> Refined:
    """Langevin dynamics in latent space (DDLS, Che et al. 2020, arXiv 2003.06060).

    z ← z − ε/2 ∇E(z) + √ε n with E(z) = −log p(z) − log r(G(z)) and n standard normal. Steps are not corrected, so the
    law is right to the order of ε.

    Args:
        key: a key.
        draw: latents `draw(key, n)`, from their prior.
        log_ratio: log p_data/p_sampler of samples; a constant added to it changes nothing.
        num: how many samples.
        generate: samples of latents.
        log_prior: log density `[n]` of latents, up to a constant; standard normal if not given.
        steps: how many.
        rate: ε > 0.
        batch: chains at a time.
        progress: called with the number of samples so far.

    Raises:
        InputError: a number out of range, or chains leave the finite numbers.
    """
    check_steps(steps)
    _check_rate(rate)
    functions = [_callable(f) for f in (draw, log_ratio, generate, log_prior or _standard_normal)]
    run = lambda key: _langevin(key, *functions, jnp.float32(rate), jnp.int32(steps), min(batch, num))
    x, finite = _portions(run, key, num, batch, progress)
    _check_finite(finite, "rate", rate)
    return Refined(x, 1.0, steps + 1.0, float(steps), math.nan)


def dot(
    key: Array,
    draw: Draw,
    log_ratio: Ratio,
    num: int,
    *,
    generate: Callable[[Any], Any] | None = None,
    lipschitz: float | None = None,
    steps: int = 30,
    rate: float = 0.01,
    batch: int = 1024,
    progress: Progress | None = None,
) -> Refined:
    """Discriminator optimal transport (DOT, Tanaka 2019, arXiv 1910.06832).

    Each draw y moves by gradient steps to x = argmin ‖x − y‖ − f(x)/K, where f takes the part of a Kantorovich
    potential and K is its Lipschitz constant. The result is the data where f is such a potential, not for every exact
    log ratio. With `generate`, x and y are latents.

    Args:
        key: a key.
        draw: the sampler, or latents `draw(key, n)` with `generate`.
        log_ratio: f; any score that is high on reals, of any scale.
        num: how many samples.
        generate: None to move samples, or samples of latents.
        lipschitz: K > 0; the largest slope of f between pairs of `batch` draws if not given, so that only samples move
            where f is steeper than that.
        steps: gradient steps.
        rate: of each step.
        batch: samples at a time.
        progress: called with the number of samples so far.

    Raises:
        InputError: a number out of range, or samples leave the finite numbers.
    """
    check_steps(steps)
    _check_rate(rate)
    if lipschitz is not None:
        _check_rate(lipschitz, "lipschitz")
    functions = [_callable(f) for f in (draw, log_ratio, generate or _same)]
    extra = 0.0
    if lipschitz is None:
        lipschitz = _slope(jax.random.fold_in(key, PILOT), *functions, batch)
        extra = 2.0 * batch / num
    numbers = jnp.float32(lipschitz), jnp.float32(rate), jnp.int32(steps)
    run = lambda key: _transport(key, *functions, *numbers, min(batch, num))
    x, finite = _portions(run, key, num, batch, progress)
    _check_finite(finite, "rate", rate)
    return Refined(x, 1.0, (1.0 if generate is None else steps + 1.0) + extra, steps + extra, math.nan)


def collaborative(
    key: Array,
    draw: Draw,
    log_ratio: Ratio,
    num: int,
    *,
    generate: Callable[[Any], Any] | None = None,
    shape: Callable[[Any], Ratio] | None = None,
    steps: int = 50,
    rate: float = 0.1,
    batch: int = 1024,
    progress: Progress | None = None,
) -> Refined:
    """Collaborative sampling: x ← x + λ ∇ log D(x), D = σ(log ratio) (Liu et al. 2020, arXiv 1902.00813).

    With one fixed judge, samples climb to where it is surest, and on. The paper also shapes the discriminator on
    refined samples: `shape` gives the judge of the samples as they are after each step, and where that is their exact
    ratio, they come to rest as the data.

    Args:
        key: a key.
        draw: the sampler; with `generate`, `draw(key, n)` of latents or of the activations of a layer.
        log_ratio: log p_data/p_sampler of samples.
        num: how many samples.
        generate: None to move samples, or samples of what `draw` gives: the rest of the generator.
        shape: None, or `shape(samples)`, the log ratio of the data and the law of these `[batch, ...]`.
        steps: gradient steps; the paper's is 50.
        rate: λ; the paper's is 0.1.
        batch: samples at a time.
        progress: called with the number of samples so far.

    Raises:
        InputError: a number out of range, or samples leave the finite numbers.
    """
    check_steps(steps)
    _check_rate(rate)
    functions = [_callable(f) for f in (draw, log_ratio, generate or _same)]
    shape = None if shape is None else _callable(shape)
    run = lambda key: _climb(key, *functions, shape, jnp.float32(rate), jnp.int32(steps), min(batch, num))
    x, finite = _portions(run, key, num, batch, progress)
    _check_finite(finite, "rate", rate)
    return Refined(x, 1.0, 1.0 if generate is None else steps + 1.0, float(steps), math.nan)


# Rejection


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


def _reject(
    key: Array,
    draw: Draw,
    log_ratio: Ratio,
    num: int,
    accept: Callable[[Tree, Array], tuple[Array, Tree]],
    tuning: Tree,
    spent: int,
    batch: int,
    progress: Progress | None,
) -> Refined:
    """Rounds of `batch` proposals until `num` are kept; `accept` gives log probabilities and learns on."""
    draw, log_ratio = _callable(draw), _callable(log_ratio)
    form = jax.eval_shape(lambda k: draw(k, num), key)
    zero = jnp.zeros((), jnp.int32)
    empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), form)
    carry = _Carry(empty, jnp.zeros(num), zero, zero, zero, zero, tuning)
    proposed, kept = 0, 0
    while int(carry.filled) < num:
        carry = _rounds(key, draw, log_ratio, carry, accept, batch)
        proposed, kept = int(carry.round) * batch, int(carry.accepted)
        if int(carry.idle) >= PATIENCE:
            raise InputError(
                f"{kept} of {proposed} proposals were accepted, and none of the last {PATIENCE * batch}: the judge "
                "finds next to nothing that looks real; accept a larger share, or use mh"
            )
        if progress is not None:
            progress(min(int(carry.filled), num))
    cost = (proposed + spent) / num
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
        f = _known(log_ratio(x))
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
    f = _scores(key, _callable(draw), _callable(log_ratio), -(-num // batch), batch)
    if not bool((f > -jnp.inf).any()) or bool((f == jnp.inf).any()):
        raise InputError(
            f"of {len(f)} samples, {int((f == jnp.inf).sum())} have an infinite ratio and {int((f == -jnp.inf).sum())} "
            "the ratio 0, so nothing can be compared; check the judge"
        )
    return f


@partial(jax.jit, static_argnames=("rounds", "batch"))
def _scores(key: Array, draw: Draw, log_ratio: Ratio, rounds: int, batch: int) -> Array:
    one = lambda i: _known(log_ratio(draw(jax.random.fold_in(key, i), batch)))
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


# Chains


@partial(jax.jit, static_argnames="num")
def _chains(key: Array, draw: Draw, log_ratio: Ratio, start: Tree, steps: Array, num: int) -> tuple[Tree, Array]:
    """The last states of `num` chains, and how many proposals each accepted."""
    key_first, key_start, key_steps = jax.random.split(key, 3)
    score = lambda x: _known(log_ratio(x))
    states = [draw(key_first, num)]
    if start is not None:
        which = jax.random.randint(key_start, (num,), 0, len(jax.tree.leaves(start)[0]))
        states.insert(0, jax.tree.map(lambda leaf: leaf[which], start))

    def one(t: Array, chains: Any) -> Any:
        key_x, key_u = jax.random.split(jax.random.fold_in(key_steps, t))
        x = draw(key_x, num)
        f = score(x)
        log_u = jnp.log(jax.random.uniform(key_u, (num,)))

        def move(chain: Any) -> Any:
            old, f_old, taken = chain
            go = (log_u < f - f_old) | ((f_old == -jnp.inf) & (f > -jnp.inf))
            return _where(go, x, old), jnp.where(go, f, f_old), taken + go

        return [move(chain) for chain in chains]

    chains = [(x, score(x), jnp.zeros(num, jnp.int32)) for x in states]
    chains = jax.lax.fori_loop(0, steps, one, chains)
    (x, _, taken), (from_fake, _, _) = chains[0], chains[-1]
    return _where(taken > 0, x, from_fake), taken


@partial(jax.jit, static_argnames="num")
def _langevin(
    key: Array, draw: Draw, log_ratio: Ratio, generate: Any, log_prior: Any, rate: Array, steps: Array, num: int
) -> tuple[Tree, Array]:
    key_z, key_steps = jax.random.split(key)
    total = lambda z: (log_prior(z) + log_ratio(generate(z))).sum()  # chains do not touch, so this is each one's

    def one(t: Array, z: Tree) -> Tree:
        key_t = jax.random.fold_in(key_steps, t)
        noise = _normals(key_t, z)
        return _moved(z, jax.tree.map(lambda g, n: 0.5 * rate * g + jnp.sqrt(rate) * n, _gradient(total, z), noise))

    z = jax.lax.fori_loop(0, steps, one, draw(key_z, num))
    return _finished(generate(z))


@partial(jax.jit, static_argnames="num")
def _transport(
    key: Array, draw: Draw, log_ratio: Ratio, generate: Any, lipschitz: Array, rate: Array, steps: Array, num: int
) -> tuple[Tree, Array]:
    y = draw(key, num)
    total = lambda x: (log_ratio(generate(x)) / lipschitz - _distance(x, y)).sum()
    one = lambda t, x: _moved(x, jax.tree.map(lambda g: rate * g, _gradient(total, x)))
    return _finished(generate(jax.lax.fori_loop(0, steps, one, y)))


@partial(jax.jit, static_argnames="num")
def _climb(
    key: Array, draw: Draw, log_ratio: Ratio, generate: Any, shape: Any, rate: Array, steps: Array, num: int
) -> tuple[Tree, Array]:
    def one(t: Array, x: Tree) -> Tree:
        judge = log_ratio if shape is None else shape(jax.lax.stop_gradient(generate(x)))
        total = lambda x: jax.nn.log_sigmoid(judge(generate(x))).sum()
        return _moved(x, jax.tree.map(lambda g: rate * g, _gradient(total, x)))

    return _finished(generate(jax.lax.fori_loop(0, steps, one, draw(key, num))))


@partial(jax.jit, static_argnames="batch")
def _slope(key: Array, draw: Draw, score: Ratio, generate: Any, batch: int) -> Array:
    """The largest |f(x) − f(y)| / ‖x − y‖ over `batch` pairs of draws, at least 1e-6."""
    x, y = (draw(k, batch) for k in jax.random.split(key))
    y = jax.tree.map(lambda a, b: b if _moves(a) else a, x, y)  # pairs have the same label
    return jnp.maximum((jnp.abs(score(generate(x)) - score(generate(y))) / _distance(x, y)).max(), 1e-6)


def _portions(
    run: Callable[[Array], tuple[Tree, Array]], key: Array, num: int, batch: int, progress: Progress | None
) -> tuple[Tree, np.ndarray]:
    """`num` samples and one number each, from as many calls of one size as it takes."""
    _check_num(num, batch)
    parts, size = [], min(batch, num)
    for k in range(-(-num // size)):
        parts.append(jax.tree.map(np.asarray, run(jax.random.fold_in(key, k))))
        if progress is not None:
            progress(min((k + 1) * size, num))
    return jax.tree.map(lambda *leaves: jnp.asarray(np.concatenate(leaves)[:num]), *parts)


def _gradient(fn: Callable[[Tree], Array], x: Tree) -> Tree:
    """∇fn; zeros for leaves that are not floating-point, such as labels."""
    grad = jax.grad(fn, allow_int=True)(x)
    return jax.tree.map(lambda g, a: g if _moves(a) else jnp.zeros(a.shape), grad, x)


def _moved(x: Tree, by: Tree) -> Tree:
    return jax.tree.map(lambda a, b: a + b if _moves(a) else a, x, by)


def _normals(key: Array, like: Tree) -> Tree:
    leaves, form = jax.tree.flatten(like)
    keys = jax.random.split(key, len(leaves))
    return form.unflatten([jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)])


def _distance(x: Tree, y: Tree) -> Array:
    """‖x − y‖ of each sample `[n]`, smooth at 0: a slope of 1 is reached at about 1e-3."""
    parts = [
        jnp.square(a - b).reshape(len(a), -1).sum(-1)
        for a, b in zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True)
        if _moves(a)
    ]
    return jnp.sqrt(sum(parts, start=jnp.float32(1e-6)))


def _moves(leaf: Array) -> bool:
    """Whether gradients move it: labels stay."""
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def _where(pick: Array, x: Tree, y: Tree) -> Tree:
    return jax.tree.map(lambda a, b: jnp.where(pick.reshape(-1, *[1] * (a.ndim - 1)), a, b), x, y)


def _finished(x: Tree) -> tuple[Tree, Array]:
    """Samples, and which of them are finite."""
    each = [jnp.isfinite(leaf).reshape(len(leaf), -1).all(-1) for leaf in jax.tree.leaves(x)]
    return x, jnp.stack(each).all(0)


def _standard_normal(z: Tree) -> Array:
    parts = [jnp.square(a).reshape(len(a), -1).sum(-1) for a in jax.tree.leaves(z) if _moves(a)]
    return -0.5 * sum(parts, start=jnp.zeros(()))


def _same(x: Tree) -> Tree:
    return x


def _known(f: Array) -> Array:
    return jnp.where(jnp.isnan(f), -jnp.inf, f)


def _callable(fn: Callable[..., Any]) -> Partial:
    """A function that may go into a compiled one, with the arrays it holds as arguments of that."""
    return fn if isinstance(fn, Partial) else Partial(fn)


def _check_num(num: int, batch: int) -> None:
    if num < 1 or batch < 1:
        raise InputError(f"asked for {num} samples, {batch} at a time; both are at least 1")


def check_budget(budget: float) -> None:
    """Raises InputError unless a budget is a share of proposals to accept."""
    if not 0.0 < budget <= 1.0:
        raise InputError(f"budget is {budget}; it is the share of proposals to accept, above 0 and at most 1")


def check_steps(steps: int) -> None:
    """Raises InputError unless this is a number of steps."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise InputError(f"steps is {steps!r}; give a whole number, at least 1")


def _check_rate(rate: float, name: str = "rate") -> None:
    if not 0.0 < rate < math.inf:
        raise InputError(f"{name} is {rate}; it must be a finite number above 0")


def _check_finite(finite: np.ndarray, name: str, value: float) -> None:
    if not np.asarray(finite).all():
        bad = int((~np.asarray(finite)).sum())
        raise InputError(f"{bad} of {len(finite)} samples are not finite: the {name} {value:g} is too large; lower it")
