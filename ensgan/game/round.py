"""A round: all members meet on one batch. They generate, score and weigh; no member is updated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ensgan.devices.mesh import ALONE, Place
from ensgan.game import common, execution, meeting, population, scoring
from ensgan.game.common import Both
from ensgan.game.forward import score
from ensgan.game.game import Game
from ensgan.game.population import Joined
from ensgan.game.scoring import Known, Logits, Meeting, Reals, View, Weights
from ensgan.game.state import State
from ensgan.types import Array, Evidence, Loss, Tree


class Scores(NamedTuple):
    """The scores of a round, with K, N, F and R of this device."""

    logits: Logits  # [K, N, F] and [N, R], with a last axis if discriminators have several
    judged: Logits  # [K, N, F] and [N, R], the one logit from which scores are computed
    measured: Array  # [3, M, N]: loss_g, loss_d and fool on this batch
    evidence: Evidence  # the same as the pairing sees it, perhaps as running means


class Shares(NamedTuple):
    """The weights of a round."""

    W: Array  # [M, N]
    P: Array  # [M, N]
    here: Weights  # the same [K, N] in the places of this device, and ω [N, R]


class Pulls(NamedTuple):
    """The way back: pullbacks of both sides."""

    d: tuple[scoring.Pull, ...]
    g: Callable[[Array], tuple[Tree, ...]]
    dx_NMF: Array | None  # unweighted input gradients of this device's generators, if the pairing asks for them


class Finite(NamedTuple):
    """Which members are finite on this device's samples."""

    g: Array  # [M], the samples of each generator
    d: Array  # [N], the logits of each discriminator on finite samples


class Round(NamedTuple):
    """One round. N, F and R count the discriminators and samples of this device."""

    view: View  # the fakes, as discriminators see them
    reals: Reals
    meeting: Meeting
    keys_N: Array
    loss: Loss  # of the pairs in the logits
    scores: Scores
    weights: Shares
    pulls: Pulls
    finite: Finite
    pairing: Tree  # the next state of the pairing
    running: Tree  # the next running means, [3, M, N] or ()
    state_g: tuple[Tree, ...]  # the next states of the networks
    state_d: tuple[Tree, ...]


def play(
    game: Game, state: State, batch: dict[str, Array], pairs: Array | None, key: Array, place: Place = ALONE
) -> Round:
    """Plays one round.

    Args:
        game: the game.
        state: its state.
        batch: as in `step`, this device's samples of it.
        pairs: the result of the pairing's `before`.
        key: the key of this round.
        place: which members and samples are on this device.
    """
    columns = population.numbers(game.groups_d, place.of_d)
    key_noise, key_augment, key_g, key_d, key_pairing = jax.random.split(key, 5)
    fake_MF, state_g, pull_g = generate(game, state, key_noise, key_g, batch.get("label"), place)
    seen_MF, real, pull_x = augmented(game, state, fake_MF, batch["x"], key_augment, place)
    view = game.covers.see(game.groups_g, game.groups_d, seen_MF, pairs, place)
    reals = _seen_reals(game, columns, {**batch, "x": real})
    size = game.reals // game.hands
    view = view._replace(label=meeting.labels_of_fakes(view, reals, size, place))
    meet = meeting.meet(game.compare, game.M, view, size, place)
    keys_N = population.member_keys(place.own_key(key_d), columns)
    of = game.loss.roles.of
    loss_of = lambda numbers: game.loss if of is None else of(view.rows_KN, numbers, state.hyper)
    loss, here = loss_of(columns), len(place.samples(size))
    omega_NR = _real_weights(reals.weight, (len(columns), here), size, place)
    known = None
    if streams(game):
        W, P, _ = game.pairing.after(state.pairing, _blank(game, state, view), key_pairing)
        known = Known(loss_of, Weights(view.pick(W), view.pick(P), omega_NR), columns, meet)
    logits, state_d, pull_d = score(
        game.groups_d, state.discriminators, view, reals, keys_N, place, "gram" in game.pairing.asks, known
    )
    judged = Logits(*(scoring.judged(game.loss, each, columns) for each in logits))
    matrices = scoring.pair_losses(loss, logits, omega_NR, meet)
    parts = jnp.stack([matrices.g, matrices.d, scoring.fool_probability(judged, meet)])
    measured = view.matrix(place.sum_data(parts))
    dx_NMF, gram = _input_gradients(game, pull_d, loss, logits, omega_NR, meet, place)
    evidence, running = _evidence(game, state, measured, view.mask_MN, gram)
    W, P, pairing = game.pairing.after(state.pairing, jax.lax.stop_gradient(evidence), key_pairing)
    return Round(
        view=view,
        reals=reals,
        meeting=meet,
        keys_N=keys_N,
        loss=loss,
        scores=Scores(logits, judged, measured, evidence),
        weights=Shares(W, P, Weights(view.pick(W), view.pick(P), omega_NR)),
        pulls=Pulls(pull_d, lambda dx: pull_g(pull_x(dx)), dx_NMF),
        finite=_finite(game, fake_MF, logits, view, place),
        pairing=pairing,
        running=running,
        state_g=state_g,
        state_d=state_d,
    )


def shares_backward(game: Game) -> bool:
    """Whether one backward pass serves both players: a sample has one logit, which depends on no other sample."""
    return game.loss.roles.heads is None and not any(group.network.batch_coupled for group in game.groups_d)


def streams(game: Game) -> bool:
    """Whether discriminators that run in a loop can go forward and back at once."""
    known = game.pairing.blind and game.covers.common and game.update == "simultaneous"
    return known and shares_backward(game) and any(group.streams for group in game.groups_d)


def _blank(game: Game, state: State, view: View) -> Evidence:
    """The evidence for a pairing that does not look at losses."""
    nothing = jnp.full((game.M, game.N), jnp.nan)
    return Evidence(nothing, nothing, nothing, mask=view.mask_MN, gram=None, payoff=None, step=state.step)


def _seen_reals(game: Game, columns: Array, batch: dict[str, Array]) -> Reals:
    """Reals, their labels and weights, as the discriminators with these numbers see them."""
    x, label, weight = batch["x"], batch.get("label"), batch.get("weight")
    seen = lambda leaf, own: game.covers.reals(leaf, own, game.N, columns)
    return Reals(
        seen(x, x.ndim == len(game.sample_shape) + 2),
        None if label is None else seen(label, False),
        None if weight is None else seen(weight, weight.ndim == 2),
    )


def _input_gradients(
    game: Game,
    pulls: tuple[scoring.Pull, ...],
    loss: Loss,
    logits: Logits,
    omega_NR: Array,
    meet: Meeting,
    place: Place,
) -> tuple[Array | None, Array | None]:
    """Input gradients `[N, M, F, ...]` and their Gram matrices, if the pairing asks for them."""
    if "gram" not in game.pairing.asks:
        return None, None
    counts_g, counts_d = population.counts(game.groups_g), population.counts(game.groups_d)
    dx_NMF = scoring.input_gradients(pulls, loss, logits, omega_NR, meet)
    dx_NMF = place.swap(dx_NMF.swapaxes(0, 1), counts_g, counts_d).swapaxes(0, 1)
    return dx_NMF, place.gather(place.sum_data(scoring.gram_MNN(dx_NMF)), counts_g)


def _evidence(game: Game, state: State, measured: Array, mask_MN: Array, gram: Array | None) -> tuple[Evidence, Tree]:
    """The evidence for the pairing, and the next running means, which replace this batch's matrices if it is dealt."""
    shown, running = measured, ()
    if game.covers.dealt:
        shown = running = _blended(state, measured, mask_MN)
    payoff = state.payoff if "payoff" in game.pairing.asks else None
    return Evidence(*shown, mask=mask_MN, gram=gram, payoff=payoff, step=state.step), running


def _finite(game: Game, fake_MF: Array, logits: Logits, view: View, place: Place) -> Finite:
    """The source of a fault shows it first: a generator in its samples, a discriminator in logits of finite samples."""
    finite_g = place.gather(_finite_beyond(1, fake_MF), population.counts(game.groups_g))
    excused = ~finite_g[view.rows_KN] if view.mask_KN is None else ~finite_g[view.rows_KN] | ~view.mask_KN
    finite_s = _finite_beyond(2, logits.fake) | excused
    return Finite(finite_g, _finite_beyond(1, logits.real) & finite_s.all(axis=0))


def _finite_beyond(axes: int, x: Array) -> Array:
    """Whether all numbers along the axes after the first `axes` are finite."""
    return jnp.isfinite(x).all(axis=tuple(range(axes, x.ndim)))


def generate(
    game: Game, state: State, key_noise: Array, key_net: Array, label: Array | None, place: Place = ALONE
) -> tuple[Array, tuple[Tree, ...], Callable[[Array], tuple[Tree, ...]]]:
    """This device's fakes `[M, F, ...]`, the new states of its generators, and the pullback to their parameters."""
    parts = []
    groups = game.groups_g
    for first, group, members in zip(population.offsets(groups), groups, state.generators, strict=True):

        def one(params: Tree, state: Tree, z: Array, key: Array, label: Any, apply=group.apply) -> Any:
            return apply(params, state, z, label=label, train=True, rng=key)

        z = population.noise(group, key_noise, first, game.fakes, place=place)
        numbers = place.numbers(first, group.count)
        keys = population.member_keys(place.own_key(key_net), numbers)
        tags = meeting.labels_to_generate(label, numbers, game.fakes, game.reals, game.hands, place)
        if isinstance(members, Joined):
            parts.append(common.produce(group, members, z, keys, tags, place))
            continue
        forward = execution.member_vjp(one, group.execution, place.here(group.count), (0, 0, 0, 0, 0), wrt=1)
        out, new, pull = forward(members.params, members.state, z, keys, tags)
        parts.append((out, Both(new), lambda dx, pull=pull: Both(pull(dx)[0])))
    outs, states, pulls = zip(*parts, strict=True)

    def pull_all(dx_MF: Array) -> tuple[Both, ...]:
        return tuple(pull(dx_MF[mine]) for pull, mine in zip(pulls, population.pieces(groups, place), strict=True))

    return jnp.concatenate(outs), states, pull_all


def augmented(
    game: Game, state: State, fake_MF: Array, real: Array, key: Array, place: Place
) -> tuple[Array, Array, Callable[[Array], Array]]:
    """Augmented fakes and reals, and the pullback to the fakes; both players share one draw."""
    if game.augment is None:
        return fake_MF, real, lambda dx: dx
    apply = game.augment.apply
    key_fake, key_real = jax.random.split(key)

    def batch(key: Array, x: Array, size: int) -> Array:
        return apply(population.member_keys(key, place.samples(size)), x, state.augment)

    def members(key: Array, numbers: Array, x: Array, size: int) -> Array:
        return jax.vmap(lambda key, x: batch(key, x, size))(population.member_keys(key, numbers), x)

    numbers = population.numbers(game.groups_g, place)
    seen_MF, pull = jax.vjp(lambda x: members(key_fake, numbers, x, game.fakes), fake_MF)
    if real.ndim == fake_MF.ndim:  # separate reals for each discriminator
        return seen_MF, members(key_real, jnp.arange(real.shape[0]), real, game.reals), lambda dx: pull(dx)[0]
    return seen_MF, batch(key_real, real, game.reals), lambda dx: pull(dx)[0]


def _blended(state: State, measured: Array, mask_MN: Array) -> Array:
    """Running means of the matrices, since a step sees only F/N samples of a pair: of all steps, later of about ten."""
    decay = jnp.minimum(0.9, state.step / (state.step + 1.0))
    measured = jax.lax.stop_gradient(measured)
    return jnp.where(mask_MN, decay * state.running + (1.0 - decay) * measured, state.running)


def _real_weights(weight: Array | None, shape: tuple[int, ...], size: int, place: Place) -> Array:
    """ω `[N, R]`: the weights of reals; they sum to 1 over all devices, or to 0 if all in the batch are 0."""
    if weight is None:
        return jnp.full(shape, 1.0 / size)
    weight = jnp.broadcast_to(weight[None] if weight.ndim == 1 else weight, shape)
    total = place.sum_data(weight.sum(axis=-1, keepdims=True))
    return jnp.where(total > 0, weight / jnp.where(total > 0, total, 1.0), 0.0)
