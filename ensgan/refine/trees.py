"""Arithmetic of samples that are trees: leaves that are not floating-point, such as labels, do not move."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ensgan.types import Array, Tree


def gradient(fn: Callable[[Tree], Array], x: Tree) -> Tree:
    """∇fn; zeros for leaves that are not floating-point, such as labels."""
    grad = jax.grad(fn, allow_int=True)(x)
    return jax.tree.map(lambda g, a: g if moves(a) else jnp.zeros(a.shape), grad, x)


def moved(x: Tree, by: Tree) -> Tree:
    """Samples moved by a step."""
    return jax.tree.map(lambda a, b: a + b if moves(a) else a, x, by)


def normals(key: Array, like: Tree) -> Tree:
    """Standard normals of the shapes of a tree."""
    leaves, form = jax.tree.flatten(like)
    keys = jax.random.split(key, len(leaves))
    return form.unflatten([jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)])


def distance(x: Tree, y: Tree) -> Array:
    """‖x − y‖ of each sample `[n]`, smooth at 0: a slope of 1 is reached at about 1e-3."""
    parts = [
        jnp.square(a - b).reshape(len(a), -1).sum(-1)
        for a, b in zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True)
        if moves(a)
    ]
    return jnp.sqrt(sum(parts, start=jnp.float32(1e-6)))


def moves(leaf: Array) -> bool:
    """Whether gradients move it: labels stay."""
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def where(pick: Array, x: Tree, y: Tree) -> Tree:
    """Samples of x where `pick` `[n]`, else of y."""
    return jax.tree.map(lambda a, b: jnp.where(pick.reshape(-1, *[1] * (a.ndim - 1)), a, b), x, y)


def standard_normal(z: Tree) -> Array:
    """Log density `[n]` of a standard normal, up to a constant."""
    parts = [jnp.square(a).reshape(len(a), -1).sum(-1) for a in jax.tree.leaves(z) if moves(a)]
    return -0.5 * sum(parts, start=jnp.zeros(()))


def same(x: Tree) -> Tree:
    """The identity."""
    return x
