"""One training step: generate, score, weigh, pull back, update.

`simultaneous` takes the gradients of both sides at the same parameters and shares one forward and one backward pass of
the discriminators between them; `alternating` updates discriminators first. Which path of the kernel is taken follows
from what the plugs declare.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ensgan import optim, population, scoring
from ensgan.faults import GRADIENT, OUTPUT, D, Flags, G, guard
from ensgan.game import Game, State
from ensgan.population import Groups, Members, Population
from ensgan.scoring import Logits, Weights
from ensgan.types import Array, Evidence, Penalty, Tree


class Info(NamedTuple):
    """What a step reports. Never feeds back into training. Losses and `fool` of pairs that were not played are NaN."""

    loss_g: Array  # [M, N]
    loss_d: Array  # [M, N]
    weight_g: Array  # W [M, N]
    weight_d: Array  # P [M, N]
    fool: Array  # [M, N] mean σ(s − r) on the training batch
    penalty: Array  # [N], with its strength
    grad_norm_g: Array  # [M]
    grad_norm_d: Array  # [N]
    augment: Array  # scalar in [0, 1]


class Round(NamedTuple):
    """One meeting of all members on one batch, before anybody is updated."""

    fake: Array  # [M, B, ...], or [N, M, B/N, ...] if samples are dealt; as discriminators see them
    real: Array  # [B, ...] or [N, B, ...] or [N, B/N, ...], as discriminators see them
    label: Array | None  # [B] or [N, B/N]
    keys_N: Array
    logits: Logits
    measured: Array  # [3, M, N]: loss_g, loss_d and fool on this batch
    evidence: Evidence  # what the pairing saw: the same, or running means of it
    weights: Weights
    pairing: Tree  # the pairing's next state
    state_g: tuple[Tree, ...]
    state_d: tuple[Tree, ...]
    pull_d: scoring.Pull
    pull_g: Callable[[Array], tuple[Tree, ...]]
    dx_NMB: Array | None  # unweighted input gradients, where the pairing asked for their Gram matrix
    finite_g: Array  # [M]
    finite_d: Array  # [N]


Update = Callable[[State], State]  # what a step does to the state once everybody is known to be finite


def step(game: Game, state: State, batch: dict[str, Array]) -> tuple[State, Info]:
    """One update of every member.

    Args:
        game: what is played.
        state: where it stands.
        batch: `x` `[B, ...]` (or `[N, B, ...]`, own reals for each discriminator), and if there are any, `label` int32
            `[B]` and `weight`, the weights of reals `[B]` or `[N, B]`. With `n_critic` above 1, every leaf has one more
            axis in front, one batch for each discriminator update.

    Returns:
        The new state and what happened. If a member stops being finite, the state is the old one with `fault` set, and
        every later step leaves it as it is.
    """
    key_mask, key_round, key_penalty = jax.random.split(jax.random.fold_in(state.key, 2 * state.step + 1), 3)
    before = game.pairing.before
    mask = None if before is None else before(state.pairing, key_mask, game.M, game.N)
    play_round = simultaneous if game.update == "simultaneous" else alternating
    update, info, flags = play_round(game, state, batch, mask, key_round, key_penalty)
    return guard(state, flags, update), info


def simultaneous(
    game: Game, state: State, batch: dict[str, Array], mask: Array | None, key: Array, key_penalty: Array
) -> tuple[Update, Info, Flags]:
    """Both sides at the same parameters: one forward pass, and one backward pass wherever a logit has one sample."""
    met = play(game, state, batch, mask, key)
    c_G, c_D, c_r = scoring.cotangents(game.loss, met.logits, met.weights)
    if met.dx_NMB is not None:
        grad_d, dx = met.pull_d(c_D, c_r)[0], scoring.weigh_inputs(met.weights.g, met.dx_NMB)
    elif shares_backward(game):
        grad_d, dx = scoring.one_backward(met.pull_d, c_G, c_D, c_r, deals(game))
    else:
        grad_d, dx = scoring.two_pullbacks(met.pull_d, c_G, c_D, c_r, deals(game))
    grad_g = met.pull_g(dx)
    penalty_N, grad_d = penalize(game, state, met, grad_d, key_penalty)

    def update(old: State) -> State:
        return old._replace(
            generators=advance(game, game.groups_g, old.generators, grad_g, met.state_g, old.step),
            discriminators=advance(game, game.groups_d, old.discriminators, grad_d, met.state_d, old.step),
            pairing=met.pairing,
            running=_running(met) if deals(game) else (),
            augment=_next_strength(game, old, met),
        )

    info = _info(state, met, penalty_N, norms(grad_g), norms(grad_d))
    flags = [
        (G, OUTPUT, met.finite_g),
        (D, OUTPUT, met.finite_d),
        (D, GRADIENT, jnp.isfinite(info.grad_norm_d)),
        (G, GRADIENT, jnp.isfinite(info.grad_norm_g)),
    ]
    return update, info, flags


def alternating(
    game: Game, state: State, batch: dict[str, Array], mask: Array | None, key: Array, key_penalty: Array
) -> tuple[Update, Info, Flags]:
    """`n_critic` discriminator updates, then generators against the new discriminators with fresh noise."""
    flags: Flags = []
    new, one, penalty_N, norm_N = state, batch, jnp.zeros((game.N,)), jnp.zeros((game.N,))
    for c in range(game.n_critic):
        one = batch if game.n_critic == 1 else jax.tree.map(lambda a, c=c: a[c], batch)
        met = play(game, new, one, mask, jax.random.fold_in(key, c))
        _, c_D, c_r = scoring.cotangents(game.loss, met.logits, met.weights)
        penalty_N, grad_d = penalize(game, new, met, met.pull_d(c_D, c_r)[0], jax.random.fold_in(key_penalty, c))
        discriminators = advance(game, game.groups_d, new.discriminators, grad_d, met.state_d, state.step)
        new = new._replace(discriminators=discriminators)
        norm_N = norms(grad_d)
        flags += [(G, OUTPUT, met.finite_g), (D, OUTPUT, met.finite_d), (D, GRADIENT, jnp.isfinite(norm_N))]

    met = play(game, new, one, mask, jax.random.fold_in(key, game.n_critic))
    c_G, _, _ = scoring.cotangents(game.loss, met.logits, met.weights)
    dx = (
        scoring.generator_pullback(met.pull_d, c_G, deals(game))
        if met.dx_NMB is None
        else scoring.weigh_inputs(met.weights.g, met.dx_NMB)
    )
    grad_g = met.pull_g(dx)

    def update(old: State) -> State:
        return old._replace(
            generators=advance(game, game.groups_g, old.generators, grad_g, met.state_g, old.step),
            discriminators=new.discriminators,
            pairing=met.pairing,
            running=_running(met) if deals(game) else (),
            augment=_next_strength(game, old, met),
        )

    info = _info(state, met, penalty_N, norms(grad_g), norm_N)
    flags += [(G, OUTPUT, met.finite_g), (D, OUTPUT, met.finite_d), (G, GRADIENT, jnp.isfinite(info.grad_norm_g))]
    return update, info, flags


def shares_backward(game: Game) -> bool:
    """Whether one backward pass serves both players: each logit depends on its own sample alone."""
    return not any(group.network.batch_coupled for group in game.groups_d)


def deals(game: Game) -> bool:
    """Whether each sample goes to one discriminator alone."""
    return game.coverage == "split"


def play(game: Game, state: State, batch: dict[str, Array], mask: Array | None, key: Array) -> Round:
    """Generate, score and weigh; nothing is updated."""
    key_noise, key_augment, key_g, key_d, key_pairing = jax.random.split(key, 5)
    real, label = batch["x"], batch.get("label")
    fake_MB, state_g, pull_g = generate(game, state, key_noise, key_g, label)
    seen, real, pull_x = _augmented(game, state, fake_MB, real, key_augment)
    weight = batch.get("weight")
    if deals(game):
        seen, real, label, weight = _dealt(game, seen, real, label, weight)
    keys_N = population.member_keys(key_d, 0, game.N)
    logits, state_d, pull_d = scoring.score(
        game.groups_d,
        state.discriminators,
        seen,
        real,
        label=label,
        keys_N=keys_N,
        mask_MN=mask,
        dealt=deals(game),
    )
    omega_NB = _real_weights(weight, logits.real.shape)
    matrices = scoring.pair_losses(game.loss, logits, omega_NB)
    mask_MN = jnp.ones((game.M, game.N), bool) if mask is None else mask
    measured = jnp.stack([matrices.g, matrices.d, scoring.fool_probability(logits)])
    shown = _blended(state, measured, mask_MN) if deals(game) else measured

    asked = "gram" in game.pairing.asks
    dx_NMB = scoring.input_gradients(pull_d, game.loss, logits, omega_NB) if asked else None
    evidence = Evidence(
        loss_g=shown[0],
        loss_d=shown[1],
        fool=shown[2],
        mask=mask_MN,
        gram=None if dx_NMB is None else scoring.gram_MNN(dx_NMB),
        payoff=state.payoff if "payoff" in game.pairing.asks else None,
        step=state.step,
    )
    W, P, pairing_state = game.pairing.after(state.pairing, jax.lax.stop_gradient(evidence), key_pairing)

    # The source of a fault is the first to show it: a generator by its samples, a discriminator by logits of finite
    # samples.
    finite_g = jnp.isfinite(fake_MB).all(axis=tuple(range(1, fake_MB.ndim)))
    finite_s = jnp.isfinite(logits.fake).all(axis=-1) | ~finite_g[:, None] | ~evidence.mask
    finite_d = jnp.isfinite(logits.real).all(axis=-1) & finite_s.all(axis=0)
    return Round(
        fake=seen,
        real=real,
        label=label,
        keys_N=keys_N,
        logits=logits,
        measured=measured,
        evidence=evidence,
        weights=Weights(W, P, omega_NB),
        pairing=pairing_state,
        state_g=state_g,
        state_d=state_d,
        pull_d=pull_d,
        pull_g=lambda dx: pull_g(pull_x(dx)),
        dx_NMB=dx_NMB,
        finite_g=finite_g,
        finite_d=finite_d,
    )


def generate(
    game: Game, state: State, key_noise: Array, key_net: Array, label: Array | None
) -> tuple[Array, tuple[Tree, ...], Callable[[Array], tuple[Tree, ...]]]:
    """Fakes `[M, B, ...]` of every generator, their new network states, and the pullback to their parameters."""
    parts = []
    groups = game.groups_g
    for first, group, members in zip(population.offsets(groups), groups, state.generators, strict=True):

        def one(params: Tree, state: Tree, z: Array, key: Array, label: Any, apply=group.apply) -> Any:
            return apply(params, state, z, label=label, train=True, rng=key)

        z = population.noise(group, key_noise, first, game.batch_size)
        keys = population.member_keys(key_net, first, group.count)
        forward = population.member_vjp(one, group.how, group.count, (0, 0, 0, 0, None), wrt=1)
        parts.append(forward(members.params, members.state, z, keys, label))
    outs, states, pulls = zip(*parts, strict=True)

    def pull(dx_MB: Array) -> tuple[Tree, ...]:
        split = jnp.split(dx_MB, population.offsets(groups)[1:])
        return tuple(pull(dx)[0] for pull, dx in zip(pulls, split, strict=True))

    return jnp.concatenate(outs), states, pull


def penalize(
    game: Game, state: State, met: Round, grad_d: tuple[Tree, ...], key: Array
) -> tuple[Array, tuple[Tree, ...]]:
    """Adds the gradients of the penalties to the discriminators'; also gives their values `[N]`."""
    value_N = jnp.zeros((game.N,))
    for index, penalty in enumerate(game.penalties):

        def compute(penalty: Penalty = penalty, index: int = index) -> tuple[Array, tuple[Tree, ...]]:
            return _penalty(game, state, met, penalty, jax.random.fold_in(key, index))

        if penalty.interval == 1:
            value, grads = compute()
        else:
            idle = jax.tree.map(jnp.zeros_like, jax.eval_shape(compute))
            value, grads = jax.lax.cond(state.step % penalty.interval == 0, compute, lambda idle=idle: idle)
        value_N = value_N + value
        grad_d = jax.tree.map(jnp.add, grad_d, grads)
    return value_N, grad_d


def _penalty(game: Game, state: State, met: Round, penalty: Penalty, key: Array) -> tuple[Array, tuple[Tree, ...]]:
    strength = penalty.strength(state.step) if callable(penalty.strength) else penalty.strength
    fake, real = jax.lax.stop_gradient((met.fake, met.real))
    dealt = deals(game)
    B = fake.shape[2 if dealt else 1]
    own_reals = dealt or real.ndim == fake.ndim
    key_value, key_choice = jax.random.split(key)
    fake_NB = _fakes_by_weight(key_choice, met.weights.d, fake, dealt) if penalty.fakes else None
    strength_N = jnp.broadcast_to(jnp.asarray(strength, jnp.float32) * penalty.interval, (game.N,))
    if penalty.fakes:  # a discriminator that plays nobody has no fakes to be regular on
        strength_N = jnp.where(jnp.sum(met.weights.d, axis=0) > 0, strength_N, 0.0)

    values, grads = [], []
    groups = game.groups_d
    for first, group, members in zip(population.offsets(groups), groups, state.discriminators, strict=True):
        mine = slice(first, first + group.count)

        def value(
            params: Tree,
            net: Tree,
            real: Array,
            fake: Array,
            strength: Array,
            rng: Array,
            key: Array,
            label: Array | None,
            apply=group.apply,
        ) -> Array:
            def critic(x: Array) -> Array:
                tags = None if label is None else jnp.tile(label, x.shape[0] // B)
                return scoring.at_least_float32(apply(params, net, x, label=tags, train=True, rng=rng)[0])

            return strength * penalty.value(critic, real, fake, key)

        one = population.over_members(
            jax.value_and_grad(value),
            group.how_shared,
            group.count,
            (0, 0, 0 if own_reals else None, 0 if penalty.fakes else None, 0, 0, 0, 0 if dealt else None),
        )
        keys = population.member_keys(key_value, first, group.count)
        value_n, grad = one(
            members.params,
            members.state,
            real[mine] if own_reals else real,
            None if fake_NB is None else fake_NB[mine],
            strength_N[mine],
            met.keys_N[mine],
            keys,
            met.label[mine] if dealt and met.label is not None else met.label,
        )
        values.append(value_n)
        grads.append(grad)
    return jnp.concatenate(values), tuple(grads)


def _fakes_by_weight(key: Array, P_MN: Array, fake: Array, dealt: bool = False) -> Array:
    """B fakes for each discriminator, `[N, B, ...]`: sample b is from G_i with probability P_ij, keyed by (j, b).

    `fake` is `[M, B, ...]`, or `[N, M, B, ...]` where every discriminator has fakes of its own.
    """
    M, B = fake.shape[1:3] if dealt else fake.shape[:2]
    N = P_MN.shape[1]
    if M == 1:
        return fake[:, 0] if dealt else jnp.broadcast_to(fake, (N, *fake.shape[1:]))

    def choose(j: Array, p_M: Array) -> Array:
        keys = population.member_keys(jax.random.fold_in(key, j), 0, B)
        return jax.vmap(lambda k: jax.random.categorical(k, jnp.log(p_M)))(keys)

    index_NB = jax.vmap(choose)(jnp.arange(N), P_MN.T)
    b = jnp.arange(B)[None]
    return fake[jnp.arange(N)[:, None], index_NB, b] if dealt else fake[index_NB, b]


def advance(
    game: Game, groups: Groups, members: Population, grads: tuple[Tree, ...], states: tuple[Tree, ...], step: Array
) -> Population:
    """The optimisers' update of one side, and the exponential average where it is kept."""

    def one(group: Any, old: Members, grad: Tree, net: Tree) -> Members:
        update = optim.stacked(group.optimizer or game.optimizer, group.count).update
        updates, opt_state = update(grad, old.optimizer, old.params)
        params = optax.apply_updates(old.params, updates)
        decay = optim.average_decay(game.ema, step)
        blend = lambda a, p: decay * a + (1.0 - decay) * p
        average = () if old.average == () else jax.tree.map(blend, old.average, params)
        return Members(params, net, opt_state, average)

    return tuple(one(*each) for each in zip(groups, members, grads, states, strict=True))


def _augmented(
    game: Game, state: State, fake_MB: Array, real: Array, key: Array
) -> tuple[Array, Array, Callable[[Array], Array]]:
    """Fakes and reals as discriminators see them, and the pullback to the fakes; one draw serves both players."""
    if game.augment is None:
        return fake_MB, real, lambda dx: dx
    apply = game.augment.apply
    key_fake, key_real = jax.random.split(key)

    def batch(key: Array, x: Array) -> Array:
        return apply(population.member_keys(key, 0, x.shape[0]), x, state.augment)

    stack = lambda key, x: jax.vmap(batch)(population.member_keys(key, 0, x.shape[0]), x)
    seen_MB, pull = jax.vjp(lambda x: stack(key_fake, x), fake_MB)
    own_reals = real.ndim == fake_MB.ndim
    return seen_MB, (stack if own_reals else batch)(key_real, real), lambda dx: pull(dx)[0]


def _dealt(
    game: Game, fake_MB: Array, real: Array, label: Array | None, weight: Array | None
) -> tuple[Array, Array, Array | None, Array | None]:
    """Samples, labels and weights dealt out among discriminators: each gets B/N of every generator and of the reals."""
    N, own = game.N, jnp.arange(game.N)
    pick = lambda x, alone: scoring.deal(x, N) if alone else scoring.deal(x, N, axis=1)[own, own]
    return (
        scoring.deal(fake_MB, N, axis=1),
        pick(real, real.ndim == fake_MB.ndim - 1),
        None if label is None else scoring.deal(label, N),
        None if weight is None else pick(weight, weight.ndim == 1),
    )


def _blended(state: State, measured: Array, mask_MN: Array) -> Array:
    """Running means of the matrices, as a step sees B/N samples of a pair: of all steps, later of about ten."""
    decay = jnp.minimum(0.9, state.step / (state.step + 1.0))
    measured = jax.lax.stop_gradient(measured)
    return jnp.where(mask_MN, decay * state.running + (1.0 - decay) * measured, state.running)


def _running(met: Round) -> Array:
    return jnp.stack([met.evidence.loss_g, met.evidence.loss_d, met.evidence.fool])


def _next_strength(game: Game, state: State, met: Round) -> Array:
    """ADA (Karras et al. 2020, arXiv 2006.06676, section 3.1), with a signal that no offset of a logit can move.

    Each discriminator is asked about the fakes that it learns from, in proportion to P.
    """
    if game.augment is None or game.augment.target is None:
        return state.augment
    sign_MN = jnp.sign(met.logits.real[None] - met.logits.fake).mean(axis=-1)
    signal = jnp.sum(met.weights.d * sign_MN) / jnp.maximum(jnp.sum(met.weights.d), 1e-30)
    move = jnp.sign(signal - game.augment.target) * game.batch_size / game.augment.ramp
    return jnp.clip(state.augment + move, 0.0, 1.0)


def _real_weights(weight: Array | None, shape: tuple[int, ...]) -> Array:
    if weight is None:
        return jnp.full(shape, 1.0 / shape[-1])
    weight = jnp.broadcast_to(weight[None] if weight.ndim == 1 else weight, shape)
    return weight / weight.sum(axis=-1, keepdims=True)


def norms(grads: tuple[Tree, ...]) -> Array:
    """The norm of every member's gradient, `[members]`; not finite where it overflows, which is a fault as well."""

    def square(leaf: Array) -> Array:
        return jnp.sum(jnp.square(leaf.reshape(leaf.shape[0], -1)), axis=1)

    # The barrier keeps XLA from writing squares to memory that the optimiser needs as well: reading twice is cheaper.
    grads = jax.lax.optimization_barrier(grads)
    return jnp.concatenate([jnp.sqrt(sum(map(square, jax.tree.leaves(grad)))) for grad in grads])


def _info(state: State, met: Round, penalty_N: Array, norm_g: Array, norm_d: Array) -> Info:
    played = lambda matrix: jnp.where(met.evidence.mask, matrix, jnp.nan)
    return Info(
        loss_g=played(met.measured[0]),
        loss_d=played(met.measured[1]),
        weight_g=met.weights.g,
        weight_d=met.weights.d,
        fool=played(met.measured[2]),
        penalty=penalty_N,
        grad_norm_g=norm_g,
        grad_norm_d=norm_d,
        augment=state.augment,
    )
