"""Samples in a few files: digits of scikit-learn, IDX (the format of MNIST), npz and npy of NumPy."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from pathlib import Path
from typing import Unpack

import numpy as np

from ensgan.data.arrays import read_idx, read_npz
from ensgan.data.limits import check_fits
from ensgan.data.options import Options
from ensgan.data.source import FRACTIONS, Source, from_arrays
from ensgan.types import InputError


def digits(*, seed: int = 0, dequantize: bool = True, fractions: tuple[float, ...] = FRACTIONS) -> Source:
    """The 1,797 handwritten digits of scikit-learn: 8×8 grey, pixels 0..16, ten classes.

    They are the test set of Alpaydin and Kaynak 1998 (UCI, Optical Recognition of Handwritten Digits).

    Args:
        seed: seed of the splits and of the noise of held-out samples.
        dequantize: whether pixels get uniform noise.
        fractions: shares of train, select, calibrate and report.

    Returns:
        A source of images `(8, 8, 1)`, in memory.

    Raises:
        InputError: a bad seed or bad fractions.
    """
    table = _digits()
    x, label = table[:, :-1].reshape(-1, 8, 8).astype(np.uint8), table[:, -1].astype(np.int64)
    return from_arrays("digits", x, label, levels=17, dequantize=dequantize, seed=seed, fractions=fractions)


def _digits() -> np.ndarray:
    """Pixels and label of each digit, `[n, 65]`: from the library's file, since importing it takes most of a second."""
    found = importlib.util.find_spec("sklearn")
    for folder in (found.submodule_search_locations or ()) if found else ():
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    x, label = load_digits(return_X_y=True)
    return np.column_stack([x, label])


def idx(
    path: str | Path,
    *,
    labels: str | Path | None = None,
    seed: int = 0,
    pad: int = 0,
    **options: Unpack[Options],
) -> Source:
    """Images of unsigned bytes in an IDX file, the format of MNIST (LeCun et al. 1998), gzipped or not.

    Args:
        path: file of images `[n, H, W]` or `[n, H, W, C]`.
        labels: file of labels `[n]`, if there are any.
        seed: seed of the splits and of the noise of held-out samples.
        pad: number of black pixels around the image.
        options: `dequantize`, `flip` and `fractions`; see `Options`.

    Returns:
        A source of images `(H + 2 pad, W + 2 pad, C)`, in memory.

    Raises:
        InputError: a missing, truncated or broken file, another type than unsigned byte, other dimensions, another
            number of labels than of images, a negative pad, or too few images.
    """
    if pad < 0:
        raise InputError(f"pad is {pad}; expected 0 or more pixels")
    x = read_idx(Path(path), dims=(3, 4))
    label = None if labels is None else read_idx(Path(labels), dims=(1,))
    if label is not None and len(label) != len(x):
        raise InputError(
            f"{labels} holds {len(label)} labels, but {path} holds {len(x)} images; give the two files of one data set"
        )
    many, height, width, *channels = x.shape
    size = many * (height + 2 * pad) * (width + 2 * pad) * math.prod(channels)
    check_fits(size, f"{path} with pad {pad}", "give a smaller --data.pad")
    x = np.pad(x, [(0, 0), (pad, pad), (pad, pad)] + [(0, 0)] * (x.ndim - 3))
    name = Path(path).name.removesuffix(".gz")
    return from_arrays(name, x, label, seed=seed, **options)


def npz(
    path: str | Path,
    *,
    x: str | None = None,
    y: str | None = None,
    range: str | tuple[float, float] | None = None,
    seed: int = 0,
    **options: Unpack[Options],
) -> Source:
    """Samples in a NumPy file.

    Args:
        path: an `.npy` file of samples, or an `.npz` file. Samples are uint8 or float images `[n, H, W]` or
            `[n, H, W, C]`, or float points `[n, D]`. Labels `[n]` are integers or strings.
        x: the name of the samples in an `.npz`. By default one of the usual ones, such as `x`, `images`
            or `x_train`, or the only array.
        y: the name of the labels. By default one of the usual ones, such as `y`, `labels` or
            `y_train`, if there is one.
        range: the values of black and white in float images, such as 0,1 (default: -1,1).
        seed: seed of the splits and of the noise of held-out samples.
        options: `dequantize` (of uint8 pixels), `flip` and `fractions`; see `Options`.

    Returns:
        A source of images `(H, W, C)` or points `(D,)`, in memory.

    Raises:
        InputError: a missing or broken file, arrays of Python objects, other names, shapes or types, values that are
            not finite or not in the range, or too few samples.
    """
    found, name = read_npz(Path(path), x, y, ", or both names by --data.x and --data.y"), Path(path).name
    source = from_arrays(name, found.x, found.label, range=range, seed=seed, **options)
    if not found.others or source.facts is None:
        return source
    skipped = (("other arrays", tuple(found.others)),)
    return dataclasses.replace(source, facts=source.facts._replace(skipped=skipped))
