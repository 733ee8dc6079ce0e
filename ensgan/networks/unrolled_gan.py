"""The networks of Unrolled GAN for stacked MNIST (Metz, Poole, Pfau and Sohl-Dickstein 2017, arXiv 1611.02163)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

from flax import nnx

from ensgan.networks.adapters import from_nnx, image_shape
from ensgan.networks.dcgan import Downwards, Upwards, kernel_init
from ensgan.networks.mlp import NORMS, dense, dtypes, look_up
from ensgan.types import Network, Shape

SIZES = (8, 16, 28, 32, 64)
HALVINGS = 3
_NORMS = {name: NORMS[name] for name in ("none", "batch")}


def unrolled_gan_generator(
    sample_shape: Shape,
    *,
    latent: int = 256,
    width: int = 8,
    norm: Literal["batch", "none"] = "batch",
    dtype: str = "float32",
) -> Network:
    """Return the generator: dense, three transposed 3×3 convolutions of stride 2, a 3×3 convolution; ReLU, tanh.

    With 28×28 pixels and the width of the paper, the maps are 4×4×64, 7×7×32, 14×14×16 and 28×28×8.

    Args:
        sample_shape: `(size, size, channels)` with size 8, 16, 28, 32 or 64.
        latent: size of the latent.
        width: number of channels at the largest size; it doubles each time the size halves.
        norm: `batch`, after every layer but the last, or `none`.
        dtype: dtype of the computation: `float32`, `bfloat16` or `float64`.

    Raises:
        InputError: other sizes or unknown names.
    """
    size, channels = image_shape(sample_shape, SIZES)
    sizes, widths = _sizes(size), [width * 2**k for k in reversed(range(HALVINGS + 1))]
    make_norm = look_up("norm", norm, _NORMS)
    compute, stored = dtypes(dtype)

    def factory(rngs: nnx.Rngs) -> nnx.Module:
        kind: dict[str, Any] = {"dtype": compute, "param_dtype": stored, "rngs": rngs}
        # With stride 2 an output sees a quarter of the kernel, hence 8 instead of the usual 2.
        up: list[nnx.Module] = [
            nnx.ConvTranspose(a, b, (3, 3), (2, 2), padding=_padding(c, d), kernel_init=kernel_init(norm, 8.0), **kind)
            for (a, b), (c, d) in zip(pairwise(widths), pairwise(sizes), strict=True)
        ]
        up.append(nnx.Conv(width, channels, (3, 3), kernel_init=kernel_init(norm, 1.0), **kind))
        stem = dense(latent, sizes[0] ** 2 * widths[0], kernel_init=kernel_init(norm, 2.0), **kind)
        norms = [make_norm(w, **kind) for w in widths] if make_norm else None
        return Upwards(stem, up, norms, sizes[0], stored)

    return from_nnx(factory, latent, (size, size, channels))


def unrolled_gan_discriminator(
    sample_shape: Shape,
    *,
    width: int = 8,
    norm: Literal["batch", "none"] = "batch",
    dtype: str = "float32",
) -> Network:
    """Return the discriminator: three 3×3 convolutions of stride 2, LeakyReLU(.3), dense to one logit.

    The paper uses a half and a quarter of the generator's channels: `width` 4 and 2.

    Args:
        sample_shape: `(size, size, channels)` with size 8, 16, 28, 32 or 64.
        width: number of channels at the largest size; it doubles each time the size halves.
        norm: `batch`, after every convolution, which costs a second pullback, or `none`.
        dtype: dtype of the computation: `float32`, `bfloat16` or `float64`.

    Raises:
        InputError: other sizes or unknown names.
    """
    size, channels = image_shape(sample_shape, SIZES)
    widths = [channels, *(width * 2**k for k in range(HALVINGS))]
    make_norm = look_up("norm", norm, _NORMS)
    compute, stored = dtypes(dtype)

    def factory(rngs: nnx.Rngs) -> nnx.Module:
        kind: dict[str, Any] = {"param_dtype": stored, "rngs": rngs}
        down = [
            nnx.Conv(a, b, (3, 3), (2, 2), kernel_init=kernel_init(norm, 2.0), dtype=compute, **kind)
            for a, b in pairwise(widths)
        ]
        norms = [make_norm(w, dtype=compute, **kind) for w in widths[1:]] if make_norm else None
        inside = _sizes(size)[0] ** 2 * widths[-1]
        return Downwards(down, norms, dense(inside, 1, kernel_init=kernel_init(norm, 1.0), dtype=stored, **kind), 0.3)

    return from_nnx(factory, (size, size, channels), ())


def _sizes(size: int) -> list[int]:
    """Sizes of the maps, smallest first; 28 gives 4, 7, 14, 28."""
    return [-(-size // 2**k) for k in reversed(range(HALVINGS + 1))]


def _padding(size: int, after: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The padding that makes `after` pixels of `size`: the adjoint of a convolution with the same padding."""
    return ((after + 2 - 2 * size, 1),) * 2
