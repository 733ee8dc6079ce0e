"""A round: all members meet on one batch. Generate, score and weigh; nobody is updated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ensgan.devices.mesh import ALONE, Place
from ensgan.game import coverage, execution, population, scoring
from ensgan.game.coverage import View
from ensgan.game.game import Game
from ensgan.game.scoring import Logits, Weights
from ensgan.game.state import State
from ensgan.types import Array, Evidence, Loss, Tree


class Round(NamedTuple):
    """One meeting. Arrays with N, or B, hold the discriminators, or samples, of this device; W and P hold all pairs."""

    view: View  # the fakes, as discriminators see them
    real: Array  # [B, ...] or [N, B, ...], as discriminators see them
    label: Array | None  # [B] or [N, B]
    keys_N: Array
    loss: Loss  # of the pairs in `logits`
    logits: Logits  # [K, N, B] and [N, B], or one more axis where discriminators have several
    judged: Logits  # [K, N, B] and [N, B]: the one that scores are made of
    measured: Array  # [3, M, N]: loss_g, loss_d and fool on this batch
    evidence: Evidence  # what the pairing saw: the same, or running means of it
    W: Array  # [M, N]
    P: Array  # [M, N]
    weights: Weights  # the same, [K, N]
    pairing: Tree  # the pairing's next state
    state_g: tuple[Tree, ...]
    state_d: tuple[Tree, ...]
    pull_d: scoring.Pull
    pull_g: Callable[[Array], tuple[Tree, ...]]
    dx_NMB: Array | None  # unweighted input gradients of this device's generators, where the pairing asks for them
    finite_g: Array  # [M], whether this device's samples of each generator are finite
    finite_d: Array  # [N], the same of every discriminator's logits of finite samples


def play(
    game: Game, state: State, batch: dict[str, Array], pairs: Array | None, key: Array, place: Place = ALONE
) -> Round:
    """One round.

    Args:
        game: what is played.
        state: where it stands.
        batch: as in `step`, this device's samples of it.
        pairs: what the pairing's `before` gave.
        key: of this round.
        place: which members and samples are on this device.
    """
    counts_g, counts_d = population.counts(game.groups_g), population.counts(game.groups_d)
    columns = population.numbers(game.groups_d, place)
    key_noise, key_augment, key_g, key_d, key_pairing = jax.random.split(key, 5)
    real, label, weight = batch["x"], batch.get("label"), batch.get("weight")
    fake_MB, state_g, pull_g = generate(game, state, key_noise, key_g, label, place)
    seen_MB, real, pull_x = augmented(game, state, fake_MB, real, key_augment, place)
    view = coverage.see(game, seen_MB, pairs, place)
    real, label, weight = coverage.own_reals(game, columns, real, label, weight)
    keys_N = population.member_keys(place.own_key(key_d), columns)
    logits, state_d, pull_d = scoring.score(
        game.groups_d,
        state.discriminators,
        view.fake,
        real,
        label=label,
        keys_N=keys_N,
        mask_KN=view.mask_KN,
        own=view.own,
        place=place,
    )
    loss = game.loss if game.loss.of is None else game.loss.of(view.rows_KN, columns, state.hyper)
    judged = scoring.judged(game.loss, logits, columns)
    omega_NB = _real_weights(weight, judged.real.shape, view.size, place)
    matrices = scoring.pair_losses(loss, logits, omega_NB, view.size)
    parts = jnp.stack([matrices.g, matrices.d, scoring.fool_probability(judged, view.size)])
    measured = view.matrix(place.sum_data(parts))
    shown = _blended(state, measured, view.mask_MN) if game.coverage == "split" else measured

    dx_NMB, gram = None, None
    if "gram" in game.pairing.asks:
        dx_NMB = scoring.input_gradients(pull_d, loss, logits, omega_NB, view.size)
        dx_NMB = place.swap(dx_NMB.swapaxes(0, 1), counts_g, counts_d).swapaxes(0, 1)
        gram = place.gather(place.sum_data(scoring.gram_MNN(dx_NMB)), counts_g)
    evidence = Evidence(
        loss_g=shown[0],
        loss_d=shown[1],
        fool=shown[2],
        mask=view.mask_MN,
        gram=gram,
        payoff=state.payoff if "payoff" in game.pairing.asks else None,
        step=state.step,
    )
    W, P, pairing_state = game.pairing.after(state.pairing, jax.lax.stop_gradient(evidence), key_pairing)

    # The source of a fault is the first to show it: a generator by its samples, a discriminator by logits of finite
    # samples.
    finite_g = place.gather(_finite_beyond(1, fake_MB), counts_g)
    excused = ~finite_g[view.rows_KN] if view.mask_KN is None else ~finite_g[view.rows_KN] | ~view.mask_KN
    finite_s = _finite_beyond(2, logits.fake) | excused
    finite_d = _finite_beyond(1, logits.real) & finite_s.all(axis=0)
    return Round(
        view=view,
        real=real,
        label=label,
        keys_N=keys_N,
        loss=loss,
        logits=logits,
        judged=judged,
        measured=measured,
        evidence=evidence,
        W=W,
        P=P,
        weights=Weights(view.pick(W), view.pick(P), omega_NB),
        pairing=pairing_state,
        state_g=state_g,
        state_d=state_d,
        pull_d=pull_d,
        pull_g=lambda dx: pull_g(pull_x(dx)),
        dx_NMB=dx_NMB,
        finite_g=finite_g,
        finite_d=finite_d,
    )


def _finite_beyond(axes: int, x: Array) -> Array:
    """Whether everything beyond the first axes is finite."""
    return jnp.isfinite(x).all(axis=tuple(range(axes, x.ndim)))


def generate(
    game: Game, state: State, key_noise: Array, key_net: Array, label: Array | None, place: Place = ALONE
) -> tuple[Array, tuple[Tree, ...], Callable[[Array], tuple[Tree, ...]]]:
    """This device's fakes `[M, B, ...]`, its generators' new states, and the pullback to their parameters."""
    parts = []
    groups = game.groups_g
    for first, group, members in zip(population.offsets(groups), groups, state.generators, strict=True):

        def one(params: Tree, state: Tree, z: Array, key: Array, label: Any, apply=group.apply) -> Any:
            return apply(params, state, z, label=label, train=True, rng=key)

        z = population.noise(group, key_noise, first, game.batch_size, place=place)
        keys = population.member_keys(place.own_key(key_net), place.numbers(first, group.count))
        forward = execution.member_vjp(one, group.how, place.here(group.count), (0, 0, 0, 0, None), wrt=1)
        parts.append(forward(members.params, members.state, z, keys, label))
    outs, states, pulls = zip(*parts, strict=True)

    def pull(dx_MB: Array) -> tuple[Tree, ...]:
        return tuple(pull(dx_MB[mine])[0] for pull, mine in zip(pulls, population.pieces(groups, place), strict=True))

    return jnp.concatenate(outs), states, pull


def augmented(
    game: Game, state: State, fake_MB: Array, real: Array, key: Array, place: Place
) -> tuple[Array, Array, Callable[[Array], Array]]:
    """Fakes and reals as discriminators see them, and the pullback to the fakes; one draw serves both players."""
    if game.augment is None:
        return fake_MB, real, lambda dx: dx
    apply, samples = game.augment.apply, place.samples(game.batch_size)
    key_fake, key_real = jax.random.split(key)

    def batch(key: Array, x: Array) -> Array:
        return apply(population.member_keys(key, samples), x, state.augment)

    members = lambda key, numbers, x: jax.vmap(batch)(population.member_keys(key, numbers), x)
    seen_MB, pull = jax.vjp(lambda x: members(key_fake, population.numbers(game.groups_g, place), x), fake_MB)
    own_reals = real.ndim == fake_MB.ndim
    real = members(key_real, jnp.arange(real.shape[0]), real) if own_reals else batch(key_real, real)
    return seen_MB, real, lambda dx: pull(dx)[0]


def _blended(state: State, measured: Array, mask_MN: Array) -> Array:
    """Running means of the matrices, as a step sees B/N samples of a pair: of all steps, later of about ten."""
    decay = jnp.minimum(0.9, state.step / (state.step + 1.0))
    measured = jax.lax.stop_gradient(measured)
    return jnp.where(mask_MN, decay * state.running + (1.0 - decay) * measured, state.running)


def _real_weights(weight: Array | None, shape: tuple[int, ...], size: int, place: Place) -> Array:
    """ω `[N, B]`: the weights of reals, which sum to one over all devices, or to 0 where none in the batch has any."""
    if weight is None:
        return jnp.full(shape, 1.0 / size)
    weight = jnp.broadcast_to(weight[None] if weight.ndim == 1 else weight, shape)
    total = place.sum_data(weight.sum(axis=-1, keepdims=True))
    return jnp.where(total > 0, weight / jnp.where(total > 0, total, 1.0), 0.0)
