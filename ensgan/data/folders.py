"""Folders of image files, held in memory or read as a stream."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict, Unpack

import numpy as np

from ensgan.data.archives import Member, is_archive
from ensgan.data.facts import Facts
from ensgan.data.listing import class_names, hints, listed
from ensgan.data.source import FRACTIONS, Source, from_arrays
from ensgan.data.streams import stream
from ensgan.types import InputError

SIZE = "size=64 in Python, --data.size 64 for a run, --size 64 to compare two folders"
GREY = ("1", "L", "LA")
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
MEMORY = 2 * 2**30  # bytes of pixels that are held in memory by default
ORIENTATION = 0x0112  # the tag of EXIF; 5 to 8 exchange width and height
BROKEN = "broken"


class Pictures(TypedDict, total=False):
    """How image files become pixels.

    Attributes:
        size: crop the largest centred square and resize it to `size` × `size` pixels. By default all images must have
            one size.
        channels: 1 for grey, 3 for RGB; by default grey if all images are grey, else RGB.
        background: the colour under transparent images, such as white (the default), black or '#ff8000'.
        skip_broken: go on without images that cannot be read.
    """

    size: int | None
    channels: int | None
    background: str
    skip_broken: bool


def folder(
    path: str | Path,
    *,
    seed: int = 0,
    resident: bool | Literal["auto"] = "auto",
    dequantize: bool = True,
    fractions: tuple[float, ...] = FRACTIONS,
    **pictures: Unpack[Pictures],
) -> Source:
    """All images below a directory or in an archive, in the order of their names: png, jpg, bmp, webp, gif (one frame).

    If all images are in subfolders, the top-level subfolders are the classes, in natural order: 2 comes before 10. A
    `dataset.json` with labels, as StyleGAN's tool writes it, counts instead. Archives are read in place.
    Rotation noted by the camera is applied, and transparent images are laid over a background. Hidden and system files
    and folders, notes such as README or labels.csv, and links into the folder itself are skipped.

    Args:
        path: the directory, or a .zip or .tar (also .tar.gz, .tar.bz2, .tar.xz) of it.
        seed: seed of the splits, of the noise, and of the order of a stream.
        resident: whether pixels are held in memory; "auto" holds up to 2 GiB and streams more.
        dequantize: whether pixels get uniform noise.
        fractions: shares of train, select, calibrate and report.
        pictures: `size`, `channels`, `background` and `skip_broken`; see `Pictures`.

    Returns:
        A source of images `(H, W, channels)`, in memory or streamed.

    Raises:
        InputError: a missing or empty directory, a file that is not an image, images of several sizes without `size`,
            a bad `size`, `channels`, `background` or `resident`, or too few images.
    """
    if resident not in (True, False, "auto"):
        raise InputError(f"resident is {resident!r}; expected True, False or 'auto'")
    found = _images(Path(path), **pictures)
    images = found.images
    options: Any = {"classes": found.names, "dequantize": dequantize, "seed": seed, "fractions": fractions}
    place = Path(path).resolve()
    name = place.stem.removesuffix(".tar") if is_archive(place) else place.name
    if resident == "auto":
        resident = len(images) * math.prod(images.shape) <= MEMORY
    source = from_arrays(name, _pixels(images), images.label, **options) if resident else None
    source = source or stream(images, name=name, **options)
    return dataclasses.replace(source, facts=found.told(source.facts))


def read_images(path: str | Path, **pictures: Unpack[Pictures]) -> np.ndarray:
    """All images below a directory as `folder` reads them, in the order of their names: uint8 `[n, H, W, channels]`.

    Args:
        path: the directory.
        pictures: as in `folder`.

    Raises:
        InputError: as in `folder`, or for more than 2 GiB of pixels.
    """
    images = _images(Path(path), **pictures).images
    if len(images) * math.prod(images.shape) > MEMORY:
        raise InputError(
            f"{path} has {len(images)} images of {list(images.shape)}, more than 2 GiB; give a smaller size: {SIZE}"
        )
    return _pixels(images)


class _Found(NamedTuple):
    """Images with only their headers read, the names of their classes, and what else is to be said."""

    images: _Images
    names: tuple[str, ...] | None
    named: Callable[[int], str]
    skipped: tuple[tuple[str, tuple[str, ...]], ...]
    hints: tuple[str, ...]

    def told(self, known: Facts | None) -> Facts | None:
        """The facts of the source, with names of files."""
        if known is None:
            return None
        counts = known.classes
        if self.names is not None and self.images.label is not None:
            each = Counter(self.images.label.tolist())
            counts = tuple((name, each[name]) for name in self.names)
        named = self.named if known.looked == len(self.images) else known.named
        return known._replace(classes=counts, named=named, skipped=self.skipped, hints=self.hints)


def _images(
    path: Path,
    size: int | None = None,
    channels: int | None = None,
    background: str = "white",
    skip_broken: bool = False,
) -> _Found:
    """The images below a directory."""
    from PIL import Image  # imported here, so that only runs on image files pay for it

    if size is not None and size < 1:
        raise InputError(f"size is {size}; expected at least 1 pixel")
    if channels not in (None, 1, 3):
        raise InputError(f"channels is {channels}; expected 1 (grey) or 3 (RGB)")
    colour, listing = _colour(background), listed(path)
    if skip_broken:
        broken = _broken(listing.files)
        listing = listing._replace(files=[file for file in listing.files if file not in broken])
        if broken:
            listing.skipped[BROKEN] = [str(file.relative_to(path)) for file in broken]
        if not listing.files:
            raise InputError(f"none of {len(broken)} images in {path} can be read, first {min(broken)}; repair them")
    files = listing.files
    modes, shape = set(), None
    for file in files:
        with _opened(file) as image:  # reads the header only
            mode, wide_high = image.mode, image.size[:: -1 if _orientation(image) > 4 else 1]
        modes.add(mode)
        if mode not in GREY + COLOUR:
            raise InputError(f"{file} has mode {mode}; expected 8-bit grey or colour; convert it")
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
    found = class_names(path, files)
    each, names = found or (None, [])
    label = None if each is None else np.array(each)  # names, since numbers as names of folders mean themselves
    mode = "L" if channels == 1 else "RGB"
    images = _Images(files, label, mode, size, Image.Resampling.LANCZOS, (height, width, channels), colour)
    named = lambda i: str(files[i].relative_to(path))
    return _Found(images, tuple(names) if found else None, named, listing.left_out(), hints(path, files, names))


def _colour(name: str) -> tuple[int, ...]:
    from PIL import ImageColor

    try:
        return ImageColor.getrgb(name)[:3]
    except ValueError as error:
        raise InputError(f"background is {name!r}; expected a colour, such as white, black or '#ff8000'") from error


def _broken(files: list[Any]) -> set[Any]:
    """The files that cannot be decoded."""

    def wrong(file: Any) -> bool:
        try:
            with _opened(file) as image:
                image.load()
        except Exception:  # Pillow's decoders raise errors of all kinds for broken data
            return True
        return False

    with ThreadPoolExecutor() as pool:  # Pillow releases the interpreter lock while it decodes
        return {file for file, bad in zip(files, pool.map(wrong, files), strict=True) if bad}


def _pixels(images: _Images) -> np.ndarray:
    x = np.empty((len(images), *images.shape), np.uint8)

    def put(i: int) -> None:
        x[i] = images[i]["x"]

    with ThreadPoolExecutor() as pool:  # as above
        for _ in pool.map(put, range(len(images))):
            pass
    return x


@dataclass(frozen=True)
class _Images:
    """Image files as records: pixels `[H, W, C]` and, if there are classes, a label."""

    files: list[Any]  # paths, or members of an archive
    label: np.ndarray | None  # names of classes
    mode: str
    size: int | None
    filter: Any
    shape: tuple[int, int, int]
    background: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        file = self.files[index]
        with _opened(file) as image:
            try:
                image = self._upright(image, _orientation(image))
                if self.size:
                    side = min(image.size)
                    left, top = ((length - side) // 2 for length in image.size)
                    box = (left, top, left + side, top + side)
                    image = image.resize((self.size, self.size), self.filter, box=box)
            except Exception as error:  # Pillow's decoders raise errors of all kinds for broken data
                raise _not_read(file, error) from error
        x = np.asarray(image).reshape(image.height, image.width, -1)
        return {"x": x} if self.label is None else {"x": x, "label": self.label[index]}

    def _upright(self, image: Any, orientation: int) -> Any:
        """The image in the mode of all, turned as the camera noted, over the background."""
        from PIL import Image, ImageOps

        if orientation > 1:
            image = ImageOps.exif_transpose(image)
        if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, (*self.background, 255)), image)
        return image.convert(self.mode)


def _orientation(image: Any) -> int:
    """The orientation that a camera noted, 1 to 8, from the header of an image that is not decoded yet."""
    if image.format == "PNG" and "exif" not in image.info:  # else Pillow decodes the image to look behind it
        return 1
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # notes that cannot be read are none
        return 1
    return found if found in range(1, 9) else 1


def _opened(file: Any) -> Any:
    """The image in `file` with its header read, as a context manager."""
    from PIL import Image

    try:
        content = file.open() if isinstance(file, Member) else file
        return Image.open(content, formats=("PNG", "JPEG", "BMP", "WEBP", "GIF"))
    except Exception as error:  # as above
        raise _not_read(file, error) from error


def _not_read(file: Any, error: Exception) -> InputError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(
        f"{file} cannot be read as an image ({reason}); repair it or move it elsewhere, or let a run go on without it: "
        "--data.skip-broken (skip_broken=True in Python)"
    )


def _times(shape: tuple[int, int]) -> str:
    return f"{shape[0]}×{shape[1]}"
