"""An export as one ONNX file, compared with what it was made of before it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import export

from ensgan.runs.onnx_graph import OPSET, model
from ensgan.runs.onnx_ops import BATCH
from ensgan.runs.portable import Portable
from ensgan.types import InputError

SAMPLES = 32  # that are compared
CLOSE = 1e-4  # the largest difference that rounding explains, in units of the largest number


def make(portable: Portable, batch: int | None = None) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The content of `generate.onnx` or `score.onnx`, and what `config.json` says of it.

    Raises:
        InputError: the function has no ONNX form here, onnxruntime cannot run it, or gives other numbers.
    """
    plain = portable.plain()
    inputs = plain.inputs(export.symbolic_shape(BATCH)[0] if batch is None else batch)
    output = "x" if portable.kind == "generate" else "logit"
    try:
        made = model(plain.call, inputs, output)
    except InputError:
        raise
    except Exception as error:  # of a network of the user's, in JAX or in the checker of onnx
        said = " ".join(str(error).split())[:200]
        raise InputError(f"the network has no ONNX form here ({said}); export it with --format jax") from error
    content, file = made.SerializeToString(), f"{portable.kind}.onnx"
    out = jax.eval_shape(plain.call, *plain.inputs(batch or SAMPLES).values())
    function = {
        "file": file,
        "inputs": described(inputs),
        **plain.about,
        "output": f"{out.dtype}[{','.join(map(str, (batch or BATCH, *out.shape[1:])))}]",
        "result": output,
        "opset": OPSET,
        "checked": _checked(content, *plain.example(batch or SAMPLES), batch),
    }
    return {file: content}, function


def described(specs: Mapping[str, Any]) -> dict[str, str]:
    """Types and shapes in words, such as `float32[b,2]`."""
    return {name: f"{spec.dtype}[{','.join(map(str, spec.shape))}]" for name, spec in specs.items()}


def _checked(content: bytes, inputs: Mapping[str, np.ndarray], want: np.ndarray, batch: int | None) -> dict[str, Any]:
    """How far onnxruntime's results are from those of JAX, for all samples at once and for the first alone.

    Raises:
        InputError: it cannot run the file, or they differ by more than rounding.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    differences = []
    for n in {len(want), 1} if batch is None else {len(want)}:
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            found = np.asarray(session.run(None, {name: value[:n] for name, value in inputs.items()})[0])
        except Exception as error:  # its errors have no common class that is public
            said = " ".join(str(error).split())
            raise InputError(
                f"onnxruntime cannot run the network ({said[:200]}); export it with --format jax"
            ) from error
        if found.shape != want[:n].shape:
            raise InputError(f"onnxruntime gives shape {found.shape} for {want[:n].shape}; export it with --format jax")
        differences.append(float(np.abs(found - want[:n]).max()))
    far = max(differences)
    if not far <= CLOSE * max(1.0, float(np.abs(want).max())):
        raise InputError(f"onnxruntime gives other numbers, up to {far:.2g} away; export the network with --format jax")
    return {"runtime": f"onnxruntime {onnxruntime.__version__}", "samples": len(want), "max_difference": far}
