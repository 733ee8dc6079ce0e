"""How fast each member learns: a factor of its updates, which falls when it failed."""

from __future__ import annotations

from functools import wraps
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ensgan.optim import Optimizer, PerMember
from ensgan.types import Tree


class Pace(NamedTuple):
    """What an optimiser remembers of a member's failures.

    Attributes:
        factor: of every update; 1 is the usual, and with 0 the member rests.
        healings: how often it was healed, int32.
    """

    factor: Any
    healings: Any


def paced(optimizer: Optimizer) -> Optimizer:
    """The optimiser with updates times a factor of each member, 1 at first, which `game.healing.revived` lowers."""
    if isinstance(optimizer, PerMember):
        inner = optimizer.factory
        factory = wraps(inner)(lambda *given, **hyper: _paced(inner(*given, **hyper)))  # optax looks at its names
        return PerMember(factory, optimizer.hyper)
    return _paced(optimizer)


def _paced(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    def update(updates: Tree, state: Tree, params: Tree = None, **extra: Any) -> tuple[Tree, Tree]:
        del params, extra
        return jax.tree.map(lambda u: (u * state.factor).astype(u.dtype), updates), state

    init = lambda params: Pace(jnp.ones(()), jnp.zeros((), jnp.int32))
    return optax.chain(optimizer, optax.GradientTransformation(init, update))


def is_pace(node: Any) -> bool:
    """Whether a node of an optimiser's state is a pace."""
    return isinstance(node, Pace)


def pace_of(optimizer_state: Tree) -> Pace | None:
    """The pace in the state of an optimiser, `[count]` each; None where it has none."""
    return next(filter(is_pace, jax.tree.leaves(optimizer_state, is_leaf=is_pace)), None)
