"""Fixed random projections in front of a network, so that each member sees a part of every sample only."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ensgan.networks.adapters import input_shape
from ensgan.types import Array, InputError, Network, Shape, Tree


class _Map(NamedTuple):
    """A random linear map of samples: `draw(key) -> numbers`, and `look(x, numbers) -> features` of a batch."""

    draw: Callable[[Array], Array]
    look: Callable[[Array, Array], Array]


def projected(
    network: Network, sample_shape: int | Shape, *, orthonormal: bool = False, kernel: int = 8, stride: int = 2
) -> Network:
    """Puts a linear map of samples in front of a network: random, different for each member, and never trained.

    With many discriminators behind one generator, each with its own projection, no discriminator can reject every fake,
    but all together see all directions (Neyshabur, Bhojanapalli & Chakrabarti 2017, arXiv 1705.07831). `init` draws the
    map from the member's key, and it is part of the network's state.

    The input shape of the network decides the map. For `(features,)` it is a Gaussian matrix on flattened samples. For
    images `(h, w, features)` it is a Gaussian convolution of samples `(H, W, C)`, as in hGAN (Albuquerque et al. 2019,
    arXiv 1901.08680). Both keep the sum of squares of a sample on average, except at the border of an image.

    Args:
        network: takes the output of the map; its own output may be anything.
        sample_shape: shape of one sample; `n` means `(n,)`.
        orthonormal: whether the rows of a matrix are orthonormal directions, all of one length, instead of Gaussian.
        kernel: height and width of a filter in pixels.
        stride: the stride of the convolution; an image of H×W pixels becomes one of ⌈H/stride⌉×⌈W/stride⌉.

    Raises:
        InputError: a network that does not take the output of such a map, more features than a sample has numbers, or
            sizes that are not positive.
    """
    shape, inner = input_shape(sample_shape), network.in_shape
    for name, value in (("kernel", kernel), ("stride", stride)):
        if value < 1:
            raise InputError(f"{name} is {value}; give a number of pixels, at least 1")
    if len(inner) not in (1, 3):
        raise InputError(f"the network takes {inner}; behind a projection it must take (features,) or (h, w, features)")
    images = len(inner) == 3
    draw, look = _convolution(shape, inner, kernel, stride) if images else _matrix(shape, inner[0], orthonormal)

    def init(key: Array) -> tuple[Tree, Tree]:
        key_map, key_network = jax.random.split(key)
        params, state = network.init(key_network)
        # Stored as bits: devices average floating-point states, and rounding would change the map over time.
        bits = jax.lax.bitcast_convert_type(draw(key_map), jnp.uint32)
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
        seen = look(x, projection_of(state))
        y, inner_state = network.apply(params, state["network"], seen, label=label, train=train, rng=rng)
        return y, {"projection": state["projection"], "network": inner_state}

    convolutional = network.convolutional or images
    return network._replace(init=init, apply=apply, in_shape=shape, convolutional=convolutional, stages=())


def _matrix(shape: Shape, features: int, orthonormal: bool) -> _Map:
    dim = math.prod(shape)
    if features > dim:
        raise InputError(
            f"a projection of samples {shape} to {features} features hides nothing; give at most {dim}, the number of "
            "numbers in a sample, or no projection"
        )

    def draw(key: Array) -> Array:
        gauss = jax.random.normal(key, (dim, features), jnp.float32)
        return jnp.linalg.qr(gauss)[0] * math.sqrt(dim / features) if orthonormal else gauss / math.sqrt(features)

    return _Map(draw, lambda x, matrix: x.reshape(x.shape[0], dim) @ matrix.astype(x.dtype))


def _convolution(shape: Shape, inner: Shape, kernel: int, stride: int) -> _Map:
    if len(shape) != 3 or inner[:2] != tuple(-(-size // stride) for size in shape[:2]):
        raise InputError(
            f"the network takes images {inner}, but a convolution of stride {stride} does not make them from samples "
            f"{shape}; expected ⌈H/{stride}⌉×⌈W/{stride}⌉ pixels from images (H, W, C)"
        )
    window, scale = (kernel, kernel, shape[-1], inner[-1]), stride / (kernel * math.sqrt(inner[-1]))
    layout = ("NHWC", "HWIO", "NHWC")

    def look(x: Array, filters: Array) -> Array:
        strides = (stride, stride)
        return jax.lax.conv_general_dilated(x, filters.astype(x.dtype), strides, "SAME", dimension_numbers=layout)

    return _Map(lambda key: jax.random.normal(key, window, jnp.float32) * scale, look)


def projection_of(state: Tree) -> Array:
    """The map in the state of one or several members: `[..., numbers, features]`, or `[..., h, w, C, features]`."""
    return jax.lax.bitcast_convert_type(state["projection"], jnp.float32)
