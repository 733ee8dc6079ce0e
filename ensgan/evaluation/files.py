"""Samples to compare, from a folder of images or from one file of arrays."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import numpy as np
from PIL import Image

from ensgan.data import read_images, to_uint8
from ensgan.data.archives import is_archive
from ensgan.data.arrays import read_npz
from ensgan.data.checks import checked_samples
from ensgan.data.listing import is_run
from ensgan.data.source import dequantized
from ensgan.types import InputError

ARRAYS = (".npz", ".npy")


def read_samples(
    path: str | Path, *, size: int | None = None, span: tuple[float, float] | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples of a folder or of a file, as uint8 images `[n, H, W, C]` or float points `[n, D]`, and labels.

    Args:
        path: a folder of images, a .zip or .tar of one, or an .npz or .npy file, such as `ensgan sample` writes.
        size: images are cropped to the largest centred square and resized to `size` × `size` pixels.
        span: the values of float images that are black and white; needed where they might be [0, 1] or [-1, 1].

    Raises:
        InputError: no such folder or file, other arrays, or values outside of their range.
    """
    path = Path(path)
    if is_run(path):
        raise InputError(
            f"{path} is a run and holds no samples in files; write some with "
            f"`ensgan sample {quote(str(path))} --num 1000 --out samples.npz` and give that file"
        )
    if path.is_dir() or path.suffix not in ARRAYS:
        if path.is_file() and not is_archive(path):
            raise InputError(
                f"{path} is a file; expected a folder of images, a .zip or .tar of one, or a file that ends in .npz or "
                ".npy"
            )
        return read_images(path, size=size), None
    x, label = _arrays(path)
    x, bad = _finite(x, -1.0 if span is None else span[0])
    x = checked_samples(x, f"x of {path}", "--range")
    if len(x) == 0:
        raise InputError(f"{path} holds no samples; expected at least 1")
    if x.ndim == 4:
        x = _resized(_pixels(x, path, span), size)
    elif size is not None:
        raise InputError(f"--size is {size}, but {path} holds points and no images; leave it out")
    if bad.any():  # metrics say how many samples are not finite
        x = dequantized(x, np.random.default_rng(0), 256, False).copy()
        x[bad] = np.nan
    return x, label


def _finite(x: np.ndarray, black: float) -> tuple[np.ndarray, np.ndarray]:
    """Samples with a value of their own (else black) in place of NaN and infinity, and which had such values."""
    if not np.issubdtype(x.dtype, np.floating) or x.ndim < 2:
        return x, np.zeros(len(x) if x.ndim else 0, bool)
    finite = np.isfinite(x)
    some = x[finite][:1] if finite.any() else np.full(1, black, x.dtype)
    bad = np.asarray(~finite.all(axis=tuple(range(1, x.ndim))))
    return np.where(finite, x, some), bad


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The samples and labels of a file; pixels where it has them besides floats, as `ensgan sample` writes both."""
    x, label = read_npz(path)[:2]
    if path.suffix == ".npz" and x.dtype != np.uint8 and x.ndim == 4:
        with np.load(path, allow_pickle=False) as file:
            if "images" in file.files and file["images"].shape == x.shape and file["images"].dtype == np.uint8:
                return file["images"], label
    return x, label


def _pixels(x: np.ndarray, path: Path, span: tuple[float, float] | None) -> np.ndarray:
    """Images as uint8, with float ones from their range."""
    return x if x.dtype == np.uint8 else to_uint8(centred(x, path, span))


def centred(x: np.ndarray, path: Path, span: tuple[float, float] | None, slack: float = 1e-5) -> np.ndarray:
    """Float images as networks see them, from their range to [-1, 1].

    Args:
        x: images `[n, H, W, C]`.
        path: their file, for errors.
        span: the values that are black and white; without one they are -1 and 1.
        slack: how far values may leave the range, in shares of it.

    Raises:
        InputError: values outside of the range, or in [0, 1] where none is given.
    """
    low, high = float(x.min()), float(x.max())
    if span is None and low >= 0 and high <= 1:
        raise InputError(
            f"{path} holds float images in [{low:g}, {high:g}], which may be meant as [0, 1] or as [-1, 1]; say which "
            "with --range 0,1 or --range -1,1"
        )
    black, white = span or (-1.0, 1.0)
    beyond = slack * (white - black)
    if low < black - beyond or high > white + beyond:
        raise InputError(
            f"{path} holds float images in [{low:g}, {high:g}]; expected [{black:g}, {white:g}]; give their --range, "
            "such as --range 0,255, or save them as uint8"
        )
    return x if (black, white) == (-1.0, 1.0) else (x - black) / (white - black) * 2 - 1  # the first to the last bit


def _resized(x: np.ndarray, size: int | None) -> np.ndarray:
    """Images as `data.folder` crops and resizes them."""
    if size is None or x.shape[1:3] == (size, size):
        return x
    if size < 1:
        raise InputError(f"size is {size}; expected at least 1 pixel")
    side = min(x.shape[1:3])
    top, left = ((length - side) // 2 for length in x.shape[1:3])
    box = (left, top, left + side, top + side)
    one = lambda plane: np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.LANCZOS, box=box))
    planes = np.moveaxis(x, -1, 1).reshape(-1, *x.shape[1:3])
    small = np.stack([one(np.ascontiguousarray(plane)) for plane in planes])
    return np.ascontiguousarray(np.moveaxis(small.reshape(len(x), -1, size, size), 1, -1))
