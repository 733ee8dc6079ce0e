"""How a learning rate or a penalty's strength changes with the step: a decay to a floor, and a warm-up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from optax import schedules

from ensgan.types import InputError, check_range, unknown

Course = Callable[[Any], Any]  # step -> number, a schedule of optax


def linear(first: Any, final: Any, horizon: int) -> Course:
    """Changes by the same amount every step."""
    line, rest = schedules.linear_schedule(first, final, horizon), schedules.constant_schedule(final)
    return schedules.join_schedules([line, rest], [horizon])  # the line itself may end a rounding error off


def cosine(first: Any, final: Any, horizon: int) -> Course:
    """Half a period of a cosine: slow, fast, slow (Loshchilov & Hutter 2017, arXiv 1608.03983)."""
    fall = schedules.cosine_decay_schedule(1.0, 1)  # from 1 to 0, as a function of step / horizon
    return lambda step: final + (first - final) * fall(step / horizon)


def exponential(first: Any, final: Any, horizon: int) -> Course:
    """Changes by the same factor every step. `optax` has this for one number only, and these may be arrays."""
    for end in (first, final):
        if not isinstance(end, jax.core.Tracer) and not np.all(np.asarray(end) > 0.0):
            raise InputError(
                f"an exponential schedule has the end {np.asarray(end)}, and no factor leads from or to 0; give "
                "numbers above 0, or the schedule linear or cosine"
            )
    return lambda step: first * (final / first) ** (jnp.minimum(step, horizon) / horizon)


DECAYS: dict[str, Callable[[Any, Any, int], Course]] = {"cosine": cosine, "exponential": exponential, "linear": linear}


def decay(schedule: str, first: Any, final: Any, horizon: int) -> Course:
    """The course from `first` at step 0 to `final` at step `horizon`, where it stays.

    Args:
        schedule: a name in DECAYS.
        first: a number, or an array with one number per member.
        final: the same.
        horizon: number of steps.

    Raises:
        InputError: an unknown name, a horizon below 1, or an exponential decay from or to 0.
    """
    if schedule not in DECAYS:
        raise unknown("schedule", schedule, DECAYS)
    if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
        raise InputError(f"horizon is {horizon!r}; the schedule {schedule} needs a number of steps, at least 1")
    return DECAYS[schedule](first, final, horizon)


def warmed(course: Course, warmup: int) -> Course:
    """The course times a factor that rises linearly, from 1/(warmup + 1) at step 0 to 1 at step `warmup`."""
    check_range("warmup", warmup)
    return lambda step: jnp.minimum(1.0, (step + 1.0) / (warmup + 1.0)) * course(step)
