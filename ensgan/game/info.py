"""The report of a step, and sums and means of reports over many steps."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ensgan.types import Array


class Info(NamedTuple):
    """The report of a step. Training never uses it. Losses and `fool` of pairs that were not played are NaN."""

    loss_g: Array  # [M, N]
    loss_d: Array  # [M, N]
    weight_g: Array  # W [M, N]
    weight_d: Array  # P [M, N]
    fool: Array  # [M, N] mean σ(s − r) on the training batch
    penalty: Array  # [N], with its strength
    grad_norm_g: Array  # [M]
    grad_norm_d: Array  # [N]
    augment: Array  # scalar in [0, 1]


Total = tuple[Info, Info]  # sums over steps, and the number of steps in each sum


@jax.jit
def tally(info: Info) -> Total:
    """A report as a total of one step: pairs that were not played report NaN, and are not counted."""
    played = jax.tree.map(lambda a: ~jnp.isnan(a), info)
    values = jax.tree.map(lambda a, p: jnp.where(p, a, 0.0), info, played)
    return values, jax.tree.map(lambda p, a: p.astype(a.dtype), played, info)


def added(total: Total | None, more: Total) -> Total:
    """The sum of two totals; the first may be None, for no steps."""
    return more if total is None else _add(total, more)


@jax.jit
def _add(total: Total, more: Total) -> Total:
    return jax.tree.map(jnp.add, total, more)


@jax.jit
def mean(total: Total) -> Info:
    """The mean report of a step; NaN for pairs that were never played."""
    return jax.tree.map(jnp.divide, *total)
