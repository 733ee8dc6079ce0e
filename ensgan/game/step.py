"""One training step: generate, score, weigh, pull back, update.

`simultaneous` takes the gradients of both sides at the same parameters and shares one forward and one backward pass of
the discriminators between them; `alternating` updates discriminators first. Which path of the kernel is taken follows
from what the plugs declare.
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
from ensgan.game.faults import GRADIENT, OUTPUT, D, Flags, G, guard
from ensgan.game.game import Game
from ensgan.game.info import Info
from ensgan.game.population import Members, Population
from ensgan.game.regularization import penalize
from ensgan.game.round import Round, play
from ensgan.game.state import State
from ensgan.types import Array, Roster, Tree

Update = Callable[[State], State]  # what a step does to the state once everybody is known to be finite


def step(game: Game, state: State, batch: dict[str, Array], place: Place = ALONE) -> tuple[State, Info]:
    """One update of every member.

    Args:
        game: what is played.
        state: where it stands; on a mesh, with this device's members.
        batch: `x` `[B, ...]` (or `[N, B, ...]`, own reals for each discriminator), and if there are any, `label` int32
            `[B]` and `weight`, the weights of reals `[B]` or `[N, B]`. With `n_critic` above 1, every leaf has one more
            axis in front, one batch for each discriminator update. On a mesh, this device's samples of it.
        place: which members and samples are on this device.

    Returns:
        The new state and what happened. If a member stops being finite, the state is the old one with `fault` set, and
        every later step leaves it as it is.
    """
    key_pairs, key_round, key_penalty = jax.random.split(jax.random.fold_in(state.key, 2 * state.step + 1), 3)
    pairs = who_plays(game, state, key_pairs)
    play_step = simultaneous if game.update == "simultaneous" else alternating
    update, info, flags = play_step(game, state, batch, pairs, key_round, key_penalty, place)
    return guard(game, state, flags, update, place), info


def who_plays(game: Game, state: State, key: Array) -> Array | None:
    """The pairs of a step, as `Pairing.before` gives them, without those that the roster leaves out; None is all."""
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
    """Both sides at the same parameters: one forward pass, and one backward pass wherever a logit has one sample."""
    met = play(game, state, batch, pairs, key, place)
    c_G, c_D, c_r = scoring.cotangents(met.loss, met.scores.logits, met.weights.here, met.view.size)
    if met.pulls.dx_NMB is not None:
        grad_d, dx = scoring.discriminator_pullback(met.pulls.d, c_D, c_r), _weighed_here(game, met, place)
    elif shares_backward(game):
        grad_d, dx = scoring.one_backward(met.pulls.d, c_G, c_D, c_r, met.view.collect)
    else:
        grad_d, dx = scoring.two_pullbacks(met.pulls.d, c_G, c_D, c_r, met.view.collect)
    grad_g = met.pulls.g(dx)
    penalty_N, grad_d = penalize(game, state, met, grad_d, key_penalty, place)
    grad_g, grad_d, penalty_N = place.sum_data((grad_g, grad_d, penalty_N))

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
    """`n_critic` discriminator updates, then generators against the new discriminators with fresh noise."""
    flags: Flags = []
    new, one, penalty_N, norm_N = state, batch, jnp.zeros(()), jnp.zeros(())
    counts_d = population.counts(game.groups_d)
    for c in range(game.n_critic):
        one = batch if game.n_critic == 1 else jax.tree.map(lambda a, c=c: a[c], batch)
        met = play(game, new, one, pairs, jax.random.fold_in(key, c), place)
        _, c_D, c_r = scoring.cotangents(met.loss, met.scores.logits, met.weights.here, met.view.size)
        grad_d = scoring.discriminator_pullback(met.pulls.d, c_D, c_r)
        penalty_N, grad_d = penalize(game, new, met, grad_d, jax.random.fold_in(key_penalty, c), place)
        grad_d, penalty_N = place.sum_data((grad_d, penalty_N))
        discriminators = advance(game, "d", state, new.discriminators, grad_d, met.state_d, place)
        new = new._replace(discriminators=discriminators)
        norm_N = norms(grad_d)
        finite = jnp.isfinite(place.gather(norm_N, counts_d))
        flags += [*_outputs(game, met, place), (D, GRADIENT, finite)]

    met = play(game, new, one, pairs, jax.random.fold_in(key, game.n_critic), place)
    c_G, _, _ = scoring.cotangents(met.loss, met.scores.logits, met.weights.here, met.view.size)
    if met.pulls.dx_NMB is None:
        dx = scoring.generator_pullback(met.pulls.d, c_G, met.view.collect)
    else:
        dx = _weighed_here(game, met, place)
    grad_g = place.sum_data(met.pulls.g(dx))

    def update(old: State) -> State:
        return _concluded(game, old._replace(discriminators=new.discriminators), met, grad_g, place)

    info = _info(game, state, met, penalty_N, grad_g, norm_N, place)
    flags += [*_outputs(game, met, place), (G, GRADIENT, jnp.isfinite(info.grad_norm_g))]
    return update, info, flags


def shares_backward(game: Game) -> bool:
    """Whether one backward pass serves both players: a sample has one logit, and that depends on no other sample."""
    return game.loss.roles.heads is None and not any(group.network.batch_coupled for group in game.groups_d)


def advance(
    game: Game,
    side: Literal["g", "d"],
    old: State,
    members: Population,
    grads: tuple[Tree, ...],
    states: tuple[Tree, ...],
    place: Place,
) -> Population:
    """The optimisers' update of one side, and the exponential average where it is kept.

    `old` is the state that the step began with; members that do not learn stay as they are.
    """
    groups = game.groups_g if side == "g" else game.groups_d

    def one(group: Any, first: int, old_members: Members, grad: Tree, net: Tree) -> Members:
        update = optim.stacked(group.optimizer or game.optimizer, group.count).update
        net = place.mean_data(net)  # a network's own statistics, where they are of the samples on one device
        total = lambda leaf: place.sum_members(leaf.sum(axis=0, keepdims=True))
        grad = group.tied(grad, total)
        updates, opt_state = update(grad, old_members.optimizer, old_members.params)
        # What clips or scales a member's update by all of its weights must not pull shared ones apart.
        updates = group.tied(updates, lambda leaf: total(leaf) / group.count)
        params = optax.apply_updates(old_members.params, updates)
        decay = optim.average_decay(game.ema, updates_of(game, old.step))
        blend = lambda a, p: decay * a + (1.0 - decay) * p
        average = () if old_members.average == () else jax.tree.map(blend, old_members.average, params)
        new = Members(params, net, opt_state, average)
        if not isinstance(old.roster, Roster):
            return new
        learns = getattr(old.roster, f"learns_{side}")[place.numbers(first, group.count)]
        return population.where(learns, new, old_members)

    return tuple(one(*each) for each in zip(groups, population.offsets(groups), members, grads, states, strict=True))


def updates_of(game: Game, step: Array) -> Array:
    """How many updates the members that learn at `step` have had."""
    plan = game.schedule
    if plan is None or not plan.claims.staged:
        return step
    return step - jnp.minimum(step // plan.every, game.M - 1) * plan.every


def _concluded(game: Game, old: State, met: Round, grad_g: tuple[Tree, ...], place: Place) -> State:
    """The state with new generators, and with what the round taught the pairing and the augmentation."""
    running = jnp.stack(met.scores.evidence[:3])
    return old._replace(
        generators=advance(game, "g", old, old.generators, grad_g, met.state_g, place),
        pairing=met.pairing,
        running=running if game.covers.dealt else (),
        augment=_next_strength(game, old, met, place),
    )


def _weighed_here(game: Game, met: Round, place: Place) -> Array:
    """Σ_j W_ij · ∂loss_g_ij/∂x_i of this device's generators, `[M, B, ...]`."""
    assert met.pulls.dx_NMB is not None
    return scoring.weighted_sum(met.weights.W[population.numbers(game.groups_g, place)][..., None], met.pulls.dx_NMB)


def _next_strength(game: Game, state: State, met: Round, place: Place) -> Array:
    """ADA (Karras et al. 2020, arXiv 2006.06676, section 3), with a signal that no offset of a logit can move.

    Each discriminator is asked about the fakes that it learns from, in proportion to P.
    """
    if game.augment is None or game.augment.target is None:
        return state.augment
    sign_KN = jnp.sign(met.scores.judged.real[None] - met.scores.judged.fake).sum(axis=-1) / met.view.size
    total = place.sum_members(place.sum_data(jnp.sum(met.weights.here.d * sign_KN)))
    signal = total / jnp.maximum(jnp.sum(met.weights.P), 1e-30)
    move = jnp.sign(signal - game.augment.target) * game.batch_size / game.augment.ramp
    return jnp.clip(state.augment + move, 0.0, 1.0).astype(state.augment.dtype)


def _outputs(game: Game, met: Round, place: Place) -> Flags:
    """Flags of samples and logits, over all devices."""
    finite_d = place.gather(met.finite.d, population.counts(game.groups_d))
    bad_g, bad_d = place.sum_data(((~met.finite.g).astype(jnp.int32), (~finite_d).astype(jnp.int32)))
    return [(G, OUTPUT, bad_g == 0), (D, OUTPUT, bad_d == 0)]


def norms(grads: tuple[Tree, ...]) -> Array:
    """The norm of every member's gradient, `[members]`; not finite where it overflows, which is a fault as well."""

    def square(leaf: Array) -> Array:
        return jnp.sum(jnp.square(leaf.reshape(leaf.shape[0], -1)), axis=1)

    # The barrier keeps XLA from writing squares to memory that the optimiser needs as well: reading twice is cheaper.
    grads = jax.lax.optimization_barrier(grads)
    return jnp.concatenate([jnp.sqrt(sum(map(square, jax.tree.leaves(grad)))) for grad in grads])


def _info(
    game: Game, state: State, met: Round, penalty_N: Array, grad_g: tuple[Tree, ...], norm_N: Array, place: Place
) -> Info:
    played = lambda matrix: jnp.where(met.scores.evidence.mask, matrix, jnp.nan)
    columns = place.gather(jnp.stack([penalty_N, norm_N], axis=1), population.counts(game.groups_d))
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
