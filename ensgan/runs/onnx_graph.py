"""A traced function as an ONNX graph: what depends on its inputs becomes nodes, everything else is computed now.

The converters of the package index do not work with the JAX and Orbax that this library needs, or turn convolutions
wrong. So a graph is made here, and compared with its function wherever one is written (`runs/onnx_file.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from ensgan.runs.onnx_ops import OPS, Graph, refused
from ensgan.types import Array

OPSET, IR = 18, 8  # of December 2022, so that runtimes since then read the file
INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # where primitives keep a program that is called once


def model(fn: Callable[..., Array], inputs: Mapping[str, jax.ShapeDtypeStruct], output: str) -> Any:
    """An `onnx.ModelProto` of a pure function.

    Args:
        fn: takes arrays, one per input, and returns one array. Arrays that it captured become constants.
        inputs: names, shapes and types. The first size of each may be the symbol `b`, any number of samples.
        output: the name of its result.

    Raises:
        InputError: the function does something that has no ONNX form here.
    """
    from onnx import checker, helper, numpy_helper

    program, out = jax.make_jaxpr(fn, return_shape=True)(*inputs.values())
    graph = Graph()
    graph.batch = next(iter(inputs))
    (result,) = run(graph, program.jaxpr, program.consts, list(inputs))
    result = graph.named(result)
    graph.nodes.append(helper.make_node("Identity", [result], [output]))
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "ensgan",
            [_described(name, spec) for name, spec in inputs.items()],
            [_described(output, out)],
            [numpy_helper.from_array(array, name) for name, array in graph.constants.values()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="ensgan",
    )
    checker.check_model(made, full_check=True)
    return made


def run(graph: Graph, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """The values of the results of a program, with nodes added for what depends on names among the inputs."""
    values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *inputs), strict=True))
    read = lambda atom: _literal(atom) if isinstance(atom, core.Literal) else values[atom]
    for equation in _needed(jaxpr):
        args = [read(atom) for atom in equation.invars]
        name = equation.primitive.name
        inner = next((equation.params[key] for key in INNER if key in equation.params), None)
        # What has the size of the batch is no constant.
        known = (
            name != "dim_as_value"
            and not any(isinstance(arg, str) for arg in args)
            and all(isinstance(size, int) for variable in equation.outvars for size in variable.aval.shape)
        )
        if known:
            results = _computed(jaxpr, equation, args)
        elif inner is not None and name not in ("scan", "while", "cond"):
            closed = isinstance(inner, core.ClosedJaxpr)
            results = run(graph, inner.jaxpr if closed else inner, inner.consts if closed else (), args)
        elif name in OPS:
            results = [OPS[name](graph, equation, *args)]
        else:
            raise refused(name)
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _literal(atom: Any) -> np.ndarray:
    """A number in a program, in the type that it has there."""
    return np.asarray(atom.val, atom.aval.dtype)


def _needed(jaxpr: Any) -> list[Any]:
    """The equations that results depend on, in order."""
    wanted = {atom for atom in jaxpr.outvars if not isinstance(atom, core.Literal)}
    kept = []
    for equation in reversed(jaxpr.eqns):
        if wanted & set(equation.outvars):
            kept.append(equation)
            wanted |= {atom for atom in equation.invars if not isinstance(atom, core.Literal)}
    return kept[::-1]


def _computed(jaxpr: Any, equation: Any, args: Sequence[Any]) -> list[Any]:
    """The results of an equation whose inputs are known."""
    variables = {
        atom: arg for atom, arg in zip(equation.invars, args, strict=True) if not isinstance(atom, core.Literal)
    }
    alone = jaxpr.replace(constvars=[], invars=[*variables], outvars=equation.outvars, eqns=[equation])
    return core.jaxpr_as_fun(core.ClosedJaxpr(alone, []))(*variables.values())


def _described(name: str, spec: Any) -> Any:
    """An input or output of a graph."""
    from onnx import helper

    sizes = [size if isinstance(size, int) else str(size) for size in spec.shape]
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)), sizes)
