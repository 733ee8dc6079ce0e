"""A new life for a member that stopped being finite: weights that are good, fresh moments, and smaller steps."""

from __future__ import annotations

from functools import partial, wraps
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ensgan import optim
from ensgan.game.game import Game
from ensgan.game.population import Joined, Members
from ensgan.game.state import State
from ensgan.types import Array, Tree

Side = Literal["generators", "discriminators"]


class Pace(NamedTuple):
    """What an optimiser remembers of a member's failures.

    Attributes:
        factor: of every update; 1 is the usual, and with 0 the member rests.
        healings: how often it was healed, int32.
    """

    factor: Any
    healings: Any


def paced(optimizer: optim.Optimizer) -> optim.Optimizer:
    """The optimiser with updates times a factor of each member, which `revived` lowers; it is 1 at first."""
    if isinstance(optimizer, optim.PerMember):
        inner = optimizer.factory
        factory = wraps(inner)(lambda *given, **hyper: _paced(inner(*given, **hyper)))  # optax looks at its names
        return optim.PerMember(factory, optimizer.hyper)
    return _paced(optimizer)


def _paced(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    def update(updates: Tree, state: Tree, params: Tree = None, **extra: Any) -> tuple[Tree, Tree]:
        del params, extra
        return jax.tree.map(lambda u: (u * state.factor).astype(u.dtype), updates), state

    init = lambda params: Pace(jnp.ones(()), jnp.zeros((), jnp.int32))
    return optax.chain(optimizer, optax.GradientTransformation(init, update))


def pace_of(members: Members | Joined) -> Pace | None:
    """The pace of the members of a group, `[count]` each; None where their optimiser has none."""
    is_pace = lambda node: isinstance(node, Pace)
    return next(filter(is_pace, jax.tree.leaves(members.optimizer, is_leaf=is_pace)), None)


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

    optimizer = jax.tree.map(renewed, members.optimizer, fresh, is_leaf=lambda node: isinstance(node, Pace))
    average = () if members.average == () else copied(members.average)
    new = members._replace(params=params, state=copied(members.state), optimizer=optimizer, average=average)
    groups = list(getattr(state, side))
    groups[group] = new
    changed: dict[str, Any] = {side: tuple(groups)}
    return state._replace(**changed)


@jax.jit
def eased(state: State) -> State:
    """The state in which members that were slowed down, and do not rest, take steps of twice the size, at most 1."""
    is_pace = lambda node: isinstance(node, Pace)
    faster = lambda node: node._replace(factor=jnp.minimum(1.0, 2.0 * node.factor)) if is_pace(node) else node
    side = lambda groups: tuple(
        members._replace(optimizer=jax.tree.map(faster, members.optimizer, is_leaf=is_pace)) for members in groups
    )
    return state._replace(generators=side(state.generators), discriminators=side(state.discriminators))
