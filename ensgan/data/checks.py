"""Checks of samples, labels and seeds that a user passes in."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from ensgan.types import InputError


def check_seed(seed: int, name: str = "seed") -> None:
    """Raises InputError for a seed outside [0, 2³²), which some generators refuse. Errors call the seed `name`."""
    if not 0 <= seed < 2**32:
        raise InputError(f"{name} is {seed}; it must be at least 0 and below 2³²")


def as_array(x: Any, what: str) -> np.ndarray:
    """The array of a user. Raises InputError for lists that are none, as their rows have different lengths."""
    try:
        return np.asarray(x)
    except ValueError as error:
        raise InputError(f"{what} has rows of different lengths; give an array, or lists of one length") from error


def checked_samples(x: Any, what: str, flag: str = "") -> np.ndarray:
    """A user's samples as uint8 `[n, H, W, C]`, or as finite float32 `[n, D]` or `[n, H, W, C]`.

    Args:
        x: uint8 or float; images `[n, H, W]` get a channel axis.
        what: the name of `x` in errors.
        flag: that of the values of black and white, for errors; empty where there is none.

    Raises:
        InputError: another dtype or shape, or float values that are not finite.
    """
    x = as_array(x, what)
    seen = f"{what} is {x.dtype} {list(x.shape)}"
    if x.dtype != np.uint8 and not jnp.issubdtype(x.dtype, np.floating):
        raise InputError(f"{seen}; expected uint8 images or float32 samples; {_instead(x, flag)}")
    if x.ndim not in (3, 4) and not (x.ndim == 2 and x.dtype != np.uint8):
        raise InputError(f"{seen}; expected images [n, H, W] or [n, H, W, C], or float points [n, D]")
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim == 4 and not 1 <= x.shape[-1] <= 4:
        raise InputError(f"{seen}; expected 1 to 4 channels on the last axis, [n, H, W, C]; {_channels(x.shape)}")
    if 0 in x.shape[1:]:
        raise InputError(f"{seen}; expected at least one number per sample")
    if x.dtype == np.uint8:
        return x
    if not np.isfinite(x).all():
        bad = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))
        raise InputError(
            f"{what} holds NaN or infinite values in {len(bad):,} of {len(x):,} samples, first in number {bad[0]}; "
            "remove those samples"
        )
    with np.errstate(over="ignore"):  # values that overflow are found below
        small = x.astype(np.float32)
    if not np.isfinite(small).all():
        most = np.abs(x).max()
        raise InputError(f"{what} holds values as large as {most:g}; float32 ends at 3.4e+38; rescale or remove them")
    return small


def _instead(x: np.ndarray, flag: str) -> str:
    """How values of another type become samples."""
    if x.dtype.kind == "b":
        return "convert them with x.astype(np.uint8) * 255 for images, or x.astype(np.float32) for points"
    if x.dtype.kind not in "iu" or not x.size:
        return "convert it"
    low, high = int(x.min()), int(x.max())
    if x.ndim == 2:
        return "convert points with x.astype(np.float32)"
    if low >= 0 and high <= 255:
        return "convert it with x.astype(np.uint8)"
    ends = "0,65535" if low >= 0 and 2**15 <= high < 2**16 else f"{min(low, 0)},{high}"
    scale = f"give the values of black and white, such as {flag} {ends}" if flag else "scale it to [-1, 1]"
    return f"its values {low} to {high} do not fit into uint8: convert it with x.astype(np.float32), and {scale}"


def _channels(shape: tuple[int, ...]) -> str:
    """How to make images of 1 to 4 channels."""
    if 1 <= shape[1] <= 4:
        return "the channels seem to be on axis 1; move them with x.transpose(0, 2, 3, 1)"
    return f"{shape[-1]} channels cannot be drawn as pictures; keep up to 4 of them, such as x[..., :3]"


def checked_labels(label: Any, num: int, what: str, classes: int | None = None) -> np.ndarray:
    """A user's labels as int32 `[num]`. Raises InputError unless they are integers 0..classes-1, one per sample."""
    label = as_array(label, what)
    if not np.issubdtype(label.dtype, np.integer) or label.shape != (num,):
        raise InputError(f"{what} is {label.dtype} {list(label.shape)}; expected integers [{num}], one per sample")
    if label.size and (label.min() < 0 or label.max() >= (classes or 2**31)):
        most = classes - 1 if classes else "K-1"
        raise InputError(f"{what} holds labels {label.min()}..{label.max()}; expected 0..{most}")
    return label.astype(np.int32)
