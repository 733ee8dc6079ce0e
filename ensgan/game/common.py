"""Parts that the members of a group have in common, run once on the samples of all members.

Generators have their first or their last stages in common, discriminators their first ones: a trunk under `heads`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ensgan.devices.mesh import Place
from ensgan.game.execution import member_vjp
from ensgan.game.population import Group, Joined, Members, take
from ensgan.networks.stages import pruned
from ensgan.types import Array, Tree


class Both(NamedTuple):
    """Gradients, or network states, of a group: each member's own, and those of what is common, with 1 in front."""

    own: Tree
    common: Tree = ()


def divided(group: Group, grad: Tree) -> Both:
    """A stacked gradient of whole members, divided into their own and the mean of what is common."""
    if (parts := group.parts) is None:
        return Both(grad)
    mean = lambda leaf: leaf.mean(axis=0, keepdims=True)
    return Both(pruned(grad, parts.own.names), jax.tree.map(mean, pruned(grad, parts.common.names)))


def learned(group: Group, learns: Array, new: Members | Joined, old: Members | Joined) -> Members | Joined:
    """`new` for members with a true entry in `learns`, bool `[members]`, and `old` for the others.

    What members have in common is new for all.
    """
    pick = lambda a, b: jnp.where(learns.reshape((-1,) + (1,) * (a.ndim - 1)), a, b)
    params, net, optimizer, average = jax.tree.map(pick, tuple(new)[:4], tuple(old)[:4])
    if isinstance(new, Joined):
        return Joined(params, net, optimizer, average, new.common)
    latest = lambda mine, fresh: group.tied(mine, lambda _, leaf: leaf, fresh)
    return Members(latest(params, new.params), net, optimizer, () if average == () else latest(average, new.average))


def produce(
    group: Group, members: Joined, z: Array, keys: Array, label: Array | None, place: Place
) -> tuple[Array, Both, Callable[[Array], Both]]:
    """Samples `[count, F, ...]` of a group of generators, its new states, and the pullback to its parameters.

    Args:
        group: the generators, whose common stages come first or last.
        members: the arrays of the `count` of them that are on this device.
        z: latents `[count, F, ...]`.
        keys: one for each member.
        label: classes `[count, F]`, or None.
        place: which members are on this device.
    """
    parts = group.parts
    assert parts is not None
    count, size = z.shape[:2]
    flat = None if label is None else label.reshape(-1)
    own, common = group.stage(parts.own), group.stage(parts.common)
    weights, net = take((members.common.params, members.common.state), 0)

    def together(params: Tree, x: Array) -> tuple[Array, Tree]:
        y, new = common(params, net, x.reshape(count * size, *x.shape[2:]), label=flat, train=True, rng=keys[0])
        return y.reshape(count, size, *y.shape[1:]), new

    def apart(params: Tree, x: Array, state: Tree, key: Array, label: Any) -> tuple[Array, Tree]:
        return own(params, state, x, label=label, train=True, rng=key)

    forward = member_vjp(apart, group.execution, place.here(group.count), (0, 0, 0, 0, 0), wrt=2)
    mean = lambda tree: jax.tree.map(lambda leaf: leaf[None] / group.count, tree)
    if parts.common_first:
        h, pull_common, new = jax.vjp(together, weights, z, has_aux=True)
        x, states, pull_own = forward(members.params, h, members.state, keys, label)
    else:
        h, states, pull_own = forward(members.params, z, members.state, keys, label)
        x, pull_common, new = jax.vjp(together, weights, h, has_aux=True)

    def pull(dx: Array) -> Both:
        if parts.common_first:
            grad, dh = pull_own(dx)
            return Both(grad, mean(pull_common(dh)[0]))
        grad_common, dh = pull_common(dx)
        return Both(pull_own(dh)[0], mean(grad_common))

    return x, Both(states, jax.tree.map(lambda leaf: leaf[None], new)), pull


class Trunk(NamedTuple):
    """The features of a trunk, and the ways back through it."""

    fake: Array  # features of the fakes, in the form that the fakes have
    real: Array
    state: Tree
    weights: Callable[[Array, Array], Tree]  # cotangents of both -> gradient, with 1 in front
    inputs: Callable[[Array], Array]  # cotangent of the fakes' features -> gradient of the fakes


def features(
    group: Group,
    members: Joined,
    samples: tuple[Array, Array],
    labels: tuple[Array | None, Array | None],
    key: Array,
) -> Trunk:
    """A trunk on all fakes and reals, each of them once.

    Args:
        group: the discriminators.
        members: their arrays.
        samples: fakes and reals, `[..., *sample_shape]` with any axes in front.
        labels: their classes, with the same axes in front, or None.
        key: for dropout and the like.
    """
    parts = group.parts
    assert parts is not None
    shape, apply = group.network.in_shape, group.stage(parts.common)
    weights, net = take((members.common.params, members.common.state), 0)

    def run(params: Tree, x: Array, label: Array | None) -> tuple[Array, Tree]:
        front = x.shape[: x.ndim - len(shape)]
        tags = None if label is None else jnp.broadcast_to(label, front).reshape(-1)
        h, new = apply(params, net, x.reshape(-1, *shape), label=tags, train=True, rng=key)
        return h.reshape(*front, *h.shape[1:]), new

    fake, real = samples
    h_fake, pull_fake, _ = jax.vjp(lambda p, x: run(p, x, labels[0]), weights, fake, has_aux=True)
    h_real, pull_real, new = jax.vjp(lambda p: run(p, real, labels[1]), weights, has_aux=True)
    mean = lambda a, b: (a + b)[None] / group.count
    return Trunk(
        fake=h_fake,
        real=h_real,
        state=jax.tree.map(lambda leaf: leaf[None], new),
        weights=lambda c_fake, c_real: jax.tree.map(mean, pull_fake(c_fake)[0], pull_real(c_real)[0]),
        inputs=lambda c_fake: pull_fake(c_fake.astype(h_fake.dtype))[1],
    )
