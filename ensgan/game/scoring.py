"""The M×N kernel: every discriminator scores every fake, and what follows from the logits alone.

    s_MNB[i, j, b] = D_j(G_i(z_ib))        r_NB[j, b] = D_j(x_b)

Where a discriminator sees the fakes of K generators only, rows count those (`s_KNB`). On a mesh, N are the
discriminators and B the samples of this device, and sums over b are its part of the whole sum.

A discriminator that treats each sample alone ends in one logit, so its backward pass is linear in one scalar per
sample. The gradient that D needs uses the scalars c_D = ∂L_D/∂s, the one that G needs uses c_G = ∂L_G/∂s; the gradients
with respect to the inputs differ by the factor c_G/c_D of each sample, and one backward pass serves both players.
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

# Where D's scalar is this much smaller than G's, it is raised to it. Smaller than any rounding of D's gradient, large
# enough that the ratio stays finite in float32. With 1e-6 a saturated hinge discriminator, whose true gradient is 0,
# drifts.
EPSILON = 2.0**-60


class Logits(NamedTuple):
    """The score tensor, float32 whatever the compute type."""

    fake: Array  # [K, N, B], or [K, N, B, C] where discriminators have C logits
    real: Array  # [N, B], or [N, B, C]


class Weights(NamedTuple):
    """How much each game counts. Constants for the gradient."""

    g: Array  # W [K, N]
    d: Array  # P [K, N]
    real: Array  # ω [N, B], rows sum to 1 over all devices


class Matrices(NamedTuple):
    """Pair losses, means over the batch."""

    g: Array  # loss_g [K, N]
    d: Array  # loss_d [K, N], with D's loss on its reals in every row, so that L_D_j = Σ_i P_ij loss_d_ij


Collect = Callable[[Array, Array], Array]  # (factor_KNB, dx_NKB) -> Σ_j factor_ij · dx_ij of each fake, [M, B, ...]


class View(NamedTuple):
    """The fakes that this device's discriminators see, each in K places: one for every generator, or its opponents."""

    fake: Array  # [K, B, ...] if all see the same, or [N, K, b, ...]
    own: bool  # whether each discriminator has fakes of its own
    size: int  # samples of a pair, on all devices
    rows_KN: Array  # the number of the generator in each place; [M, 1] where it is the same for all
    mask_KN: Array | None  # the places that are played, None where all are
    mask_MN: Array  # the same as a matrix of all pairs
    pick: Callable[[Array], Array]  # from a matrix of all pairs [M, N] to this device's places [K, N]
    matrix: Callable[[Array], Array]  # from the places [..., K, N] of all devices to matrices of all pairs [..., M, N]
    collect: Collect


class Reals(NamedTuple):
    """The reals as this device's discriminators see them; N in front where each has its own."""

    x: Array  # [B, ...] or [N, B, ...]
    label: Array | None  # [B] or [N, B]; fakes have the labels of the reals
    weight: Array | None  # [B] or [N, B]


class Pull(NamedTuple):
    """The backward passes of one group of discriminators, whose columns are `mine`.

    Cotangents are those of its own columns. A factor goes with the input gradients `dx_NKB` before they are collected.
    """

    mine: slice
    both: Callable[[Array, Array, Array], tuple[Tree, Array, Array]]  # (c_G, c_D, c_r) -> gradient, factor, dx
    d: Callable[[Array, Array], Tree]  # (c_D, c_r) -> gradient of the parameters
    g: Callable[[Array], tuple[Array, Array]]  # c_G -> factor, dx


def score(
    groups: Groups, population: Population, view: View, reals: Reals, keys_N: Array, place: Place = ALONE
) -> tuple[Logits, tuple[Tree, ...], tuple[Pull, ...]]:
    """Every discriminator on every fake that it sees and on its reals, in one forward pass.

    A discriminator sees zeros in the place of a fake that it does not play, so that not even a NaN can reach it.

    Args:
        groups: the discriminators.
        population: the arrays of those on this device.
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
    logit = jnp.concatenate(outs)  # [N, K·B + B], or one more axis of several logits
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
        # With batch statistics a sample with cotangent 0 still has a gradient, so only whole pairs are left out.
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
        # Batch statistics must not mix generators with each other or with the reals; the state is that of the reals.
        one = lambda x: apply(params, state, x, label=label, train=True, rng=key)
        r, new_state = one(real)
        s = jax.vmap(lambda x: one(x)[0])(fake)
        return at_least_float32(jnp.concatenate([s.reshape(-1, *r.shape[1:]), r])), new_state

    return apart if group.network.batch_coupled else together


def at_least_float32(x: Array) -> Array:
    """`x` in float32, or wider where it is wider: losses are never taken in half precision."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def pair_losses(loss: Loss, logits: Logits, omega_NB: Array, size: int) -> Matrices:
    """Both pair-loss matrices; ω weighs the reals, and in a relativistic loss the pairs, since each holds a real.

    `size` is how many samples a pair has on all devices. What comes back is this device's part of a sum over them.
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

    Derivatives by jax of elementwise functions, so they cost next to nothing. A pair without weight has cotangent 0,
    set by `where`: the product of 0 with an infinite derivative would be NaN.
    """

    c_G = jax.grad(lambda s: jnp.sum(weights.g * pair_losses(loss, Logits(s, logits.real), weights.real, size).g))
    c_D = jax.grad(lambda x: jnp.sum(weights.d * pair_losses(loss, x, weights.real, size).d))(logits)
    played = lambda weight, c: jnp.where(weight.reshape(weight.shape + (1,) * (c.ndim - 2)) > 0, c, 0.0)
    return played(weights.g, c_G(logits.fake)), played(weights.d, c_D.fake), c_D.real


def shared_cotangent(c_G: Array, c_D: Array) -> tuple[Array, Array]:
    """The one cotangent that serves both players, and the factor that turns its input gradient into G's."""
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
    """The same from two backward passes, for discriminators in which one sample's logit depends on another sample."""
    return discriminator_pullback(pulls, c_D, c_r), generator_pullback(pulls, c_G, collect)


def discriminator_pullback(pulls: tuple[Pull, ...], c_D: Array, c_r: Array) -> tuple[Tree, ...]:
    """D's gradients alone."""
    return tuple(pull.d(c_D[:, pull.mine], c_r[pull.mine]) for pull in pulls)


def generator_pullback(pulls: tuple[Pull, ...], c_G: Array, collect: Collect) -> Array:
    """The fakes' gradient `[M, B, ...]` alone."""
    factors, dxs = zip(*(pull.g(c_G[:, pull.mine]) for pull in pulls), strict=True)
    return collect(jnp.concatenate(factors, axis=1), jnp.concatenate(dxs))


def input_gradients(pulls: tuple[Pull, ...], loss: Loss, logits: Logits, omega_NB: Array, size: int) -> Array:
    """∂loss_g_ij/∂x_i, unweighted and for every pair on its own, as `[N, M, B, ...]`."""
    ones = jnp.ones(logits.fake.shape[:2])
    c_G, _, _ = cotangents(loss, logits, Weights(ones, ones, omega_NB), size)
    return jnp.concatenate([pull.g(c_G[:, pull.mine])[1] for pull in pulls])


def gram_MNN(dx_NMB: Array) -> Array:
    """⟨∂loss_g_ij/∂x_i, ∂loss_g_ik/∂x_i⟩ over the batch: what multi-gradient descent needs."""
    flat = at_least_float32(dx_NMB.reshape(*dx_NMB.shape[:2], -1))
    return jnp.einsum("jmf,kmf->mjk", flat, flat)


def weighted_sum(factor_MNB: Array, dx_NMB: Array) -> Array:
    """Σ_j factor_ij · dx_ij, `[M, B, ...]`; the factor may be `[M, N, 1]`. A factor of 0 shuts out even a NaN."""
    # One addition after the other becomes one pass over dx; a sum over the axis would write all products first.
    return reduce(jnp.add, weighted(factor_MNB, dx_NMB))


def weighted(factor_KNB: Array, dx_NKB: Array) -> list[Array]:
    """The terms of that sum, one `[K, B, ...]` for each discriminator."""
    factor = factor_KNB.swapaxes(0, 1)
    factor = factor.reshape(factor.shape + (1,) * (dx_NKB.ndim - 3))
    return [jnp.where(f != 0, f * dx, 0.0) for f, dx in zip(factor, dx_NKB, strict=True)]


def judged(loss: Loss, logits: Logits, columns: Array) -> Logits:
    """The one logit of each sample that scores are made of, `[K, N, B]` and `[N, B]`."""
    if loss.roles.judge is None:
        return logits
    return Logits(loss.roles.judge(logits.fake, columns), loss.roles.judge(logits.real, columns))


def fool_probability(logits: Logits, size: int) -> Array:
    """Mean σ(s − r) over the batch, `[K, N]`: ½ where D_j cannot tell G_i from the data, whatever the loss."""
    return jax.nn.sigmoid(logits.fake - logits.real[None]).sum(axis=-1) / size
