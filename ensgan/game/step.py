"""One training step: generate, score, weigh, pull back, update.

`simultaneous` computes the gradients of both sides at the same parameters, which share one forward and one backward
pass of the discriminators; `alternating` updates discriminators first. The declarations of the plugs decide which path
of the kernel is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from ensgan import optim
from ensgan.devices.mesh import ALONE, Place
from ensgan.game import population, scoring
from ensgan.game.common import Both, learned
from ensgan.game.faults import GRADIENT, OUTPUT, D, Flags, G, guard
from ensgan.game.game import Game
from ensgan.game.info import Info
from ensgan.game.population import Joined, Members, Population
from ensgan.game.regularization import penalize
from ensgan.game.round import Round, play, shares_backward
from ensgan.game.state import State
from ensgan.types import Array, Roster, Tree

Update = Callable[[State], State]  # the change of the state, made only if all members are finite


def step(game: Game, state: State, batch: dict[str, Array], place: Place = ALONE) -> tuple[State, Info]:
    """One update of every member.

    Args:
        game: the game.
        state: its state; on a mesh, with this device's members.
        batch: `x` `[R, ...]` (or `[N, R, ...]`, separate reals for each discriminator), and optionally `label` int32
            `[R]` and `weight`, the weights of reals `[R]` or `[N, R]`. With `n_critic` above 1, every leaf has a first
            axis of batches, one for each discriminator update. On a mesh, this device's samples of it.
        place: which members and samples are on this device.

    Returns:
        The new state and a report. If a member stops being finite, the state is the old one with `fault` set, and later
        steps do not change it.
    """
    key_pairs, key_round, key_penalty = jax.random.split(jax.random.fold_in(state.key, 2 * state.step + 1), 3)
    pairs = who_plays(game, state, key_pairs)
    play_step = {"simultaneous": simultaneous, "alternating": alternating}[game.update]
    update, info, flags = play_step(game, state, batch, pairs, key_round, key_penalty, place)
    return guard(game, state, flags, update, place), info


def who_plays(game: Game, state: State, key: Array) -> Array | None:
    """The pairs of a step, in the form of `Pairing.before`, without members that pause; None is all pairs."""
    before = game.pairing.before
    pairs = None if before is None else before(state.pairing, key, game.M, game.N)
    if not isinstance(state.roster, Roster):
        return pairs
    plays_g, plays_d = state.roster.plays_g, state.roster.plays_d
    if pairs is not None and pairs.dtype != bool:
        there = plays_g[jnp.maximum(pairs, 0)] & plays_d[:, None]
        return jnp.where(there, pairs, -1)
    everybody = plays_g[:, None] & plays_d[None]
    return everybody if pairs is None else everybody & pairs


def simultaneous(
    game: Game,
    state: State,
    batch: dict[str, Array],
    pairs: Array | None,
    key: Array,
    key_penalty: Array,
    place: Place,
) -> tuple[Update, Info, Flags]:
    """Both sides at the same parameters: one forward pass, and one backward pass if each logit has one sample."""
    met = play(game, state, batch, pairs, key, place)
    c_G, c_D, c_r = scoring.cotangents(met.loss, met.scores.logits, met.weights.here, met.meeting)
    if met.pulls.dx_NMF is not None:
        grad_d, dx = scoring.discriminator_pullback(met.pulls.d, c_D, c_r), _weighed_here(game, met, place)
    elif shares_backward(game):
        grad_d, dx = scoring.one_backward(met.pulls.d, c_G, c_D, c_r, met.view.collect)
    else:
        grad_d, dx = scoring.two_pullbacks(met.pulls.d, c_G, c_D, c_r, met.view.collect)
    grad_g = met.pulls.g(dx)
    penalty_N, grad_d = penalize(game, state, met, grad_d, key_penalty, place)
    grad_g, grad_d, penalty_N = totals(grad_g, grad_d, penalty_N, place)

    def update(old: State) -> State:
        discriminators = advance(game, "d", old, old.discriminators, grad_d, met.state_d, place)
        return _concluded(game, old._replace(discriminators=discriminators), met, grad_g, place)

    info = _info(game, state, met, penalty_N, grad_g, norms(grad_d), place)
    flags = [
        *_outputs(game, met, place),
        (D, GRADIENT, jnp.isfinite(info.grad_norm_d)),
        (G, GRADIENT, jnp.isfinite(info.grad_norm_g)),
    ]
    return update, info, flags


def alternating(
    game: Game,
    state: State,
    batch: dict[str, Array],
    pairs: Array | None,
    key: Array,
    key_penalty: Array,
    place: Place,
) -> tuple[Update, Info, Flags]:
    """`n_critic` discriminator updates, then an update of generators against them with new noise."""
    flags: Flags = []
    new, one, penalty_N, norm_N = state, batch, jnp.zeros(()), jnp.zeros(())
    counts_d = population.counts(game.groups_d)
    for c in range(game.n_critic):
        one = batch if game.n_critic == 1 else jax.tree.map(lambda a, c=c: a[c], batch)
        met = play(game, new, one, pairs, jax.random.fold_in(key, c), place)
        _, c_D, c_r = scoring.cotangents(met.loss, met.scores.logits, met.weights.here, met.meeting)
        grad_d = scoring.discriminator_pullback(met.pulls.d, c_D, c_r)
        penalty_N, grad_d = penalize(game, new, met, grad_d, jax.random.fold_in(key_penalty, c), place)
        _, grad_d, penalty_N = totals((), grad_d, penalty_N, place)
        discriminators = advance(game, "d", state, new.discriminators, grad_d, met.state_d, place)
        new = new._replace(discriminators=discriminators)
        norm_N = norms(grad_d)
        finite = jnp.isfinite(place.of_d.gather(norm_N, counts_d))
        flags += [*_outputs(game, met, place), (D, GRADIENT, finite)]

    met = play(game, new, one, pairs, jax.random.fold_in(key, game.n_critic), place)
    c_G, _, _ = scoring.cotangents(met.loss, met.scores.logits, met.weights.here, met.meeting)
    if met.pulls.dx_NMF is None:
        dx = scoring.generator_pullback(met.pulls.d, c_G, met.view.collect)
    else:
        dx = _weighed_here(game, met, place)
    grad_g, _, _ = totals(met.pulls.g(dx), (), (), place)

    def update(old: State) -> State:
        return _concluded(game, old._replace(discriminators=new.discriminators), met, grad_g, place)

    info = _info(game, state, met, penalty_N, grad_g, norm_N, place)
    flags += [*_outputs(game, met, place), (G, GRADIENT, jnp.isfinite(info.grad_norm_g))]
    return update, info, flags


def totals(
    grad_g: tuple[Both, ...], grad_d: tuple[Both, ...], penalty_N: Tree, place: Place
) -> tuple[tuple[Both, ...], tuple[Both, ...], Tree]:
    """Sums of gradients and penalties over devices, in one large all-reduce of what the same devices have."""
    if place.sizes.member == 1:
        return place.sum_data((grad_g, grad_d, penalty_N))
    own, common = tuple(grad.own for grad in grad_g), tuple(grad.common for grad in grad_g)
    if place.heads:
        own, (common, grad_d, penalty_N) = place.sum_data(own), place.sum_all((common, grad_d, penalty_N))
    else:
        (own, grad_d, penalty_N), common = place.sum_data((own, grad_d, penalty_N)), place.sum_all(common)
    return tuple(map(Both, own, common)), grad_d, penalty_N


def advance(
    game: Game,
    side: Literal["g", "d"],
    old: State,
    members: Population,
    grads: tuple[Both, ...],
    states: tuple[Both, ...],
    place: Place,
) -> Population:
    """Updates one side with its optimisers, and its exponential average if it has one.

    `old` is the state at the start of the step; members that do not learn are not changed.
    """
    groups = game.groups_g if side == "g" else game.groups_d

    decay = optim.average_decay(game.ema, updates_of(game, old.step))
    blend = lambda a, p: decay * a + (1.0 - decay) * p
    total = lambda leaf: place.sum_members(leaf.sum(axis=0, keepdims=True))

    def moved(
        members: Members | Joined, grad: Tree, net: Tree, optimizer: optim.Optimizer, group: Any, count: int
    ) -> Members:
        net = place.mean_data(net)  # statistics that a network took over the samples of one device
        grad = group.tied(grad, lambda leaf: total(leaf) / group.count)
        updates, opt_state = optim.stacked(optimizer, count).update(grad, members.optimizer, members.params)
        # Shared weights must stay equal, even if an optimiser clips or scales by all weights of a member.
        updates = group.tied(updates, lambda leaf: total(leaf) / group.count)
        params = optax.apply_updates(members.params, updates)
        average = () if members.average == () else jax.tree.map(blend, members.average, params)
        return Members(params, net, opt_state, average)

    def one(group: Any, first: int, old_members: Members | Joined, grad: Both, net: Both) -> Members | Joined:
        own = group.optimizer or game.optimizer
        new: Members | Joined = moved(old_members, grad.own, net.own, own, group, group.count)
        if isinstance(old_members, Joined):
            common = moved(old_members.common, grad.common, net.common, optim.common(own), group, 1)
            new = Joined(new.params, new.state, new.optimizer, new.average, common)
        if not isinstance(old.roster, Roster):
            return new
        at = place if side == "g" else place.of_d
        learns = getattr(old.roster, f"learns_{side}")[at.numbers(first, group.count)]
        return learned(group, learns, new, old_members)

    return tuple(one(*each) for each in zip(groups, population.offsets(groups), members, grads, states, strict=True))


def updates_of(game: Game, step: Array) -> Array:
    """The number of updates so far of the members that learn at `step`."""
    if game.schedule is None or not game.claims.staged:
        return step
    every = game.schedule.every
    return step - jnp.minimum(step // every, game.M - 1) * every


def _concluded(game: Game, old: State, met: Round, grad_g: tuple[Tree, ...], place: Place) -> State:
    """The state with new generators, and new states of the pairing and the augmentation."""
    return old._replace(
        generators=advance(game, "g", old, old.generators, grad_g, met.state_g, place),
        pairing=met.pairing,
        running=met.running,
        augment=_next_strength(game, old, met, place),
    )


def _weighed_here(game: Game, met: Round, place: Place) -> Array:
    """Σ_j W_ij · ∂loss_g_ij/∂x_i of this device's generators, `[M, F, ...]`."""
    assert met.pulls.dx_NMF is not None
    return scoring.weighted_sum(met.weights.W[population.numbers(game.groups_g, place)][..., None], met.pulls.dx_NMF)


def _next_strength(game: Game, state: State, met: Round, place: Place) -> Array:
    """The strength of the next step: by its course, or by ADA (Karras et al. 2020, arXiv 2006.06676, section 3).

    The signal of ADA does not depend on offsets of logits here.

    The signal of each discriminator counts the fakes in proportion to P, as it learns from them.
    """
    if game.augment is None or game.augment.target is game.augment.course is None:
        return state.augment
    if game.augment.course is not None:
        return jnp.asarray(game.augment.course(state.step + 1), state.augment.dtype)
    sign_KN = -scoring.compared(met.scores.judged, met.meeting, jnp.sign)
    total = place.sum_members(place.sum_data(jnp.sum(met.weights.here.d * sign_KN)))
    signal = total / jnp.maximum(jnp.sum(met.weights.P), 1e-30)
    move = jnp.sign(signal - game.augment.target) * game.reals / game.augment.ramp
    return jnp.clip(state.augment + move, 0.0, 1.0).astype(state.augment.dtype)


def _outputs(game: Game, met: Round, place: Place) -> Flags:
    """Flags of samples and logits, over all devices."""
    finite_d = place.of_d.gather(met.finite.d, population.counts(game.groups_d))
    bad_g, bad_d = place.sum_d(((~met.finite.g).astype(jnp.int32), (~finite_d).astype(jnp.int32)))
    return [(G, OUTPUT, bad_g == 0), (D, OUTPUT, bad_d == 0)]


def norms(grads: tuple[Tree, ...]) -> Array:
    """The norm of every member's gradient, `[members]`; an overflow gives infinity, which is a fault as well."""

    def square(leaf: Array) -> Array:
        return jnp.sum(jnp.square(leaf.reshape(leaf.shape[0], -1)), axis=1)

    # Optimisers square gradients as well; without the barrier XLA stores the squares, which costs more than it saves.
    grads = jax.lax.optimization_barrier(grads)
    # What members have in common counts in the norm of each.
    return jnp.concatenate([jnp.sqrt(sum(map(square, jax.tree.leaves(tuple(grad))))) for grad in grads])


def _info(
    game: Game, state: State, met: Round, penalty_N: Array, grad_g: tuple[Tree, ...], norm_N: Array, place: Place
) -> Info:
    played = lambda matrix: jnp.where(met.scores.evidence.mask, matrix, jnp.nan)
    columns = place.of_d.gather(jnp.stack([penalty_N, norm_N], axis=1), population.counts(game.groups_d))
    return Info(
        loss_g=played(met.scores.measured[0]),
        loss_d=played(met.scores.measured[1]),
        weight_g=met.weights.W,
        weight_d=met.weights.P,
        fool=played(met.scores.measured[2]),
        penalty=columns[:, 0],
        grad_norm_g=place.gather(norms(grad_g), population.counts(game.groups_g)),
        grad_norm_d=columns[:, 1],
        augment=state.augment,
    )
