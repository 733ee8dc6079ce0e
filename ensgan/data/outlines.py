"""Sources without their data: the shapes of samples before any file is read, for programs that are only planned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from ensgan.data.addresses import MEDICAL
from ensgan.data.checks import check_seed
from ensgan.data.pictures import MEMORY
from ensgan.data.source import FRACTIONS, SPLITS, Source, drawing, split_sizes
from ensgan.data.stacks import BASES, stacked
from ensgan.data.synthetic import gaussian_grid, gaussian_ring
from ensgan.types import InputError, Shape, unknown

NUM = 60_000  # samples, if their number is not known


class Form(NamedTuple):
    """The shape and number of samples that the options of a source give."""

    shape: Shape | None = None  # None if only the files hold it
    num: int = NUM  # in all four splits together
    classes: int | None = None
    levels: int = 256
    streamed: bool = False  # whether more than 2 GiB of pixels are streamed


def _digits(**_: Any) -> Form:
    return Form((8, 8, 1), 1797, classes=10, levels=17)


def _mnist(*, pad: int = 0, **_: Any) -> Form:
    return Form((28 + 2 * pad, 28 + 2 * pad, 1), 60_000, classes=10)


def _images(side: int, num: int, classes: int) -> Callable[..., Form]:
    return lambda **_: Form((side, side, 3), num, classes)


def _medmnist(*, which: str = "bloodmnist", **_: Any) -> Form:
    if which not in MEDICAL:
        raise unknown("data set of MedMNIST", which, MEDICAL)
    known = MEDICAL[which]
    return Form((28, 28, known.channels), known.num, known.classes)


def _stl10(*, unlabelled: bool = False, **_: Any) -> Form:
    return Form((96, 96, 3), 100_000 if unlabelled else 5_000, None if unlabelled else 10)


def _folder(*, size: int | None = None, channels: int | None = None, **_: Any) -> Form:
    return Form((size, size, channels) if size and channels else None, streamed=True)


def _unknown(**_: Any) -> Form:
    return Form()


# By the names of `SOURCES`. Gaussian mixtures read no files, so each is its own outline.
OUTLINES: dict[str, Callable[..., Form | Source]] = {
    "ring": gaussian_ring,
    "grid": gaussian_grid,
    "digits": _digits,
    "mnist": _mnist,
    "fashion_mnist": _mnist,
    "kmnist": _mnist,
    "cifar10": _images(32, 50_000, 10),
    "cifar100": _images(32, 50_000, 100),
    "svhn": _images(32, 73_257, 10),
    "stl10": _stl10,
    "medmnist": _medmnist,
    "stacked_digits": _digits,  # of their single images
    "stacked_mnist": _mnist,
    "idx": _unknown,
    "npz": _unknown,
    "folder": _folder,
    "table": _folder,
    "hf": _folder,
    "tfds": _folder,
}


def outline(
    name: str,
    *,
    shape: Shape | None = None,
    num: int | None = None,
    seed: int = 0,
    classes: int | None = None,
    resident: Any = "auto",
    dequantize: bool = True,
    fractions: tuple[float, ...] = FRACTIONS,
    **options: Any,
) -> Source:
    """A source as the compiler sees it: the train split is shapes (`jax.ShapeDtypeStruct`), and no file is read.

    Args:
        name: a name in `SOURCES`.
        shape: shape of one sample as networks see it, if only the files hold it: images `(H, W, C)`, stored as uint8,
            or points `(D,)`, stored as float32.
        num: number of samples in all four splits together, if only the files hold it; by default 60,000.
        seed: as for the source.
        classes: number of classes, if only the files hold it; by default there are no labels.
        resident: as for a folder: whether pixels are held in memory; "auto" holds up to 2 GiB.
        dequantize: as for the source.
        fractions: as for the source.
        options: other options of the source; its `path` is ignored.

    Raises:
        InputError: an unknown name, a missing or impossible shape, or too few samples.
    """
    if name not in OUTLINES:
        raise unknown("data", name, OUTLINES)
    if name in BASES:
        single = None if shape is None else (*shape[:-1], 1)
        known = {"num": num, "seed": seed, "dequantize": dequantize, "fractions": fractions}
        base = outline(BASES[name], shape=single, **known, **options)
        return replace(stacked(base, name=name), held_out=base.held_out)
    form = OUTLINES[name](**options, seed=seed)
    if isinstance(form, Source):
        if shape not in (None, form.shape):
            raise InputError(f"the sample shape is {shape}, but {name!r} makes points {form.shape}; leave it out")
        return form
    shape, num = shape or form.shape, form.num if num is None else num
    if shape is None:
        raise InputError(
            f"the shape of a sample of {name!r} is in its files, which are not read here; give --sample-shape, such "
            "as 64,64,3 (in Python shape=(64, 64, 3))"
        )
    if len(shape) not in (1, 3) or min(shape) < 1 or (len(shape) == 3 and shape[-1] > 4):
        raise InputError(
            f"the sample shape is {shape}; expected H,W,C with 1 to 4 channels for images, or D for points"
        )
    check_seed(seed)
    sizes = split_sizes(num, fractions)
    dtype = np.uint8 if len(shape) == 3 else np.float32
    columns: dict[str, Any] = {"x": jax.ShapeDtypeStruct((sizes[0], *shape), dtype)}
    classes = classes if form.classes is None else form.classes
    if classes is not None:
        columns["label"] = jax.ShapeDtypeStruct((sizes[0],), np.int32)
    small = resident is True or (resident == "auto" and num * np.prod(shape) <= MEMORY)
    held = small or not form.streamed or len(shape) == 1

    def held_out(split: str, num: int) -> dict[str, np.ndarray]:
        raise InputError(f"this outline of {name!r} has no samples, so none can be held out; read the data instead")

    draw, pick = drawing(form.levels, dequantize) if held else (None, None)
    return Source(
        name=name,
        shape=shape,
        arrays={"train": columns} if held else {},
        draw=draw,
        read=None,
        held_out=held_out,
        num=dict(zip(SPLITS, sizes, strict=True)),
        classes=classes,
        pick=pick,
    )
