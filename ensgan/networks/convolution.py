"""Convolutions as matrix products, for backends on which XLA's own are slow.

A convolution is one product of *patches*, the window of every output position in a row, with the kernel as a matrix. A
transposed convolution is the adjoint: one product first, whose results are added up where windows overlap. Products are
as fast inside a loop as outside, and many of them batch into one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.extend.core.primitives import conv_general_dilated_p

from ensgan.types import Array, Tree

Padding = Sequence[tuple[int, int]]


def with_products(apply: Callable[..., tuple[Array, Tree]]) -> Callable[..., tuple[Array, Tree]]:
    """The `apply` of a Network with every convolution in it computed by `convolve`.

    What `apply` does is written down by tracing and carried out again with other convolutions, so it does not matter
    how the network was made; the hook that flax offers for that is missing in its transposed convolutions. Convolutions
    inside a function with derivatives of its own (`jax.custom_jvp`, `jax.custom_vjp`) stay as they are.
    """

    def rewritten(
        params: Tree,
        state: Tree,
        x: Array,
        *,
        label: Array | None = None,
        train: bool = False,
        rng: Array | None = None,
    ) -> tuple[Array, Tree]:
        def run(params: Tree, state: Tree, x: Array, label: Array | None, rng: Array | None) -> tuple[Array, Tree]:
            return apply(params, state, x, label=label, train=train, rng=rng)

        args = (params, state, x, label, rng)
        program, out = jax.make_jaxpr(run, return_shape=True)(*args)
        leaves = _evaluate(program.jaxpr, program.consts, *jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(out), leaves)

    return rewritten


def convolve(
    x: Array,
    kernel: Array,
    window_strides: Sequence[int],
    padding: Padding,
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
    dimension_numbers: jax.lax.ConvDimensionNumbers,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
    **others: Any,
) -> Array:
    """`jax.lax.conv_general_dilated` by matrix products.

    Args are those of the primitive: any layout and number of axes, padding in numbers. Groups of the batch, which only
    gradients of grouped convolutions have, are left to `jax.lax`.
    """
    if batch_group_count != 1:
        others |= {"precision": precision, "preferred_element_type": preferred_element_type}
        others |= {"feature_group_count": feature_group_count, "batch_group_count": batch_group_count}
        layout = {"lhs_dilation": lhs_dilation, "rhs_dilation": rhs_dilation, "dimension_numbers": dimension_numbers}
        return jax.lax.conv_general_dilated(x, kernel, window_strides, padding, **layout, **others)

    into, spec, out_of = dimension_numbers
    x = x.transpose(into[0], *into[2:], into[1])  # [B, ..., C]
    kernel = kernel.transpose(*spec[2:], spec[1], spec[0])  # [..., C / groups, D]
    *sizes, per_group, features = kernel.shape
    groups = feature_group_count
    kernel = kernel.reshape(*sizes, per_group, groups, features // groups)
    # Axes whose windows are laid out before the product, and axes along which its results are added up after it: those
    # with zeros in between, which are not worth multiplying, and all but the last where that takes less memory (for a
    # 3×3 kernel two thirds). To each of both steps, the axes of the other have windows of one position.
    last, narrow = len(sizes) - 1, features // groups <= sizes[-1] * per_group
    each = zip(sizes, window_strides, lhs_dilation, rhs_dilation, strict=True)
    after = [
        axis
        for axis, (size, stride, inside, step) in enumerate(each)
        if stride == step == 1 and (inside > 1 or (narrow and axis < last and size > 1))
    ]
    before = [axis for axis in range(len(sizes)) if axis not in after]
    of = lambda axes, values, other: [value if axis in axes else other for axis, value in enumerate(values)]

    # Groups in front, then they are one more batch axis.
    x = jnp.moveaxis(x.reshape(*x.shape[:-1], groups, per_group), -2, 0)
    x = x.reshape(-1, *x.shape[2:])
    now = of(before, sizes, 1), of(before, window_strides, 1), of(before, padding, (0, 0))
    rows = patches(x, *now, of(before, lhs_dilation, 1), of(before, rhs_dilation, 1))
    matrix = jnp.flip(kernel, after).transpose(last + 2, *before, last + 1, *after, last + 3)
    matrix = matrix.reshape(groups, rows.shape[-1], -1)
    y = _multiply(rows.reshape(groups, -1, rows.shape[-1]), matrix, precision, preferred_element_type)
    y = y.reshape(*rows.shape[:-1], -1)
    if after:
        y = _overlap(y, of(after, sizes, 1), of(after, lhs_dilation, 1), of(after, padding, (0, 0)))
    y = jnp.moveaxis(y.reshape(groups, -1, *y.shape[1:]), 0, -2)
    y = y.reshape(*y.shape[:-2], features)
    order = sorted(range(y.ndim), key=(out_of[0], *out_of[2:], out_of[1]).__getitem__)
    return y.transpose(order)


def patches(
    x: Array,
    sizes: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
) -> Array:
    """The window of `x` `[B, ..., C]` at every output position, in the order of a kernel `[*sizes, C]`.

    Returns:
        `[B, ..., prod(sizes) · C]`.
    """
    inner = [(low, high, inside - 1) for (low, high), inside in zip(padding, lhs_dilation, strict=True)]
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *inner, (0, 0, 0)])
    sizes, strides = list(sizes), list(strides)
    spans = [(size - 1) * step + 1 for size, step in zip(sizes, rhs_dilation, strict=True)]
    counts = [(n - span) // step + 1 for n, span, step in zip(x.shape[1:-1], spans, strides, strict=True)]
    # Neighbours along the last axis lie side by side in memory: a window that moves by as many is made of fewer pieces.
    fold = strides[-1]
    if fold > 1 and sizes[-1] % fold == 0 and rhs_dilation[-1] == 1:
        needed = (counts[-1] - 1) * fold + sizes[-1]
        x = jax.lax.slice_in_dim(x, 0, needed, axis=x.ndim - 2)
        x = x.reshape(*x.shape[:-2], needed // fold, fold * x.shape[-1])
        sizes[-1], strides[-1] = sizes[-1] // fold, 1
    pieces = []
    for tap in product(*map(range, sizes)):
        start = [index * step for index, step in zip(tap, rhs_dilation, strict=True)]
        stop = [a + (n - 1) * step + 1 for a, n, step in zip(start, counts, strides, strict=True)]
        pieces.append(jax.lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1)))
    return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=-1)


def _overlap(rows: Array, sizes: Sequence[int], dilation: Sequence[int], padding: Padding) -> Array:
    """The adjoint of `patches`: windows `[B, ..., prod(sizes) · C]` added up, as a transposed convolution does."""
    shape, back = [], []
    for n, size, step, (low, high) in zip(rows.shape[1:-1], sizes, dilation, padding, strict=True):
        full = (n - 1) * step + low + high - size + 2
        shape.append(full)
        back.append((size - 1 - low, size - 1 - high))
    channels = rows.shape[-1] // math.prod(sizes)
    once = [1] * len(sizes)
    whole = jax.ShapeDtypeStruct((rows.shape[0], *shape, channels), rows.dtype)
    return jax.linear_transpose(lambda x: patches(x, sizes, dilation, back, once, once), whole)(rows)[0]


def _multiply(rows: Array, matrix: Array, precision: Any, preferred_element_type: Any) -> Array:
    """`rows @ matrix` for every group: `[G, n, K]` and `[G, K, D]` to `[G, n, D]`.

    The kernel is transposed behind a barrier. Its gradient is then the product of the cotangent with the rows, small
    times large, which XLA:CPU computes twice as fast as the large one transposed times the small one.
    """
    matrix = jax.lax.optimization_barrier(jnp.swapaxes(matrix, 1, 2))
    how = {"precision": precision, "preferred_element_type": preferred_element_type}
    if len(rows) == 1:
        return jax.lax.dot_general(rows[0], matrix[0], (((1,), (1,)), ((), ())), **how)[None]
    return jax.lax.dot_general(rows, matrix, (((2,), (2,)), ((0,), (0,))), **how)


def _evaluate(jaxpr: Any, consts: Sequence[Any], *args: Any) -> list[Any]:
    """Carries out a traced program with other convolutions."""
    values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))
    for equation in jaxpr.eqns:
        read = {atom: values[atom] for atom in equation.invars if not isinstance(atom, core.Literal)}
        if equation.primitive is conv_general_dilated_p:
            outputs = [convolve(*(values[atom] for atom in equation.invars), **equation.params)]
        else:
            alone = jaxpr.replace(constvars=[], invars=[*read], outvars=equation.outvars, eqns=[_replaced(equation)])
            outputs = core.jaxpr_as_fun(core.ClosedJaxpr(alone, []))(*read.values())
        values.update(zip(equation.outvars, outputs, strict=True))
    return [atom.val if isinstance(atom, core.Literal) else values[atom] for atom in jaxpr.outvars]


def _replaced(equation: Any) -> Any:
    """An equation with the programs in it (of jit, scan, cond, remat) replaced."""
    if equation.primitive.name.startswith("custom_"):
        return equation
    return equation.replace(params={name: _replace(value) for name, value in equation.params.items()})


def _replace(value: Any) -> Any:
    if isinstance(value, (tuple, list)) and any(isinstance(each, (core.Jaxpr, core.ClosedJaxpr)) for each in value):
        return type(value)(map(_replace, value))
    if not isinstance(value, (core.Jaxpr, core.ClosedJaxpr)) or not _convolves(value):
        return value
    closed = isinstance(value, core.ClosedJaxpr)
    jaxpr, consts = (value.jaxpr, value.consts) if closed else (value, ())
    avals = [variable.aval for variable in jaxpr.invars]
    program = jax.make_jaxpr(lambda *args: _evaluate(jaxpr, consts, *args))(*avals)
    return program if closed else program.jaxpr


def _convolves(program: Any) -> bool:
    """Whether there is a convolution in a program or in those within."""
    jaxpr = program.jaxpr if isinstance(program, core.ClosedJaxpr) else program
    within = lambda value: value if isinstance(value, (tuple, list)) else (value,)
    return any(
        equation.primitive is conv_general_dilated_p
        or any(
            _convolves(each)
            for value in equation.params.values()
            for each in within(value)
            if isinstance(each, (core.Jaxpr, core.ClosedJaxpr))
        )
        for equation in jaxpr.eqns
    )
