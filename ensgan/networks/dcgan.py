"""DCGAN: generator and discriminator (Radford, Metz and Chintala 2016, arXiv 1511.06434)."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from ensgan.networks.adapters import from_nnx, image_shape, output_shape
from ensgan.networks.conditional import Embedded, Projection, one_logit
from ensgan.networks.mlp import NORMS, dense, dtypes, look_up
from ensgan.networks.projection import projected
from ensgan.networks.spectral import SpectralNorm
from ensgan.types import Network, Shape, check_range

STAGES = {28: (7, 2), 32: (4, 3), 64: (4, 4)}  # size: (smallest size, number of doublings)
_NORMS = {name: NORMS[name] for name in ("none", "batch")}


def dcgan_generator(
    sample_shape: Shape,
    *,
    latent: int = 100,
    width: int = 64,
    norm: Literal["batch", "none"] = "batch",
    dtype: str = "float32",
    classes: int = 0,
) -> Network:
    """Return the generator: dense to the smallest map, transposed 4×4 convolutions of stride 2, ReLU, tanh.

    Args:
        sample_shape: `(size, size, channels)` with size 28, 32 or 64.
        latent: size of the latent.
        width: number of channels at the largest size; it doubles each time the size halves.
        norm: `batch`, after every layer but the last, or `none`.
        dtype: dtype of the computation: `float32`, `bfloat16` or `float64`.
        classes: number of classes of the data, or 0 for an unconditional generator. A learned embedding of the class,
            as long as the latent, is concatenated to the latent.

    Raises:
        InputError: other sizes or unknown names.
    """
    check_range("width", width, 1)
    size, channels = image_shape(sample_shape, STAGES)
    base, doublings = STAGES[size]
    widths = [width * 2**i for i in reversed(range(doublings))]
    make_norm = look_up("norm", norm, _NORMS)
    compute, stored = dtypes(dtype)
    inputs = 2 * latent if classes else latent

    def factory(rngs: nnx.Rngs) -> nnx.Module:
        kind: dict[str, Any] = {"dtype": compute, "param_dtype": stored, "rngs": rngs}
        # With stride 2 an output sees a quarter of the kernel, hence 4 and 8 instead of the usual 1 and 2.
        scales = [8.0] * (doublings - 1) + [4.0]
        up = [
            nnx.ConvTranspose(a, b, (4, 4), (2, 2), kernel_init=kernel_init(norm, scale), **kind)
            for (a, b), scale in zip(pairwise([*widths, channels]), scales, strict=True)
        ]
        stem = dense(inputs, base * base * widths[0], kernel_init=kernel_init(norm, 2.0), **kind)
        norms = [make_norm(w, **kind) for w in widths] if make_norm else None
        net = Upwards(stem, up, norms, base, stored)
        return Embedded(net, classes, latent, dtype=stored, rngs=rngs) if classes else net

    return from_nnx(factory, latent, (size, size, channels), classes=classes or None)


def dcgan_discriminator(
    sample_shape: Shape,
    *,
    width: int = 64,
    norm: Literal["none", "batch"] = "none",
    spectral_norm: bool = False,
    heads: int = 1,
    projection: int = 0,
    dtype: str = "float32",
    classes: int = 0,
) -> Network:
    """Return the discriminator: 4×4 convolutions of stride 2, LeakyReLU(.2), dense to one logit.

    The paper has batch norm. Here it is off by default, since batch coupling costs a second pullback.

    Args:
        sample_shape: `(size, size, channels)` with size 28, 32 or 64.
        width: number of channels at the largest size; it doubles each time the size halves.
        norm: `none`, or `batch`, after every convolution but the first.
        spectral_norm: whether every layer is divided by its largest singular value (Miyato et al. 2018).
        heads: logits per sample; more than one for the losses `mad` and `mgan`.
        projection: number of channels of a fixed random 8×8 convolution of stride 2, different for each member, in
            place of the first layer (Neyshabur et al. 2017); 0 for a trained first layer.
        dtype: dtype of the computation: `float32`, `bfloat16` or `float64`.
        classes: number of classes of the data, for a projection discriminator (Miyato & Koyama 2018), or 0.

    Raises:
        InputError: other sizes or unknown names.
    """
    check_range("projection", projection)
    check_range("width", width, 1)
    size, channels = image_shape(sample_shape, STAGES)
    base, doublings = STAGES[size]
    if projection:
        size, channels, doublings = size // 2, projection, doublings - 1
    widths = [channels, *(width * 2**i for i in range(doublings))]
    make_norm = look_up("norm", norm, _NORMS)
    compute, stored = dtypes(dtype)

    def factory(rngs: nnx.Rngs) -> nnx.Module:
        scaled = "spectral" if spectral_norm else norm
        kind: dict[str, Any] = {"param_dtype": stored, "rngs": rngs}

        def conv(a: int, b: int) -> nnx.Module:
            options = {"use_bias": not spectral_norm, "kernel_init": kernel_init(scaled, 2.0), "dtype": compute}
            layer = nnx.Conv(a, b, (4, 4), (2, 2), **options, **kind)
            return SpectralNorm(layer, rngs=rngs) if spectral_norm else layer

        down = [conv(a, b) for a, b in pairwise(widths)]
        norms = [make_norm(w, dtype=compute, **kind) for w in widths[2:]] if make_norm else None
        options = {"spectral_norm": spectral_norm, "kernel_init": kernel_init(scaled, 1.0), "dtype": stored}
        features = base * base * widths[-1]
        net = Downwards(down, norms, dense(features, heads, **options, **kind))
        if not classes:
            return net
        return Projection(net, classes, features, spectral_norm=spectral_norm, dtype=stored, rngs=rngs)

    one_logit(heads, classes)
    network = from_nnx(factory, (size, size, channels), output_shape(heads), classes=classes or None)
    return projected(network, sample_shape) if projection else network


def kernel_init(norm: str, scale: float) -> nnx.Initializer:
    """N(0, .02) as in the paper, if a norm sets the scale; else the signal would vanish, so scale by the fan-in."""
    if norm == "none":
        return nnx.initializers.variance_scaling(scale, "fan_in", "truncated_normal")
    return nnx.initializers.normal(0.02)


class Upwards(nnx.Module):
    """From a latent to an image: a dense stem, layers that each follow a ReLU, and a final tanh."""

    def __init__(self, stem, up, norms, base, out_dtype):
        """Stores the layers; `norms`, one before each of `up`, may be None."""
        self.stem, self.up = stem, nnx.List(up)
        self.norms = nnx.List(norms) if norms else None
        self.base, self.out_dtype = base, out_dtype

    def parts(self):
        """The stem, then each layer with the norm and the ReLU before it."""
        layers = [((f"up.{i}", f"norms.{i}"), partial(self.layer, i)) for i in range(len(self.up))]
        return [(("stem",), self.start), *layers]

    def start(self, z):
        """Return the smallest map `[B, h, w, c]`."""
        return self.stem(z).reshape(z.shape[0], self.base, self.base, -1)

    def layer(self, i, x):
        """Return the map after layer i, which is an image after the last."""
        x = self.up[i](jax.nn.relu(x if self.norms is None else self.norms[i](x)))
        return jnp.tanh(x.astype(self.out_dtype)) if i == len(self.up) - 1 else x

    def __call__(self, z):
        """Maps latents `[B, Z]` to images `[B, H, W, C]`."""
        x = self.start(z)
        for i in range(len(self.up)):
            x = self.layer(i, x)
        return x


class Downwards(nnx.Module):
    """From an image to a logit: layers that each precede a leaky ReLU, and a final dense layer."""

    def __init__(self, down, norms, logit, slope=0.2):
        """Stores the layers; `norms`, one after each of the last of `down`, may be None."""
        self.down, self.logit, self.slope = nnx.List(down), logit, slope
        self.norms = nnx.List(norms) if norms else None
        self.bare = len(down) - len(norms or down)  # number of layers at the front without a norm

    def parts(self):
        """Each layer with its norm and activation, then the dense one."""
        names = lambda i: (f"down.{i}",) if i < self.bare else (f"down.{i}", f"norms.{i - self.bare}")
        return [*((names(i), partial(self.layer, i)) for i in range(len(self.down))), (("logit",), self.head)]

    def layer(self, i, x):
        """Return the map after layer i, flattened after the last."""
        x = self.down[i](x)
        if self.norms is not None and i >= self.bare:
            x = self.norms[i - self.bare](x)
        x = jax.nn.leaky_relu(x, self.slope)
        return x.reshape(x.shape[0], -1) if i == len(self.down) - 1 else x

    def features(self, x):
        """Maps images `[B, H, W, C]` to features `[B, features]`."""
        for i in range(len(self.down)):
            x = self.layer(i, x)
        return x

    def head(self, h):
        """Maps features to logits `[B, 1]`."""
        return self.logit(h)

    def __call__(self, x):
        """Maps images `[B, H, W, C]` to logits `[B, 1]`."""
        return self.head(self.features(x))
