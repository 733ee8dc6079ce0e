"""A new life for a member that stopped being finite: weights that are good, fresh moments, and smaller steps."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp

from ensgan import optim
from ensgan.game.game import Game
from ensgan.game.population import Population
from ensgan.game.state import State
from ensgan.pace import Pace, is_pace
from ensgan.types import Array, Tree

Side = Literal["generators", "discriminators"]


@partial(jax.jit, static_argnums=(0, 2, 3))
def revived(game: Game, state: State, side: Side, group: int, slot: Array, donor: Array, pace: Pace) -> State:
    """The state in which a member starts again.

    Args:
        game: the game.
        state: where it stands.
        side: the side of the member.
        group: the number of its group on that side.
        slot: its number in the group.
        donor: the number in the group of the member whose weights, averages and network state it takes; its own number
            keeps them.
        pace: its pace from now on, scalars.
    """
    own = game.groups_g[group] if side == "generators" else game.groups_d[group]
    members = getattr(state, side)[group]
    copied = lambda tree: jax.tree.map(lambda leaf: leaf.at[slot].set(leaf[donor]), tree)
    params = copied(members.params)
    fresh = optim.stacked(own.optimizer or game.optimizer, own.count).init(params)

    def renewed(old: Any, new: Any) -> Any:
        if isinstance(old, Pace):
            return Pace(*(leaf.at[slot].set(value) for leaf, value in zip(old, pace, strict=True)))
        return old.at[slot].set(new[slot])

    optimizer = jax.tree.map(renewed, members.optimizer, fresh, is_leaf=is_pace)
    average = () if members.average == () else copied(members.average)
    new = members._replace(params=params, state=copied(members.state), optimizer=optimizer, average=average)
    return _with(state, side, group, new)


@partial(jax.jit, static_argnums=(2, 3))
def moved(state: State, other: State, side: Side, group: int, slot: Array) -> State:
    """The state with one member, and what its optimiser remembers, as it is in another state."""
    here, there = getattr(state, side)[group], getattr(other, side)[group]
    taken = jax.tree.map(lambda old, new: old.at[slot].set(new[slot]), _own(here), _own(there))
    return _with(state, side, group, here._replace(**taken))


def _own(members: Population) -> dict[str, Tree]:
    """What each member of a group has for itself, by field; leaves `[count, ...]`."""
    return {name: getattr(members, name) for name in ("params", "state", "optimizer", "average")}


def _with(state: State, side: Side, group: int, members: Population) -> State:
    """The state with other members in a group."""
    groups = list(getattr(state, side))
    groups[group] = members
    changed: dict[str, Any] = {side: tuple(groups)}
    return state._replace(**changed)


@jax.jit
def healthy(members: Population) -> Array:
    """Whether weights, averages and network state of each member of a group are finite, `[count]`."""
    own = {name: tree for name, tree in _own(members).items() if name != "optimizer"}
    leaves = [leaf for leaf in jax.tree.leaves(own) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    each = [jnp.isfinite(leaf).reshape(leaf.shape[0], -1).all(1) for leaf in leaves]
    return jnp.stack(each).all(0)


@jax.jit
def eased(state: State) -> State:
    """The state in which members that were slowed down, and do not rest, take steps of twice the size, at most 1."""
    faster = lambda node: node._replace(factor=jnp.minimum(1.0, 2.0 * node.factor)) if is_pace(node) else node
    side = lambda groups: tuple(
        members._replace(optimizer=jax.tree.map(faster, members.optimizer, is_leaf=is_pace)) for members in groups
    )
    return state._replace(generators=side(state.generators), discriminators=side(state.discriminators))
