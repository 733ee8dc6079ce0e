"""Residual networks after R3GAN (Huang et al. 2024, arXiv 2501.05441): no normalisation, Fixup-like weights."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from ensgan.networks.adapters import from_nnx, image_shape, output_shape
from ensgan.networks.conditional import Embedded, Projection, one_logit
from ensgan.networks.mlp import OUTPUTS, dtypes, look_up
from ensgan.types import InputError, Network, Shape

# size: (smallest size, number of doublings)
STAGES = {8: (4, 1), 16: (4, 2), 28: (7, 2), 32: (4, 3), 64: (4, 4), 128: (4, 5), 256: (4, 6)}
SLOPE = 0.2
HE = 2 / (1 + SLOPE**2)  # variance scale that keeps a signal through LeakyReLU(.2)


def r3gan_generator(
    sample_shape: Shape,
    *,
    latent: int = 64,
    width: int = 32,
    blocks: int = 1,
    expansion: int = 2,
    group_width: int = 16,
    output: Literal["linear", "tanh"] = "linear",
    dtype: str = "float32",
    classes: int = 0,
) -> Network:
    """Return the generator: a learned constant scaled by the latent, residual stages, bilinear upsampling.

    Args:
        sample_shape: `(size, size, channels)` with size 8, 16, 28, 32, 64, 128 or 256.
        latent: size of the latent.
        width: number of channels at full size; it doubles each time the size halves, up to four times this.
        blocks: residual blocks per stage.
        expansion: width of the grouped convolution of a block, as a multiple of the block's width.
        group_width: number of channels per group of the grouped convolution; divides `width * expansion`.
        output: `linear`, as in the paper, or `tanh` for data in [-1, 1].
        dtype: dtype of the computation: `float32`, `bfloat16` or `float64`.
        classes: number of classes of the data, or 0 for an unconditional generator. A learned embedding of the class,
            as long as the latent, is concatenated to the latent.

    Raises:
        InputError: other sizes, groups that do not divide, or unknown names.
    """
    size, channels = image_shape(sample_shape, STAGES)
    base, doublings = STAGES[size]
    widths = _widths(width, doublings, expansion, group_width)[::-1]
    final = look_up("output", output, OUTPUTS)
    compute, stored = dtypes(dtype)
    inputs = 2 * latent if classes else latent

    def factory(rngs: nnx.Rngs) -> nnx.Module:
        kind = {"dtype": compute, "param_dtype": stored, "rngs": rngs}
        stages = _stages(widths, blocks, expansion, group_width, kind)
        net = _Generator(inputs, base, channels, widths, stages, final, stored, kind)
        return Embedded(net, classes, latent, dtype=stored, rngs=rngs) if classes else net

    return from_nnx(factory, latent, (size, size, channels), classes=classes or None)


def r3gan_discriminator(
    sample_shape: Shape,
    *,
    width: int = 32,
    blocks: int = 1,
    expansion: int = 2,
    group_width: int = 16,
    heads: int = 1,
    dtype: str = "float32",
    classes: int = 0,
) -> Network:
    """Return the discriminator: residual stages, area downsampling, a weight per position, dense to a logit.

    Args:
        sample_shape: `(size, size, channels)` with size 8, 16, 28, 32, 64, 128 or 256.
        width: number of channels at full size; it doubles each time the size halves, up to four times this.
        blocks: residual blocks per stage.
        expansion: width of the grouped convolution of a block, as a multiple of the block's width.
        group_width: number of channels per group of the grouped convolution; divides `width * expansion`.
        heads: logits per sample; more than one for the losses `mad` and `mgan`.
        dtype: dtype of the computation: `float32`, `bfloat16` or `float64`.
        classes: number of classes of the data, for a projection discriminator (Miyato & Koyama 2018), or 0.

    Raises:
        InputError: other sizes, or groups that do not divide.
    """
    size, channels = image_shape(sample_shape, STAGES)
    base, doublings = STAGES[size]
    widths = _widths(width, doublings, expansion, group_width)
    compute, stored = dtypes(dtype)

    def factory(rngs: nnx.Rngs) -> nnx.Module:
        kind = {"dtype": compute, "param_dtype": stored, "rngs": rngs}
        stages = _stages(widths, blocks, expansion, group_width, kind)
        net = _Discriminator(base, channels, widths, stages, heads, stored, kind)
        return Projection(net, classes, widths[-1], dtype=stored, rngs=rngs) if classes else net

    one_logit(heads, classes)
    return from_nnx(factory, (size, size, channels), output_shape(heads), classes=classes or None)


class _Block(nnx.Module):
    """x + 1×1(act(grouped 3×3(act(1×1(x))))). It starts as the identity, since the last weights start at zero."""

    def __init__(self, width: int, inner: int, group_width: int, depth: int, kind: dict[str, Any]):
        # Fixup, with `depth` branches of three layers: depth^(-1/4) on the first two, squared for variance.
        kernel = _scaled(HE / depth**0.5)
        # 1×1 convolutions are dense layers, so stacked members become a batched product and not a grouped convolution.
        self.enter = nnx.Linear(width, inner, kernel_init=kernel, **kind)
        groups = inner // group_width
        self.mix = nnx.Conv(inner, inner, (3, 3), feature_group_count=groups, kernel_init=kernel, **kind)
        zero = nnx.initializers.zeros_init()
        self.leave = nnx.Linear(inner, width, use_bias=False, kernel_init=zero, **kind)

    def __call__(self, x):
        return x + self.leave(_act(self.mix(_act(self.enter(x)))))


class _Generator(nnx.Module):
    def __init__(self, latent, base, channels, widths, stages, final, out_dtype, kind):
        shape = (base, base, widths[0])
        self.constant = nnx.Param(jax.random.normal(kind["rngs"].params(), shape, kind["param_dtype"]))
        self.modulate = nnx.Linear(latent, widths[0], kernel_init=_scaled(1.0), **kind)
        self.stages, self.changes = stages, _changes(widths, kind)
        self.to_image = nnx.Linear(widths[-1], channels, kernel_init=_scaled(1.0), **kind)
        self.final, self.out_dtype = final, out_dtype

    def parts(self):
        names = lambda i: (f"stages.{i}", f"changes.{i - 1}") if i else ("constant", "modulate", "stages.0")
        return [*((names(i), partial(self.level, i)) for i in range(len(self.stages))), (("to_image",), self.finish)]

    def level(self, i, x):
        if i:
            x = _upsample(_change(self.changes[i - 1], x))
        else:
            scale = self.modulate(x)
            x = self.constant[...].astype(scale.dtype)[None] * scale[:, None, None, :]
        for block in self.stages[i]:
            x = block(x)
        return x

    def finish(self, x):
        return self.final(self.to_image(x).astype(self.out_dtype))

    def __call__(self, z):
        x = z
        for i in range(len(self.stages)):
            x = self.level(i, x)
        return self.finish(x)


class _Discriminator(nnx.Module):
    def __init__(self, base, channels, widths, stages, heads, out_dtype, kind):
        self.from_image = nnx.Linear(channels, widths[0], kernel_init=_scaled(1.0), **kind)
        self.stages, self.changes = stages, _changes(widths, kind)
        shape = (base, base, widths[-1])
        std = base**-1.0  # of base² weights per channel
        self.pool = nnx.Param(std * jax.random.normal(kind["rngs"].params(), shape, kind["param_dtype"]))
        # The last layer is computed in the dtype of its parameters, since losses compare logits.
        kind = kind | {"dtype": out_dtype}
        self.logit = nnx.Linear(widths[-1], heads, kernel_init=_scaled(1.0), **kind)

    def parts(self):
        last = len(self.stages) - 1
        first = lambda i: (f"stages.{i}", f"changes.{i - 1}") if i else ("from_image", "stages.0")
        names = lambda i: (*first(i), "pool") if i == last else first(i)
        return [*((names(i), partial(self.level, i)) for i in range(last + 1)), (("logit",), self.head)]

    def level(self, i, x):
        x = _change(self.changes[i - 1], _downsample(x)) if i else self.from_image(x)
        for block in self.stages[i]:
            x = block(x)
        # A depthwise convolution over the whole map has one weight per position and channel.
        last = i == len(self.stages) - 1
        return jnp.einsum("bhwc,hwc->bc", x, self.pool[...].astype(x.dtype)) if last else x

    def features(self, x):
        for i in range(len(self.stages)):
            x = self.level(i, x)
        return x

    def head(self, h):
        return self.logit(h)

    def __call__(self, x):
        return self.head(self.features(x))


def _widths(width: int, doublings: int, expansion: int, group_width: int) -> list[int]:
    if min(width, expansion, group_width) < 1:
        raise InputError(
            f"width is {width}, expansion {expansion} and group_width {group_width}; each must be at least 1"
        )
    if (width * expansion) % group_width:
        raise InputError(
            f"width {width} × expansion {expansion} is {width * expansion}, which is not a multiple of "
            f"group_width {group_width}; change one of the three"
        )
    return [width * min(2**i, 4) for i in range(doublings + 1)]


def _stages(widths: list[int], blocks: int, expansion: int, group_width: int, kind: dict[str, Any]) -> nnx.List:
    depth = max(1, blocks * len(widths))
    return nnx.List(
        [nnx.List([_Block(w, w * expansion, group_width, depth, kind) for _ in range(blocks)]) for w in widths]
    )


def _changes(widths: list[int], kind: dict[str, Any]) -> nnx.List:
    """The layers that map one stage's channels to the next one's; None where they agree."""
    make = lambda a, b: nnx.Linear(a, b, use_bias=False, kernel_init=_scaled(1.0), **kind)
    return nnx.List([make(a, b) if a != b else None for a, b in pairwise(widths)])


def _change(layer: nnx.Linear | None, x: jax.Array) -> jax.Array:
    return x if layer is None else layer(x)


def _scaled(scale: float) -> nnx.Initializer:
    return nnx.initializers.variance_scaling(scale, "fan_in", "truncated_normal")


def _act(x: jax.Array) -> jax.Array:
    return jax.nn.leaky_relu(x, SLOPE)


def _upsample(x: jax.Array) -> jax.Array:
    """Bilinear, `[B, H, W, C]` to `[B, 2H, 2W, C]`."""
    b, h, w, c = x.shape
    return jax.image.resize(x, (b, 2 * h, 2 * w, c), "bilinear")


def _downsample(x: jax.Array) -> jax.Array:
    """Mean over 2×2, `[B, 2H, 2W, C]` to `[B, H, W, C]`."""
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))
