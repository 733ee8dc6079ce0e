"""Discriminators that are heads on a common trunk: the trunk runs once on each sample, whatever the number of heads.

A head keeps one logit for each sample, so one backward pass of the head serves both players. In the trunk the two
players' cotangents of the features are sums over heads, and no longer multiples of each other. So the trunk is pulled
back twice: for its weights on fakes and reals, for the generators on the fakes alone. The trunk minimises the mean of
its heads' losses, each head its own loss.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, NamedTuple

import jax.numpy as jnp

from ensgan.devices.mesh import Place
from ensgan.game.common import Both, Trunk, features
from ensgan.game.execution import member_vjp
from ensgan.game.population import Group, Joined
from ensgan.game.scoring import Pull, Reals, View, at_least_float32, shared_cotangent, weighted
from ensgan.types import Array, Tree


class _Seen(NamedTuple):
    """What the heads of a group see."""

    fake: Array  # [K, F, ...], or [n, K, f, ...] if each sees separate fakes
    real: Array  # [R, ...] or [n, R, ...]
    tags: Array | None  # classes of the fakes, [K, F] or [n, K, f]
    label: Array | None  # classes of the reals, [R] or [n, R]
    mask_nK: Array | None
    own: bool
    own_reals: bool
    own_labels: bool


def heads(
    group: Group, members: Joined, view: View, reals: Reals, keys_n: Array, mine: slice, place: Place
) -> tuple[Array, Both, Pull]:
    """Logits `[n, K·F + R]` of the heads of a group, the new states, and the backward passes.

    Samples that no head plays are zeros before the trunk, so that not even a NaN of theirs can reach its weights. Of
    devices along `member` each runs its portion of the reals, and they exchange the logits of these.
    """
    seen = _seen(group, view, reals, mine, place)
    trunk = features(group, members, (seen.fake, seen.real), (seen.tags, seen.label), keys_n[0])
    K, F = seen.fake.shape[1:3] if seen.own else seen.fake.shape[:2]
    assert group.parts is not None
    head = group.stage(group.parts.own)

    def forward(params: Tree, fake: Array, real: Array, state: Tree, tags: Any, label: Any, key: Array) -> Any:
        x = jnp.concatenate([fake.reshape(K * F, *fake.shape[2:]), real])
        both = None if label is None else jnp.concatenate([tags.reshape(-1), label])
        logit, state = head(params, state, x, label=both, train=True, rng=key)
        return at_least_float32(logit), state

    h_fake, axis = trunk.fake, lambda each: 0 if each else None
    if seen.mask_nK is not None:
        shape = seen.mask_nK.shape + (1,) * (h_fake.ndim - (2 if seen.own else 1))
        h_fake = jnp.where(seen.mask_nK.reshape(shape), h_fake if seen.own else h_fake[None], 0.0)
    masked = seen.own or seen.mask_nK is not None
    axes = (0, axis(masked), axis(seen.own_reals), 0, axis(seen.own), axis(seen.own_labels), 0)
    run = member_vjp(forward, group.execution_on_shared_input, group.count, axes, wrt=3)
    out, state, pull = run(members.params, h_fake, trunk.real, members.state, seen.tags, seen.label, keys_n)

    def back(c_KnF: Array, c_nR: Array) -> tuple[Tree, Array, Array]:
        c, c_real = c_KnF.swapaxes(0, 1), place.sum_portions(c_nR, 1)
        return pull(jnp.concatenate([c.reshape(c.shape[0], -1, *c.shape[3:]), c_real], axis=1))

    out = jnp.concatenate([out[:, : K * F], place.all_portions(out[:, K * F :], 1)], axis=1) if place.apart else out
    size = reals.x.shape[1 if seen.own_reals else 0]
    return out, Both(state, trunk.state), _passes(mine, seen, trunk, size, back)


def _seen(group: Group, view: View, reals: Reals, mine: slice, place: Place) -> _Seen:
    sample = len(group.network.in_shape)
    own_reals, own_labels = reals.x.ndim == sample + 2, reals.label is not None and reals.label.ndim == 2
    part = lambda leaf, own: leaf[mine] if own and leaf is not None else leaf
    mask, fake = None if view.mask_KN is None else view.mask_KN.T[mine], part(view.fake, view.own)
    if mask is not None:
        played = mask if view.own else mask.any(axis=0)
        fake = jnp.where(played.reshape(played.shape + (1,) * (sample + 1)), fake, 0.0)
    tags, label = part(view.label, view.own), part(reals.label, own_labels)
    real = place.portion(part(reals.x, own_reals), int(own_reals))
    label = None if label is None else place.portion(label, int(own_labels))
    return _Seen(fake, real, tags, label, mask, view.own, own_reals, own_labels)


def _passes(mine: slice, seen: _Seen, trunk: Trunk, size: int, back: Any) -> Pull:
    """The backward passes: `back` pulls cotangents of logits back to the heads' gradient and those of the features.

    `size` counts the reals whose logits this device has.
    """

    def summed(factor_KnF: Array, dh_nKF: Array) -> Array:
        """The cotangents of the features, with a sum over heads if they see the same."""
        terms = weighted(factor_KnF, dh_nKF)
        return jnp.stack(terms) if seen.own else reduce(jnp.add, terms)

    def collected(dx: Array) -> tuple[Array, Array]:
        """The fakes' gradient in the form in which discriminators without a trunk give it."""
        dx = dx if seen.own else dx[None]
        return jnp.ones((dx.shape[1], dx.shape[0], dx.shape[2]), dx.dtype), dx

    # A cotangent of 0 drops even a NaN. Losses with several logits have a factor for each sample.
    played = lambda c: (c != 0 if c.ndim == 3 else (c != 0).any(axis=-1)).astype(trunk.fake.dtype)
    of_reals = lambda dh: dh if seen.own_reals else dh.sum(axis=0)

    def both(c_G: Array, c_D: Array, c_r: Array) -> tuple[Both, Array, Array]:
        c, ratio = shared_cotangent(c_G, c_D)
        grad, dh, dh_real = back(c, c_r)
        weights = trunk.weights(summed(played(c), dh), of_reals(dh_real))
        return Both(grad, weights), *collected(trunk.inputs(summed(ratio, dh)))

    def d(c_D: Array, c_r: Array) -> Both:
        grad, dh, dh_real = back(c_D, c_r)
        return Both(grad, trunk.weights(summed(played(c_D), dh), of_reals(dh_real)))

    def g(c_G: Array) -> tuple[Array, Array]:
        _, dh, _ = back(c_G, jnp.zeros((c_G.shape[1], size, *c_G.shape[3:]), c_G.dtype))
        return collected(trunk.inputs(summed(played(c_G), dh)))

    return Pull(mine, both, d, g)
