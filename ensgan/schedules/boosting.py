"""Boosting: generators are trained one after the other, on reals weighted by how badly earlier ones cover them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ensgan.data import Source
from ensgan.data.law import training_law
from ensgan.game import population
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.game.scoring import at_least_float32
from ensgan.game.state import State
from ensgan.sampling.draws import CHUNK
from ensgan.sampling.sampler import sample
from ensgan.schedules.members import check_every, key_of, one_group
from ensgan.types import Array, Claims, InputError, Roster, Schedule, Tree

# weigh(game, state, source, x, stage) -> weights of the train samples x, with mean 1
Weigh = Callable[[Game, State, Source, Array, int], Array]


def adagan(every: int = 5000, classifier_steps: int = 500, samples: int = 0) -> Schedule:
    """AdaGAN: each stage trains a new pair on reweighted data (Tolstikhin et al. 2017, arXiv 1701.02386).

    After stage t a classifier c separates reals from the mixture so far. The next generator gets the share
    β = 1/(t + 2) and learns from reals with weights (λ* − (1 − β)(1 − c)/c)₊ / β, with λ* in closed form. The mixture
    is uniform over the pairs whose stages are over; during the first stage it is the first generator.

    Args:
        every: number of steps of a stage; a run of M stages has M · every steps.
        classifier_steps: Adam steps of the classifier, a new network like the discriminators'.
        samples: number of samples in the train split.

    Raises:
        InputError: a number is out of range, M and N differ, or a side has several networks.
    """
    if not isinstance(classifier_steps, int) or classifier_steps < 1:
        raise InputError(f"classifier_steps is {classifier_steps}; give a whole number, at least 1")

    def weigh(game: Game, state: State, source: Source, x: Array, stage: int) -> Array:
        key_fake, key_fit = jax.random.split(key_of(state, 1))
        law = None if game.classes is None else training_law(source)
        fakes = sample(game, state, key_fake, len(x), weights=np.arange(game.M) < stage, classes=law)
        logit = fit_classifier(game.groups_d[0], key_fit, x, fakes, classifier_steps, game.reals)
        return boosted_weights(jnp.exp(-logit), 1.0 / (stage + 1))

    return _staged(every, samples, weigh, np.ones)


def cascade(every: int = 5000, share: float = 0.5, samples: int = 0) -> Schedule:
    """cGAN: the reals that the current discriminator recognises most easily are passed on to the next pair.

    The generator models these reals worst (Wang et al. 2016, arXiv 1612.00991). Stage t sees the share shareᵗ of the
    data. The mixture consists of the generators whose stages are over, in proportion to the reals that each stage kept;
    the last of these stages keeps all reals that it saw.

    Args:
        every: number of steps of a stage; a run of M stages has M · every steps.
        share: share of the reals that a stage passes on, in (0, 1).
        samples: number of samples in the train split.

    Raises:
        InputError: a number is out of range, M and N differ, or a side has several networks.
    """
    if not 0.0 < share < 1.0:
        raise InputError(f"share is {share}; it must be above 0 and below 1")

    def weigh(game: Game, state: State, source: Source, x: Array, stage: int) -> Array:
        last = population.take(state.discriminators[0], stage - 1)
        logit = _logits(game.groups_d[0], last.params, last.state, x)
        before = state.schedule["weight"] > 0  # only reals that this stage saw are passed on
        few = jnp.maximum(1, (before.sum() * share).astype(jnp.int32))
        rank = jnp.argsort(jnp.argsort(-jnp.where(before, logit, -jnp.inf)))
        chosen = (rank < few).astype(jnp.float32)
        return chosen * len(x) / chosen.sum()

    def kept(stages: int) -> np.ndarray:
        seen = share ** np.arange(stages)
        return seen * np.where(np.arange(stages) < stages - 1, 1.0 - share, 1.0)

    return _staged(every, samples, weigh, kept)


def _staged(every: int, samples: int, weigh: Weigh, shares: Callable[[int], np.ndarray]) -> Schedule:
    """Only pair t learns in stage t; `shares(t)` are the weights of the first t pairs, up to a factor."""
    check_every(every)

    def alone(M: int, N: int, stage: int) -> Roster:
        here_g, here_d = np.arange(M) == stage, np.arange(N) == stage
        return Roster(here_g, here_d, here_g, here_d)

    def init(game: Game) -> Tree:
        one_group(game, "boosting")
        if game.M != game.N:
            raise InputError(
                f"boosting trains pairs, but there are {game.M} generators and {game.N} discriminators; give as many "
                "of both"
            )
        if game.heads or game.loss.roles.judge is not None or game.classes is not None:
            fix = "networks without classes" if game.classes is not None else "another loss"
            raise InputError(
                "boosting needs discriminators with one logit, high for samples that look real, and without classes; "
                f"use {fix}"
            )
        if samples < 1:
            raise InputError("boosting gives weights to samples; say how many there are: samples=source.num['train']")
        return {"weight": jnp.ones((samples,))}

    def between(game: Game, state: State, source: Source, num: int) -> State:
        del num
        stage = int(state.step) // every
        if not 0 < stage < game.M:
            return state
        # A stored sample has one weight, so one draw of the dequantising noise stands for all.
        x = drawn_as_seen(source)
        return state._replace(
            roster=jax.tree.map(jnp.asarray, alone(game.M, game.N, stage)),
            schedule={"weight": weigh(game, state, source, x, stage)},
        )

    def mixture(state: State) -> Array:
        """Only of pairs whose stages are over: a generator that has just begun puts out noise."""
        M = len(state.roster.plays_g)
        over = min(max(int(state.step) // every, 1), M)
        share = shares(over)
        return jnp.asarray(np.pad(share / share.sum(), (0, M - over)), jnp.float32)

    claims = Claims(
        roster=lambda M, N: alone(M, N, 0),
        weight=lambda tree: tree["weight"],
        mixture=mixture,
        members="parts",
        staged=True,
    )
    return Schedule(every, between, init, claims)


def drawn_as_seen(source: Source) -> Array:
    """All samples of the train split in stored order, as networks see them, `[n, ...]`."""
    return jnp.asarray(source.held_out("train", int(source.num["train"] or 0))["x"])


def boosted_weights(ratio: Array, beta: float) -> Array:
    """w_i = (λ* − (1 − β) r_i)₊ / β, whose mean is 1 (arXiv 1701.02386, eq. 17 and 18).

    Args:
        ratio: r_i, the density of the mixture so far over the density of the data at real i, `[n]`, at least 0.
        beta: share of the next generator in the new mixture, in (0, 1].

    Returns:
        float32 `[n]`, at least 0.
    """
    n = ratio.shape[0]
    scaled = (1.0 - beta) * jnp.sort(ratio)
    # If the k smallest ratios get weight, their total excess is nβ, so λ_k = (nβ + Σ_k)/k; k is the largest number
    # whose λ_k is above the k-th ratio.
    lam = (n * beta + jnp.cumsum(scaled)) / jnp.arange(1, n + 1)
    alive = lam > scaled
    lam_star = lam[jnp.maximum(alive.sum() - 1, 0)]
    return jnp.maximum(lam_star - (1.0 - beta) * ratio, 0.0) / beta


def fit_classifier(group: Group, key: Array, real: Array, fake: Array, steps: int, batch_size: int) -> Array:
    """Trains a fresh network of a group as a classifier of reals against fakes; returns its logits of the reals `[n]`.

    The logit log c/(1 − c) estimates the log density ratio of reals over fakes (logistic regression).
    """
    key_init, key_batch = jax.random.split(key)
    params, net = jax.jit(group.network.init)(key_init)
    state = optax.adam(1e-3).init(params)
    for step in range(steps):
        params, net, state = _classifier_step(
            group, batch_size, params, net, state, real, fake, jax.random.fold_in(key_batch, step)
        )
    return _logits(group, params, net, real)


@partial(jax.jit, static_argnums=(0, 1))
def _classifier_step(
    group: Group, batch_size: int, params: Tree, net: Tree, state: Any, real: Array, fake: Array, key: Array
) -> tuple[Tree, Tree, Any]:
    key_r, key_f, key_net = jax.random.split(key, 3)
    pick = lambda key, x: x[jax.random.randint(key, (batch_size,), 0, x.shape[0])]
    x = jnp.concatenate([pick(key_r, real), pick(key_f, fake)])
    sign = jnp.repeat(jnp.array([1.0, -1.0]), batch_size)

    def value(params: Tree) -> tuple[Array, Tree]:
        logit, new = group.apply(params, net, x, label=None, train=True, rng=key_net)
        return jax.nn.softplus(-sign * at_least_float32(logit)).mean(), new

    grads, net = jax.grad(value, has_aux=True)(params)
    updates, state = optax.adam(1e-3).update(grads, state, params)
    return optax.apply_updates(params, updates), net, state


def _logits(group: Group, params: Tree, net: Tree, x: Array) -> Array:
    """The logits of `x`, `[n]`, in chunks, because the activations of a whole split may not fit into memory."""
    parts = [_logits_of(group, params, net, x[at : at + CHUNK]) for at in range(0, len(x), CHUNK)]
    return jnp.concatenate(parts)


@partial(jax.jit, static_argnums=0)
def _logits_of(group: Group, params: Tree, net: Tree, x: Array) -> Array:
    return at_least_float32(group.apply(params, net, x, label=None, train=False, rng=None)[0])
