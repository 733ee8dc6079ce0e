"""Samples in a few files: digits of scikit-learn, IDX (the format of MNIST), npz and npy of NumPy."""

from __future__ import annotations

import dataclasses
import gzip
import importlib.util
import math
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ensgan.data.source import FRACTIONS, Source, from_arrays
from ensgan.types import InputError

NAMES = "class_names"  # of the labels in a file that `ensgan sample` wrote


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
    dequantize: bool = True,
    fractions: tuple[float, ...] = FRACTIONS,
) -> Source:
    """Images of unsigned bytes in an IDX file, the format of MNIST (LeCun et al. 1998), gzipped or not.

    Args:
        path: file of images `[n, H, W]` or `[n, H, W, C]`.
        labels: file of labels `[n]`, if there are any.
        seed: seed of the splits and of the noise of held-out samples.
        pad: number of black pixels around the image.
        dequantize: whether pixels get uniform noise.
        fractions: shares of train, select, calibrate and report.

    Returns:
        A source of images `(H + 2 pad, W + 2 pad, C)`, in memory.

    Raises:
        InputError: a missing, truncated or broken file, another type than unsigned byte, other dimensions, another
            number of labels than of images, a negative pad, or too few images.
    """
    if pad < 0:
        raise InputError(f"pad is {pad}; expected 0 or more pixels")
    x = _read_idx(Path(path), dims=(3, 4))
    label = None if labels is None else _read_idx(Path(labels), dims=(1,))
    if label is not None and len(label) != len(x):
        raise InputError(
            f"{labels} holds {len(label)} labels, but {path} holds {len(x)} images; give the two files of one data set"
        )
    x = np.pad(x, [(0, 0), (pad, pad), (pad, pad)] + [(0, 0)] * (x.ndim - 3))
    name = Path(path).name.removesuffix(".gz")
    return from_arrays(name, x, label, dequantize=dequantize, seed=seed, fractions=fractions)


def npz(
    path: str | Path,
    *,
    x: str | None = None,
    y: str | None = None,
    range: str | tuple[float, float] | None = None,
    seed: int = 0,
    dequantize: bool = True,
    fractions: tuple[float, ...] = FRACTIONS,
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
        dequantize: whether uint8 pixels get uniform noise.
        fractions: shares of train, select, calibrate and report.

    Returns:
        A source of images `(H, W, C)` or points `(D,)`, in memory.

    Raises:
        InputError: a missing or broken file, arrays of Python objects, other names, shapes or types, values that are
            not finite or not in the range, or too few samples.
    """
    found, options = read_npz(Path(path), x, y), {"seed": seed, "fractions": fractions}
    name = Path(path).name
    source = from_arrays(name, found.x, found.label, dequantize=dequantize, range=range, **options)
    if not found.others or source.facts is None:
        return source
    skipped = (("other arrays", tuple(found.others)),)
    return dataclasses.replace(source, facts=source.facts._replace(skipped=skipped))


class Arrays(NamedTuple):
    """The arrays of a NumPy file."""

    x: np.ndarray
    label: np.ndarray | None
    others: list[str]  # names of arrays that were not read


def _read_idx(path: Path, dims: tuple[int, ...]) -> np.ndarray:
    """The unsigned bytes of an IDX file: 0 0 type rank, big-endian int32 sizes, values."""
    if not path.is_file():
        raise InputError(f"{path} is missing; expected an IDX file; correct the path")
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} is truncated or broken gzip ({error}); download it again") from error
    if len(data) < 4 or data[:2] != b"\0\0":
        raise InputError(
            f"{path} begins with bytes [{data[:4].hex(' ')}]; expected an IDX file, which begins with 00 00"
        )
    kind, rank = data[2], data[3]
    if kind != 8:
        raise InputError(f"{path} holds values of IDX type 0x{kind:02x}; expected 0x08, unsigned bytes")
    if rank not in dims:
        raise InputError(f"{path} has {rank} dimensions; expected {' or '.join(map(str, dims))}")
    start = 4 + 4 * rank
    if len(data) < start:
        raise InputError(f"{path} ends within its header, after {len(data)} bytes; download it again")
    shape = [int(size) for size in np.frombuffer(data[4:start], ">u4")]
    if len(data) - start != math.prod(shape):
        raise InputError(
            f"{path} holds {len(data) - start} bytes of values, but its header says {shape}, "
            f"which is {math.prod(shape)}; it is truncated or broken: download it again"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def read_npz(path: Path, x: str | None = None, y: str | None = None) -> Arrays:
    """The samples and, if there are any, the labels of an npz or npy file, under the names `x` and `y` if given."""
    if path.is_dir():
        raise InputError(
            f"{path} is a folder; expected an .npz or .npy file; for a folder of images give --data folder"
        )
    if not path.is_file():
        raise InputError(f"{path} is missing; expected an .npz or .npy file; correct the path")
    broken = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
    with path.open("rb") as raw:  # np.load would leave a broken file open
        try:
            file = np.load(raw, allow_pickle=False)
        except broken as error:
            raise InputError(
                f"{path} is not a NumPy file, is broken, or holds Python objects; expected plain numbers, written by "
                "np.savez or np.save"
            ) from error
        if isinstance(file, np.ndarray):
            return Arrays(file, None, [])
        names = list(file.files)
        x, y = _names(path, names, x, y)
        try:
            label = None if y is None else file[y]
            if label is not None and NAMES in names and label.dtype.kind in "iu":  # a file of `ensgan sample`
                label = file[NAMES][label]
            read = {x, y, NAMES} if label is not None else {x}
            return Arrays(file[x], label, [name for name in names if name not in read])
        except (*broken, IndexError) as error:
            raise InputError(
                f"an array of {path} holds Python objects or is broken; expected plain numbers; save it as uint8 or "
                "float32"
            ) from error


def _names(path: Path, names: list[str], x: str | None, y: str | None) -> tuple[str, str | None]:
    """The names of samples and labels in an npz file."""
    for flag, name in (("x", x), ("y", y)):
        if name is not None and name not in names:
            raise InputError(f"{path} has no array {name!r}, which --data.{flag} names; it holds {names}")
    y = y or next(
        (
            name
            for name in ("y", "label", "labels", "y_train", "train_labels", "targets")
            if name in names and name != x
        ),
        None,
    )
    others = [name for name in names if name not in (y, NAMES)]
    x = x or next(
        (name for name in ("x", "images", "x_train", "train_images", "samples", "data") if name in names), None
    )
    if x is None and len(others) == 1:
        x = others[0]
    if x is None:
        raise InputError(
            f"{path} holds arrays {names}; expected samples under 'x' or 'images', labels under 'y', or both names "
            "by --data.x and --data.y"
        )
    return x, y
