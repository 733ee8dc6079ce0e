"""Regularisers of one discriminator: gradient penalties, each with a strength and a lazy interval.

`strength` may be a number, an array with one number per discriminator, or a schedule `step -> number`.
With `interval = k` a penalty is computed every k-th step and counts k times (Karras et al. 2020, arXiv 1912.04958).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ensgan.types import Array, InputError, Penalty, check_range

Critic = Callable[[Array], Array]


def squared_gradient(critic: Critic, x: Array) -> Array:
    """‖∇ₓ D(x_b)‖² for each sample of `x` `[B, ...]`, as `[B]`. Exact where a logit depends on its own sample only."""
    gradient = jax.grad(lambda x: critic(x).sum())(x)
    return jnp.sum(gradient**2, axis=tuple(range(1, x.ndim)))


def _penalty(value: Callable[..., Array], strength: Any, interval: int, fakes: bool) -> Penalty:
    if not isinstance(interval, int) or interval < 1:
        raise InputError(f"a penalty's interval is {interval}; it counts steps and is a whole number, at least 1")
    if not callable(strength):
        check_range("a penalty's strength", strength)
    return Penalty(value, strength, interval, fakes)


def r1(strength: Any = 0.1, interval: int = 1) -> Penalty:
    """γ/2 E‖∇D(x)‖² on reals (Mescheder et al. 2018, arXiv 1801.04406, eq. 9).

    Args:
        strength: γ ≥ 0.
        interval: steps between two computations.
    """

    def value(critic: Critic, real: Array, fake: Array, keys: Array) -> Array:
        del fake, keys
        return 0.5 * squared_gradient(critic, real)

    return _penalty(value, strength, interval, fakes=False)


def r2(strength: Any = 0.1, interval: int = 1) -> Penalty:
    """γ/2 E‖∇D(G(z))‖² on fakes (Mescheder et al. 2018, arXiv 1801.04406, eq. 10).

    Args:
        strength: γ ≥ 0.
        interval: steps between two computations.
    """

    def value(critic: Critic, real: Array, fake: Array, keys: Array) -> Array:
        del real, keys
        return 0.5 * squared_gradient(critic, fake)

    return _penalty(value, strength, interval, fakes=True)


def r1_r2(strength: Any = 0.05, interval: int = 1) -> Penalty:
    """γ/2 (E‖∇D(x)‖² + E‖∇D(G(z))‖²), as R3GAN uses it (Huang et al. 2024, arXiv 2501.05441).

    Args:
        strength: γ ≥ 0.
        interval: steps between two computations.
    """

    def value(critic: Critic, real: Array, fake: Array, keys: Array) -> Array:
        del keys
        # Apart, so that batch statistics do not mix reals with fakes.
        return 0.5 * (squared_gradient(critic, real) + squared_gradient(critic, fake))

    return _penalty(value, strength, interval, fakes=True)


def gradient_penalty(strength: Any = 10.0, interval: int = 1, center: float = 1.0) -> Penalty:
    """γ E(‖∇D(x̂)‖ − c)² on random interpolates of reals and fakes (Gulrajani et al. 2017, arXiv 1704.00028, eq. 3).

    Args:
        strength: γ ≥ 0.
        interval: steps between two computations.
        center: c, the norm that is asked for; 1 is WGAN-GP, 0 is zero-centred.
    """

    def value(critic: Critic, real: Array, fake: Array, keys: Array) -> Array:
        share = jax.vmap(jax.random.uniform)(keys).reshape((-1,) + (1,) * (real.ndim - 1))
        square = squared_gradient(critic, share * real + (1.0 - share) * fake)
        return (jnp.sqrt(square + 1e-12) - center) ** 2  # the square root has no slope at 0

    return _penalty(value, strength, interval, fakes=True)


PENALTIES: dict[str, Callable[..., Penalty | None]] = {
    "none": lambda: None,
    "r1": r1,
    "r2": r2,
    "r1_r2": r1_r2,
    "gradient_penalty": gradient_penalty,
}
