"""Stacked images: three grey images of K classes as the channels of one image, with K³ classes to count."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.data.images import digits
from ensgan.data.known import mnist
from ensgan.data.source import FRACTIONS, SPLITS, Source, check_held_out, sample_keys
from ensgan.types import Array, InputError, Tree

CHANNELS = 3
CHUNK = 1024  # number of held-out samples drawn at a time
BASES = {"stacked_mnist": "mnist", "stacked_digits": "digits"}  # names of the sources of single images


def stacked(single: Source, *, name: str | None = None, seed: int = 0) -> Source:
    """Three independent samples of a source of grey images as the channels of one image.

    With MNIST this is Stacked MNIST (Unrolled GAN; Metz et al. 2017, arXiv 1611.02163). Triples are drawn on the fly,
    so their number is unlimited. A split draws from the single images of that split only.

    Args:
        single: a source in memory of labelled images `(H, W, 1)`.
        name: the name of the source in reports.
        seed: seed of the held-out samples.

    Returns:
        A source of images `(H, W, 3)`, in memory. If the channels have the labels a, b, c, the image has the label
        `K² a + K b + c`, one of `K³` classes.

    Raises:
        InputError: a streamed source, one without labels, or samples that are not grey images.
    """
    name = name or f"stacked_{single.name}"
    if single.draw is None or single.classes is None or len(single.shape) != 3 or single.shape[-1] != 1:
        kind = "streamed" if single.draw is None else "in memory"
        labels = "without labels" if single.classes is None else f"with {single.classes} classes"
        raise InputError(
            f"{name!r} stacks {single.name!r}, whose samples are {list(single.shape)}, {kind}, {labels}; expected "
            "labelled grey images [H, W, 1] in memory; give the file of labels, or other images"
        )
    draw_single, (height, width, _), classes = single.draw, single.shape, single.classes
    if classes**CHANNELS >= 2**31:
        raise InputError(f"{name!r} stacks {classes} classes; use at most 1290, so that labels fit into 32 bits")
    places = np.array([classes**k for k in reversed(range(CHANNELS))], np.int32)

    def draw(table: Tree, keys: Array) -> dict[str, Array]:
        each = jax.vmap(lambda key: jax.random.split(key, CHANNELS))(keys)
        parts = draw_single(table, each.reshape(-1))
        x = parts["x"].reshape(-1, CHANNELS, height, width)
        label = parts["label"].reshape(-1, CHANNELS)
        return {"x": jnp.moveaxis(x, 1, -1), "label": (label * places[None]).sum(axis=1, dtype=np.int32)}

    def held_out(split: str, num: int) -> dict[str, np.ndarray]:
        key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), check_held_out(split, num))
        size = min(CHUNK, 1 << (num - 1).bit_length())
        keys, table = sample_keys(key, -(-num // size) * size), jax.device_put(single.arrays[split])
        make = jax.jit(draw)
        parts = [jax.device_get(make(table, keys[at : at + size])) for at in range(0, num, size)]
        return {column: np.concatenate([part[column] for part in parts])[:num] for column in ("x", "label")}

    return Source(
        name=name,
        shape=(height, width, CHANNELS),
        arrays=single.arrays,
        draw=draw,
        read=None,
        held_out=held_out,
        num=dict.fromkeys(SPLITS),
        classes=classes**CHANNELS,
        single=single,
    )


def stacked_mnist(
    path: str | Path | None = None,
    *,
    seed: int = 0,
    pad: int = 0,
    dequantize: bool = True,
    fractions: tuple[float, ...] = FRACTIONS,
) -> Source:
    """Three random digits of MNIST as the channels of one image, 1000 classes (Metz et al. 2017, arXiv 1611.02163).

    Args:
        path: directory of `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, as for `mnist`.
        seed: seed of the splits of the single digits and of the held-out samples.
        pad: number of black pixels around the image; 2 turns 28×28 into 32×32.
        dequantize: whether pixels get uniform noise.
        fractions: shares of the single digits from which train, select, calibrate and report draw.

    Returns:
        A source of images `(28 + 2 pad, 28 + 2 pad, 3)`, in memory.

    Raises:
        InputError: everything that `mnist` raises, and missing labels.
    """
    single = mnist(path, seed=seed, pad=pad, dequantize=dequantize, fractions=fractions)
    return stacked(single, name="stacked_mnist", seed=seed)


def stacked_digits(*, seed: int = 0, dequantize: bool = True, fractions: tuple[float, ...] = FRACTIONS) -> Source:
    """Three random digits of scikit-learn as the channels of one 8×8 image: 1000 classes that need no files.

    Args:
        seed: seed of the splits of the single digits and of the held-out samples.
        dequantize: whether pixels get uniform noise.
        fractions: shares of the single digits from which train, select, calibrate and report draw.

    Returns:
        A source of images `(8, 8, 3)`, in memory.

    Raises:
        InputError: a bad seed or bad fractions.
    """
    return stacked(digits(seed=seed, dequantize=dequantize, fractions=fractions), name="stacked_digits", seed=seed)
