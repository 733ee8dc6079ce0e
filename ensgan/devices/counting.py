"""The cost of a traced program, counted equation by equation: arrays sent between devices, and products in loops."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend import core

from ensgan.types import Tree

KINDS = {
    "psum": "all-reduce",
    "pmax": "all-reduce",
    "pmin": "all-reduce",
    "all_gather": "all-gather",
    "reduce_scatter": "reduce-scatter",
    "all_to_all": "all-to-all",
    "ppermute": "permute",
}


class Collective(NamedTuple):
    """All collectives of one kind along one axis, in one step, as one device sees them."""

    kind: str
    axis: str
    number: int  # arrays; a compiler sends several at once
    bytes: int  # of whole arrays: what a gather gives, what a reduction or an exchange takes
    travel: int  # bytes that the device sends, around a ring


def collectives(jaxpr: Any, sizes: dict[str, int]) -> tuple[Collective, ...]:
    """The collectives of a traced program, by kind and axis, largest first.

    They are read from what is traced and not from what is compiled, since a CPU's compiler widens bfloat16. What is in
    a loop counts once for a loop of unknown length, and of two branches the one that sends more counts.

    Args:
        jaxpr: the program.
        sizes: how many devices each axis has.
    """
    total: dict[tuple[str, str], list[int]] = {}
    for kind, axis, size in _collectives(jaxpr.jaxpr, sizes):
        count = total.setdefault((kind, axis), [0, 0, 0])
        for k, value in enumerate((1, size, _travel(kind, size, _group(axis, sizes)))):
            count[k] += value
    rows = [Collective(*key, *count) for key, count in total.items()]
    return tuple(sorted(rows, key=lambda row: -row.bytes))


def _collectives(jaxpr: Any, sizes: dict[str, int], live: Sequence[bool] = ()) -> list[tuple[str, str, int]]:
    """Kind, axis and whole bytes of every array that is sent for an output; `live` says which outputs are needed."""
    found: list[tuple[str, str, int]] = []
    outputs = zip(jaxpr.outvars, live or [True] * len(jaxpr.outvars), strict=True)
    needed = {out for out, is_live in outputs if is_live and isinstance(out, core.Var)}
    for equation in reversed(jaxpr.eqns):
        name, live = equation.primitive.name, [out in needed for out in equation.outvars]
        if not any(live) and not equation.effects:
            continue  # as a compiler leaves it out
        needed.update(each for each in equation.invars if isinstance(each, core.Var))
        # Of a loop, every output of the body goes into its next turn.
        alike = name not in ("while", "scan")
        parts = [part for value in equation.params.values() for part in _jaxprs(value)]
        inner = [_collectives(p, sizes, live if alike and len(p.outvars) == len(live) else ()) for p in parts]
        kind = KINDS.get(name.removesuffix("_invariant"))
        if kind is not None:
            axes = equation.params.get("axes", equation.params.get("axis_name"))
            axes = [axis for axis in (axes if isinstance(axes, tuple | list) else (axes,)) if axis in sizes]
            arrays = zip(equation.invars, equation.outvars, live, strict=True)
            sent = [max(map(size_in_bytes, (a.aval, b.aval))) for a, b, is_live in arrays if axes and is_live]
            found += [(kind, ",".join(axes), size) for size in sent]
        elif name == "cond":
            traffic = lambda rows: sum(_travel(kind, size, _group(axis, sizes)) for kind, axis, size in rows)
            found += max(inner, key=traffic)
        else:
            length = equation.params["length"] if name == "scan" else 1
            found += [row for part in inner for row in part] * length
    return found


def _jaxprs(value: Any) -> Iterator[Any]:
    if isinstance(value, core.ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, core.Jaxpr):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _jaxprs(part)


def _group(axis: str, sizes: dict[str, int]) -> int:
    return math.prod(sizes[name] for name in axis.split(","))


def _travel(kind: str, size: int, group: int) -> int:
    """Bytes that each of `group` devices sends around a ring, for an array of `size` bytes."""
    rounds = {"all-reduce": 2 * (group - 1), "permute": group}.get(kind, group - 1)
    return round(size * rounds / group)


def flops_of(traced: Any, compiled: Any) -> float:
    """FLOPs of a program on one device; a loop of unknown length counts as one turn.

    Args:
        traced: the result of `jax.jit(...).trace`.
        compiled: the same program, compiled.
    """
    return float((compiled.cost_analysis() or {}).get("flops", 0.0)) + repeated_flops(traced.jaxpr)


def repeated_flops(jaxpr: Any) -> float:
    """FLOPs of products and convolutions in the turns of loops after the first, which a compiler's count leaves out.

    Args:
        jaxpr: the program.
    """
    return _products(jaxpr.jaxpr, every_turn=True) - _products(jaxpr.jaxpr, every_turn=False)


def _products(jaxpr: Any, every_turn: bool) -> float:
    total = 0.0
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        inner = [_products(part, every_turn) for value in params.values() for part in _jaxprs(value)]
        turns = params["length"] if name == "scan" and every_turn else 1
        total += turns * (max(inner) if name == "cond" else sum(inner))
        if name in ("dot_general", "conv_general_dilated"):
            left, right = (each.aval for each in equation.invars)
            terms = (
                math.prod(left.shape[axis] for axis in params["dimension_numbers"][0][0])
                if name == "dot_general"
                else right.size // right.shape[params["dimension_numbers"].rhs_spec[0]]
            )
            total += 2.0 * equation.outvars[0].aval.size * terms
    return total


def size_in_bytes(tree: Tree) -> int:
    """The bytes of all arrays, or their shapes, together."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
