"""Networks in stages, so that members of a group can have the first or the last stages in common."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import jax

from ensgan.types import Array, InputError, Network, Stage, Tree


class Split(NamedTuple):
    """A network in two parts: the stages that members have in common, and those that each member has for itself.

    Attributes:
        common: the common stages as one.
        own: each member's own stages as one.
        common_first: whether the common stages come first, as a discriminator's trunk does.
    """

    common: Stage
    own: Stage
    common_first: bool


def chain(**parts: Network) -> Network:
    """One network from several, one after the other; each is a stage with the name of its keyword.

    Args:
        parts: at least one; each takes the output of the one before.

    Returns:
        A network whose parameters and state are `{name: those of the part}`.

    Raises:
        InputError: no part, shapes that do not fit, or parts with different numbers of classes.
    """
    if not parts:
        raise InputError("chain() got no network; give at least one, by name: chain(trunk=..., head=...)")
    networks = list(parts.values())
    for (first, a), (second, b) in zip(parts.items(), list(parts.items())[1:], strict=False):
        if a.out_shape != b.in_shape:
            raise InputError(f"{first} gives {a.out_shape}, but {second} takes {b.in_shape}; make them equal")
    counted = sorted({part.classes for part in networks} - {None})  # type: ignore[type-var]
    if len(counted) > 1:
        raise InputError(f"parts are conditional on {counted} classes; give all the same number")

    def init(key: Array) -> tuple[Tree, Tree]:
        made = {name: part.init(jax.random.fold_in(key, k)) for k, (name, part) in enumerate(parts.items())}
        return {name: params for name, (params, _) in made.items()}, {name: state for name, (_, state) in made.items()}

    def stage(name: str, part: Network, k: int) -> Stage:
        def apply(params: Tree, state: Tree, x: Array, *, label: Any = None, train: bool = False, rng: Any = None):
            rng = None if rng is None else jax.random.fold_in(rng, k)
            y, new = part.apply(params[name], state[name], x, label=label, train=train, rng=rng)
            return y, {name: new}

        return Stage((name,), apply)

    stages = tuple(stage(name, part, k) for k, (name, part) in enumerate(parts.items()))
    return Network(
        init,
        joined(stages).apply,
        networks[0].in_shape,
        networks[-1].out_shape,
        batch_coupled=any(part.batch_coupled for part in networks),
        convolutional=any(part.convolutional for part in networks),
        synced=all(part.synced or not part.batch_coupled for part in networks),
        classes=counted[0] if counted else None,
        stages=stages,
    )


def trunk_and_heads(trunk: Network, head: Network) -> Network:
    """A discriminator with a trunk and a head. With `Group(..., shared=("trunk",))`, members share the trunk.

    The trunk then computes every sample once, however many members there are.

    Args:
        trunk: maps samples to features, each sample independently.
        head: maps features to one logit.

    Raises:
        InputError: shapes that do not fit.
    """
    return chain(trunk=trunk, head=head)


def joined(stages: Collection[Stage]) -> Stage:
    """Several stages, one after the other, as one."""

    def apply(params: Tree, state: Tree, x: Array, *, label: Any = None, train: bool = False, rng: Any = None):
        new: Any = {}
        for stage in stages:
            mine = pruned(params, stage.names), pruned(state, stage.names)
            x, part = stage.apply(*mine, x, label=label, train=train, rng=rng)
            new = merged(new, part)
        return x, new

    return Stage(tuple(name for stage in stages for name in stage.names), apply)


def split(network: Network, shared: Collection[str]) -> Split | None:
    """Divides a network into the stages in common and the others.

    Args:
        network: any network.
        shared: dotted names of the parameters in common.

    Returns:
        Both parts; None unless the names cover the first stages of the network, or the last ones, and leave each member
        some of its own.
    """
    names = [path for path, _ in leaves(jax.eval_shape(network.init, jax.random.key(0))[0])]
    common = []
    for stage in network.stages:
        mine = [name for name in names if within(name, stage.names)]
        covered = [name for name in mine if within(name, shared)]
        if covered and covered != mine:
            return None
        common.append(bool(covered))
    first = len(common) - common[::-1].index(False) if False in common else len(common)
    for common_first, cut in ((True, common.index(False) if False in common else len(common)), (False, first)):
        want = [common_first] * cut + [not common_first] * (len(common) - cut)
        if common == want and 0 < cut < len(common):
            sides = joined(network.stages[:cut]), joined(network.stages[cut:])
            return Split(*(sides if common_first else sides[::-1]), common_first)
    return None


def within(name: str, parts: Collection[str]) -> bool:
    """Whether a dotted name is one of the parts, or inside one."""
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def leaves(tree: Tree) -> list[tuple[str, Any]]:
    """The leaves of a tree with their dotted names."""
    named = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in named]


def pruned(tree: Tree, names: Collection[str], prefix: str = "") -> Tree:
    """The part of a nested dictionary that the names cover, without empty branches."""
    found = {}
    for key, branch in tree.items():
        name = f"{prefix}{key}"
        if within(name, names):
            found[key] = branch
        elif isinstance(branch, Mapping) and (inner := pruned(branch, names, f"{name}.")):
            found[key] = inner
    return found


def merged(a: Tree, b: Tree) -> Tree:
    """One nested dictionary from two that have no leaf in common."""
    both = {**a, **b}
    for key in a.keys() & b.keys():
        both[key] = merged(a[key], b[key])
    return both
