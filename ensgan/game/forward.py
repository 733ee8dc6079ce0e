"""Every discriminator on every fake that it sees and on its reals: one forward pass, and the ways back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ensgan.devices.mesh import ALONE, Place
from ensgan.game.common import Both, divided
from ensgan.game.execution import member_vjp
from ensgan.game.heads import heads
from ensgan.game.population import Group, Groups, Joined, Members, Population, pieces, whole
from ensgan.game.scoring import (
    Known,
    Logits,
    Pull,
    Reals,
    View,
    Weights,
    at_least_float32,
    cotangents,
    shared_cotangent,
    weighted,
)
from ensgan.types import Array, Tree

Passes = tuple[Array, Both, Pull]  # logits [n, K·F + R], new states, backward passes


def score(
    groups: Groups,
    population: Population,
    view: View,
    reals: Reals,
    keys_N: Array,
    place: Place = ALONE,
    pairs: bool = False,
    known: Known | None = None,
) -> tuple[Logits, tuple[Both, ...], tuple[Pull, ...]]:
    """Every discriminator on its fakes and reals.

    A discriminator sees zeros instead of the fakes that it does not play, so that not even a NaN can reach it.

    Args:
        groups: the discriminators.
        population: the arrays of the discriminators on this device.
        view: the fakes.
        reals: the reals.
        keys_N: one key per discriminator, for dropout and the like.
        place: which members are on this device.
        pairs: whether input gradients are needed for every pair; heads then run their trunk for each of them.
        known: everything but the logits that cotangents depend on, if it is known before.

    Returns:
        The logits, the new network states, one tree per group, and the backward passes of each group.
    """
    parts = []
    for mine, group, members in zip(pieces(groups, place.of_d), groups, population, strict=True):
        given = view, reals, keys_N[mine], mine, place
        if isinstance(members, Joined) and group.has_trunk and not pairs:
            parts.append(heads(group, members, *given))
        elif known is not None and group.streams:
            parts.append(_streamed(group, whole(members), *given, known))
        else:
            parts.append(_separate(group, whole(members), *given))
    outs, states, pulls = zip(*parts, strict=True)
    K, F = view.fake.shape[1:3] if view.own else view.fake.shape[:2]
    logit = jnp.concatenate(outs)  # [N, K·F + R], with a last axis if there are several logits
    fake = logit[:, : K * F].reshape(-1, K, F, *logit.shape[2:]).swapaxes(0, 1)
    return Logits(fake, logit[:, K * F :]), states, pulls


def _separate(
    group: Group, members: Members, view: View, reals: Reals, keys_n: Array, mine: slice, place: Place
) -> Passes:
    """Discriminators that each run all of their stages."""
    sample = len(group.network.in_shape)
    own_reals, own_labels = reals.x.ndim == sample + 2, reals.label is not None and reals.label.ndim == 2
    mask = None if view.mask_KN is None else view.mask_KN.T[mine]
    axis = lambda each: 0 if each else None
    x = view.fake[mine] if view.own else view.fake
    if mask is not None:
        x = jnp.where(mask.reshape(mask.shape + (1,) * (sample + 1)), x if view.own else x[None], 0.0)
    part = lambda leaf, own: leaf[mine] if own and leaf is not None else leaf
    K, F = view.fake.shape[1:3] if view.own else view.fake.shape[:2]
    axes = (0, axis(view.own or mask is not None), 0, axis(own_reals), axis(view.own), axis(own_labels), 0)
    forward = member_vjp(_forward(group, K, F), group.execution_on_shared_input, place.here(group.count), axes, wrt=2)
    tags = part(view.label, view.own), part(reals.label, own_labels)
    out, state, pull = forward(members.params, x, members.state, part(reals.x, own_reals), *tags, keys_n)
    return out, divided(group, state), _passes(mine, group, out.shape[1] - K * F, pull)


def _streamed(
    group: Group, members: Members, view: View, reals: Reals, keys_n: Array, mine: slice, place: Place, known: Known
) -> Passes:
    """Discriminators one after the other, each forward and at once back: one body, and the memory of one of them.

    The weights of pairs must be known before the logits are. The backward passes then only return what was found.
    """
    K, F = view.fake.shape[:2]
    sample, together = len(group.network.in_shape), _forward(group, K, F)
    own_reals, own_labels = reals.x.ndim == sample + 2, reals.label is not None and reals.label.ndim == 2
    W, P, omega = known.weights
    part = lambda leaf, own: leaf[mine] if own and leaf is not None else None
    each_n = {
        "params": members.params,
        "state": members.state,
        "key": keys_n,
        "weights": (W[:, mine].T, P[:, mine].T, omega[mine]),
        "column": known.columns[mine],
        "mask": None if view.mask_KN is None else view.mask_KN[:, mine].T,
        "real": part(reals.x, own_reals),
        "label": part(reals.label, own_labels),
    }

    def one(total: Array, each: Tree) -> tuple[Array, Any]:
        mask = each["mask"]
        fake = view.fake if mask is None else jnp.where(mask.reshape(K, *[1] * (sample + 1)), view.fake, 0.0)
        real, label = each["real"] if own_reals else reals.x, each["label"] if own_labels else reals.label

        def forward(params: Tree, fake: Array) -> tuple[Array, Tree]:
            return together(params, fake, each["state"], real, view.label, label, each["key"])

        out, pull, new = jax.vjp(forward, each["params"], fake, has_aux=True)
        w_K, p_K, omega_R = each["weights"]
        logits = Logits(out[: K * F].reshape(K, 1, F), out[None, K * F :])
        weights = Weights(w_K[:, None], p_K[:, None], omega_R[None])
        c_G, c_D, c_r = cotangents(known.loss(each["column"][None]), logits, weights, known.meeting)
        c, ratio = shared_cotangent(c_G, c_D)
        grad, dx = pull(jnp.concatenate([c.reshape(-1), c_r[0]]))
        return total + weighted(ratio, dx[None])[0], (out, new, grad)

    dx, (out, state, grad) = jax.lax.scan(one, jnp.zeros_like(view.fake), each_n)
    found, grads = (jnp.ones((K, 1, F), dx.dtype), dx[None]), divided(group, grad)
    pull = Pull(mine, lambda c_G, c_D, c_r: (grads, *found), lambda c_D, c_r: grads, lambda c_G: found)
    return out, divided(group, state), pull


def _passes(mine: slice, group: Group, reals: int, pull: Callable[[Array], tuple[Tree, Array]]) -> Pull:
    """The backward passes of a group from its pullback, which takes cotangents `[N, K·F + R]`."""

    def run(c_KNF: Array, c_NR: Array) -> tuple[Tree, Array]:
        c = c_KNF.swapaxes(0, 1)
        return pull(jnp.concatenate([c.reshape(c.shape[0], -1, *c.shape[3:]), c_NR], axis=1))

    def both(c_G: Array, c_D: Array, c_r: Array) -> tuple[Both, Array, Array]:
        c, ratio = shared_cotangent(c_G, c_D)
        grad, dx = run(c, c_r)
        return divided(group, grad), ratio, dx

    def g(c_G: Array) -> tuple[Array, Array]:
        _, dx = run(c_G, jnp.zeros((c_G.shape[1], reals, *c_G.shape[3:]), c_G.dtype))
        # With batch statistics a sample with cotangent 0 can have a gradient, so only whole pairs are dropped.
        played = jnp.any(c_G != 0, axis=tuple(range(2, c_G.ndim)))[..., None]
        return played.astype(dx.dtype), dx

    return Pull(mine, both, lambda c_D, c_r: divided(group, run(c_D, c_r)[0]), g)


def _forward(group: Group, K: int, F: int) -> Callable[..., tuple[Array, Tree]]:
    """One discriminator on all fakes and its reals: logits `[K·F + R]` and the new state."""
    apply = group.apply

    def together(
        params: Tree, fake: Array, state: Tree, real: Array, tags: Any, label: Any, key: Array
    ) -> tuple[Array, Tree]:
        x = jnp.concatenate([fake.reshape(K * F, *fake.shape[2:]), real])
        both = None if label is None else jnp.concatenate([tags.reshape(-1), label])
        logit, state = apply(params, state, x, label=both, train=True, rng=key)
        return at_least_float32(logit), state

    def apart(
        params: Tree, fake: Array, state: Tree, real: Array, tags: Any, label: Any, key: Array
    ) -> tuple[Array, Tree]:
        # Batch statistics must not mix generators with each other or with the reals; the new state is from the reals.
        one = lambda x, label: apply(params, state, x, label=label, train=True, rng=key)
        r, new_state = one(real, label)
        s = jax.vmap(lambda x, tag: one(x, tag)[0])(fake, tags)
        return at_least_float32(jnp.concatenate([s.reshape(-1, *r.shape[1:]), r])), new_state

    return apart if group.network.batch_coupled else together
