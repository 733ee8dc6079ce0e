"""The M×N kernel: everything that follows from the logits alone.

    s_MNF[i, j, k] = D_j(G_i(z_ik))        r_NR[j, b] = D_j(x_b)

F counts the fakes of a generator, R the reals. If a discriminator sees the fakes of only K generators, rows count these
(`s_KNF`). On a mesh, N counts the discriminators, F and R the samples of this device, and sums over samples are its
part of the whole sum.

A discriminator that treats each sample alone ends in one logit, so its backward pass is linear in one scalar per
sample. The gradient of D uses the scalars c_D = ∂L_D/∂s, the gradient of G uses c_G = ∂L_G/∂s. The two input gradients
differ by the factor c_G/c_D of each sample, so one backward pass serves both players.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ensgan.game.common import Both
from ensgan.types import Array, Loss

# |c_D| is raised to EPSILON·|c_G| if it is smaller. EPSILON is below any rounding of D's gradient, and large enough
# that the ratio stays finite in float32. With 1e-6 a saturated hinge discriminator, whose true gradient is 0, drifts.
EPSILON = 2.0**-60


class Logits(NamedTuple):
    """The score tensor, float32 whatever the compute type."""

    fake: Array  # [K, N, F], or [K, N, F, C] if discriminators have C logits
    real: Array  # [N, R], or [N, R, C]


class Weights(NamedTuple):
    """The weights of pairs and reals. Constants for the gradient."""

    g: Array  # W [K, N]
    d: Array  # P [K, N]
    real: Array  # ω [N, R], rows sum to 1 over all devices


class Matrices(NamedTuple):
    """Pair losses, means over samples, or over comparisons of fakes with reals."""

    g: Array  # loss_g [K, N]
    d: Array  # loss_d [K, N]; every row includes D's loss on its reals, so that L_D_j = Σ_i P_ij loss_d_ij


Collect = Callable[[Array, Array], Array]  # (factor_KNF, dx_NKF) -> Σ_j factor_ij · dx_ij of each fake, [M, F, ...]


class View(NamedTuple):
    """The fakes that this device's discriminators see, each in K places: one for every generator, or its opponents."""

    fake: Array  # [K, F, ...] if all see the same, or [N, K, f, ...]
    own: bool  # whether each discriminator sees separate fakes
    size: int  # fakes of a pair, on all devices
    rows_KN: Array  # the number of the generator in each place; [M, 1] if it is the same for all
    mask_KN: Array | None  # the places that are played, None if all are
    mask_MN: Array  # the same as a matrix of all pairs
    pick: Callable[[Array], Array]  # from a matrix of all pairs [M, N] to this device's places [K, N]
    matrix: Callable[[Array], Array]  # from the places [..., K, N] of all devices to matrices of all pairs [..., M, N]
    collect: Collect
    label: Array | None = None  # classes of the fakes, [K, F] or [N, K, f]


class Reals(NamedTuple):
    """The reals as this device's discriminators see them, with a first axis N if each sees separate ones."""

    x: Array  # [R, ...] or [N, R, ...]
    label: Array | None  # [R] or [N, R]
    weight: Array | None  # [R] or [N, R]


class Meeting(NamedTuple):
    """The comparisons of fakes with reals, which relativistic losses and scores use (`meeting.py`)."""

    fakes: Callable[[Array], Array]  # [K, N, F, ...] -> the fake of every comparison, [K, N, L, ...]
    reals: Callable[[Array], Array]  # [N, R, ...] -> the real of every comparison, [K or 1, N, L, ...]
    size: int  # fakes of a pair, on all devices
    each: int  # comparisons of a fake
    share: float  # the weight of a comparison, beside ω of its real


class Known(NamedTuple):
    """Everything but the logits that the cotangents depend on, if weights do not follow losses."""

    loss: Callable[[Array], Loss]  # the number of a discriminator, [1] -> its loss against all of its opponents
    weights: Weights
    columns: Array  # the numbers of the discriminators on this device, [N]
    meeting: Meeting


class Pull(NamedTuple):
    """The backward passes of one group of discriminators, which are the columns `mine`.

    Cotangents are those of these columns. The input gradients `dx_NKF` are multiplied by the factor when collected.
    """

    mine: slice
    both: Callable[[Array, Array, Array], tuple[Both, Array, Array]]  # (c_G, c_D, c_r) -> gradient, factor, dx
    d: Callable[[Array, Array], Both]  # (c_D, c_r) -> gradient of the parameters
    g: Callable[[Array], tuple[Array, Array]]  # c_G -> factor, dx


def at_least_float32(x: Array) -> Array:
    """`x` in float32, or wider if it is wider: losses are never computed in half precision."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def pair_losses(loss: Loss, logits: Logits, omega_NR: Array, meeting: Meeting) -> Matrices:
    """Both matrices of pair losses; ω weighs the reals, and in a relativistic loss the comparisons with them.

    The result is this device's part of a sum over all devices.
    """
    if loss.relativistic:
        s, r = meeting.fakes(logits.fake), meeting.reals(logits.real)
        share = meeting.reals(omega_NR) * meeting.share
    else:
        s, r, share = logits.fake, logits.real[None, :, :1], 1.0 / meeting.size
    real_N = jnp.sum(omega_NR * loss.real(logits.real), axis=-1)
    return Matrices(
        g=jnp.sum(share * loss.generator(s, r), axis=-1),
        d=jnp.sum(share * loss.fake(s, r), axis=-1) + real_N[None],
    )


def cotangents(loss: Loss, logits: Logits, weights: Weights, meeting: Meeting) -> tuple[Array, Array, Array]:
    """c_G `[K, N, F]` = ∂ΣL_G/∂s, c_D `[K, N, F]` = ∂ΣL_D/∂s and c_r `[N, R]` = ∂ΣL_D/∂r.

    These are derivatives of elementwise functions, so they cost almost nothing. Pairs without weight get cotangent 0 by
    `where`, because the product of 0 and an infinite derivative would be NaN.
    """

    def total(side: str, weight: Array, logits: Logits) -> Array:
        return jnp.sum(weight * getattr(pair_losses(loss, logits, weights.real, meeting), side))

    c_G = jax.grad(lambda s: total("g", weights.g, Logits(s, logits.real)))(logits.fake)
    c_D = jax.grad(lambda each: total("d", weights.d, each))(logits)
    played = lambda weight, c: jnp.where(weight.reshape(weight.shape + (1,) * (c.ndim - 2)) > 0, c, 0.0)
    return played(weights.g, c_G), played(weights.d, c_D.fake), c_D.real


def shared_cotangent(c_G: Array, c_D: Array) -> tuple[Array, Array]:
    """The one cotangent that serves both players, and the factor from its input gradient to that of G."""
    floor = EPSILON * jnp.abs(c_G)
    c = jnp.where(jnp.abs(c_D) >= floor, c_D, jnp.where(c_D < 0, -floor, floor))
    alive = jnp.abs(c) > 1e-30
    return c, jnp.where(alive, c_G / jnp.where(alive, c, 1.0), 0.0)


def one_backward(
    pulls: tuple[Pull, ...], c_G: Array, c_D: Array, c_r: Array, collect: Collect
) -> tuple[tuple[Both, ...], Array]:
    """D's gradients and the fakes' gradient `[M, F, ...]` from a single backward pass of every discriminator."""
    found = [pull.both(c_G[:, pull.mine], c_D[:, pull.mine], c_r[pull.mine]) for pull in pulls]
    grads, factors, dxs = zip(*found, strict=True)
    return tuple(grads), collect(jnp.concatenate(factors, axis=1), jnp.concatenate(dxs))


def two_pullbacks(
    pulls: tuple[Pull, ...], c_G: Array, c_D: Array, c_r: Array, collect: Collect
) -> tuple[tuple[Both, ...], Array]:
    """The same from two backward passes, for discriminators whose logits depend on several samples."""
    return discriminator_pullback(pulls, c_D, c_r), generator_pullback(pulls, c_G, collect)


def discriminator_pullback(pulls: tuple[Pull, ...], c_D: Array, c_r: Array) -> tuple[Both, ...]:
    """Only D's gradients."""
    return tuple(pull.d(c_D[:, pull.mine], c_r[pull.mine]) for pull in pulls)


def generator_pullback(pulls: tuple[Pull, ...], c_G: Array, collect: Collect) -> Array:
    """Only the fakes' gradient `[M, F, ...]`."""
    factors, dxs = zip(*(pull.g(c_G[:, pull.mine]) for pull in pulls), strict=True)
    return collect(jnp.concatenate(factors, axis=1), jnp.concatenate(dxs))


def input_gradients(pulls: tuple[Pull, ...], loss: Loss, logits: Logits, omega_NR: Array, meeting: Meeting) -> Array:
    """∂loss_g_ij/∂x_i, unweighted, for every pair separately, as `[N, M, F, ...]`."""
    ones = jnp.ones(logits.fake.shape[:2])
    c_G, _, _ = cotangents(loss, logits, Weights(ones, ones, omega_NR), meeting)
    return jnp.concatenate([pull.g(c_G[:, pull.mine])[1] for pull in pulls])


def gram_MNN(dx_NMF: Array) -> Array:
    """⟨∂loss_g_ij/∂x_i, ∂loss_g_ik/∂x_i⟩ over the batch, for multi-gradient descent."""
    flat = at_least_float32(dx_NMF.reshape(*dx_NMF.shape[:2], -1))
    return jnp.einsum("jmf,kmf->mjk", flat, flat)


def weighted_sum(factor_MNF: Array, dx_NMF: Array) -> Array:
    """Σ_j factor_ij · dx_ij, `[M, F, ...]`; the factor may be `[M, N, 1]`. A factor of 0 drops even a NaN."""
    # XLA fuses successive additions into one pass over dx; a sum over the axis would first write all products.
    return reduce(jnp.add, weighted(factor_MNF, dx_NMF))


def weighted(factor_KNF: Array, dx_NKF: Array) -> list[Array]:
    """The terms of that sum, one `[K, F, ...]` for each discriminator."""
    factor = factor_KNF.swapaxes(0, 1)
    factor = factor.reshape(factor.shape + (1,) * (dx_NKF.ndim - 3))
    return [jnp.where(f != 0, f * dx, 0.0) for f, dx in zip(factor, dx_NKF, strict=True)]


def judged(loss: Loss, logit: Array, j: Array) -> Array:
    """The one logit per sample from which scores are computed, `[..., N, B]`, from all logits of discriminators `j`."""
    return logit if loss.roles.judge is None else loss.roles.judge(logit, j)


def judged_alone(loss: Loss, logit: Array, j: Array) -> Array:
    """The same in float32 for the single discriminator `j`, `[B]` from `[B]` or `[B, C]`."""
    logit = at_least_float32(logit)
    return logit if loss.roles.judge is None else judged(loss, logit[None], j[None])[0]


def fool_probability(logits: Logits, meeting: Meeting) -> Array:
    """Mean σ(s − r) over comparisons, `[K, N]`: ½ if D_j cannot tell G_i from the data, whatever the loss."""
    return compared(logits, meeting, jax.nn.sigmoid)


def compared(logits: Logits, meeting: Meeting, fn: Callable[[Array], Array]) -> Array:
    """Mean fn(s − r) over the comparisons of every pair, `[K, N]`; this device's part of a sum."""
    values = fn(meeting.fakes(logits.fake) - meeting.reals(logits.real))
    return values.sum(axis=-1) / (meeting.size * meeting.each)
