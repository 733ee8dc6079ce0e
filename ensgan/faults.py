"""Faults: which member stopped being finite first, and that nothing is updated from then on.

One NaN reaches every generator within the step in which it appears, so each step looks at every member's samples,
logits, gradients and new weights, in the order in which a fault spreads; the first flag that falls names its source.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ensgan.game import State
from ensgan.types import Array, Tree

SIDES = ("generator", "discriminator")
CAUSES = ("its output", "its gradient", "its update")
G, D = range(2)
OUTPUT, GRADIENT, UPDATE = range(3)

Flags = list[tuple[int, int, Array]]  # side, cause, whether each member of that side is finite


def finite(trees: tuple[Tree, ...]) -> Array:
    """Whether every number of each member is finite, `[members]`."""
    every = lambda leaf: jnp.isfinite(leaf).reshape(leaf.shape[0], -1).all(axis=1)
    return jnp.concatenate([jnp.stack([every(leaf) for leaf in jax.tree.leaves(tree)]).all(axis=0) for tree in trees])


def updated(state: State) -> Flags:
    """Flags of the weights after an update."""
    return [
        (D, UPDATE, finite(tuple(m.params for m in state.discriminators))),
        (G, UPDATE, finite(tuple(m.params for m in state.generators))),
    ]


def guard(old: State, new: State, flags: Flags) -> State:
    """`new`, unless somebody is not finite or was not before: then `old`, with the first fault on record."""
    table = jnp.array([(side, member, cause) for side, cause, f in flags for member in range(f.shape[0])])
    good = jnp.concatenate([f for _, _, f in flags])
    first = jnp.argmin(good)  # flags come in the order in which a fault spreads, so the first one is its source
    fault = jnp.concatenate([old.step[None], table[first]]).astype(jnp.int32)
    healthy = old.fault[0] < 0
    kept = jax.tree.map(lambda n, o: jnp.where(good.all() & healthy, n, o), new, old)
    return kept._replace(fault=jnp.where(healthy & ~good.all(), fault, old.fault))


def describe_fault(fault: Any) -> str | None:
    """One line on the first fault of a state (`state.fault`, on the host), or None where there is none."""
    step, side, member, cause = (int(value) for value in fault)
    if step < 0:
        return None
    return f"{SIDES[side]} {member} stopped being finite in step {step + 1} ({CAUSES[cause]})"
