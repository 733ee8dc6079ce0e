"""Multilayer perceptrons as generators and discriminators of points and small images."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from ensgan.networks.adapters import from_nnx, input_shape, output_shape
from ensgan.networks.conditional import Embedded, Projection, one_logit
from ensgan.networks.projection import projected
from ensgan.networks.spectral import SpectralNorm
from ensgan.types import Array, InputError, Network, Shape, check_range, unknown

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "leaky_relu": jax.nn.leaky_relu,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "gelu": jax.nn.gelu,
    "tanh": jnp.tanh,
}
OUTPUTS: dict[str, Callable[[Array], Array]] = {"linear": lambda y: y, "tanh": jnp.tanh}
INITS: dict[str, Callable[[], nnx.Initializer]] = {
    "he": nnx.initializers.he_normal,
    "lecun": nnx.initializers.lecun_normal,
    "orthogonal": nnx.initializers.orthogonal,
    "normal": partial(nnx.initializers.normal, 0.02),
}
NORMS: dict[str, Callable[..., nnx.Module] | None] = {
    "none": None,
    "batch": partial(nnx.BatchNorm, momentum=0.9),
    "layer": nnx.LayerNorm,
}


def mlp(
    in_shape: int | Shape,
    widths: tuple[int, ...],
    out_shape: int | Shape,
    *,
    activation: str = "leaky_relu",
    negative_slope: float = 0.2,
    output: Literal["linear", "tanh"] = "linear",
    norm: Literal["none", "batch", "layer"] = "none",
    spectral_norm: bool = False,
    init: Literal["he", "lecun", "orthogonal", "normal"] = "he",
    dtype: Any = "float32",
    classes: int = 0,
) -> Network:
    """Return a perceptron; inputs are flattened, and outputs get the shape `out_shape`.

    `mlp(2, (128, 128), 2)` is a generator of points, and `mlp(2, (128, 128), 1)` a discriminator of points.

    Args:
        in_shape: shape of one input; `n` means `(n,)`.
        widths: sizes of the hidden layers.
        out_shape: shape of one output; `1` and `()` mean one logit per sample, any other `n` means `(n,)`.
        activation: one of ACTIVATIONS.
        negative_slope: the slope of `leaky_relu` below 0, in [0, 1].
        output: activation of the last layer: `linear`, or `tanh` for data in [-1, 1].
        norm: `batch`, `layer` or `none`, before each activation. `batch` makes the network batch-coupled.
        spectral_norm: whether every layer is divided by its largest singular value (Miyato et al. 2018).
        init: initial weights of hidden layers: `he`, `lecun`, `orthogonal`, or `normal` with standard deviation .02.
            The last layer has `lecun`, or `normal` as well.
        dtype: dtype of the computation: `float32`, `bfloat16` or `float64`. Parameters and output are float32, or
            float64.
        classes: number of classes, or 0 for an unconditional network. A network that ends in a logit becomes a
            projection discriminator (`conditional.Projection`); in any other, an embedding of the class is
            concatenated to the input.

    Raises:
        InputError: unknown names, or sizes that are not positive.
    """
    in_shape, out_shape = input_shape(in_shape), output_shape(out_shape)
    widths = (widths,) if isinstance(widths, int) else tuple(widths)
    if not all(isinstance(width, int) and width > 0 for width in widths):
        raise InputError(f"widths are {list(widths)}; each must be a whole number, at least 1")
    inputs, embeds = math.prod(in_shape), classes > 0 and out_shape != ()
    sizes = (2 * inputs if embeds else inputs, *widths, math.prod(out_shape))
    final = look_up("output", output, OUTPUTS)
    act = activation_named(activation, negative_slope)
    make_norm = look_up("norm", norm, NORMS)
    kernel = look_up("init", init, INITS)()
    last_kernel = kernel if init == "normal" else nnx.initializers.lecun_normal()
    compute, stored = dtypes(dtype)

    def factory(rngs: nnx.Rngs) -> nnx.Module:
        kind = {"param_dtype": stored, "rngs": rngs}
        hidden = [
            dense(a, b, spectral_norm=spectral_norm, dtype=compute, kernel_init=kernel, **kind)
            for a, b in pairwise(sizes[:-1])
        ]
        norms = [make_norm(b, dtype=compute, **kind) for b in sizes[1:-1]] if make_norm else None
        # The last layer is computed in the dtype of its parameters, since losses compare logits.
        last = dense(*sizes[-2:], spectral_norm=spectral_norm, dtype=stored, kernel_init=last_kernel, **kind)
        net = _MLP(hidden, norms, last, act, final, out_shape)
        if not classes:
            return net
        if embeds:
            return Embedded(net, classes, inputs, dtype=stored, rngs=rngs)
        return Projection(net, classes, sizes[-2], spectral_norm=spectral_norm, dtype=stored, rngs=rngs)

    return from_nnx(factory, in_shape, out_shape, classes=classes or None)


def mlp_generator(
    sample_shape: Shape,
    *,
    latent: int = 64,
    widths: tuple[int, ...] = (256, 256),
    activation: str = "leaky_relu",
    output: Literal["auto", "linear", "tanh"] = "auto",
    norm: Literal["none", "batch", "layer"] = "none",
    dtype: str = "float32",
    classes: int = 0,
) -> Network:
    """Return a perceptron from a latent to samples of any shape.

    Args:
        sample_shape: shape of one sample.
        latent: size of the latent.
        widths: sizes of the hidden layers.
        activation: one of ACTIVATIONS.
        output: `linear`, `tanh` for data in [-1, 1], or `auto`: `tanh` for images `[H, W, C]`, else `linear`.
        norm: `batch`, `layer` or `none`, before each activation.
        dtype: dtype of the computation: `float32`, `bfloat16` or `float64`.
        classes: number of classes of the data, or 0 for an unconditional generator. A learned embedding of the class,
            as long as the latent, is concatenated to the latent.

    Raises:
        InputError: unknown names, or sizes that are not positive.
    """
    shape = input_shape(sample_shape)
    if output == "auto":
        output = "tanh" if len(shape) == 3 else "linear"
    # A one-dimensional point has the shape (1,), which does not mean a logit.
    options = {"activation": activation, "norm": norm, "dtype": dtype}
    return mlp(latent, widths, shape, output=output, **options, classes=classes)


def mlp_discriminator(
    sample_shape: Shape,
    *,
    widths: tuple[int, ...] = (256, 256),
    activation: str = "leaky_relu",
    norm: Literal["none", "batch", "layer"] = "none",
    spectral_norm: bool = False,
    heads: int = 1,
    projection: int = 0,
    dtype: str = "float32",
    classes: int = 0,
) -> Network:
    """Return a perceptron from samples of any shape to one logit, or to several.

    Args:
        sample_shape: shape of one sample.
        widths: sizes of the hidden layers.
        activation: one of ACTIVATIONS.
        norm: `layer`, `none`, or `batch`, which costs a second pullback.
        spectral_norm: whether every layer is divided by its largest singular value (Miyato et al. 2018).
        heads: logits per sample; more than one for the losses `mad` and `mgan`.
        projection: number of outputs of a fixed random matrix in front, different for each member (Neyshabur et al.
            2017); 0 for the sample as it is.
        dtype: dtype of the computation: `float32`, `bfloat16` or `float64`.
        classes: number of classes of the data, for a projection discriminator (Miyato & Koyama 2018), or 0.

    Raises:
        InputError: unknown names, sizes that are not positive, or a projection to more numbers than a sample has.
    """
    check_range("projection", projection)
    options = {"activation": activation, "norm": norm, "spectral_norm": spectral_norm, "dtype": dtype}
    one_logit(heads, classes)
    network = mlp(projection or sample_shape, widths, heads, **options, classes=classes)
    return projected(network, sample_shape) if projection else network


class _MLP(nnx.Module):
    def __init__(self, hidden, norms, last, act, final, out_shape):
        self.hidden = nnx.List(hidden)
        self.norms = nnx.List(norms) if norms else None
        self.last, self.act, self.final, self.out_shape = last, act, final, out_shape

    def parts(self):
        layers = [((f"hidden.{i}", f"norms.{i}"), partial(self.layer, i)) for i in range(len(self.hidden))]
        return [*layers, (("last",), self.head)]

    def layer(self, i, x):
        x = self.hidden[i](x.reshape(x.shape[0], -1))
        return self.act(x if self.norms is None else self.norms[i](x))

    def features(self, x):
        x = x.reshape(x.shape[0], -1)
        for i in range(len(self.hidden)):
            x = self.layer(i, x)
        return x

    def head(self, h):
        return self.final(self.last(h.reshape(h.shape[0], -1))).reshape(-1, *self.out_shape)

    def __call__(self, x):
        return self.head(self.features(x))


def dense(a: int, b: int, *, spectral_norm: bool = False, rngs: nnx.Rngs, **options: Any) -> nnx.Linear | SpectralNorm:
    """Return a dense layer, with or without spectral normalisation."""
    layer = nnx.Linear(a, b, use_bias=not spectral_norm, rngs=rngs, **options)
    return SpectralNorm(layer, rngs=rngs) if spectral_norm else layer


def activation_named(name: str, negative_slope: float = 0.2) -> Callable[[Array], Array]:
    """Return the activation with this name; the slope is for `leaky_relu`."""
    act = look_up("activation", name, ACTIVATIONS)
    return partial(act, negative_slope=negative_slope) if name == "leaky_relu" else act


def dtypes(dtype: Any) -> tuple[Any, Any]:
    """Return the dtypes of the computation and of the parameters, for a dtype or its name."""
    compute = jnp.dtype(dtype)
    if compute.name not in ("float32", "bfloat16", "float64"):
        raise unknown("dtype", compute.name, ("float32", "bfloat16", "float64"))
    if compute.name == "float64" and not jax.config.read("jax_enable_x64"):
        raise InputError("dtype is float64, but JAX computes in 32 bits; set JAX_ENABLE_X64=1, or give float32")
    return compute, jnp.promote_types(compute, jnp.float32)


def look_up(kind: str, name: str, table: dict[str, Any]) -> Any:
    """Return the entry of a table. Raises InputError, with the known names, if there is none."""
    if name not in table:
        raise unknown(kind, name, table)
    return table[name]
