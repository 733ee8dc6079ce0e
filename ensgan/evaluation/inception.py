"""Inception-v3 as FID uses it: its graph, and its weights from a file that the user has.

The network is the one of 2015-12-05 that TensorFlow's first FID scripts loaded, in the names of its port to PyTorch
(pytorch-fid, torch-fidelity). It is Szegedy et al. 2015 (arXiv 1512.00567) with 1008 outputs, with averages that do
not count the border, and with a maximum where the last block should have an average. Images are resized as TensorFlow 1
did, without antialiasing and without half a pixel of offset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ensgan.evaluation.torch_files import read_tensors
from ensgan.types import Array, InputError, Tree

FILE = "weights-inception-2015-12-05-6726825d.pth"  # of torch-fidelity's release v0.2.0; pytorch-fid has the same bytes
BYTES = 95_628_359
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
SIZE = 299  # pixels of a side that the network sees
FEATURES = 2048
CLASSES = 1008  # 1000 of ImageNet, and others that nobody uses
EPSILON = 1e-3  # of batch normalisation


class Conv(NamedTuple):
    """A convolution without bias, batch normalisation and ReLU."""

    name: str
    out: int
    window: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "SAME"


class Pool(NamedTuple):
    """A pooling over 3×3 pixels."""

    kind: str  # maximum, or average of the pixels that there are
    stride: int = 1
    padding: str = "SAME"


Step = Any  # a Conv, a Pool, or a list of branches, each a list of steps, whose results are put side by side
AVERAGE, MAXIMUM, HALVE = Pool("average"), Pool("maximum"), Pool("maximum", 2, "VALID")


def _block(name: str, *branches: Sequence[Step]) -> Step:
    """Branches whose convolutions have the block's name in front."""
    named = lambda step: (
        step._replace(name=f"{name}.{step.name}")
        if isinstance(step, Conv)
        else step
        if isinstance(step, Pool)
        else _block(name, *step)
    )
    return [[named(step) for step in branch] for branch in branches]


def _a(name: str, pooled: int) -> Step:
    return _block(
        name,
        [Conv("branch1x1", 64)],
        [Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, (5, 5))],
        [Conv("branch3x3dbl_1", 64), Conv("branch3x3dbl_2", 96, (3, 3)), Conv("branch3x3dbl_3", 96, (3, 3))],
        [AVERAGE, Conv("branch_pool", pooled)],
    )


def _b(name: str) -> Step:
    return _block(
        name,
        [Conv("branch3x3", 384, (3, 3), 2, "VALID")],
        [
            Conv("branch3x3dbl_1", 64),
            Conv("branch3x3dbl_2", 96, (3, 3)),
            Conv("branch3x3dbl_3", 96, (3, 3), 2, "VALID"),
        ],
        [HALVE],
    )


def _c(name: str, width: int) -> Step:
    return _block(
        name,
        [Conv("branch1x1", 192)],
        [Conv("branch7x7_1", width), Conv("branch7x7_2", width, (1, 7)), Conv("branch7x7_3", 192, (7, 1))],
        [
            Conv("branch7x7dbl_1", width),
            Conv("branch7x7dbl_2", width, (7, 1)),
            Conv("branch7x7dbl_3", width, (1, 7)),
            Conv("branch7x7dbl_4", width, (7, 1)),
            Conv("branch7x7dbl_5", 192, (1, 7)),
        ],
        [AVERAGE, Conv("branch_pool", 192)],
    )


def _d(name: str) -> Step:
    return _block(
        name,
        [Conv("branch3x3_1", 192), Conv("branch3x3_2", 320, (3, 3), 2, "VALID")],
        [
            Conv("branch7x7x3_1", 192),
            Conv("branch7x7x3_2", 192, (1, 7)),
            Conv("branch7x7x3_3", 192, (7, 1)),
            Conv("branch7x7x3_4", 192, (3, 3), 2, "VALID"),
        ],
        [HALVE],
    )


def _e(name: str, pool: Pool) -> Step:
    cross = lambda stem: [[Conv(f"{stem}a", 384, (1, 3))], [Conv(f"{stem}b", 384, (3, 1))]]
    return _block(
        name,
        [Conv("branch1x1", 320)],
        [Conv("branch3x3_1", 384), cross("branch3x3_2")],
        [Conv("branch3x3dbl_1", 448), Conv("branch3x3dbl_2", 384, (3, 3)), cross("branch3x3dbl_3")],
        [pool, Conv("branch_pool", 192)],
    )


NETWORK = [
    Conv("Conv2d_1a_3x3", 32, (3, 3), 2, "VALID"),
    Conv("Conv2d_2a_3x3", 32, (3, 3), 1, "VALID"),
    Conv("Conv2d_2b_3x3", 64, (3, 3)),
    HALVE,
    Conv("Conv2d_3b_1x1", 80),
    Conv("Conv2d_4a_3x3", 192, (3, 3), 1, "VALID"),
    HALVE,
    *(_a(f"Mixed_5{letter}", pooled) for letter, pooled in (("b", 32), ("c", 64), ("d", 64))),
    _b("Mixed_6a"),
    *(_c(f"Mixed_6{letter}", width) for letter, width in (("b", 128), ("c", 160), ("d", 160), ("e", 192))),
    _d("Mixed_7a"),
    _e("Mixed_7b", AVERAGE),
    _e("Mixed_7c", MAXIMUM),
]


def _run(steps: Sequence[Step], x: Array, conv: Callable[[Conv, Array], Array]) -> Array:
    for step in steps:
        if isinstance(step, Conv):
            x = conv(step, x)
        elif isinstance(step, Pool):
            pool = nnx.max_pool if step.kind == "maximum" else partial(nnx.avg_pool, count_include_pad=False)
            x = pool(x, (3, 3), (step.stride, step.stride), step.padding)
        else:
            x = jnp.concatenate([_run(branch, x, conv) for branch in step], axis=-1)
    return x


def _convolved(step: Conv, x: Array, kernel: Array) -> Array:
    # "highest" as a GPU would else round the factors to ten bits.
    layout, stride = ("NHWC", "HWIO", "NHWC"), (step.stride, step.stride)
    return jax.lax.conv_general_dilated(x, kernel, stride, step.padding, dimension_numbers=layout, precision="highest")


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors that the network is made of, by their names in PyTorch: kernels are `[out, in, height, width]`."""
    found: dict[str, tuple[int, ...]] = {}

    def conv(step: Conv, x: Array) -> Array:
        found[f"{step.name}.conv.weight"] = (step.out, x.shape[-1], *step.window)
        for name in ("weight", "bias", "running_mean", "running_var"):
            found[f"{step.name}.bn.{name}"] = (step.out,)
        return _convolved(step, x, jnp.zeros((*step.window, x.shape[-1], step.out)))

    jax.eval_shape(lambda x: _run(NETWORK, x, conv), jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), np.float32))
    return {**found, "fc.weight": (CLASSES, FEATURES), "fc.bias": (CLASSES,)}


def parameters(tensors: dict[str, np.ndarray]) -> Tree:
    """The parameters of `network`: kernels with the normalisation folded in.

    Args:
        tensors: as `shapes` says, and whatever else there is.

    Raises:
        InputError: a tensor is missing or has another shape.
    """
    for name, shape in shapes().items():
        if name not in tensors or tensors[name].shape != shape:
            seen = f"has the shape {list(tensors[name].shape)}" if name in tensors else "is missing"
            raise InputError(f"the weights of Inception-v3: {name} {seen}; expected {list(shape)}")
    tree: dict[str, Any] = {"fc": jnp.asarray(tensors["fc.weight"].T, jnp.float32)}
    for name in (name.removesuffix(".conv.weight") for name in tensors if name.endswith(".conv.weight")):
        # In float64, so that one rounding is all that this adds.
        named = (f"{name}.bn.{of}" for of in ("weight", "bias", "running_mean", "running_var"))
        weight, bias, mean, variance = (tensors[name].astype(np.float64) for name in named)
        scale = weight / np.sqrt(variance + EPSILON)
        kernel = tensors[f"{name}.conv.weight"].transpose(2, 3, 1, 0) * scale[None, None, None]
        tree[name] = {
            "kernel": jnp.asarray(kernel, jnp.float32),
            "bias": jnp.asarray(bias - mean * scale, jnp.float32),
        }
    return tree


def network(params: Tree, x: Array) -> tuple[Array, Array]:
    """Features and logits of images that have been resized and scaled.

    Args:
        params: from `parameters`.
        x: `[n, 299, 299, 3]` in [-1, 1]; any size from 75 pixels works.

    Returns:
        The mean of the last map over its pixels, `[n, 2048]`, and logits of classes without their bias, `[n, 1008]`,
        as the Inception score takes them.
    """

    def conv(step: Conv, x: Array) -> Array:
        layer = params[step.name]
        return jax.nn.relu(_convolved(step, x, layer["kernel"]) + layer["bias"][None, None, None])

    features = _run(NETWORK, x, conv).mean(axis=(1, 2))
    return features, jnp.matmul(features, params["fc"], precision="highest")


def resized(x: Array, size: int = SIZE) -> Array:
    """Images `[n, H, W, C]` as `[n, size, size, C]`, bilinear as TensorFlow 1 did it.

    Output pixel i is at i · H / size of the input; the last input pixel goes on beyond the border.
    """
    for axis in (2, 1):
        length = x.shape[axis]
        at = np.arange(size, dtype=np.float32) * np.float32(length / size)  # TensorFlow's rounding, so not in XLA
        low = at.astype(np.int32)
        share = np.expand_dims(at - low.astype(np.float32), [k for k in range(4) if k != axis])
        first = x.take(low, axis=axis)
        x = first + (x.take(np.minimum(low + 1, length - 1), axis=axis) - first) * share
    return x


def load(file: str | Path) -> Tree:
    """The parameters of `network` from the published file of weights; no other is accepted.

    Nothing in the file is run, and PyTorch is not needed (`ensgan.torch_files`).

    Args:
        file: the path of weights-inception-2015-12-05-6726825d.pth, or of pt_inception-2015-12-05-6726825d.pth, which
            is the same.

    Raises:
        InputError: the file is missing, or is another by its SHA-256.
    """
    if not Path(file).is_file():
        raise InputError(f"{file} is missing; expected the weights of Inception-v3, {FILE}")
    with Path(file).open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != SHA256:
        raise InputError(
            f"{file} has {Path(file).stat().st_size:,} bytes and SHA-256 {found}; expected {FILE} of torch-fidelity's "
            f"release v0.2.0, {BYTES:,} bytes, SHA-256 {SHA256}: fetch it again"
        )
    return parameters(read_tensors(file))
