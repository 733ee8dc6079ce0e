"""Regularisers of one discriminator: gradient penalties, each with a strength and a lazy interval.

`strength` may be a number, an array with one number per discriminator, or a schedule `step -> number`, such as those of
`optax.schedules`. With `final` it goes there within `horizon` steps and stays: strong while samples are far from the
data, weak when details are learned (as in R3GAN, by a cosine; Huang et al. 2024, arXiv 2501.05441). With `interval = k`
a penalty is computed every k-th step and counts k times (Karras et al. 2020, arXiv 1912.04958).

With an augmentation, gradients are taken at the samples that the discriminator sees, after it: a penalty is about the
discriminator alone. StyleGAN2-ADA takes them before it, so that the augmentation's own slope counts as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from optax.schedules import constant_schedule

from ensgan.decays import decay, warmed
from ensgan.types import Array, InputError, Penalty, check_range

Critic = Callable[[Array], Array]


def squared_gradient(critic: Critic, x: Array) -> Array:
    """‖∇ₓ D(x_b)‖² for each sample of `x` `[B, ...]`, as `[B]`. Exact where a logit depends on its own sample only."""
    gradient = jax.grad(lambda x: critic(x).sum())(x)
    return jnp.sum(gradient**2, axis=tuple(range(1, x.ndim)))


def course(
    strength: Any,
    final: float | None = None,
    horizon: int | None = None,
    schedule: str = "exponential",
    warmup: int = 0,
) -> Any:
    """A strength as `Penalty` takes it: as it is, or as a function of the step where it changes.

    Args:
        strength: a number, an array `[N]` of one number per discriminator, or a schedule `step -> number`.
        final: the strength at the horizon and after it; without one the strength does not change.
        horizon: number of steps until the final strength.
        schedule: how the strength goes there: exponential (by the same factor every step), linear or cosine.
        warmup: number of steps in which the strength rises to its value, a factor that does not delay the schedule.

    Raises:
        InputError: a number out of range, a horizon without `final`, or `final` without a horizon or beside a schedule.
    """
    if not callable(strength):
        check_range("a penalty's strength", strength)
    if final is None and (horizon is not None or schedule != "exponential"):
        raise InputError(
            f"horizon is {horizon} and schedule is {schedule}, but there is no final strength to go to; give final, or "
            "leave them out"
        )
    if final is not None:
        if callable(strength):
            raise InputError(
                f"strength is a schedule and final is {final}; give a number as the strength, or leave final out"
            )
        check_range("a penalty's final", final)
        strength = decay(schedule, jnp.asarray(strength, float), final, horizon or 0)
    check_range("warmup", warmup)
    if not warmup:
        return strength
    return warmed(strength if callable(strength) else constant_schedule(jnp.asarray(strength, float)), warmup)


def _penalty(
    value: Callable[[Critic, Array, Array, Array], Array],
    fakes: bool,
    quadratic: bool,
    strength: Any,
    interval: int,
    **options: Any,
) -> Penalty:
    if not isinstance(interval, int) or interval < 1:
        raise InputError(f"a penalty's interval is {interval}; give a whole number of steps, at least 1")
    return Penalty(value, course(strength, **options), interval, fakes, quadratic)


def r1(strength: Any = 0.1, interval: int = 1, **options: Any) -> Penalty:
    """γ/2 E‖∇D(x)‖² on reals (Mescheder et al. 2018, arXiv 1801.04406, eq. 9).

    Args:
        strength: γ ≥ 0.
        interval: number of steps from one computation to the next.
        options: final, horizon, schedule and warmup, as in `course`.
    """

    def value(critic: Critic, real: Array, fake: Array, keys: Array) -> Array:
        del fake, keys
        return 0.5 * squared_gradient(critic, real)

    return _penalty(value, False, True, strength, interval, **options)


def r2(strength: Any = 0.1, interval: int = 1, **options: Any) -> Penalty:
    """γ/2 E‖∇D(G(z))‖² on fakes (Mescheder et al. 2018, arXiv 1801.04406, eq. 10).

    Args:
        strength: γ ≥ 0.
        interval: number of steps from one computation to the next.
        options: final, horizon, schedule and warmup, as in `course`.
    """

    def value(critic: Critic, real: Array, fake: Array, keys: Array) -> Array:
        del real, keys
        return 0.5 * squared_gradient(critic, fake)

    return _penalty(value, True, True, strength, interval, **options)


def r1_r2(strength: Any = 0.05, interval: int = 1, **options: Any) -> Penalty:
    """γ/2 (E‖∇D(x)‖² + E‖∇D(G(z))‖²), as R3GAN uses it (Huang et al. 2024, arXiv 2501.05441).

    Args:
        strength: γ ≥ 0.
        interval: number of steps from one computation to the next.
        options: final, horizon, schedule and warmup, as in `course`.
    """

    def value(critic: Critic, real: Array, fake: Array, keys: Array) -> Array:
        del keys
        # Separately, so that batch statistics do not mix reals with fakes.
        return 0.5 * (squared_gradient(critic, real) + squared_gradient(critic, fake))

    return _penalty(value, True, True, strength, interval, **options)


def gradient_penalty(strength: Any = 10.0, interval: int = 1, center: float = 1.0, **options: Any) -> Penalty:
    """γ E(‖∇D(x̂)‖ − c)² on random interpolates of reals and fakes (Gulrajani et al. 2017, arXiv 1704.00028, eq. 3).

    Args:
        strength: γ ≥ 0.
        interval: number of steps from one computation to the next.
        center: c, the target norm; 1 for WGAN-GP, 0 for a zero-centred penalty.
        options: final, horizon, schedule and warmup, as in `course`.
    """

    def value(critic: Critic, real: Array, fake: Array, keys: Array) -> Array:
        share = jax.vmap(jax.random.uniform)(keys).reshape((-1,) + (1,) * (real.ndim - 1))
        square = squared_gradient(critic, share * real + (1.0 - share) * fake)
        return (jnp.sqrt(square + 1e-12) - center) ** 2  # the square root has no slope at 0

    return _penalty(value, True, False, strength, interval, **options)


PENALTIES: dict[str, Callable[..., Penalty | None]] = {
    "none": lambda: None,
    "r1": r1,
    "r2": r2,
    "r1_r2": r1_r2,
    "gradient_penalty": gradient_penalty,
}
