"""Encoded images, in files or in cells of a table, as pixels: how they are looked at, cropped, resized and decoded."""

from __future__ import annotations

import dataclasses
import io
import math
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from ensgan.data import decoded
from ensgan.data.decoding import Images, is_transparent, opened, orientation_of
from ensgan.data.facts import Facts
from ensgan.data.labels import natural
from ensgan.data.source import Source, from_arrays
from ensgan.data.streams import stream
from ensgan.types import InputError

SIZE = "size=64 in Python, --data.size 64 for a run, --size 64 to compare two folders"
GREY = ("1", "L", "LA")
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
MEMORY = 2 * 2**30  # bytes of pixels that are held in memory by default
BROKEN = "broken"
LARGEST = 4096  # pixels along a side of an image


@dataclass(frozen=True)
class Cell:
    """An encoded image in a cell of a table."""

    name: str  # of the cell, for messages
    content: bytes

    def __str__(self) -> str:
        """The name."""
        return self.name

    def open(self) -> io.BytesIO:
        """The content."""
        return io.BytesIO(self.content)


class Listed(NamedTuple):
    """Encoded images that nobody has looked at yet.

    Attributes:
        files: paths, or objects with `open()` and a name as their text.
        label: the class of each by name; None if there are none.
        names: all classes in order; None for those that occur, in natural order.
        named: the short name of a file.
        skipped: what was left out: kinds, and the names of each.
    """

    files: Sequence[Any]
    label: Sequence[str] | None
    names: tuple[str, ...] | None
    named: Callable[[Any], str]
    skipped: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Form(NamedTuple):
    """What all images become: a mode of Pillow and a shape; and whether one of them is transparent."""

    mode: str
    shape: tuple[int, int, int]
    transparent: bool


class Found(NamedTuple):
    """Images with only their headers read, the names of their classes, and what else is to be said."""

    images: Images
    names: tuple[str, ...] | None
    named: Callable[[Any], str]
    skipped: tuple[tuple[str, tuple[str, ...]], ...]
    hints: tuple[str, ...] = ()

    def told(self, known: Facts | None) -> Facts | None:
        """The facts of the source, with names of files."""
        if known is None:
            return None
        counts = known.classes
        if self.names is not None and self.images.label is not None:
            each = Counter(self.images.label.tolist())
            counts = tuple((name, each[name]) for name in self.names)
        files = self.images.files
        named = (lambda i: self.named(files[i])) if known.looked == len(files) else known.named
        return known._replace(
            classes=counts,
            named=named,
            skipped=self.skipped,
            hints=self.hints,
            treated=(*self.images.treated(), *known.treated),
        )

    def source(self, name: str, resident: bool | Literal["auto"], options: dict[str, Any]) -> Source:
        """The images as a source, in memory or streamed; `options` are those of `from_arrays` and of `stream`."""
        images = self.images
        if resident == "auto":
            resident = len(images) * math.prod(images.shape) <= MEMORY
        options = {"classes": self.names, **options}
        source = from_arrays(name, images.pixels(), images.label, **options) if resident else None
        source = source or stream(images, name=name, **options)
        return dataclasses.replace(source, facts=self.told(source.facts))


def check(size: int | None = None, channels: int | None = None, background: str = "white", **_: Any) -> None:
    """Raises InputError for options of pictures that no picture can have."""
    if size is not None and not 1 <= size <= LARGEST:
        raise InputError(f"size is {size}; expected 1 to {LARGEST} pixels")
    if channels not in (None, 1, 3):
        raise InputError(f"channels is {channels}; expected 1 (grey) or 3 (RGB)")
    _colour(background)


def looked(
    listed: Listed,
    size: int | None = None,
    channels: int | None = None,
    background: str = "white",
    skip_broken: bool = False,
    place: decoded.Place | None = None,
) -> Found:
    """Reads the headers of images, and settles how they become pixels.

    Args:
        listed: the images.
        size: as in `Pictures`.
        channels: as in `Pictures`.
        background: as in `Pictures`.
        skip_broken: as in `Pictures`.
        place: where their pixels are kept, which then are not decoded again.

    Raises:
        InputError: an image that cannot be read, unless such are skipped; images of several sizes without `size`; or a
            bad `size`, `channels` or `background`.
    """
    from PIL import Image  # imported here, so that only runs on image files pay for it

    check(size, channels, background)
    colour = _colour(background)
    before = None if place is None else decoded.kept(place)
    if before is not None:
        broken, form = before.broken, Form(before.mode, before.pixels.shape[1:], before.transparent)
    else:
        broken = _broken(listed.files) if skip_broken else ()
        form = _form(_without(listed, broken).files, size, channels, colour)
    listed = _without(listed, broken)
    files, label, names = listed.files, listed.label, listed.names
    if label is not None and names is None:
        names = tuple(sorted(set(label), key=natural))
    # names of classes, since numbers as names of folders mean themselves
    each = None if label is None else np.array(label)
    over = background if form.transparent else None
    images = Images(list(files), each, form.mode, size, Image.Resampling.LANCZOS, form.shape, colour, over)
    if before is not None:
        images = dataclasses.replace(images, stored=before.pixels)
    elif place is not None:
        store = lambda x: decoded.keep(place, decoded.Kept(form.mode, form.transparent, tuple(broken), x))
        images = dataclasses.replace(images, store=store)
    return Found(images, names, listed.named, listed.skipped)


def _form(files: Sequence[Any], size: int | None, channels: int | None, colour: tuple[int, ...]) -> Form:
    """What all images become."""
    modes, shape, transparent = set(), None, False
    for file in files:
        with opened(file) as image:  # reads the header only
            mode, wide_high = image.mode, image.size[:: -1 if orientation_of(image) > 4 else 1]
            transparent = transparent or is_transparent(image)
        modes.add(mode)
        if mode not in GREY + COLOUR:
            deep = " (16 or 32 bits a pixel)" if mode[0] in "IF" else ""
            raise InputError(
                f"{file} has mode {mode} of Pillow{deep}; expected 8-bit grey or colour; convert it, such as with "
                "`magick IN.png -depth 8 OUT.png`"
            )
        shape = shape or wide_high
        if size is None and wide_high != shape:
            raise InputError(
                f"images differ in size: {files[0]} is {_times(shape)}, {file} is {_times(wide_high)} "
                f"(width×height); give a size to which all are cropped and resized: {SIZE}"
            )
    if channels is None:
        grey = modes <= set(GREY) and len(set(colour)) == 1
        channels = 1 if grey or modes <= set(GREY) - {"LA"} else 3
    width, height = (size, size) if size else shape or (0, 0)
    return Form("L" if channels == 1 else "RGB", (height, width, channels), transparent)


def _colour(name: str) -> tuple[int, ...]:
    from PIL import ImageColor

    try:
        return ImageColor.getrgb(name)[:3]
    except ValueError as error:
        raise InputError(f"background is {name!r}; expected a colour, such as white, black or '#ff8000'") from error


def _broken(files: Sequence[Any]) -> tuple[int, ...]:
    """The numbers of the images that cannot be decoded."""

    def fine(file: Any) -> bool:
        try:
            with opened(file) as image:
                image.load()
        except Exception:  # Pillow's decoders raise errors of all kinds for broken data
            return False
        return True

    with ThreadPoolExecutor() as pool:  # Pillow releases the interpreter lock while it decodes
        found = tuple(k for k, is_fine in enumerate(pool.map(fine, files)) if not is_fine)
    if files and len(found) == len(files):
        raise InputError(f"none of {len(found)} images can be read, first {files[0]}; repair them")
    return found


def _without(listed: Listed, broken: Sequence[int]) -> Listed:
    """The images that can be decoded."""
    if not broken:
        return listed
    lost, files = set(broken), listed.files
    names = sorted((listed.named(files[k]) for k in broken), key=natural)
    label = None if listed.label is None else [each for k, each in enumerate(listed.label) if k not in lost]
    rest = [file for k, file in enumerate(files) if k not in lost]
    return listed._replace(files=rest, label=label, skipped=(*listed.skipped, (BROKEN, tuple(names))))


def _times(shape: tuple[int, int]) -> str:
    return f"{shape[0]}×{shape[1]}"
