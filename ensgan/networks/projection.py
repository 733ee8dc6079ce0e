"""Fixed random projections in front of a network: what its member never sees, it cannot use against a generator."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from ensgan.networks.adapters import input_shape
from ensgan.types import Array, InputError, Network, Shape, Tree


def projected(
    network: Network, sample_shape: int | Shape, *, orthonormal: bool = False, kernel: int = 8, stride: int = 2
) -> Network:
    """Put a linear map of samples in front of a network: random, different for each member, and never trained.

    Many discriminators behind one generator, each with a projection of its own (Neyshabur, Bhojanapalli & Chakrabarti
    2017, arXiv 1705.07831): none of them can reject every fake, and all of them together see all directions.
    `init` draws the map from the member's key, and it is part of the network's state.

    What the network takes decides the map. For `(features,)` it is a Gaussian matrix on flattened samples. For images
    `(h, w, features)` it is a Gaussian convolution of samples `(H, W, C)`, as in hGAN (Albuquerque et al. 2019, arXiv
    1901.08680). Either keeps the sum of squares of a sample on average, but for the rim of an image.

    Args:
        network: takes what the map gives; any output.
        sample_shape: shape of one sample; `n` means `(n,)`.
        orthonormal: whether the rows of a matrix are orthonormal directions, all of one length, instead of Gaussian.
        kernel: height and width of a filter in pixels.
        stride: the stride of the convolution; an image of H×W pixels becomes one of ⌈H/stride⌉×⌈W/stride⌉.

    Raises:
        InputError: the network does not take what a map of such samples gives, more features than a sample has numbers,
            or sizes that are not positive.
    """
    shape, inner = input_shape(sample_shape), network.in_shape
    for name, value in (("kernel", kernel), ("stride", stride)):
        if value < 1:
            raise InputError(f"{name} is {value}; it counts pixels and is at least 1")
    dim, features = math.prod(shape), inner[-1]
    images = len(inner) == 3
    if not images and len(inner) != 1:
        raise InputError(f"the network takes {inner}; behind a projection it takes (features,) or (h, w, features)")
    if images and (len(shape) != 3 or inner[:2] != tuple(-(-size // stride) for size in shape[:2])):
        raise InputError(
            f"the network takes images {inner}, but a convolution of stride {stride} does not make them of samples "
            f"{shape}; expected ⌈H/{stride}⌉×⌈W/{stride}⌉ pixels of images (H, W, C)"
        )
    if not images and features > dim:
        raise InputError(
            f"a projection of samples {shape} to {features} features hides nothing: give at most {dim}, the numbers of "
            "a sample, or no projection"
        )

    def matrix(key: Array) -> Array:
        if images:
            window = (kernel, kernel, shape[-1], features)
            return jax.random.normal(key, window, jnp.float32) * (stride / (kernel * math.sqrt(features)))
        gauss = jax.random.normal(key, (dim, features), jnp.float32)
        if orthonormal:
            return jnp.linalg.qr(gauss)[0] * math.sqrt(dim / features)
        return gauss / math.sqrt(features)

    def look(x: Array, matrix: Array) -> Array:
        if images:
            layout = ("NHWC", "HWIO", "NHWC")
            return jax.lax.conv_general_dilated(
                x, matrix.astype(x.dtype), (stride, stride), "SAME", dimension_numbers=layout
            )
        return x.reshape(x.shape[0], dim) @ matrix.astype(x.dtype)

    def init(key: Array) -> tuple[Tree, Tree]:
        key_matrix, key_network = jax.random.split(key)
        params, state = network.init(key_network)
        # Held as bits: devices take the mean of floating-point states, and rounding would move it in the end.
        bits = jax.lax.bitcast_convert_type(matrix(key_matrix), jnp.uint32)
        return params, {"projection": bits, "network": state}

    def apply(
        params: Tree,
        state: Tree,
        x: Array,
        *,
        label: Array | None = None,
        train: bool = False,
        rng: Array | None = None,
    ) -> tuple[Array, Tree]:
        seen = look(x, jax.lax.bitcast_convert_type(state["projection"], jnp.float32))
        y, inner_state = network.apply(params, state["network"], seen, label=label, train=train, rng=rng)
        return y, {"projection": state["projection"], "network": inner_state}

    return network._replace(init=init, apply=apply, in_shape=shape, convolutional=network.convolutional or images)


def projection_of(state: Tree) -> Array:
    """The map in the state of one member, or of several: `[..., numbers, features]`, or `[..., h, w, C, features]`."""
    return jax.lax.bitcast_convert_type(state["projection"], jnp.float32)
