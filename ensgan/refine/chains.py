"""Chains: Metropolis-Hastings on samples, and Langevin dynamics on latents."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Unpack

import jax
import jax.numpy as jnp

from ensgan.refine.contract import (
    Draw,
    NothingAccepted,
    Portions,
    Ratio,
    Refined,
    as_partial,
    check_finite,
    check_rate,
    check_steps,
    finished,
    known,
    portions,
)
from ensgan.refine.trees import gradient, moved, normals, standard_normal, where
from ensgan.types import Array, Tree


def mh(
    key: Array,
    draw: Draw,
    log_ratio: Ratio,
    num: int,
    *,
    steps: int = 640,
    start: Any = None,
    **work: Unpack[Portions],
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
        work: `batch` and `progress`; see `Portions`.

    Raises:
        InputError: a number out of range, or no chain ever accepts.
    """
    check_steps(steps)
    reals = None if start is None else jax.tree.map(jnp.asarray, start)
    draw, log_ratio = as_partial(draw), as_partial(log_ratio)
    run = lambda key, size: _chains(key, draw, log_ratio, reals, jnp.int32(steps), size)
    x, taken, made = portions(run, key, num, work)
    if not taken.any():
        raise NothingAccepted(
            f"none of {steps} proposals was accepted in any of {num} chains: the judge finds no fake as good as where "
            "they began; give more steps, or start chains from fakes"
        )
    extra = 0.0 if start is None else 1.0
    return Refined(x, float(taken.mean()) / steps, made * (steps + 1.0), made * (steps + 1.0 + extra), math.nan)


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
    **work: Unpack[Portions],
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
        work: `batch` and `progress`; see `Portions`.

    Raises:
        InputError: a number out of range, or chains leave the finite numbers.
    """
    check_steps(steps)
    check_rate(rate)
    functions = [as_partial(f) for f in (draw, log_ratio, generate, log_prior or standard_normal)]
    run = lambda key, size: _langevin(key, *functions, jnp.float32(rate), jnp.int32(steps), size)
    x, finite, made = portions(run, key, num, work)
    check_finite(finite, "rate", rate)
    return Refined(x, 1.0, made * (steps + 1.0), made * steps, math.nan)


@partial(jax.jit, static_argnames="num")
def _chains(key: Array, draw: Draw, log_ratio: Ratio, start: Tree, steps: Array, num: int) -> tuple[Tree, Array]:
    """The last states of `num` chains, and how many proposals each accepted."""
    key_first, key_start, key_steps = jax.random.split(key, 3)
    score = lambda x: known(log_ratio(x))
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
            return where(go, x, old), jnp.where(go, f, f_old), taken + go

        return [move(chain) for chain in chains]

    chains = [(x, score(x), jnp.zeros(num, jnp.int32)) for x in states]
    chains = jax.lax.fori_loop(0, steps, one, chains)
    (x, _, taken), (from_fake, _, _) = chains[0], chains[-1]
    return where(taken > 0, x, from_fake), taken


@partial(jax.jit, static_argnames="num")
def _langevin(
    key: Array, draw: Draw, log_ratio: Ratio, generate: Any, log_prior: Any, rate: Array, steps: Array, num: int
) -> tuple[Tree, Array]:
    key_z, key_steps = jax.random.split(key)
    total = lambda z: (log_prior(z) + log_ratio(generate(z))).sum()  # chains do not touch, so this is each one's

    def one(t: Array, z: Tree) -> Tree:
        key_t = jax.random.fold_in(key_steps, t)
        noise = normals(key_t, z)
        return moved(z, jax.tree.map(lambda g, n: 0.5 * rate * g + jnp.sqrt(rate) * n, gradient(total, z), noise))

    z = jax.lax.fori_loop(0, steps, one, draw(key_z, num))
    return finished(generate(z))
