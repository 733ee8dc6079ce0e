"""Boosting: one generator after the other, each on what those before it left out, as weights of the reals."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ensgan.data import Source
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.game.scoring import at_least_float32
from ensgan.game.state import State
from ensgan.sampling.draws import CHUNK
from ensgan.sampling.sampler import sample
from ensgan.schedules.members import check_every, key_of, one_group
from ensgan.types import Array, Claims, InputError, Roster, Schedule, Tree

# weigh(game, state, source, x, stage) -> weights of the train samples x, which have the mean 1
Weigh = Callable[[Game, State, Source, Array, int], Array]


def adagan(every: int = 5000, classifier_steps: int = 500, samples: int = 0) -> Schedule:
    """AdaGAN: each stage trains a new pair on reweighted data (Tolstikhin et al. 2017, arXiv 1701.02386).

    After stage t a classifier c tells reals from the mixture so far, and the next generator, of share β = 1/(t + 2),
    learns from reals with weights (λ* − (1 − β)(1 − c)/c)₊ / β, their λ* in closed form. The mixture is uniform over
    the pairs whose stages are over, and of the first one before.

    Args:
        every: steps of a stage; a run of M stages has M · every steps.
        classifier_steps: Adam steps of the classifier, a fresh network of the kind of the discriminators.
        samples: how many samples the train split has.

    Raises:
        InputError: numbers out of range, or a game whose members are not as many pairs of one network.
    """
    if not isinstance(classifier_steps, int) or classifier_steps < 1:
        raise InputError(f"classifier_steps is {classifier_steps}; give a whole number, at least 1")

    def weigh(game: Game, state: State, source: Source, x: Array, stage: int) -> Array:
        key_fake, key_fit = jax.random.split(key_of(state, 1))
        fakes = sample(game, state, key_fake, len(x), weights=np.arange(game.M) < stage)
        logit = fit_classifier(game.groups_d[0], key_fit, x, fakes, classifier_steps, game.batch_size)
        return boosted_weights(jnp.exp(-logit), 1.0 / (stage + 1))

    return _staged(every, samples, weigh, np.ones)


def cascade(every: int = 5000, share: float = 0.5, samples: int = 0) -> Schedule:
    """cGAN: reals that the current discriminator recognises most easily go on to the next pair.

    Those are what its generator models worst (Wang et al. 2016, arXiv 1612.00991). Stage t sees a share
    shareᵗ of the data. The mixture is of the stages that are over, in proportion to what each kept; the last of them
    kept all that it saw.

    Args:
        every: steps of a stage; a run of M stages has M · every steps.
        share: the share of reals that are passed on, in (0, 1).
        samples: how many samples the train split has.

    Raises:
        InputError: numbers out of range, or a game whose members are not as many pairs of one network.
    """
    if not 0.0 < share < 1.0:
        raise InputError(f"share is {share}; it is above 0 and below 1")

    def weigh(game: Game, state: State, source: Source, x: Array, stage: int) -> Array:
        take = lambda tree: jax.tree.map(lambda leaf: leaf[stage - 1], tree)
        members = state.discriminators[0]
        logit = _logits(game.groups_d[0], take(members.params), take(members.state), x)
        before = state.schedule["weight"] > 0  # only what came this far goes on
        few = jnp.maximum(1, (before.sum() * share).astype(jnp.int32))
        rank = jnp.argsort(jnp.argsort(-jnp.where(before, logit, -jnp.inf)))
        chosen = (rank < few).astype(jnp.float32)
        return chosen * len(x) / chosen.sum()

    def kept(stages: int) -> np.ndarray:
        seen = share ** np.arange(stages)
        return seen * np.where(np.arange(stages) < stages - 1, 1.0 - share, 1.0)

    return _staged(every, samples, weigh, kept)


def _staged(every: int, samples: int, weigh: Weigh, shares: Callable[[int], np.ndarray]) -> Schedule:
    """Pair t learns in stage t, alone; `shares(t)` are the weights of the first t pairs, up to a factor."""
    check_every(every)

    def alone(M: int, N: int, stage: int) -> Roster:
        here_g, here_d = np.arange(M) == stage, np.arange(N) == stage
        return Roster(here_g, here_d, here_g, here_d)

    def init(game: Game) -> Tree:
        one_group(game, "boosting")
        if game.M != game.N:
            raise InputError(f"boosting trains pairs, and there are {game.M} generators and {game.N} discriminators")
        if game.heads or game.loss.roles.judge is not None or game.classes is not None:
            what = "networks without classes" if game.classes is not None else "another loss"
            raise InputError(
                "boosting asks discriminators of their kind how real a sample is: one logit, high for what looks real, "
                f"and no class; use {what}"
            )
        if samples < 1:
            raise InputError("boosting gives weights to samples; say how many there are: samples=source.num['train']")
        return {"weight": jnp.ones((samples,))}

    def between(game: Game, state: State, source: Source, num: int) -> State:
        del num
        stage = int(state.step) // every
        if not 0 < stage < game.M:
            return state
        # Weights are those of samples as they are stored; one draw of dequantising noise stands for all.
        x = drawn_as_seen(source)
        return state._replace(
            roster=jax.tree.map(jnp.asarray, alone(game.M, game.N, stage)),
            schedule={"weight": weigh(game, state, source, x, stage)},
        )

    def mixture(state: State) -> Array:
        """The mixture of the pairs whose stages are over: one that has just begun makes noise."""
        M = len(state.roster.plays_g)
        over = min(max(int(state.step) // every, 1), M)
        share = shares(over)
        return jnp.asarray(np.pad(share / share.sum(), (0, M - over)), jnp.float32)

    return Schedule(
        every,
        between,
        init,
        Claims(
            roster=lambda M, N: alone(M, N, 0),
            weight=lambda tree: tree["weight"],
            mixture=mixture,
            members="parts",
            staged=True,
        ),
    )


def drawn_as_seen(source: Source) -> Array:
    """All samples of the train split in the order in which they are stored, as networks see them, `[n, ...]`."""
    return jnp.asarray(source.held_out("train", int(source.num["train"] or 0))["x"])


def boosted_weights(ratio: Array, beta: float) -> Array:
    """w_i = (λ* − (1 − β) r_i)₊ / β, whose mean is 1 (arXiv 1701.02386, eq. 17 and 18).

    Args:
        ratio: r_i, density of the mixture so far over that of the data at real i, `[n]`, at least 0.
        beta: share of the next generator in the new mixture, in (0, 1].

    Returns:
        float32 `[n]`, at least 0.
    """
    n = ratio.shape[0]
    scaled = (1.0 - beta) * jnp.sort(ratio)
    # With the k smallest ratios alive, their mean excess must be β: λ_k = (nβ + Σ_k)/k; k is the largest whose λ_k is
    # above its own ratio.
    lam = (n * beta + jnp.cumsum(scaled)) / jnp.arange(1, n + 1)
    alive = lam > scaled
    lam_star = lam[jnp.maximum(alive.sum() - 1, 0)]
    return jnp.maximum(lam_star - (1.0 - beta) * ratio, 0.0) / beta


def fit_classifier(group: Group, key: Array, real: Array, fake: Array, steps: int, batch_size: int) -> Array:
    """A fresh network of a group's kind learns reals from fakes by logistic regression; its logits of the reals `[n]`.

    The logit is log c/(1 − c), which estimates the log density ratio of reals over fakes.
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
    """The logits of all of `x`, `[n]`, a part at a time: the activations of a whole split may not fit."""
    parts = [_logits_of(group, params, net, x[at : at + CHUNK]) for at in range(0, len(x), CHUNK)]
    return jnp.concatenate(parts)


@partial(jax.jit, static_argnums=0)
def _logits_of(group: Group, params: Tree, net: Tree, x: Array) -> Array:
    return at_least_float32(group.apply(params, net, x, label=None, train=False, rng=None)[0])
