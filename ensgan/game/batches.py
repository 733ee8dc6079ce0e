"""Batches: drawn from the source for one step, by the weights of samples if a schedule gives some."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

from ensgan.data import Source
from ensgan.devices.mesh import ALONE, Place
from ensgan.game.game import Game
from ensgan.game.population import member_keys
from ensgan.game.state import State
from ensgan.types import Array, InputError, Tree


def draw_of(game: Game, source: Source) -> Any:
    """`draw(arrays, keys)` of a source, by the schedule's weights if it gives some; None for a stream."""
    return source.draw if game.claims.weight is None else by_weight(source.pick)


@cache  # the same function for the same source, so that programs are compiled once
def by_weight(pick: Any) -> Any:
    """`draw((arrays, weight), keys)` of samples in proportion to weights `[n]`, from the `pick` of a source."""

    def draw(weighted: tuple[Tree, Array], keys: Array) -> dict[str, Array]:
        arrays, weight = weighted
        side = max(math.isqrt(len(weight)), 1)
        row_RS = jnp.pad(weight, (0, -len(weight) % side)).reshape(-1, side)
        within_RS, rows_R = sums(row_RS), sums(row_RS.sum(axis=1))

        def one(key: Array) -> dict[str, Array]:
            # First a row, then a sample in it: in one float32 sum over millions of samples, some would have no share.
            which, noise = jax.random.split(key)
            u, v = jax.random.uniform(which, (2,))
            r = jnp.searchsorted(rows_R, u * rows_R[-1], side="right")
            i = side * r + jnp.searchsorted(within_RS[r], v * within_RS[r, -1], side="right")
            return pick(arrays, jnp.minimum(i, len(weight) - 1).astype(jnp.int32), noise)

        return jax.vmap(one)(keys)

    return draw


def sums(weight: Array) -> Array:
    """Sums `[..., n]` up to each weight; they never fall, and do not grow where a weight is 0, whatever is rounded."""
    total = jnp.where(weight > 0.0, jnp.cumsum(weight, axis=-1), 0.0)
    return jax.lax.cummax(total, axis=weight.ndim - 1)


def check_weights(game: Game, source: Source) -> None:
    """Raises InputError if a schedule weighs samples, and the source is no table of as many samples."""
    schedule, of_state = game.schedule, game.claims.weight
    if schedule is None or of_state is None:
        return
    weight = jax.eval_shape(lambda: of_state(schedule.init(game)))
    num = source.num["train"]
    if source.draw is None or source.pick is None or num is None or "x" not in source.arrays["train"]:
        raise InputError(
            f"the schedule gives weights to samples, but those of {source.name!r} are not a table in memory; use data "
            "in memory (for ring and grid, set points to the number of samples)"
        )
    if weight.shape != (num,):
        raise InputError(f"the schedule has weights for {weight.shape[0]} samples, but the train split has {num}")


def draw_batch(game: Game, draw: Any, state: State, arrays: Tree, place: Place = ALONE) -> dict[str, Array]:
    """This device's samples of the batches of the next step: a pure function of (seed, step)."""
    key, samples = jax.random.fold_in(state.key, 2 * state.step), place.samples(game.reals)
    if game.claims.weight is not None:
        arrays = (arrays, game.claims.weight(state.schedule))
    if game.n_critic == 1:
        return draw(arrays, member_keys(key, samples))
    each = lambda c: draw(arrays, member_keys(jax.random.fold_in(key, c), samples))
    return jax.vmap(each)(jnp.arange(game.n_critic))
