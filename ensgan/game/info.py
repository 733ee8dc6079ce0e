"""The report of a step, and its sums and means over many steps."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ensgan.types import Array


class Info(NamedTuple):
    """The report of a step. Never feeds back into training. Losses and `fool` are NaN for pairs not played."""

    loss_g: Array  # [M, N]
    loss_d: Array  # [M, N]
    weight_g: Array  # W [M, N]
    weight_d: Array  # P [M, N]
    fool: Array  # [M, N] mean σ(s − r) on the training batch
    penalty: Array  # [N], with its strength
    grad_norm_g: Array  # [M]
    grad_norm_d: Array  # [N]
    augment: Array  # scalar in [0, 1]


Total = tuple[Info, Info]  # sums over steps, and how many steps are in each


@jax.jit
def tally(info: Info) -> Total:
    """The summands of a report: a pair that was not played reports NaN, and is not counted."""
    played = jax.tree.map(lambda a: ~jnp.isnan(a), info)
    values = jax.tree.map(lambda a, p: jnp.where(p, a, 0.0), info, played)
    return values, jax.tree.map(lambda p, a: p.astype(a.dtype), played, info)


def added(total: Total | None, more: Total) -> Total:
    """The sum of two stretches; the first may be empty, which is None."""
    return more if total is None else _add(total, more)


@jax.jit
def _add(total: Total, more: Total) -> Total:
    return jax.tree.map(jnp.add, total, more)


@jax.jit
def mean(total: Total) -> Info:
    """The mean report; NaN for a pair that was never played."""
    return jax.tree.map(jnp.divide, *total)
