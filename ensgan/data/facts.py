"""What was read into a source, to be said and stored: how much, of which kind and range, classes, and what was odd."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ensgan.data.labels import some
from ensgan.types import Shape

DARK = 0.1  # of the range: an image without a brighter pixel is nearly black
HALF = 0.51  # of the range: all images together use no more
SHOWN = 3  # names of odd samples
KEPT = 100  # names in a record


class Facts(NamedTuple):
    """Facts about samples as they were read, before any noise.

    Attributes:
        num: number of samples in all splits; None if it is not known.
        looked: number of samples that the rest was taken from.
        shape: shape of one sample.
        dtype: uint8 or float32, as stored.
        low: the smallest value.
        high: the largest.
        full: smallest and largest value that pixels can have; None for points.
        classes: names, and how many samples each has; empty if there are no labels or they were not counted.
        flat: numbers of the images that are one colour throughout.
        dark: numbers of other images that are nearly black.
        named: the name of sample i.
        skipped: what was left out: kinds, and the names of each.
        hints: more to say before training.
        treated: what was or will be done to samples, such as resizing.
        merged: how many different points became equal to another one when they were stored as float32.
    """

    num: int | None
    looked: int
    shape: Shape
    dtype: str
    low: float
    high: float
    full: tuple[float, float] | None
    classes: tuple[tuple[str, int], ...] = ()
    flat: tuple[int, ...] = ()
    dark: tuple[int, ...] = ()
    named: Callable[[int], str] = "number {}".format
    skipped: tuple[tuple[str, tuple[str, ...]], ...] = ()
    hints: tuple[str, ...] = ()
    treated: tuple[str, ...] = ()
    merged: int = 0


def facts_of(
    x: np.ndarray, label: np.ndarray | None = None, names: Sequence[str] | None = None, levels: int = 256
) -> Facts:
    """Facts about stored samples: uint8 images with so many `levels`, float images in [-1, 1], or points."""
    low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)
    counts: tuple[tuple[str, int], ...] = ()
    if label is not None and names is not None:
        counts = tuple(zip(names, np.bincount(label, minlength=len(names)).tolist(), strict=True))
    known = Facts(len(x), len(x), x.shape[1:], str(x.dtype), low, high, None, counts)
    if x.ndim != 4 or not x.size:
        return known
    black, white = (0.0, levels - 1.0) if x.dtype == np.uint8 else (-1.0, 1.0)
    least, most = x.min(axis=(1, 2)), x.max(axis=(1, 2))  # of each channel
    flat = (least == most).all(axis=1)
    dark = ~flat & (most.max(axis=1) < black + DARK * (white - black))
    where = lambda mask: tuple(np.flatnonzero(mask).tolist())
    return known._replace(full=(black, white), flat=where(flat), dark=where(dark))


def merged(wide: np.ndarray, stored: np.ndarray) -> int:
    """How many different rows of `wide` `[n, D]` became equal to another one in `stored`."""
    if wide.ndim != 2 or wide.dtype != np.float64:
        return 0
    return _different(wide) - _different(stored.astype(np.float64))


def _different(x: np.ndarray) -> int:
    """The number of different rows, by a hash of 64 bits."""
    odd = np.random.default_rng(0).integers(0, 2**63, x.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
    bits = np.ascontiguousarray(x + 0.0).view(np.uint64)  # + 0.0 makes -0.0 and 0.0 alike
    bits = (bits ^ (bits >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return len(np.unique(((bits ^ (bits >> np.uint64(32))) * odd).sum(axis=1, dtype=np.uint64)))


def lines(name: str, known: Facts) -> list[str]:
    """Two lines about what was read, and one more for each thing that may be a mistake."""
    kind = "samples"
    shape = f"{known.shape[0]} number{'s' * (known.shape[0] != 1)} each" if len(known.shape) == 1 else ""
    if len(known.shape) == 3:
        height, width, channels = known.shape
        kind = "images"
        shape = f"{width} wide, {height} high, {channels} channel{'s' * (channels > 1)}"
    num = "endless" if known.num is None else f"{known.num:,}"
    kind = kind[:-1] if known.num == 1 else kind
    among = "" if known.num == known.looked else f" among the {known.looked:,} looked at"
    first = f"data {name}: {num} {kind}, {shape}, values {known.low:g} to {known.high:g} ({known.dtype}){among}"
    classes = "no classes"
    if known.classes:
        each = (
            f"{k} = {name} ({n:,})" if str(k) != name else f"{k} ({n:,})" for k, (name, n) in enumerate(known.classes)
        )
        classes = f"{len(known.classes):,} class{'es' * (len(known.classes) > 1)}: {some(each, 20)}"
    skipped = f"skipped: {left_out(known.skipped)}" if known.skipped else "nothing skipped"
    second = "; ".join([classes, skipped, *known.treated])
    return [first, f"  {second}", *(f"  note: {text}" for text in notes(known))]


def left_out(skipped: Sequence[tuple[str, Sequence[str]]]) -> str:
    """How many things were skipped, and the first names of each kind."""
    each = "; ".join(f"{kind}: {some(names, SHOWN)}" for kind, names in skipped)
    return f"{sum(len(names) for _, names in skipped):,} ({each})"


def notes(known: Facts) -> list[str]:
    """What may be a mistake in the data."""
    found = list(known.hints)
    for numbers, text in ((known.flat, "of one colour throughout"), (known.dark, "nearly black")):
        if numbers:
            verb = "images are" if len(numbers) > 1 else "image is"
            found.append(f"{len(numbers):,} {verb} {text}: {some(map(known.named, numbers), SHOWN)}")
    same = lambda name: unicodedata.normalize("NFC", name.strip()).casefold()
    plain = Counter(same(name) for name, _ in known.classes)
    if alike := [name for name, _ in known.classes if plain[same(name)] > 1]:
        spaces = len(set(map(str.strip, alike))) < len(alike)
        what = "in spaces" if spaces else "in capitals or in how accents are stored"
        found.append(f"classes {some(map(repr, alike))} differ only {what}; if they are one class, give it one name")
    if known.merged:
        found.append(
            f"{known.merged:,} samples differ from others by less than float32 can hold, so they are copies of them "
            "now; scale the numbers, or give --data.standardise for a table"
        )
    if known.full is not None and len(known.flat) < known.looked:
        black, white = known.full
        if known.high - known.low <= HALF * (white - black):
            found.append(
                f"the images use only {known.low:g} to {known.high:g} of {black:g} to {white:g}, half of the range or "
                "less; rescale them unless they are meant to be pale"
            )
    return found


def as_dict(known: Facts) -> dict[str, Any]:
    """Plain data for JSON."""
    return {
        "num": known.num,
        "looked": known.looked,
        "dtype": known.dtype,
        "low": known.low,
        "high": known.high,
        "classes": [{"name": name, "count": count} for name, count in known.classes],
        "skipped": [{"kind": kind, "count": len(names), "names": names[:KEPT]} for kind, names in known.skipped],
        "notes": notes(known),
    }
