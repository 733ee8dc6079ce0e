"""Folders of image files, held in memory or read as a stream."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ensgan.data.source import FRACTIONS, Source, from_arrays
from ensgan.data.streams import stream
from ensgan.types import InputError

SIZE = "size=64 in Python, --data.size 64 for a run, --size 64 to compare two folders"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")
GREY = ("1", "L", "LA")
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
MEMORY = 2 * 2**30  # bytes of pixels that are held in memory by default


def folder(
    path: str | Path,
    *,
    size: int | None = None,
    channels: int | None = None,
    seed: int = 0,
    resident: bool | Literal["auto"] = "auto",
    dequantize: bool = True,
    fractions: tuple[float, ...] = FRACTIONS,
) -> Source:
    """All images below a directory, in the order of their names: png, jpg, bmp, webp, gif (its first frame).

    If all images are in subfolders, the top-level subfolders, sorted, are the classes. Hidden files and Thumbs.db are
    skipped. Transparency is dropped, and rotation noted by the camera is ignored.

    Args:
        path: the directory.
        size: crop the largest centred square and resize it to `size` × `size` pixels. By default all images must have
            one size.
        channels: 1 for grey, 3 for RGB; by default grey if all images are grey, else RGB.
        seed: seed of the splits, of the noise, and of the order of a stream.
        resident: whether pixels are held in memory; "auto" holds up to 2 GiB and streams more.
        dequantize: whether pixels get uniform noise.
        fractions: shares of train, select, calibrate and report.

    Returns:
        A source of images `(H, W, channels)`, in memory or streamed.

    Raises:
        InputError: a missing or empty directory, a file that is not an image, images of several sizes without `size`,
            a bad `size`, `channels` or `resident`, or too few images.
    """
    if resident not in (True, False, "auto"):
        raise InputError(f"resident is {resident!r}; expected True, False or 'auto'")
    images, classes = _images(Path(path), size, channels)
    options = {"classes": classes, "dequantize": dequantize, "seed": seed, "fractions": fractions}
    name = Path(path).resolve().name
    if resident == "auto":
        resident = len(images) * math.prod(images.shape) <= MEMORY
    if not resident:
        return stream(images, name=name, **options)
    return from_arrays(name, _pixels(images), images.label, **options)


def read_images(path: str | Path, *, size: int | None = None, channels: int | None = None) -> np.ndarray:
    """All images below a directory as `folder` reads them, in the order of their names: uint8 `[n, H, W, channels]`.

    Args:
        path: the directory.
        size: as in `folder`.
        channels: as in `folder`.

    Raises:
        InputError: as in `folder`, or for more than 2 GiB of pixels.
    """
    images, _ = _images(Path(path), size, channels)
    if len(images) * math.prod(images.shape) > MEMORY:
        raise InputError(
            f"{path} has {len(images)} images of {list(images.shape)}, more than 2 GiB; give a smaller size: {SIZE}"
        )
    return _pixels(images)


def _images(path: Path, size: int | None, channels: int | None) -> tuple[_Images, int | None]:
    """The images below a directory, with only their headers read, and the number of classes."""
    from PIL import Image  # imported here, so that only runs on image files pay for it

    if size is not None and size < 1:
        raise InputError(f"size is {size}; expected at least 1 pixel")
    if channels not in (None, 1, 3):
        raise InputError(f"channels is {channels}; expected 1 (grey) or 3 (RGB)")
    files = _files(path)
    modes, shape = set(), None
    for file in files:
        with _opened(file) as image:  # reads the header only
            mode, wide_high = image.mode, image.size
        modes.add(mode)
        if mode not in GREY + COLOUR:
            raise InputError(f"{file} has mode {mode}; expected 8-bit grey or colour; convert it")
        shape = shape or wide_high
        if size is None and wide_high != shape:
            raise InputError(
                f"images differ in size: {files[0]} is {_times(shape)}, {file} is {_times(wide_high)} "
                f"(width×height); give a size to which all are cropped and resized: {SIZE}"
            )
    channels = channels or (1 if modes <= set(GREY) else 3)
    width, height = (size, size) if size else shape or (0, 0)
    label, classes = _classes(path, files)
    mode = "L" if channels == 1 else "RGB"
    return _Images(files, label, mode, size, Image.Resampling.LANCZOS, (height, width, channels)), classes


def _pixels(images: _Images) -> np.ndarray:
    x = np.empty((len(images), *images.shape), np.uint8)

    def put(i: int) -> None:
        x[i] = images[i]["x"]

    with ThreadPoolExecutor() as pool:  # Pillow releases the interpreter lock while it decodes
        for _ in pool.map(put, range(len(images))):
            pass
    return x


@dataclass(frozen=True)
class _Images:
    """Image files as records: pixels `[H, W, C]` and, if there are classes, a label."""

    files: list[Path]
    label: np.ndarray | None
    mode: str
    size: int | None
    filter: Any
    shape: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        file = self.files[index]
        with _opened(file) as image:
            try:
                if "transparency" in image.info:  # without this Pillow warns that it drops it
                    image = image.convert("RGBA")
                image = image.convert(self.mode)
                if self.size:
                    side = min(image.size)
                    left, top = ((length - side) // 2 for length in image.size)
                    box = (left, top, left + side, top + side)
                    image = image.resize((self.size, self.size), self.filter, box=box)
            except Exception as error:  # Pillow's decoders raise errors of all kinds for broken data
                raise _not_read(file, error) from error
        x = np.asarray(image).reshape(image.height, image.width, -1)
        return {"x": x} if self.label is None else {"x": x, "label": self.label[index]}


def _files(path: Path) -> list[Path]:
    """All image files below `path`, sorted. Raises InputError for any other file that is not hidden."""
    if not path.is_dir():
        raise InputError(f"{path} is not a directory; expected a directory of images; correct the path")

    def fail(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be listed ({error.strerror}); allow reading it") from error

    files = []
    for above, folders, names in os.walk(path, onerror=fail, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(above, name) for name in names if not name.startswith(".") and name != "Thumbs.db"]
    if not files:
        raise InputError(f"{path} has no images; expected files that end in {', '.join(SUFFIXES)}")
    files.sort()
    for file in files:
        if file.suffix.lower() not in SUFFIXES:
            raise InputError(
                f"{file} is not an image; expected only files that end in {', '.join(SUFFIXES)}; move it elsewhere"
            )
    return files


def _classes(path: Path, files: list[Path]) -> tuple[np.ndarray | None, int | None]:
    """Labels, and the number of classes, if every image is in a subfolder; else None."""
    parts = [file.relative_to(path).parts for file in files]
    if any(len(part) == 1 for part in parts):
        return None, None
    names, label = np.unique([part[0] for part in parts], return_inverse=True)
    return label.astype(np.int32), len(names)


def _opened(file: Path) -> Any:
    """The image in `file` with its header read, as a context manager."""
    from PIL import Image

    try:
        return Image.open(file, formats=("PNG", "JPEG", "BMP", "WEBP", "GIF"))
    except Exception as error:  # as above
        raise _not_read(file, error) from error


def _not_read(file: Path, error: Exception) -> InputError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(f"{file} cannot be read as an image ({reason}); repair it or move it elsewhere")


def _times(shape: tuple[int, int]) -> str:
    return f"{shape[0]}×{shape[1]}"
