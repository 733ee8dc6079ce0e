"""The M×N kernel: every discriminator scores every fake, and everything that follows from the logits alone.

    s_MNB[i, j, b] = D_j(G_i(z_ib))        r_NB[j, b] = D_j(x_b)

If a discriminator sees the fakes of only K generators, rows count these (`s_KNB`). On a mesh, N counts the
discriminators and B the samples of this device, and sums over b are its part of the whole sum.

A discriminator that treats each sample alone ends in one logit, so its backward pass is linear in one scalar per
sample. The gradient of D uses the scalars c_D = ∂L_D/∂s, the gradient of G uses c_G = ∂L_G/∂s. The two input gradients
differ by the factor c_G/c_D of each sample, so one backward pass serves both players.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ensgan.devices.mesh import ALONE, Place
from ensgan.game.execution import member_vjp
from ensgan.game.population import Group, Groups, Population, pieces
from ensgan.types import Array, Loss, Tree

# |c_D| is raised to EPSILON·|c_G| if it is smaller. EPSILON is below any rounding of D's gradient, and large enough
# that the ratio stays finite in float32. With 1e-6 a saturated hinge discriminator, whose true gradient is 0, drifts.
EPSILON = 2.0**-60


class Logits(NamedTuple):
    """The score tensor, float32 whatever the compute type."""

    fake: Array  # [K, N, B], or [K, N, B, C] if discriminators have C logits
    real: Array  # [N, B], or [N, B, C]


class Weights(NamedTuple):
    """The weights of pairs and reals. Constants for the gradient."""

    g: Array  # W [K, N]
    d: Array  # P [K, N]
    real: Array  # ω [N, B], rows sum to 1 over all devices


class Matrices(NamedTuple):
    """Pair losses, means over the batch."""

    g: Array  # loss_g [K, N]
    d: Array  # loss_d [K, N]; every row includes D's loss on its reals, so that L_D_j = Σ_i P_ij loss_d_ij


Collect = Callable[[Array, Array], Array]  # (factor_KNB, dx_NKB) -> Σ_j factor_ij · dx_ij of each fake, [M, B, ...]


class View(NamedTuple):
    """The fakes that this device's discriminators see, each in K places: one for every generator, or its opponents."""

    fake: Array  # [K, B, ...] if all see the same, or [N, K, b, ...]
    own: bool  # whether each discriminator sees separate fakes
    size: int  # samples of a pair, on all devices
    rows_KN: Array  # the number of the generator in each place; [M, 1] if it is the same for all
    mask_KN: Array | None  # the places that are played, None if all are
    mask_MN: Array  # the same as a matrix of all pairs
    pick: Callable[[Array], Array]  # from a matrix of all pairs [M, N] to this device's places [K, N]
    matrix: Callable[[Array], Array]  # from the places [..., K, N] of all devices to matrices of all pairs [..., M, N]
    collect: Collect


class Reals(NamedTuple):
    """The reals as this device's discriminators see them, with a first axis N if each sees separate ones."""

    x: Array  # [B, ...] or [N, B, ...]
    label: Array | None  # [B] or [N, B]; fakes have the labels of the reals
    weight: Array | None  # [B] or [N, B]


class Pull(NamedTuple):
    """The backward passes of one group of discriminators, which are the columns `mine`.

    Cotangents are those of these columns. The input gradients `dx_NKB` are multiplied by the factor when collected.
    """

    mine: slice
    both: Callable[[Array, Array, Array], tuple[Tree, Array, Array]]  # (c_G, c_D, c_r) -> gradient, factor, dx
    d: Callable[[Array, Array], Tree]  # (c_D, c_r) -> gradient of the parameters
    g: Callable[[Array], tuple[Array, Array]]  # c_G -> factor, dx


def score(
    groups: Groups, population: Population, view: View, reals: Reals, keys_N: Array, place: Place = ALONE
) -> tuple[Logits, tuple[Tree, ...], tuple[Pull, ...]]:
    """Every discriminator on every fake that it sees and on its reals, in one forward pass.

    A discriminator sees zeros instead of the fakes that it does not play, so that not even a NaN can reach it.

    Args:
        groups: the discriminators.
        population: the arrays of the discriminators on this device.
        view: the fakes.
        reals: the reals.
        keys_N: one key per discriminator, for dropout and the like.
        place: which members are on this device.

    Returns:
        The logits, the new network states, one tree per group, and the backward passes of each group.
    """
    sample = view.fake.ndim - (3 if view.own else 2)  # axes of one sample
    K, B = view.fake.shape[1:3] if view.own else view.fake.shape[:2]
    own_reals, own_labels = reals.x.ndim == sample + 2, reals.label is not None and reals.label.ndim == 2
    axis = lambda each: 0 if each else None
    outs, states, pulls = [], [], []
    for mine, group, members in zip(pieces(groups, place), groups, population, strict=True):
        mask = None if view.mask_KN is None else view.mask_KN.T[mine]
        axes = (0, axis(view.own or mask is not None), 0, axis(own_reals), axis(own_labels), 0)
        shape = lambda m: m.reshape(m.shape + (1,) * (sample + 1))
        x = view.fake[mine] if view.own else view.fake
        x = x if mask is None else jnp.where(shape(mask), x if view.own else x[None], 0.0)
        tags = reals.label[mine] if own_labels and reals.label is not None else reals.label
        forward = member_vjp(
            _forward(group, K, B), group.execution_on_shared_input, place.here(group.count), axes, wrt=2
        )
        real = reals.x[mine] if own_reals else reals.x
        out, state, pull = forward(members.params, x, members.state, real, tags, keys_N[mine])
        outs.append(out)
        states.append(state)
        pulls.append(_passes(mine, pull))
    logit = jnp.concatenate(outs)  # [N, K·B + B], with a last axis if there are several logits
    fake = logit[:, : K * B].reshape(-1, K, B, *logit.shape[2:]).swapaxes(0, 1)
    return Logits(fake, logit[:, K * B :]), tuple(states), tuple(pulls)


def _passes(mine: slice, pull: Callable[[Array], tuple[Tree, Array]]) -> Pull:
    """The backward passes of a group from its pullback, which takes cotangents `[N, K·B + B]`."""

    def run(c_KNB: Array, c_NB: Array) -> tuple[Tree, Array]:
        c = c_KNB.swapaxes(0, 1)
        return pull(jnp.concatenate([c.reshape(c.shape[0], -1, *c.shape[3:]), c_NB], axis=1))

    def both(c_G: Array, c_D: Array, c_r: Array) -> tuple[Tree, Array, Array]:
        c, ratio = shared_cotangent(c_G, c_D)
        grad, dx = run(c, c_r)
        return grad, ratio, dx

    def g(c_G: Array) -> tuple[Array, Array]:
        _, dx = run(c_G, jnp.zeros_like(c_G[0]))
        # With batch statistics a sample with cotangent 0 can have a gradient, so only whole pairs are dropped.
        played = jnp.any(c_G != 0, axis=tuple(range(2, c_G.ndim)))[..., None]
        return played.astype(dx.dtype), dx

    return Pull(mine, both, lambda c_D, c_r: run(c_D, c_r)[0], g)


def _forward(group: Group, K: int, B: int) -> Callable[..., tuple[Array, Tree]]:
    """One discriminator on all fakes and its reals: logits `[K·B + B]` and the new state."""
    apply = group.apply

    def together(params: Tree, fake: Array, state: Tree, real: Array, label: Any, key: Array) -> tuple[Array, Tree]:
        x = jnp.concatenate([fake.reshape(K * B, *fake.shape[2:]), real])
        label = None if label is None else jnp.tile(label, K + 1)
        logit, state = apply(params, state, x, label=label, train=True, rng=key)
        return at_least_float32(logit), state

    def apart(params: Tree, fake: Array, state: Tree, real: Array, label: Any, key: Array) -> tuple[Array, Tree]:
        # Batch statistics must not mix generators with each other or with the reals; the new state is from the reals.
        one = lambda x: apply(params, state, x, label=label, train=True, rng=key)
        r, new_state = one(real)
        s = jax.vmap(lambda x: one(x)[0])(fake)
        return at_least_float32(jnp.concatenate([s.reshape(-1, *r.shape[1:]), r])), new_state

    return apart if group.network.batch_coupled else together


def at_least_float32(x: Array) -> Array:
    """`x` in float32, or wider if it is wider: losses are never computed in half precision."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def pair_losses(loss: Loss, logits: Logits, omega_NB: Array, size: int) -> Matrices:
    """Both matrices of pair losses; ω weighs the reals, and in a relativistic loss the comparisons with them.

    `size` is the number of samples of a pair on all devices. The result is this device's part of a sum over them.
    """
    s, r = logits.fake, logits.real[None]
    share = omega_NB[None] if loss.relativistic else 1.0 / size
    real_N = jnp.sum(omega_NB * loss.real(logits.real), axis=-1)
    return Matrices(
        g=jnp.sum(share * loss.generator(s, r), axis=-1),
        d=jnp.sum(share * loss.fake(s, r), axis=-1) + real_N[None],
    )


def cotangents(loss: Loss, logits: Logits, weights: Weights, size: int) -> tuple[Array, Array, Array]:
    """c_G `[K, N, B]` = ∂ΣL_G/∂s, c_D `[K, N, B]` = ∂ΣL_D/∂s and c_r `[N, B]` = ∂ΣL_D/∂r.

    These are derivatives of elementwise functions, so they cost almost nothing. Pairs without weight get cotangent 0 by
    `where`, because the product of 0 and an infinite derivative would be NaN.
    """

    c_G = jax.grad(lambda s: jnp.sum(weights.g * pair_losses(loss, Logits(s, logits.real), weights.real, size).g))
    c_D = jax.grad(lambda x: jnp.sum(weights.d * pair_losses(loss, x, weights.real, size).d))(logits)
    played = lambda weight, c: jnp.where(weight.reshape(weight.shape + (1,) * (c.ndim - 2)) > 0, c, 0.0)
    return played(weights.g, c_G(logits.fake)), played(weights.d, c_D.fake), c_D.real


def shared_cotangent(c_G: Array, c_D: Array) -> tuple[Array, Array]:
    """The one cotangent that serves both players, and the factor from its input gradient to that of G."""
    floor = EPSILON * jnp.abs(c_G)
    c = jnp.where(jnp.abs(c_D) >= floor, c_D, jnp.where(c_D < 0, -floor, floor))
    alive = jnp.abs(c) > 1e-30
    return c, jnp.where(alive, c_G / jnp.where(alive, c, 1.0), 0.0)


def one_backward(
    pulls: tuple[Pull, ...], c_G: Array, c_D: Array, c_r: Array, collect: Collect
) -> tuple[tuple[Tree, ...], Array]:
    """D's gradients and the fakes' gradient `[M, B, ...]` from a single backward pass of every discriminator."""
    found = [pull.both(c_G[:, pull.mine], c_D[:, pull.mine], c_r[pull.mine]) for pull in pulls]
    grads, factors, dxs = zip(*found, strict=True)
    return tuple(grads), collect(jnp.concatenate(factors, axis=1), jnp.concatenate(dxs))


def two_pullbacks(
    pulls: tuple[Pull, ...], c_G: Array, c_D: Array, c_r: Array, collect: Collect
) -> tuple[tuple[Tree, ...], Array]:
    """The same from two backward passes, for discriminators whose logits depend on several samples."""
    return discriminator_pullback(pulls, c_D, c_r), generator_pullback(pulls, c_G, collect)


def discriminator_pullback(pulls: tuple[Pull, ...], c_D: Array, c_r: Array) -> tuple[Tree, ...]:
    """Only D's gradients."""
    return tuple(pull.d(c_D[:, pull.mine], c_r[pull.mine]) for pull in pulls)


def generator_pullback(pulls: tuple[Pull, ...], c_G: Array, collect: Collect) -> Array:
    """Only the fakes' gradient `[M, B, ...]`."""
    factors, dxs = zip(*(pull.g(c_G[:, pull.mine]) for pull in pulls), strict=True)
    return collect(jnp.concatenate(factors, axis=1), jnp.concatenate(dxs))


def input_gradients(pulls: tuple[Pull, ...], loss: Loss, logits: Logits, omega_NB: Array, size: int) -> Array:
    """∂loss_g_ij/∂x_i, unweighted, for every pair separately, as `[N, M, B, ...]`."""
    ones = jnp.ones(logits.fake.shape[:2])
    c_G, _, _ = cotangents(loss, logits, Weights(ones, ones, omega_NB), size)
    return jnp.concatenate([pull.g(c_G[:, pull.mine])[1] for pull in pulls])


def gram_MNN(dx_NMB: Array) -> Array:
    """⟨∂loss_g_ij/∂x_i, ∂loss_g_ik/∂x_i⟩ over the batch, for multi-gradient descent."""
    flat = at_least_float32(dx_NMB.reshape(*dx_NMB.shape[:2], -1))
    return jnp.einsum("jmf,kmf->mjk", flat, flat)


def weighted_sum(factor_MNB: Array, dx_NMB: Array) -> Array:
    """Σ_j factor_ij · dx_ij, `[M, B, ...]`; the factor may be `[M, N, 1]`. A factor of 0 drops even a NaN."""
    # XLA fuses successive additions into one pass over dx; a sum over the axis would first write all products.
    return reduce(jnp.add, weighted(factor_MNB, dx_NMB))


def weighted(factor_KNB: Array, dx_NKB: Array) -> list[Array]:
    """The terms of that sum, one `[K, B, ...]` for each discriminator."""
    factor = factor_KNB.swapaxes(0, 1)
    factor = factor.reshape(factor.shape + (1,) * (dx_NKB.ndim - 3))
    return [jnp.where(f != 0, f * dx, 0.0) for f, dx in zip(factor, dx_NKB, strict=True)]


def judged(loss: Loss, logit: Array, j: Array) -> Array:
    """The one logit per sample from which scores are computed, `[..., N, B]`, from all logits of discriminators `j`."""
    return logit if loss.roles.judge is None else loss.roles.judge(logit, j)


def judged_alone(loss: Loss, logit: Array, j: Array) -> Array:
    """The same in float32 for the single discriminator `j`, `[B]` from `[B]` or `[B, C]`."""
    logit = at_least_float32(logit)
    return logit if loss.roles.judge is None else judged(loss, logit[None], j[None])[0]


def fool_probability(logits: Logits, size: int) -> Array:
    """Mean σ(s − r) over the batch, `[K, N]`: ½ if D_j cannot tell G_i from the data, whatever the loss."""
    return jax.nn.sigmoid(logits.fake - logits.real[None]).sum(axis=-1) / size
