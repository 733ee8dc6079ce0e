"""Batches as a step takes them: drawn from the source, weighed, and dealt to the devices."""

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
    """`draw(arrays, keys)` of a source, by the weights of the game's schedule where it gives some."""
    weighs = game.schedule is not None and game.schedule.claims.weight is not None
    return by_weight(source.pick) if weighs else source.draw


@cache  # one function for one source, so that programs are compiled once
def by_weight(pick: Any) -> Any:
    """`draw((arrays, weight), keys)` of samples in proportion to weights `[n]`, from the `pick` of a source."""

    def draw(weighted: tuple[Tree, Array], keys: Array) -> dict[str, Array]:
        arrays, weight = weighted
        side = max(math.isqrt(len(weight)), 1)
        row_RS = jnp.pad(weight, (0, -len(weight) % side)).reshape(-1, side)
        within_RS, rows_R = jnp.cumsum(row_RS, axis=1), jnp.cumsum(row_RS.sum(axis=1))

        def one(key: Array) -> dict[str, Array]:
            # A row, then a sample in it: in one float32 sum over millions of samples, some would have no share.
            which, noise = jax.random.split(key)
            u, v = jax.random.uniform(which, (2,))
            r = jnp.searchsorted(rows_R, u * rows_R[-1], side="right")
            i = side * r + jnp.searchsorted(within_RS[r], v * within_RS[r, -1], side="right")
            return pick(arrays, jnp.minimum(i, len(weight) - 1).astype(jnp.int32), noise)

        return jax.vmap(one)(keys)

    return draw


def check_weights(game: Game, source: Source) -> None:
    """Raises InputError where a schedule gives weights to samples that cannot be counted."""
    if game.schedule is None or game.schedule.claims.weight is None:
        return
    weight = jax.eval_shape(lambda: game.schedule.claims.weight(game.schedule.init(game)))  # type: ignore[union-attr,misc]
    num = source.num["train"]
    if source.draw is None or source.pick is None or num is None or "x" not in source.arrays["train"]:
        raise InputError(
            f"the schedule gives weights to samples, and those of {source.name!r} are not a table in memory; use data "
            "that are (for ring and grid, set points to how many there are)"
        )
    if weight.shape != (num,):
        raise InputError(f"the schedule has weights for {weight.shape[0]} samples, and the train split has {num}")


def draw_batch(game: Game, draw: Any, state: State, arrays: Tree, place: Place = ALONE) -> dict[str, Array]:
    """This device's samples of the batches of the next step: a pure function of (seed, step)."""
    key, samples = jax.random.fold_in(state.key, 2 * state.step), place.samples(game.batch_size)
    if game.schedule is not None and game.schedule.claims.weight is not None:
        arrays = (arrays, game.schedule.claims.weight(state.schedule))
    if game.n_critic == 1:
        return draw(arrays, member_keys(key, samples))
    each = lambda c: draw(arrays, member_keys(jax.random.fold_in(key, c), samples))
    return jax.vmap(each)(jnp.arange(game.n_critic))
