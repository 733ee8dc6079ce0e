"""The nodes of an ONNX graph in the making, and those of every JAX primitive that networks consist of.

An entry of `OPS` takes the graph, the equation of the traced program and its inputs, and returns its result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ensgan.types import InputError

BATCH = "b"  # the symbol of any number of samples


class Graph:
    """The nodes and constants of a graph in the making. A value is an array that is known, or the name of a result."""

    def __init__(self) -> None:
        """Starts with nothing."""
        self.nodes: list[Any] = []
        self.constants: dict[bytes, tuple[str, np.ndarray]] = {}  # by their content
        self.batch = ""  # the name of the tensor whose first axis is the batch

    def add(self, op: str, *inputs: Any, **attributes: Any) -> str:
        """Adds a node with one result, and returns its name; an input that is not a name becomes a constant."""
        from onnx import helper

        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.named(each) for each in inputs], [name], **attributes))
        return name

    def named(self, value: Any) -> str:
        """The name of a value."""
        if isinstance(value, str):
            return value
        array = np.asarray(value, order="C")
        content = hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + array.tobytes()).digest()
        return self.constants.setdefault(content, (f"constant_{len(self.constants)}", array))[0]

    def size(self) -> str:
        """The number of samples, int64 `[1]`."""
        return self.add("Shape", self.batch, start=0, end=1)

    def shape(self, shape: Sequence[Any]) -> Any:
        """A shape as an input of a node; at most one size, that of the batch, may be symbolic."""
        if all(isinstance(size, int) for size in shape):
            return np.asarray(shape, np.int64)
        own = self.size()
        parts = [own if str(size) == BATCH else fixed(size) for size in shape]
        return self.add("Concat", *(np.asarray([p], np.int64) if isinstance(p, int) else p for p in parts), axis=0)


def refused(what: str) -> InputError:
    """The error for what has no ONNX form here."""
    return InputError(f"the network computes {what}, which has no ONNX form here; export it with --format jax")


def fixed(size: Any) -> int:
    """A size that is a number. Raises InputError for one that depends on the batch."""
    if not isinstance(size, int):
        raise refused(f"an axis of size {size}")
    return size


def _reshape(graph: Graph, equation: Any, x: Any) -> str:
    sizes = [size if isinstance(size, int) else -1 for size in equation.outvars[0].aval.shape]
    if sizes.count(-1) > 1:
        raise refused("two axes that grow with the number of samples")
    return graph.add("Reshape", x, np.asarray(sizes, np.int64))


def _broadcast(graph: Graph, equation: Any, x: Any, *_: Any) -> str:
    shape, where = equation.params["shape"], equation.params["broadcast_dimensions"]
    own = dict(zip(where, equation.invars[0].aval.shape, strict=True))
    sizes = [own.get(axis, 1) for axis in range(len(shape))]
    aligned = np.asarray([size if isinstance(size, int) else -1 for size in sizes], np.int64)
    return graph.add("Expand", graph.add("Reshape", x, aligned), graph.shape(shape))


def _cast(graph: Graph, equation: Any, x: Any) -> str:
    from onnx import helper

    return graph.add("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(equation.params["new_dtype"])))


def _size(graph: Graph, equation: Any) -> str:
    from onnx import helper

    if str(equation.params["dim"]) != BATCH:
        raise refused(f"with the size {equation.params['dim']}")
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(equation.outvars[0].aval.dtype))
    return graph.add("Cast", graph.add("Squeeze", graph.size(), np.asarray([0], np.int64)), to=kind)


def _select(graph: Graph, equation: Any, which: Any, *cases: Any) -> str:
    if len(cases) != 2 or equation.invars[0].aval.dtype != np.bool_:
        raise refused("a choice between more than two values")
    return graph.add("Where", which, cases[1], cases[0])


def _slice(graph: Graph, equation: Any, x: Any) -> Any:
    start, stop, steps = (equation.params[name] for name in ("start_indices", "limit_indices", "strides"))
    shape = equation.invars[0].aval.shape
    steps = steps or (1,) * len(shape)
    cut = [k for k, size in enumerate(shape) if (start[k], stop[k], steps[k]) != (0, size, 1)]
    numbers = ([of[k] for k in cut] for of in (start, stop, range(len(shape)), steps))
    return graph.add("Slice", x, *(np.asarray([fixed(n) for n in each], np.int64) for each in numbers)) if cut else x


def _pad(graph: Graph, equation: Any, x: Any, value: Any) -> str:
    low, high, inner = zip(*equation.params["padding_config"], strict=True)
    if any(inner):
        raise refused("zeros between neighbours outside of a convolution")
    return graph.add("Pad", x, np.asarray([*low, *high], np.int64), value)


def _reverse(graph: Graph, equation: Any, x: Any) -> str:
    axes = np.asarray(equation.params["dimensions"], np.int64)
    last, first, back = np.full_like(axes, -1), np.full_like(axes, np.iinfo(np.int64).min), np.full_like(axes, -1)
    return graph.add("Slice", x, last, first, axes, back)


def _gather(graph: Graph, equation: Any, x: Any, index: Any) -> str:
    """Entries along one axis by number, as an embedding takes the rows of its table, or a part that is cut out."""
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    if not isinstance(index, str) and np.ndim(index) == 1 and not numbers.collapsed_slice_dims:
        axes, start = list(numbers.start_index_map), np.asarray(index, np.int64)
        stop = start + np.asarray([fixed(sizes[axis]) for axis in axes])
        return graph.add("Slice", x, start, stop, np.asarray(axes, np.int64))
    shape, free = equation.invars[0].aval.shape, len(equation.invars[1].aval.shape) - 1
    (axis, *more), end = numbers.start_index_map or (0, 0), len(equation.outvars[0].aval.shape)
    whole = tuple(sizes) == (*shape[:axis], 1, *shape[axis + 1 :]) and not numbers.operand_batching_dims
    in_place = tuple(numbers.offset_dims) == (*range(axis), *range(axis + free, end))
    if more or tuple(numbers.collapsed_slice_dims) != (axis,) or not (whole and in_place):
        raise refused("an indexed lookup along several axes")
    return graph.add("Gather", x, graph.add("Squeeze", index, np.asarray([-1], np.int64)), axis=axis)


def _dot(graph: Graph, equation: Any, a: Any, b: Any) -> str:
    """A product of two arrays, as a matrix product where it is one."""
    (left, right), (batch_a, batch_b) = equation.params["dimension_numbers"]
    rank_a, rank_b = (len(atom.aval.shape) for atom in equation.invars)
    if not batch_a and rank_b == 2 and tuple(left) == (rank_a - 1,) and tuple(right) == (0,):
        return graph.add("MatMul", a, b)
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    of_a = [next(letters) for _ in range(rank_a)]
    shared = {**dict(zip(right, left, strict=True)), **dict(zip(batch_b, batch_a, strict=True))}
    of_b = [of_a[shared[k]] if k in shared else next(letters) for k in range(rank_b)]
    out = [of_a[k] for k in batch_a] + [x for k, x in enumerate(of_a) if k not in (*left, *batch_a)]
    out += [x for k, x in enumerate(of_b) if k not in shared]
    return graph.add("Einsum", a, b, equation=f"{''.join(of_a)},{''.join(of_b)}->{''.join(out)}")


def _convolution(graph: Graph, equation: Any, x: Any, kernel: Any) -> str:
    """A convolution, or a transposed one where there are zeros between neighbours of the image."""
    params, rank = equation.params, len(equation.invars[0].aval.shape)
    into, spec, out_of = params["dimension_numbers"]
    spread, groups = params["lhs_dilation"], params["feature_group_count"]
    low, high = (list(side) for side in zip(*params["padding"], strict=True))
    image, weights = (
        graph.add("Transpose", x, perm=into),
        jnp.transpose(kernel, spec) if not isinstance(kernel, str) else None,
    )
    if weights is None or params["batch_group_count"] != 1:
        raise refused("a convolution whose kernel depends on its input")
    sizes = weights.shape[2:]
    step = {"strides": list(params["window_strides"]), "dilations": list(params["rhs_dilation"])}
    if set(spread) == {1}:
        y = graph.add("Conv", image, weights, pads=[*low, *high], group=groups, **step)
    else:
        low, high = ([size - 1 - pad for size, pad in zip(sizes, side, strict=True)] for side in (low, high))
        if groups != 1 or set(step["strides"] + step["dilations"]) != {1} or min(low + high) < 0:
            raise refused("a transposed convolution with groups, steps or more zeros around than its kernel is wide")
        weights = jnp.flip(jnp.swapaxes(weights, 0, 1), range(2, rank))
        y = graph.add("ConvTranspose", image, weights, pads=[*low, *high], strides=list(spread))
    return graph.add("Transpose", y, perm=[out_of.index(axis) for axis in range(rank)])


def _reduce(op: str) -> Callable[..., str]:
    return lambda graph, equation, x: graph.add(op, x, np.asarray(equation.params["axes"], np.int64), keepdims=0)


def _power(graph: Graph, equation: Any, x: Any) -> str:
    return graph.add("Pow", x, np.asarray(equation.params["y"], equation.invars[0].aval.dtype))


def _same_op(op: str) -> Callable[..., str]:
    return lambda graph, equation, *args: graph.add(op, *args)


SAME = {
    "abs": "Abs", "add": "Add", "add_any": "Add", "and": "And", "ceil": "Ceil", "copy": "Identity", "cos": "Cos",
    "div": "Div", "eq": "Equal", "erf": "Erf", "exp": "Exp", "floor": "Floor", "ge": "GreaterOrEqual", "gt": "Greater",
    "le": "LessOrEqual", "log": "Log", "logistic": "Sigmoid", "lt": "Less", "max": "Max", "min": "Min", "mul": "Mul",
    "neg": "Neg", "not": "Not", "or": "Or", "pow": "Pow", "sign": "Sign", "sin": "Sin", "sqrt": "Sqrt",
    "stop_gradient": "Identity", "sub": "Sub", "tanh": "Tanh",
}  # fmt: skip
OPS: dict[str, Callable[..., Any]] = {
    **{name: _same_op(op) for name, op in SAME.items()},
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda graph, equation, *xs: graph.add("Concat", *xs, axis=equation.params["dimension"]),
    "conv_general_dilated": _convolution,
    "convert_element_type": _cast,
    "dim_as_value": _size,
    "dot_general": _dot,
    "gather": _gather,
    "integer_pow": _power,
    "is_finite": lambda graph, _, x: graph.add("Not", graph.add("Or", graph.add("IsInf", x), graph.add("IsNaN", x))),
    "ne": lambda graph, _, a, b: graph.add("Not", graph.add("Equal", a, b)),
    "pad": _pad,
    "reduce_max": _reduce("ReduceMax"),
    "reduce_min": _reduce("ReduceMin"),
    "reduce_sum": _reduce("ReduceSum"),
    "reshape": _reshape,
    "rev": _reverse,
    "rsqrt": lambda graph, _, x: graph.add("Reciprocal", graph.add("Sqrt", x)),
    "select_n": _select,
    "slice": _slice,
    "square": lambda graph, _, x: graph.add("Mul", x, x),
    "squeeze": _reshape,
    "transpose": lambda graph, equation, x: graph.add("Transpose", x, perm=list(equation.params["permutation"])),
}
