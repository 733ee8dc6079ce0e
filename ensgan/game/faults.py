"""Faults: the first member that stopped being finite, after which no member is updated.

One NaN reaches every generator within one step. So each step checks the samples, logits, gradients and new weights of
every member, in the order in which a fault spreads; the first check that fails names the source.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.devices.mesh import Place
from ensgan.game.game import Game
from ensgan.game.population import Groups, Population, counts, whole
from ensgan.game.state import State
from ensgan.types import Array, Tree

KINDS = ("generator", "discriminator")
CAUSES = ("its output", "its gradient", "its update")
G, D = range(2)
OUTPUT, GRADIENT, UPDATE = range(3)

Flags = list[tuple[int, int, Array]]  # side, cause, whether each member of that side is finite


def finite(trees: tuple[Tree, ...]) -> Array:
    """Whether every number of each member is finite, `[members]`."""
    # 0 · x is 0 unless x is NaN or infinite. The sum is one pass; `isfinite` of every number would be stored.
    nothing = lambda leaf: jnp.sum((0.0 * leaf).reshape(leaf.shape[0], -1), axis=1)
    return jnp.concatenate([jnp.isfinite(sum(map(nothing, jax.tree.leaves(tree)))) for tree in trees])


def guard(game: Game, old: State, flags: Flags, update: Callable[[State], State], place: Place) -> State:
    """The state after `update`; or `old` with the first fault recorded, if a member is not finite, now or before.

    The flags are known before the update, so the update is a branch of its own and works in place; a `where` between
    old and new numbers would make XLA keep both. Faults of the update itself (a division by an eps of 0) are found in
    the new weights: that update is not undone, but no later one is made.
    """
    healthy = old.fault[0] < 0
    broken, fault = _first(old.step, flags)
    new = jax.lax.cond(healthy & ~broken, update, lambda s: s, old)
    late_broken, late = _first(old.step, _updates(game, new, place))
    fault = jnp.where(broken, fault, jnp.where(late_broken, late, old.fault))
    # The step counts on after a fault, so that it is the same for all replicas of a game.
    return new._replace(step=old.step + 1, fault=jnp.where(healthy, fault, old.fault))


def _first(step: Array, flags: Flags) -> tuple[Array, Array]:
    """Whether a member is not finite, and the record of the first; flags are in the order in which a fault spreads.

    Of two sides with the same fault, the one where fewer members have it is the source: one generator that is far off
    spoils the gradients of all discriminators, and one discriminator those of all generators.
    """
    table = jnp.array([(side, member, cause) for side, cause, f in flags for member in range(f.shape[0])])
    stage = np.cumsum([k > 0 and flags[k - 1][1] != cause for k, (_, cause, _) in enumerate(flags)])
    rank = [jnp.where(f, jnp.inf, at + 0.5 * jnp.mean(~f)) for at, (_, _, f) in zip(stage, flags, strict=True)]
    first = jnp.concatenate(rank)
    return ~jnp.isinf(first.min()), jnp.concatenate([step[None], table[jnp.argmin(first)]]).astype(jnp.int32)


def _updates(game: Game, state: State, place: Place) -> Flags:
    """Flags of the weights after an update."""

    def flags(groups: Groups, members: Population, place: Place) -> Array:
        return place.gather(finite(tuple(whole(m).params for m in members)), counts(groups))

    return [
        (D, UPDATE, flags(game.groups_d, state.discriminators, place.of_d)),
        (G, UPDATE, flags(game.groups_g, state.generators, place)),
    ]


def spoiled(fault: Any) -> bool:
    """Whether the faulty state itself has weights that are not finite, because its update was not undone."""
    return int(fault[0]) >= 0 and int(fault[3]) == UPDATE


def stopped(state: State) -> State:
    """The state in which a faulty game stopped, on the host; its step is that of the last update.

    If the state itself is finite, the fault is removed, so that training can go on from it.
    """
    step = state.fault[0] + (1 if spoiled(state.fault) else 0)
    fault = state.fault if spoiled(state.fault) else jnp.full((4,), -1, jnp.int32)
    return state._replace(step=jnp.asarray(step, jnp.int32), fault=fault)


def describe_fault(fault: Any) -> str | None:
    """One line about the first fault of a state (`state.fault`, on the host), or None if there is none."""
    step, side, member, cause = (int(value) for value in fault)
    if step < 0:
        return None
    return f"{KINDS[side]} {member} stopped being finite in step {step + 1} ({CAUSES[cause]})"
