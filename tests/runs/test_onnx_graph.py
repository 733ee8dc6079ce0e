"""A traced function as a graph: what depends on inputs becomes nodes, and the rest is computed now or left out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from onnx_runs import outcome

from ensgan.runs.onnx_graph import IR, OPSET, model
from ensgan.types import InputError

X = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]], np.float32)
TABLE = np.arange(3, dtype=np.float32)


def made(fn, size="b"):
    b = export.symbolic_shape(size)[0] if isinstance(size, str) else size
    return model(fn, {"x": jax.ShapeDtypeStruct((b, 3), jnp.float32)}, "y")


def ops(fn):
    return [node.op_type for node in made(fn).graph.node]


def test_a_graph_says_its_inputs_its_output_and_its_version():
    found = made(lambda x: x.sum(axis=1))
    sizes = lambda value: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
    assert [(value.name, sizes(value)) for value in found.graph.input] == [("x", ["b", 3])]
    assert [(value.name, sizes(value)) for value in found.graph.output] == [("y", ["b"])]
    assert (found.ir_version, found.opset_import[0].version, found.producer_name) == (IR, OPSET, "ensgan")
    fixed = made(lambda x: x, 4)
    assert sizes(fixed.graph.input[0]) == [4, 3]


def test_what_depends_on_no_input_is_computed_now():
    table = jnp.asarray(TABLE)
    fn = lambda x: x + jnp.sin(table)[None] * 2.0
    assert "Sin" not in ops(fn)
    assert "Mul" not in ops(fn)
    np.testing.assert_allclose(outcome(fn, X), X + 2 * np.sin(TABLE), rtol=1e-6)


def test_what_no_result_depends_on_is_left_out():
    def fn(x):
        _ = jnp.sort(jnp.exp(x))  # which has no form
        return x + 1.0

    assert ops(fn) == ["Add", "Identity"]


def test_programs_inside_of_a_program_become_part_of_the_graph():
    fn = jax.jit(lambda x: jax.nn.relu(jax.checkpoint(jnp.tanh)(x)))
    assert set(ops(fn)) <= {"Tanh", "Max", "Identity"}
    np.testing.assert_allclose(outcome(fn, X), np.maximum(np.tanh(X), 0.0), rtol=1e-6, atol=1e-7)


def test_a_result_may_be_an_input_or_a_constant():
    np.testing.assert_array_equal(outcome(lambda x: x, X), X)
    np.testing.assert_array_equal(outcome(lambda x: jnp.asarray(TABLE), X), TABLE)


def test_a_loop_is_no_part_of_a_graph_unless_it_is_known():
    looped = lambda x: jax.lax.scan(lambda c, _: (c * 2.0, None), x, None, length=3)[0]
    with pytest.raises(InputError, match="the network computes scan, which has no ONNX form here"):
        made(looped)
    np.testing.assert_allclose(outcome(lambda x: x + looped(jnp.asarray(TABLE))[None], X), X + 8 * TABLE)
