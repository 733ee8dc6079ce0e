"""How stored numbers become samples: the options of pixels, and the range of float images."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol, TypedDict

import numpy as np

from ensgan.data.checks import checked_samples
from ensgan.types import InputError, Shape

FLAG = "--data.range"
FLIPPED = "mirrored at random in training, not in held-out samples"
CLOSE = 0.01  # in steps of 1/255: floats this near to whole steps are pixels of 8 bits


class Pixels(TypedDict, total=False):
    """Options of pixels.

    Attributes:
        levels: number of values that a stored pixel can have; 256 if not given.
        dequantize: whether stored pixels get uniform noise, the default; if not, a pixel is the middle of its cell.
        range: the values of black and white in float images, as numbers or as text: (0, 1) or "0,1". By default -1
            and 1. Images that are pixels of 8 bits in such a range become uint8 again; others are rescaled to [-1, 1].
        flip: whether training samples are mirrored left to right, half of them at random, for images that may be; not
            if not given. Held-out samples stay as they are, so distances are to the data as they are.
    """

    flip: bool
    levels: int
    dequantize: bool
    range: str | tuple[float, float] | None


class Randoms(Protocol):
    """What the noise of pixels is drawn from: a generator of NumPy, or the part of one for some samples of a batch."""

    def random(self, shape: Shape, dtype: Any = ..., /) -> np.ndarray:
        """Uniform numbers in [0, 1)."""
        ...


class Part(NamedTuple):
    """The random numbers that some samples of a batch of `size` get, as if all of them were there."""

    rng: np.random.Generator
    rows: range
    size: int

    def random(self, shape: Shape, dtype: Any = np.float64) -> np.ndarray:
        """Those of the rows."""
        return self.rng.random((self.size, *shape[1:]), dtype)[self.rows.start : self.rows.stop]


class Reading(NamedTuple):
    """The options of pixels, checked."""

    levels: int
    dequantize: bool
    black: float
    white: float
    said: bool  # whether the user gave the range
    flip: bool = False

    def __str__(self) -> str:
        """The range as the flag takes it."""
        return f"{self.black:g},{self.white:g}"

    def treated(self) -> tuple[str, ...]:
        """What is done to samples, in words."""
        return (FLIPPED,) if self.flip else ()


def reading(levels: int = 256, dequantize: bool = True, range: Any = None, flip: bool = False) -> Reading:
    """The options of pixels. Raises InputError for a range that is not two increasing numbers."""
    if range is None:
        return Reading(levels, dequantize, -1.0, 1.0, False, flip)
    parts = range.strip("[]() ").split(",") if isinstance(range, str) else range
    try:
        black, white = map(float, parts)
    except (TypeError, ValueError):
        black = white = math.nan
    if not (math.isfinite(black) and math.isfinite(white) and black < white):
        raise InputError(f"range is {range!r}; expected the values of black and white, such as {FLAG} 0,1")
    return Reading(levels, dequantize, black, white, True, flip)


def stored(x: Any, what: str, how: Reading) -> np.ndarray:
    """Samples as a source keeps them: uint8 images, float32 images in [-1, 1], or float32 points.

    Args:
        x: what a user gives.
        what: its name in errors.
        how: the options of pixels.

    Raises:
        InputError: samples of another kind, pixels outside of their levels, floats outside of their range, float images
            in [0, 1] where no range is given, or a range where there are no float images.
    """
    x = bounded(x, what, how)
    if x.dtype == np.uint8 or x.ndim == 2 or not x.size:
        return x
    low, high = float(x.min()), float(x.max())
    if not how.said and 0 <= low < high:
        raise InputError(
            f"{what} holds float images in [{low:g}, {high:g}]; if 0 is black and 1 is white, give {FLAG} 0,1; if -1 "
            f"is black, give {FLAG} -1,1 (in Python range=(0, 1) or range=(-1, 1))"
        )
    return rescaled(x, how, eight_bits(x, how))


def bounded(x: Any, what: str, how: Reading) -> np.ndarray:
    """Samples whose pixels lie within their levels or their range, not rescaled yet. Raises InputError for others."""
    x = checked_samples(x, what, FLAG)
    if how.said and (x.dtype == np.uint8 or x.ndim == 2):
        kind = "uint8 images" if x.dtype == np.uint8 else "points"
        raise InputError(f"{what} holds {kind}, and {FLAG} is for float images; leave it out")
    if how.flip and x.ndim == 2:
        raise InputError(f"{what} holds points, and --data.flip mirrors images; leave it out")
    if not x.size or x.ndim == 2:
        return x
    low, high = x.min(), x.max()
    if x.dtype == np.uint8:
        if high >= how.levels:
            raise InputError(f"{what} holds a pixel {high}; expected pixels below levels={how.levels}; raise levels")
        return x
    slack = 1e-5 * (how.white - how.black) / 2
    if low < how.black - slack or high > how.white + slack:
        expected = f"[{how.black:g}, {how.white:g}]" + f", as {FLAG} says" * how.said
        top = next((top for top in (1, 255, 65535) if top / 2 < high <= top), high)  # else all would be dark
        likely = f"0,{top:g}" if low >= 0 else f"{low:g},{high:g}"
        raise InputError(
            f"{what} holds float images in [{low:g}, {high:g}]; expected {expected}; give uint8, or the values of "
            f"black and white, such as {FLAG} {likely}"
        )
    return x


def eight_bits(x: np.ndarray, how: Reading) -> bool:
    """Whether all float images are pixels of 8 bits in a range that the user gave, and not [-1, 1]."""
    if x.dtype == np.uint8 or x.ndim != 4 or (how.black, how.white) == (-1.0, 1.0) or how.levels != 256:
        return False
    v = _steps(x, how)
    return bool((np.abs(v - np.rint(v)) < CLOSE).all())


def rescaled(x: np.ndarray, how: Reading, eight: bool) -> np.ndarray:
    """Float images as uint8 where they are pixels of 8 bits, else in [-1, 1]; other samples stay as they are."""
    if x.dtype == np.uint8 or x.ndim != 4 or (how.black, how.white) == (-1.0, 1.0):
        return x
    if eight:
        return np.clip(np.rint(_steps(x, how)), 0, 255).astype(np.uint8)
    return np.clip((x - how.black) * (2 / (how.white - how.black)) - 1, -1, 1).astype(np.float32)


def _steps(x: np.ndarray, how: Reading) -> np.ndarray:
    return (x - how.black) * (255 / (how.white - how.black))
