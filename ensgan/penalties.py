"""Regularisers of one discriminator: gradient penalties, each with a strength and a lazy interval.

`strength` may be a number, an array with one number per discriminator, or a schedule `step -> number`. With `final` it
goes there within `horizon` steps, by the same factor every step, and stays: strong while samples are far from the data,
weak where fine detail is learned (R3GAN lowers it too, by a cosine; Huang et al. 2024, arXiv 2501.05441).
With `interval = k` a penalty is computed every k-th step and counts k times (Karras et al. 2020, arXiv 1912.04958).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ensgan.types import Array, InputError, Penalty, check_range

Critic = Callable[[Array], Array]


def squared_gradient(critic: Critic, x: Array) -> Array:
    """‖∇ₓ D(x_b)‖² for each sample of `x` `[B, ...]`, as `[B]`. Exact where a logit depends on its own sample only."""
    gradient = jax.grad(lambda x: critic(x).sum())(x)
    return jnp.sum(gradient**2, axis=tuple(range(1, x.ndim)))


def geometric(first: Any, final: float, horizon: int) -> Callable[[Array], Array]:
    """The schedule from `first` (a number, or one per discriminator) to `final` in `horizon` steps, by equal factors.

    Raises:
        InputError: a number that is not above 0, as no factor leads from or to 0; or a horizon below 1.
    """
    for name, value in (("strength", first), ("final", final)):
        if callable(value):
            raise InputError(f"{name} is a schedule; with final, both are numbers above 0")
        check_range(f"a penalty's {name}", value)
        if not isinstance(value, jax.core.Tracer) and not np.all(np.asarray(value) > 0.0):
            raise InputError(f"{name} is {value}; with final, both are numbers above 0")
    if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
        raise InputError(f"horizon is {horizon!r}; with final, give the steps that it takes, at least 1")
    exponent = optax.linear_schedule(jnp.log(jnp.asarray(first, float)), math.log(final), horizon)
    return lambda step: jnp.exp(exponent(step))


def _penalty(
    value: Callable[..., Array],
    strength: Any,
    interval: int,
    fakes: bool,
    final: float | None,
    horizon: int | None,
) -> Penalty:
    if not isinstance(interval, int) or interval < 1:
        raise InputError(f"a penalty's interval is {interval}; it counts steps and is a whole number, at least 1")
    if final is not None:
        strength = geometric(strength, final, horizon or 0)
    elif horizon is not None:
        raise InputError(f"horizon is {horizon}, but the strength has no end to go to; give final, or leave it out")
    if not callable(strength):
        check_range("a penalty's strength", strength)
    return Penalty(value, strength, interval, fakes)


def r1(strength: Any = 0.1, interval: int = 1, final: float | None = None, horizon: int | None = None) -> Penalty:
    """γ/2 E‖∇D(x)‖² on reals (Mescheder et al. 2018, arXiv 1801.04406, eq. 9).

    Args:
        strength: γ ≥ 0.
        interval: steps between two computations.
        final: None, or γ at the end of `horizon`.
        horizon: steps until then.
    """

    def value(critic: Critic, real: Array, fake: Array, keys: Array) -> Array:
        del fake, keys
        return 0.5 * squared_gradient(critic, real)

    return _penalty(value, strength, interval, False, final, horizon)


def r2(strength: Any = 0.1, interval: int = 1, final: float | None = None, horizon: int | None = None) -> Penalty:
    """γ/2 E‖∇D(G(z))‖² on fakes (Mescheder et al. 2018, arXiv 1801.04406, eq. 10).

    Args:
        strength: γ ≥ 0.
        interval: steps between two computations.
        final: None, or γ at the end of `horizon`.
        horizon: steps until then.
    """

    def value(critic: Critic, real: Array, fake: Array, keys: Array) -> Array:
        del real, keys
        return 0.5 * squared_gradient(critic, fake)

    return _penalty(value, strength, interval, True, final, horizon)


def r1_r2(strength: Any = 0.05, interval: int = 1, final: float | None = None, horizon: int | None = None) -> Penalty:
    """γ/2 (E‖∇D(x)‖² + E‖∇D(G(z))‖²), as R3GAN uses it (Huang et al. 2024, arXiv 2501.05441).

    Args:
        strength: γ ≥ 0.
        interval: steps between two computations.
        final: None, or γ at the end of `horizon`.
        horizon: steps until then.
    """

    def value(critic: Critic, real: Array, fake: Array, keys: Array) -> Array:
        del keys
        # Apart, so that batch statistics do not mix reals with fakes.
        return 0.5 * (squared_gradient(critic, real) + squared_gradient(critic, fake))

    return _penalty(value, strength, interval, True, final, horizon)


def gradient_penalty(
    strength: Any = 10.0,
    interval: int = 1,
    center: float = 1.0,
    final: float | None = None,
    horizon: int | None = None,
) -> Penalty:
    """γ E(‖∇D(x̂)‖ − c)² on random interpolates of reals and fakes (Gulrajani et al. 2017, arXiv 1704.00028, eq. 3).

    Args:
        strength: γ ≥ 0.
        interval: steps between two computations.
        center: c, the norm that is asked for; 1 is WGAN-GP, 0 is zero-centred.
        final: None, or γ at the end of `horizon`.
        horizon: steps until then.
    """

    def value(critic: Critic, real: Array, fake: Array, keys: Array) -> Array:
        share = jax.vmap(jax.random.uniform)(keys).reshape((-1,) + (1,) * (real.ndim - 1))
        square = squared_gradient(critic, share * real + (1.0 - share) * fake)
        return (jnp.sqrt(square + 1e-12) - center) ** 2  # the square root has no slope at 0

    return _penalty(value, strength, interval, True, final, horizon)


PENALTIES: dict[str, Callable[..., Penalty | None]] = {
    "none": lambda: None,
    "r1": r1,
    "r2": r2,
    "r1_r2": r1_r2,
    "gradient_penalty": gradient_penalty,
}
