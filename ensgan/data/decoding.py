"""Encoded images as records of pixels: decoded, upright, cropped and resized, one at a time or all together."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ensgan.data.libraries import reason
from ensgan.data.limits import check_fits
from ensgan.types import InputError

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
ORIENTATION = 0x0112  # the tag of EXIF; 5 to 8 exchange width and height


@dataclass(frozen=True)
class Images:
    """Image files as records: pixels `[H, W, C]` and, if there are classes, a label.

    All pixels may be `stored` already, `[n, H, W, C]`; else `store` gets them once they are decoded.
    """

    files: list[Any]  # paths, or members of an archive
    label: np.ndarray | None  # names of classes
    mode: str
    size: int | None
    filter: Any
    shape: tuple[int, int, int]
    background: tuple[int, ...]
    over: str | None = None  # the background by name, if an image is transparent
    stored: np.ndarray | None = None
    store: Callable[[np.ndarray], None] | None = None

    def __len__(self) -> int:
        """How many there are."""
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One of them, decoded. Raises InputError where it cannot be read."""
        file = self.files[index]
        with opened(file) as image:
            try:
                image = self._upright(image, orientation_of(image))
                if self.size:
                    side = min(image.size)
                    left, top = ((length - side) // 2 for length in image.size)
                    box = (left, top, left + side, top + side)
                    image = image.resize((self.size, self.size), self.filter, box=box)
            except Exception as error:  # Pillow's decoders raise errors of all kinds for broken data
                raise _not_read(file, error) from error
        x = np.asarray(image).reshape(image.height, image.width, -1)
        return {"x": x} if self.label is None else {"x": x, "label": self.label[index]}

    def treated(self) -> tuple[str, ...]:
        """What is done to the images besides decoding."""
        size = f"cropped to centred squares and resized to {self.size}×{self.size} (Lanczos filter, antialiased)"
        over = f"transparent images laid over {self.over}"
        return (size,) * (self.size is not None) + (over,) * (self.over is not None)

    def pixels(self) -> np.ndarray:
        """All images decoded, uint8 `[n, H, W, C]`. Raises InputError where they do not fit into memory."""
        what = f"holding {len(self):,} images of {list(self.shape)}"
        check_fits(len(self) * math.prod(self.shape), what, "stream them: --data.resident false")
        if self.stored is not None:
            return self.stored
        x = np.empty((len(self), *self.shape), np.uint8)

        def put(i: int) -> None:
            x[i] = self[i]["x"]

        with ThreadPoolExecutor() as pool:  # as above
            for _ in pool.map(put, range(len(self))):
                pass
        if self.store is not None:
            self.store(x)
        return x

    def _upright(self, image: Any, orientation: int) -> Any:
        """The image in the mode of all, turned as the camera noted, over the background."""
        from PIL import Image, ImageOps

        if orientation > 1:
            image = ImageOps.exif_transpose(image)
        if is_transparent(image):
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, (*self.background, 255)), image)
        return image.convert(self.mode)


def is_transparent(image: Any) -> bool:
    """Whether an image has an alpha channel or a transparent colour; its header says so."""
    return image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info


def orientation_of(image: Any) -> int:
    """The orientation that a camera noted, 1 to 8, from the header of an image that is not decoded yet."""
    if image.format == "TIFF":  # which Pillow turns while it decodes
        return 1
    if image.format == "PNG" and "exif" not in image.info:  # else Pillow decodes the image to look behind it
        return 1
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # notes that cannot be read are none
        return 1
    return found if found in range(1, 9) else 1


def opened(file: Any) -> Any:
    """The image in `file` with its header read, as a context manager."""
    from PIL import Image

    try:
        if isinstance(file, Path) and file.exists() and not file.is_file():
            raise OSError("it is a pipe or a device, which may never end")
        content = file if isinstance(file, Path) else file.open()
        return Image.open(content, formats=FORMATS)
    except Exception as error:  # as above
        raise _not_read(file, error) from error


def _not_read(file: Any, error: Exception) -> InputError:
    from PIL import UnidentifiedImageError

    why = reason(error)
    if isinstance(error, UnidentifiedImageError):  # whose text repeats the name, or the address of an object
        why = f"it is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, or is broken"
    return InputError(
        f"{file} cannot be read as an image ({why}); repair it or move it elsewhere. `ensgan train` goes on without it "
        "with --data.skip-broken (skip_broken=True in Python)"
    )
