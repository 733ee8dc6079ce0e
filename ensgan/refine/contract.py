"""Common parts of the refinement methods: arguments and results, compiled portions, and checks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from ensgan.types import Array, InputError, Tree, unknown

Ratio = Callable[[Any], Array]
Draw = Callable[[Array, int], Any]
Progress = Callable[[int], None]

PILOT = 2**32 - 1  # sets draws that only measure apart from those of portions and rounds, which count from 0


class Refined(NamedTuple):
    """Samples and what they cost. Host numbers."""

    x: Any  # [num, ...] or a tree of such
    acceptance: float  # share of proposals that were accepted; of gradient steps, which are always taken, 1
    generated: float  # evaluations of the generator per sample; one with its gradient counts as one
    judged: float  # evaluations of the judge per sample, likewise
    effective: float  # effective sample size for the law p_sampler · exp(log_ratio), at most num; NaN if unknown


class NothingAccepted(InputError):
    """The judge accepts nothing, so that there are no refined samples."""


class Portions(TypedDict, total=False):
    """How the work is cut.

    Attributes:
        batch: samples, proposals or chains at a time; 1,024 if not given.
        progress: called with the number of samples so far.
    """

    batch: int
    progress: Progress | None


def portions(
    run: Callable[[Array, int], tuple[Tree, Array]], key: Array, num: int, work: Portions
) -> tuple[Tree, np.ndarray, float]:
    """`num` samples and one number each, from calls of one size; third, how many were made for each that is given.

    Sizes are as equal as can be, so that hardly any are made in vain.
    """
    batch, progress = cut(num, work)
    count = -(-num // batch)
    parts, size = [], -(-num // count)
    for k in range(count):
        parts.append(jax.tree.map(np.asarray, run(jax.random.fold_in(key, k), size)))
        if progress is not None:
            progress(min((k + 1) * size, num))
    x, number = jax.tree.map(lambda *leaves: jnp.asarray(np.concatenate(leaves)[:num]), *parts)
    return x, number, count * size / num


def finished(x: Tree) -> tuple[Tree, Array]:
    """Samples, and which of them are finite."""
    each = [jnp.isfinite(leaf).reshape(len(leaf), -1).all(-1) for leaf in jax.tree.leaves(x)]
    return x, jnp.stack(each).all(0)


def known(f: Array) -> Array:
    """Log ratios, those that are NaN as the ratio 0."""
    return jnp.where(jnp.isnan(f), -jnp.inf, f)


def as_partial(fn: Callable[..., Any]) -> Partial:
    """A function that may go into a compiled one, with the arrays it holds as arguments of that."""
    return fn if isinstance(fn, Partial) else Partial(fn)


def cut(num: int, work: Portions) -> tuple[int, Progress | None]:
    """`batch` and `progress`. Raises InputError for other keywords, or where there is nothing to draw."""
    if extra := work.keys() - Portions.__annotations__:
        raise unknown("keyword", sorted(extra)[0], Portions.__annotations__)
    batch = work.get("batch", 1024)
    if num < 1 or batch < 1:
        raise InputError(f"asked for {num} samples, {batch} at a time; both are at least 1")
    return batch, work.get("progress")


def check_budget(budget: float) -> None:
    """Raises InputError unless a budget is a share of proposals to accept."""
    if not 0.0 < budget <= 1.0:
        raise InputError(f"budget is {budget}; it is the share of proposals to accept, above 0 and at most 1")


def check_steps(steps: int) -> None:
    """Raises InputError unless this is a number of steps, which programs count in int32."""
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps < 2**31:
        raise InputError(f"steps is {steps!r}; give a whole number, at least 1 and below 2³¹")


def check_rate(rate: float, name: str = "rate") -> None:
    """Raises InputError unless a number is finite and above 0."""
    if not 0.0 < rate < math.inf:
        raise InputError(f"{name} is {rate}; it must be a finite number above 0")


def check_finite(finite: np.ndarray, name: str, value: float) -> None:
    """Raises InputError where samples left the finite numbers, by the number that is to be lowered."""
    if not np.asarray(finite).all():
        bad = int((~np.asarray(finite)).sum())
        raise InputError(f"{bad} of {len(finite)} samples are not finite: the {name} {value:g} is too large; lower it")
