"""A new life for a member that stopped being finite: weights that are good, fresh moments, and smaller steps."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp

from ensgan import optim
from ensgan.game.game import Game
from ensgan.game.state import State
from ensgan.pace import Pace, is_pace
from ensgan.types import Array

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
        donor: the number in the group of the member whose weights, averages and network state it takes; its own keeps
            them.
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
    groups = list(getattr(state, side))
    groups[group] = new
    changed: dict[str, Any] = {side: tuple(groups)}
    return state._replace(**changed)


@jax.jit
def eased(state: State) -> State:
    """The state in which members that were slowed down, and do not rest, take steps of twice the size, at most 1."""
    faster = lambda node: node._replace(factor=jnp.minimum(1.0, 2.0 * node.factor)) if is_pace(node) else node
    side = lambda groups: tuple(
        members._replace(optimizer=jax.tree.map(faster, members.optimizer, is_leaf=is_pace)) for members in groups
    )
    return state._replace(generators=side(state.generators), discriminators=side(state.discriminators))
