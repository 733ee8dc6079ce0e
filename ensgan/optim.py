"""Optimisers of stacked members: optax under `vmap`, so that each member has its own clipping, step count and rate.

Any optax transformation, with any of optax's schedules, can be the optimiser of a game. The three here have options
that a configuration can set.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax.schedules import constant_schedule

from ensgan.decays import DECAYS, Course, decay, warmed
from ensgan.types import Array, InputError, Tree, check_range, unknown


class PerMember(NamedTuple):
    """An optimiser whose hyper-parameters are arrays with one number per member (see `per_member`)."""

    factory: Callable[..., optax.GradientTransformation]
    hyper: dict[str, Any]


Optimizer = optax.GradientTransformation | PerMember


def per_member(factory: Callable[..., optax.GradientTransformation], **hyper: Any) -> PerMember:
    """An optimiser with hyper-parameters per member, kept in its state as arrays `[count]`.

    Example: `per_member(optax.adam, learning_rate=jnp.array([1e-3, 3e-4]), b1=0.0)`.

    Args:
        factory: an optax factory that takes the hyper-parameters by name.
        hyper: numbers, shared by all members, or arrays `[count]`. Other values (None, a flag, a schedule) are passed
            to the factory unchanged.
    """
    return PerMember(factory, hyper)


class Stacked(NamedTuple):
    """`init(params) -> state` and `update(grads, state, params) -> (updates, state)` for stacked members."""

    init: Callable[[Tree], Tree]
    update: Callable[[Tree, Tree, Tree], tuple[Tree, Tree]]


def stacked(optimizer: Optimizer, count: int) -> Stacked:
    """Lifts an optimiser to `count` members stacked on axis 0.

    Raises:
        InputError: a hyper-parameter array of another length than `count`.
    """
    if not isinstance(optimizer, PerMember):
        return Stacked(jax.vmap(optimizer.init), jax.vmap(optimizer.update))

    hyper, fixed = {}, {}
    for name, value in optimizer.hyper.items():
        if value is None or isinstance(value, bool | str) or callable(value):
            fixed[name] = value
            continue
        if np.ndim(value) not in (0, 1) or (np.ndim(value) == 1 and len(value) != count):
            raise InputError(
                f"{name} has shape {np.shape(value)} in a group of {count} members; give one number, or {count} of them"
            )
        lib = jnp if isinstance(value, jax.core.Tracer) else np  # a setting of replicas is traced
        hyper[name] = lib.broadcast_to(lib.asarray(value, np.float32), (count,))
    inject = optax.inject_hyperparams(partial(optimizer.factory, **fixed))

    def init(params: Tree) -> Tree:
        arrays = {name: jnp.asarray(value) for name, value in hyper.items()}
        return jax.vmap(lambda h, p: inject(**h).init(p))(arrays, params)

    # `update` reads the numbers from the state; these only give the call its form.
    update = jax.vmap(inject(**dict.fromkeys(hyper, 0.0)).update)
    return Stacked(init, update)


def common(optimizer: Optimizer) -> Optimizer:
    """The optimiser of what members have in common: with the means of the members' own numbers."""
    if not isinstance(optimizer, PerMember):
        return optimizer
    mean = lambda value: value if value is None or isinstance(value, bool | str) or callable(value) else np.mean(value)
    return PerMember(optimizer.factory, {name: mean(value) for name, value in optimizer.hyper.items()})


def clip_weights(limit: float) -> optax.GradientTransformation:
    """Clips every weight to [−limit, limit] after the update; the last of a chain (WGAN, arXiv 1701.07875, alg. 1)."""

    def update(updates: Tree, state: Tree, params: Tree = None, **extra: Any) -> tuple[Tree, Tree]:
        del extra
        clip = lambda u, p: jnp.clip(p + u, -limit, limit) - p
        return jax.tree.map(clip, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def scale_by_adam(b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8) -> optax.GradientTransformation:
    """`optax.scale_by_adam` with the same state and the same numbers, in fewer passes over memory on a CPU.

    On a CPU, XLA would compute the first moment twice, once for the state and once inside the update, and copy the old
    one for this; all of Adam then takes 2.5 times as long. A division, which looks expensive, prevents it. It is by 1.

    Args:
        b1: decay of the first moment (Kingma & Ba 2015, arXiv 1412.6980, algorithm 1).
        b2: decay of the second moment, or a schedule `step -> decay`. The correction of the bias takes the present
            decay for that of all steps, as PyTorch does.
        eps: added to the root of the second moment.
    """
    reference, scheduled = optax.scale_by_adam(b1, 0.0 if callable(b2) else b2, eps), b2

    def update(updates: Tree, state: Any, params: Tree = None) -> tuple[Tree, Tree]:
        del params
        count = optax.safe_increment(state.count)
        b2 = scheduled(state.count) if callable(scheduled) else scheduled
        one = lambda g: jnp.where(g < jnp.inf, 1.0, 2.0).astype(g.dtype)  # 1 for finite g, but XLA does not know that
        mu = jax.tree.map(lambda m, g: (b1 * m + (1.0 - b1) * g) / one(g), state.mu, updates)
        nu = jax.tree.map(lambda v, g: (b2 * v + (1.0 - b2) * g**2) / one(g), state.nu, updates)
        left_1, left_2 = 1.0 - b1**count, 1.0 - b2**count
        direction = lambda m, v: (m / left_1).astype(m.dtype) / (jnp.sqrt((v / left_2).astype(v.dtype)) + eps)
        return jax.tree.map(direction, mu, nu), optax.ScaleByAdamState(count=count, mu=mu, nu=nu)

    return optax.GradientTransformation(reference.init, update)


def _adam(learning_rate: Any, b1: Any, b2: Any, eps: Any) -> optax.GradientTransformation:
    return optax.chain(scale_by_adam(b1, b2, eps), optax.scale_by_learning_rate(learning_rate))


def average_decay(decay: float | Course, step: Array) -> Array:
    """The decay of the exponential average after `step` updates: small at first, to forget early weights."""
    t = step.astype(jnp.float32)
    return jnp.minimum(decay(t) if callable(decay) else decay, (1.0 + t) / (10.0 + t))


def half_life(samples: float, seen: int, start: float = 0.0, horizon: int = 0) -> Course:
    """The decay of an average whose weights count half after so many samples, as a schedule `step -> decay`.

    Args:
        samples: the half-life in samples (Karras et al. 2018, arXiv 1710.10196), at least 0; 0 is no average.
        seen: samples of a step.
        start: the half-life at step 0.
        horizon: number of steps in which a cosine leads from `start` to `samples`; with 0 it is `samples` throughout.

    Raises:
        InputError: a number out of range, or a start without a horizon.
    """
    for name, value in (("ema_half_life", samples), ("ema_start", start), ("ema_horizon", horizon)):
        check_range(name, value)
    if start and not horizon:
        raise InputError(f"ema_start is {start:g}, and ema_horizon says nothing of when it ends; give both or none")
    course = decay("cosine", start, samples, horizon) if horizon else constant_schedule(samples)
    return lambda step: 0.5 ** (seen / jnp.maximum(course(step), 1e-8))


def _named(factory: Callable[..., optax.GradientTransformation], learning_rate: Any, **fixed: Any) -> Optimizer:
    check_range("learning_rate", learning_rate, high=float(np.finfo(np.float32).max))
    for name, value in fixed.items():
        if value is not None and not callable(value):
            check_range(name, value, high=math.inf if name == "eps" else 1.0)
    if isinstance(learning_rate, tuple | list) and len(learning_rate) == 1:
        return factory(learning_rate[0], **fixed)
    if isinstance(learning_rate, tuple | list | np.ndarray):
        return per_member(
            lambda learning_rate: factory(learning_rate, **fixed),
            learning_rate=np.asarray(learning_rate, np.float32),
        )
    return factory(learning_rate, **fixed)


def finished(
    optimizer: Callable[..., optax.GradientTransformation],
    schedule: str = "constant",
    horizon: int = 0,
    final: float = 0.0,
    warmup: int = 0,
    clip_norm: float = 0.0,
    weight_clip: float = 0.0,
) -> Callable[..., optax.GradientTransformation]:
    """An optax factory with the steps that all named optimisers share: clipping, and the course of the learning rate.

    Args:
        optimizer: the factory.
        schedule: course of the learning rate: constant, or linear, cosine or exponential down to `final`.
        horizon: number of steps until then; it does not follow the number of steps of a run. 0 with constant.
        final: share of the rate that is left at the horizon and after it, in [0, 1); exponential needs one above 0.
        warmup: number of steps in which the rate rises to its value, a factor that does not delay the schedule.
        clip_norm: largest norm of a member's gradient; 0 is no limit.
        weight_clip: largest absolute value of a weight after an update; 0 is no limit. In a configuration, the shared
            optimiser clips discriminators only (WGAN, arXiv 1701.07875).

    Raises:
        InputError: a value out of range, or a horizon or final without a schedule that goes there.
    """
    known = ("constant", *DECAYS)
    if schedule not in known:
        raise unknown("schedule", schedule, known)
    if schedule == "constant" and (horizon or final):
        raise InputError(
            f"horizon is {horizon} and final is {final}, but a constant schedule has no end; leave both out, or give "
            "the schedule linear, cosine or exponential"
        )
    check_range("final", final, high=1.0)
    for name, value in (("warmup", warmup), ("clip_norm", clip_norm), ("weight_clip", weight_clip)):
        check_range(name, value)
    course = constant_schedule(1.0) if schedule == "constant" else decay(schedule, 1.0, final, horizon)

    def factory(learning_rate: Any, **fixed: Any) -> optax.GradientTransformation:
        parts = [optax.clip_by_global_norm(clip_norm)] if clip_norm > 0 else []
        parts.append(optimizer(learning_rate, **fixed))
        if schedule != "constant" or warmup > 0:
            parts.append(optax.scale_by_schedule(warmed(course, warmup)))
        if weight_clip > 0:
            parts.append(clip_weights(weight_clip))
        return optax.chain(*parts) if len(parts) > 1 else parts[0]

    return factory


def adam(
    learning_rate: float | tuple[float, ...] = 1e-3,
    b1: float = 0.0,
    b2: float = 0.99,
    eps: float = 1e-8,
    b2_start: float | None = None,
    b2_horizon: int = 0,
    **course: Any,
) -> Optimizer:
    """Adam, one state per member (Kingma & Ba 2015, arXiv 1412.6980).

    Args:
        learning_rate: one rate for all members, or one for each member of the group.
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: added to the denominator.
        b2_start: β₂ at step 0, from where a cosine leads to b2 (R3GAN: .9 to .99); None for b2 throughout.
        b2_horizon: number of steps until then.
        course: schedule, horizon, final, warmup, clip_norm and weight_clip, as in `finished`.

    Raises:
        InputError: as in `finished`; or a start of β₂ without a horizon, or the reverse.
    """
    for name, value in (("b2", b2), ("b2_start", b2_start or 0.0)):
        check_range(name, value, high=1.0)
    check_range("b2_horizon", b2_horizon)
    if (b2_start is None) != (b2_horizon == 0):
        raise InputError(f"b2_start is {b2_start} and b2_horizon is {b2_horizon}; give both, or leave both out")
    second = b2 if b2_start is None else decay("cosine", b2_start, b2, b2_horizon)
    return _named(finished(_adam, **course), learning_rate, b1=b1, b2=second, eps=eps)


def rmsprop(
    learning_rate: float | tuple[float, ...] = 5e-5, decay: float = 0.99, eps: float = 1e-8, **course: Any
) -> Optimizer:
    """RMSProp, the optimiser of the first Wasserstein GANs (arXiv 1701.07875).

    Args:
        learning_rate: one rate for all members, or one for each member of the group.
        decay: decay of the second moment v.
        eps: added to √v, outside of the root as in PyTorch, in which those GANs were made.
        course: schedule, horizon, final, warmup, clip_norm and weight_clip, as in `finished`.
    """
    # By optax's default eps is inside of the root, where 1e-8 acts as 1e-4.
    return _named(finished(partial(optax.rmsprop, eps_in_sqrt=False), **course), learning_rate, decay=decay, eps=eps)


def sgd(learning_rate: float | tuple[float, ...] = 1e-2, momentum: float = 0.0, **course: Any) -> Optimizer:
    """Stochastic gradient descent.

    Args:
        learning_rate: one rate for all members, or one for each member of the group.
        momentum: decay of the velocity; 0 is plain gradient descent.
        course: schedule, horizon, final, warmup, clip_norm and weight_clip, as in `finished`.
    """
    return _named(finished(optax.sgd, **course), learning_rate, momentum=momentum or None)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"adam": adam, "rmsprop": rmsprop, "sgd": sgd}
