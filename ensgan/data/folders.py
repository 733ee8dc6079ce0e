"""Folders and archives of image files, and shards of WebDataset, held in memory or read as a stream."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, Unpack

import numpy as np

from ensgan.data import decoded
from ensgan.data.archives import is_archive
from ensgan.data.beside import class_names
from ensgan.data.listing import hints, listed
from ensgan.data.options import Pictures
from ensgan.data.pictures import MEMORY, SIZE, Found, Listed, check, looked
from ensgan.data.source import FRACTIONS, Source
from ensgan.types import InputError


def folder(
    path: str | Path,
    *,
    seed: int = 0,
    resident: bool | Literal["auto"] = "auto",
    dequantize: bool = True,
    flip: bool = False,
    fractions: tuple[float, ...] = FRACTIONS,
    **pictures: Unpack[Pictures],
) -> Source:
    """All images below a directory or in an archive, in the order of their names.

    They are png, jpg, bmp, webp, ppm and pgm, and the first frame of gif and tif.

    If all images are in subfolders, the top-level subfolders are the classes, in natural order: 2 comes before 10. If
    one subfolder holds all of them in subfolders of its own, these are the classes. A
    `dataset.json` with labels, as StyleGAN's tool writes it, counts instead. Archives are read in place. A folder of
    .tar files alone is a data set in shards, as WebDataset writes them; KEY.cls, or `label` or `cls` in KEY.json, is
    then the class of KEY.jpg.
    Rotation noted by the camera is applied, and transparent images are laid over a background. Hidden and system files
    and folders, notes such as README or labels.csv, and links into the folder itself are skipped.

    Args:
        path: the directory, or a .zip or .tar (also .tar.gz, .tar.bz2, .tar.xz) of it.
        seed: seed of the splits, of the noise, and of the order of a stream.
        resident: whether pixels are held in memory, as bytes; "auto" holds up to 2 GiB and streams more.
        dequantize: whether pixels get uniform noise.
        flip: whether training samples are mirrored left to right, half of them at random; held-out samples stay as they
            are, so distances are to the data as they are.
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
    place = Path(path).resolve()
    name = place.stem.removesuffix(".tar") if is_archive(place) else place.name
    options = {"dequantize": dequantize, "flip": flip, "seed": seed, "fractions": fractions}
    return _found(Path(path), pictures).source(name, resident, options)


def read_images(path: str | Path, **pictures: Unpack[Pictures]) -> np.ndarray:
    """All images below a directory as `folder` reads them, in the order of their names: uint8 `[n, H, W, channels]`.

    Args:
        path: the directory.
        pictures: as in `folder`.

    Raises:
        InputError: as in `folder`, or for more than 2 GiB of pixels.
    """
    images = _found(Path(path), pictures).images
    if len(images) * math.prod(images.shape) > MEMORY:
        raise InputError(
            f"{path} has {len(images)} images of {list(images.shape)}, more than 2 GiB; give a smaller size: {SIZE}"
        )
    return images.pixels()


def _found(path: Path, pictures: Pictures) -> Found:
    """The images below a directory."""
    check(**pictures)
    listing = listed(path, pictures.get("skip_broken", False))
    labels = class_names(listing.top, listing)
    named = lambda file: str(file.relative_to(path))
    every = Listed(listing.files, labels, None, named, listing.left_out())
    found = looked(every, **pictures, place=decoded.place_of(path, listing.files, pictures))
    return found._replace(hints=hints(listing.top, found.images.files, list(found.names or ())))
