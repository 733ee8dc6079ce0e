"""Checks of samples before they are measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from ensgan.types import InputError


class Undefined(InputError):
    """A metric has no value for these samples, though they are samples."""


def check_samples(x: Any, what: str = "samples", least: int = 2) -> np.ndarray:
    """Features or points as float64 `[n, D]`.

    Args:
        x: numbers `[n, D]`.
        what: names them in errors.
        least: how many there must be.

    Raises:
        InputError: another shape, fewer than `least` samples, or numbers that are not finite.
    """
    x = check_finite(x, what)
    if len(x) < least:
        raise InputError(f"there are {len(x)} {what}; this needs at least {least}: give more")
    return x


def check_varied(x: np.ndarray, what: str) -> None:
    """Raises Undefined for samples that are all equal, whose distances give no unit of length."""
    if (x == x[:1]).all():
        raise Undefined(f"all {len(x)} {what} are equal, so that their distances give no unit of length")


def check_finite(x: Any, what: str) -> np.ndarray:
    """`check_samples` of a part of the samples, which may be one."""
    x = as_numbers(x, what)
    if x.ndim != 2 or x.shape[1] < 1:
        raise InputError(f"{what} have the shape {list(x.shape)}; expected one row per sample, [n, D]")
    if not np.isfinite(x).all():
        bad = int((~np.isfinite(x).all(axis=1)).sum())
        raise InputError(f"{bad} of {len(x)} {what} hold NaN or infinite numbers: find out which step produces them")
    return x


def as_numbers(x: Any, what: str) -> np.ndarray:
    """Real numbers as float64. Raises InputError for texts, objects, complex numbers and rows of different lengths."""
    try:
        found = np.asarray(x)
        if found.dtype.kind not in "OUSc":
            return found.astype(np.float64)
        seen = f"numbers of type {found.dtype}"
    except ValueError:
        seen = "rows of different lengths"
    raise InputError(f"{what} hold {seen}; expected real numbers")


def check_pair(real: Any, fake: Any, least: int = 2, equal: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Both samples as float64 `[n, D]` and `[m, D]`.

    Raises:
        InputError: as in `check_samples`, or dimensions that differ; with `equal`, numbers of samples that do.
    """
    real, fake = check_samples(real, "reals", least), check_samples(fake, "fakes", least)
    if real.shape[1] != fake.shape[1]:
        raise InputError(f"reals have {real.shape[1]} features and fakes {fake.shape[1]}; give the same of both")
    if equal and len(real) != len(fake):
        raise InputError(f"there are {len(real)} reals and {len(fake)} fakes; give as many of both")
    return real, fake


def check_rows(least: int = 1, **named: Any) -> None:
    """Raises InputError unless all are arrays of real numbers, `[n, D]` with at least `least` rows and one D in common.

    Only shapes and types are looked at, so that the arrays may be traced.
    """
    seen = {name: _kind(x) for name, x in named.items()}
    shapes: list[tuple[int, ...]] = [getattr(x, "shape", ()) for x in named.values()]
    rows = [len(shape) == 2 and shape[0] >= least and shape[1] >= 1 for shape in shapes]
    if not all(rows) or len({shape[1] for shape in shapes}) > 1 or any(_unreal(x) for x in named.values()):
        told = " and ".join(f"{name} is {kind}" for name, kind in seen.items())
        raise InputError(f"{told}; expected arrays of real numbers, one row per sample, [n, D] with n ≥ {least}")


def check_row(**named: Any) -> None:
    """Raises InputError unless all are arrays of real numbers `[n]`, n ≥ 1; they may be traced."""
    for name, x in named.items():
        if len(shape := getattr(x, "shape", ())) != 1 or shape[0] < 1 or _unreal(x):
            raise InputError(f"{name} is {_kind(x)}; expected an array of real numbers, [n] with n ≥ 1")


def _kind(x: Any) -> str:
    return f"{x.dtype} {list(x.shape)}" if hasattr(x, "dtype") else f"a {type(x).__name__}"


def _unreal(x: Any) -> bool:
    return not hasattr(x, "dtype") or x.dtype.kind in "OUScmM"
