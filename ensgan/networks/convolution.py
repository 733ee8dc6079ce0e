"""Convolutions as matrix products, for backends where XLA's own convolutions are slow.

A convolution is one product: *patches*, one row with the window of each output position, times the kernel as a matrix.
A transposed convolution is the adjoint: first the product, whose results are then added up where windows overlap.
Products are as fast inside a loop as outside, and many of them batch into one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.extend.core.primitives import conv_general_dilated_p

from ensgan.types import Array, Tree

Padding = Sequence[tuple[int, int]]


def with_products(apply: Callable[..., tuple[Array, Tree]]) -> Callable[..., tuple[Array, Tree]]:
    """The `apply` of a Network in which `convolve` computes every convolution.

    `apply` is traced, and the trace is evaluated with other convolutions, so this works for any network. (Flax has a
    hook for this, but not in its transposed convolutions.) Convolutions inside a function with custom derivatives
    (`jax.custom_jvp`, `jax.custom_vjp`) stay as they are.
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


class Windows(NamedTuple):
    """The windows of a convolution, with one entry per axis of an image.

    Attributes:
        sizes: of the kernel.
        strides: between windows.
        padding: zeros before and after the image.
        spread: distance between neighbours of the image (`lhs_dilation`); there are zeros between them.
        step: distance between neighbours of a window (`rhs_dilation`).
    """

    sizes: Sequence[int]
    strides: Sequence[int]
    padding: Padding
    spread: Sequence[int]
    step: Sequence[int]

    def along(self, axes: Sequence[int]) -> Windows:
        """The same along some axes, and windows of one position along the others."""
        of = lambda values, other: [value if axis in axes else other for axis, value in enumerate(values)]
        spread, step = of(self.spread, 1), of(self.step, 1)
        return Windows(of(self.sizes, 1), of(self.strides, 1), of(self.padding, (0, 0)), spread, step)


def convolve(x: Array, kernel: Array, params: Mapping[str, Any]) -> Array:
    """`jax.lax.conv_general_dilated` by matrix products.

    Args:
        x: a batch of images, of any number of axes.
        kernel: the kernel.
        params: those of the primitive: window_strides, padding in numbers, lhs_dilation, rhs_dilation,
            dimension_numbers for any layout, feature_group_count, batch_group_count, precision and
            preferred_element_type. Groups of the batch, which only gradients of grouped convolutions have, are left to
            the primitive.
    """
    if params["batch_group_count"] != 1:
        return conv_general_dilated_p.bind(x, kernel, **params)

    into, spec, out_of = params["dimension_numbers"]
    x = x.transpose(into[0], *into[2:], into[1])  # [B, ..., C]
    kernel = kernel.transpose(*spec[2:], spec[1], spec[0])  # [..., C / groups, D]
    *sizes, per_group, features = kernel.shape
    groups = params["feature_group_count"]
    kernel = kernel.reshape(*sizes, per_group, groups, features // groups)
    windows = Windows(sizes, *(params[name] for name in ("window_strides", "padding", "lhs_dilation", "rhs_dilation")))
    # Along the axes `before`, windows are laid out before the product; along the axes `after`, results are added up
    # after it. The latter are the axes with zeros between pixels, which are not worth multiplying, and all axes but the
    # last where that takes less memory (for a 3×3 kernel two thirds).
    last, narrow = len(sizes) - 1, features // groups <= sizes[-1] * per_group
    each = zip(sizes, windows.strides, windows.spread, windows.step, strict=True)
    after = [
        axis
        for axis, (size, stride, spread, step) in enumerate(each)
        if stride == step == 1 and (spread > 1 or (narrow and axis < last and size > 1))
    ]
    before = [axis for axis in range(len(sizes)) if axis not in after]

    # With groups in front, they are one more batch axis.
    x = jnp.moveaxis(x.reshape(*x.shape[:-1], groups, per_group), -2, 0)
    rows = patches(x.reshape(-1, *x.shape[2:]), windows.along(before))
    matrix = jnp.flip(kernel, after).transpose(last + 2, *before, last + 1, *after, last + 3)
    matrix = matrix.reshape(groups, rows.shape[-1], -1)
    kinds = params["precision"], params["preferred_element_type"]
    y = _multiply(rows.reshape(groups, -1, rows.shape[-1]), matrix, *kinds)
    y = y.reshape(*rows.shape[:-1], -1)
    if after:
        y = _overlap(y, windows.along(after))
    y = jnp.moveaxis(y.reshape(groups, -1, *y.shape[1:]), 0, -2)
    y = y.reshape(*y.shape[:-2], features)
    order = sorted(range(y.ndim), key=(out_of[0], *out_of[2:], out_of[1]).__getitem__)
    return y.transpose(order)


def patches(x: Array, windows: Windows) -> Array:
    """The window of `x` `[B, ..., C]` at every output position, in the order of a kernel `[*sizes, C]`.

    Returns:
        `[B, ..., prod(sizes) · C]`.
    """
    inner = [(low, high, spread - 1) for (low, high), spread in zip(windows.padding, windows.spread, strict=True)]
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *inner, (0, 0, 0)])
    sizes, strides = list(windows.sizes), list(windows.strides)
    spans = [(size - 1) * step + 1 for size, step in zip(sizes, windows.step, strict=True)]
    counts = [(n - span) // step + 1 for n, span, step in zip(x.shape[1:-1], spans, strides, strict=True)]
    # Neighbours along the last axis are next to each other in memory, so a window whose size is a multiple of its
    # stride is made of fewer pieces.
    fold = strides[-1]
    if fold > 1 and sizes[-1] % fold == 0 and windows.step[-1] == 1:
        needed = (counts[-1] - 1) * fold + sizes[-1]
        x = jax.lax.slice_in_dim(x, 0, needed, axis=x.ndim - 2)
        x = x.reshape(*x.shape[:-2], needed // fold, fold * x.shape[-1])
        sizes[-1], strides[-1] = sizes[-1] // fold, 1
    pieces = []
    for tap in product(*map(range, sizes)):
        start = [index * step for index, step in zip(tap, windows.step, strict=True)]
        stop = [a + (n - 1) * step + 1 for a, n, step in zip(start, counts, strides, strict=True)]
        pieces.append(jax.lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1)))
    return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=-1)


def _overlap(rows: Array, windows: Windows) -> Array:
    """The adjoint of `patches`: windows `[B, ..., prod(sizes) · C]` added up, as a transposed convolution does."""
    shape, back = [], []
    each = zip(rows.shape[1:-1], windows.sizes, windows.spread, windows.padding, strict=True)
    for n, size, spread, (low, high) in each:
        shape.append((n - 1) * spread + low + high - size + 2)
        back.append((size - 1 - low, size - 1 - high))
    channels = rows.shape[-1] // math.prod(windows.sizes)
    once = [1] * len(shape)
    whole = jax.ShapeDtypeStruct((rows.shape[0], *shape, channels), rows.dtype)
    transposed = Windows(windows.sizes, windows.spread, back, once, once)
    return jax.linear_transpose(lambda x: patches(x, transposed), whole)(rows)[0]


def _multiply(rows: Array, matrix: Array, precision: Any, preferred_element_type: Any) -> Array:
    """`rows @ matrix` for every group: `[G, n, K]` and `[G, K, D]` to `[G, n, D]`.

    The kernel is transposed behind a barrier. Its gradient is then the product of the cotangent with the rows, a small
    matrix times a large one, which XLA:CPU computes twice as fast as the transposed large one times the small one.
    """
    matrix = jax.lax.optimization_barrier(jnp.swapaxes(matrix, 1, 2))
    how = {"precision": precision, "preferred_element_type": preferred_element_type}
    if len(rows) == 1:
        return jax.lax.dot_general(rows[0], matrix[0], (((1,), (1,)), ((), ())), **how)[None]
    return jax.lax.dot_general(rows, matrix, (((2,), (2,)), ((0,), (0,))), **how)


def _evaluate(jaxpr: Any, consts: Sequence[Any], *args: Any) -> list[Any]:
    """Evaluates a traced program with other convolutions."""
    values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))
    for equation in jaxpr.eqns:
        read = {atom: values[atom] for atom in equation.invars if not isinstance(atom, core.Literal)}
        if equation.primitive is conv_general_dilated_p:
            x, kernel = (values[atom] for atom in equation.invars)
            outputs = [convolve(x, kernel, equation.params)]
        else:
            alone = jaxpr.replace(constvars=[], invars=[*read], outvars=equation.outvars, eqns=[_replaced(equation)])
            outputs = core.jaxpr_as_fun(core.ClosedJaxpr(alone, []))(*read.values())
        values.update(zip(equation.outvars, outputs, strict=True))
    return [atom.val if isinstance(atom, core.Literal) else values[atom] for atom in jaxpr.outvars]


def _replaced(equation: Any) -> Any:
    """An equation in which the inner programs (of jit, scan, cond, remat) are replaced."""
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
    """Whether a program or one of its inner programs has a convolution."""
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
