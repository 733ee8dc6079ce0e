"""Gradients: samples, or their latents, move to where the judge finds them more real."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Unpack

import jax
import jax.numpy as jnp

from ensgan.refine.contract import (
    PILOT,
    Draw,
    Portions,
    Ratio,
    Refined,
    as_partial,
    check_finite,
    check_rate,
    check_steps,
    cut,
    finished,
    portions,
)
from ensgan.refine.trees import distance, gradient, moved, moves, same
from ensgan.types import Array, Tree

PAIRS = 100  # of draws, as the author's program takes; the largest slope grows with their number, so it is fixed


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
    **work: Unpack[Portions],
) -> Refined:
    """Discriminator optimal transport (DOT, Tanaka 2019, arXiv 1910.06832).

    Each draw y moves by gradient steps to x = argmin ‖x − y‖ − f(x)/K, where f takes the part of a Kantorovich
    potential and K is its Lipschitz constant. The result is the data where f is such a potential, as critics of the
    Wasserstein loss approach it. An exact log ratio is not such a potential: samples then move only where f is steeper
    than K, and not to the data. With `generate`, x and y are latents. They move freely; the author's program removes
    the radial part of each step of normal latents, which here the distance ‖x − y‖ alone keeps near their sphere.

    Args:
        key: a key.
        draw: the sampler, or latents `draw(key, n)` with `generate`.
        log_ratio: f; any score that is high on reals, of any scale.
        num: how many samples.
        generate: None to move samples, or samples of latents.
        lipschitz: K > 0; the largest slope of f between 100 pairs of draws if not given, so that only samples move
            where f is steeper than that.
        steps: gradient steps.
        rate: the rate of each step.
        work: `batch` and `progress`; see `Portions`.

    Raises:
        InputError: a number out of range, or samples leave the finite numbers.
    """
    cut(num, work)
    check_steps(steps)
    check_rate(rate)
    if lipschitz is not None:
        check_rate(lipschitz, "lipschitz")
    functions = [as_partial(f) for f in (draw, log_ratio, generate or same)]
    extra = 0.0
    if lipschitz is None:
        lipschitz = _slope(jax.random.fold_in(key, PILOT), *functions)
        extra = 2.0 * PAIRS / num
    numbers = jnp.float32(lipschitz), jnp.float32(rate), jnp.int32(steps)
    run = lambda key, size: _transport(key, *functions, *numbers, size)
    x, finite, made = portions(run, key, num, work)
    check_finite(finite, "rate", rate)
    return Refined(x, 1.0, made * (1.0 if generate is None else steps + 1.0) + extra, made * steps + extra, math.nan)


def collaborative(
    key: Array,
    draw: Draw,
    log_ratio: Ratio,
    num: int,
    *,
    generate: Callable[[Any], Any] | None = None,
    shape: Callable[[Any], Ratio] | None = None,
    steps: int = 50,
    rate: float = 0.01,
    **work: Unpack[Portions],
) -> Refined:
    """Collaborative sampling: x ← x + λ ∇ log D(x), D = σ(log ratio) (Liu et al. 2020, arXiv 1902.00813).

    With one fixed judge, even an exact one, samples climb to where it is surest, and on. The paper also shapes the
    discriminator on refined samples: `shape` gives the judge of the samples as they are before each step, and where
    that is their exact ratio, they come to rest as the data.

    Args:
        key: a key.
        draw: the sampler; with `generate`, `draw(key, n)` of latents or of the activations of a layer.
        log_ratio: log p_data/p_sampler of samples.
        num: how many samples.
        generate: None to move samples, or samples of what `draw` gives: the rest of the generator.
        shape: None, or `shape(samples)`, the log ratio of the data and the law of these `[batch, ...]`; a call of it
            counts as one evaluation of the judge. Batches are then whole, so that samples do not depend on `num`.
        steps: gradient steps; the paper's is 50.
        rate: λ, in proportion to the finest detail of the data; the paper's is 0.1.
        work: `batch` and `progress`; see `Portions`.

    Raises:
        InputError: a number out of range, or samples leave the finite numbers.
    """
    batch, progress = cut(num, work)
    check_steps(steps)
    check_rate(rate)
    functions = [as_partial(f) for f in (draw, log_ratio, generate or same)]
    shape = None if shape is None else as_partial(shape)
    run = lambda key, size: _climb(key, *functions, shape, jnp.float32(rate), jnp.int32(steps), size)
    most = num if shape is None else -(-num // batch) * batch
    tell = None if progress is None else lambda done: progress(min(done, num))
    x, finite, made = portions(run, key, most, {"batch": batch, "progress": tell})
    check_finite(finite, "rate", rate)
    x, made = jax.tree.map(lambda leaf: leaf[:num], x), made * most / num
    calls = steps * (1.0 if shape is None else 2.0)  # of the judge, and of the generator where latents move
    return Refined(x, 1.0, made * (1.0 if generate is None else calls + 1.0), made * calls, math.nan)


@partial(jax.jit, static_argnames="num")
def _transport(
    key: Array, draw: Draw, log_ratio: Ratio, generate: Any, lipschitz: Array, rate: Array, steps: Array, num: int
) -> tuple[Tree, Array]:
    y = draw(key, num)
    total = lambda x: (log_ratio(generate(x)) / lipschitz - distance(x, y)).sum()
    one = lambda t, x: moved(x, jax.tree.map(lambda g: rate * g, gradient(total, x)))
    return finished(generate(jax.lax.fori_loop(0, steps, one, y)))


@partial(jax.jit, static_argnames="num")
def _climb(
    key: Array, draw: Draw, log_ratio: Ratio, generate: Any, shape: Any, rate: Array, steps: Array, num: int
) -> tuple[Tree, Array]:
    def one(t: Array, x: Tree) -> Tree:
        judge = log_ratio if shape is None else shape(jax.lax.stop_gradient(generate(x)))
        total = lambda x: jax.nn.log_sigmoid(judge(generate(x))).sum()
        return moved(x, jax.tree.map(lambda g: rate * g, gradient(total, x)))

    return finished(generate(jax.lax.fori_loop(0, steps, one, draw(key, num))))


@jax.jit
def _slope(key: Array, draw: Draw, score: Ratio, generate: Any) -> Array:
    """The largest |f(x) − f(y)| / ‖x − y‖ over `PAIRS` pairs of draws, at least 1e-6."""
    x, y = (draw(k, PAIRS) for k in jax.random.split(key))
    y = jax.tree.map(lambda a, b: b if moves(a) else a, x, y)  # pairs have the same label
    return jnp.maximum((jnp.abs(score(generate(x)) - score(generate(y))) / distance(x, y)).max(), 1e-6)
