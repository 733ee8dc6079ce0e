"""Functions and files as onnxruntime runs them."""

import jax
import onnx
import onnxruntime
from jax import export as jax_export

from ensgan.runs.onnx_graph import model


def session(content):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def outcome(fn, *inputs):
    """What onnxruntime makes of a function of inputs `[b, ...]`, from a file for any b."""
    b = jax_export.symbolic_shape("b")[0]
    names = [f"x{k}" for k in range(len(inputs))]
    specs = {n: jax.ShapeDtypeStruct((b, *x.shape[1:]), x.dtype) for n, x in zip(names, inputs, strict=True)}
    made = model(fn, specs, "y")
    onnx.checker.check_model(made)
    return session(made.SerializeToString()).run(None, dict(zip(names, inputs, strict=True)))[0]
