"""Priors of latents: how one is drawn, and how one comes from one to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ensgan.types import Array, Shape


def straight(a: Array, b: Array, t: Array) -> Array:
    """The point at share t of the straight way from a to b."""
    return (1.0 - t) * a + t * b


def circular(a: Array, b: Array, t: Array) -> Array:
    """The same on a circle: between two independent normals, every point has their law."""
    return jnp.cos(jnp.pi / 2 * t) * a + jnp.sin(jnp.pi / 2 * t) * b


class Latent(NamedTuple):
    """A prior of latents: `draw(key, shape) -> [*shape]`, times `scale`, a number or an array with one per member.

    `between(a, b, t)` is the latent at share t of the way from a to b, and `law` says in words what `draw` draws.
    """

    draw: Callable[[Array, Shape], Array]
    scale: Any = 1.0
    between: Callable[[Array, Array, Array], Array] = straight
    law: str = "of its own"


def normal(scale: Any = 1.0) -> Latent:
    """Independent normals with standard deviation `scale` (a number, or an array with one per member)."""
    return Latent(jax.random.normal, scale, circular, "independent standard normals")


def uniform(scale: Any = 1.0) -> Latent:
    """Independent uniforms on [−scale, scale] (a number, or an array with one per member)."""
    draw = lambda key, shape: jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
    return Latent(draw, scale, law="independent uniforms on [-1, 1]")
