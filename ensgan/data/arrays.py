"""Arrays in the files of IDX and NumPy, whose headers are checked before anything is allocated."""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import Any, NamedTuple

import numpy as np

from ensgan.data.limits import check_fits
from ensgan.types import InputError

NAMES = "class_names"  # of the labels in a file that `ensgan sample` wrote


class Arrays(NamedTuple):
    """The arrays of a NumPy file."""

    x: np.ndarray
    label: np.ndarray | None
    others: list[str]  # names of arrays that were not read


def read_idx(path: Path, dims: tuple[int, ...]) -> np.ndarray:
    """The unsigned bytes of an IDX file: 0 0 type rank, big-endian int32 sizes, values."""
    if not path.is_file():
        raise InputError(f"{path} is missing; expected an IDX file; correct the path")
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            shape, start = _idx_header(path, file.read(4 + 4 * max(dims)), dims)
            data, size, there = b"", math.prod(shape), path.stat().st_size - start
            if packed:
                check_fits(size, f"{path}, whose header says {shape},", "it is broken: download it again")
                file.seek(start)
                data = file.read(size)
                there = len(data) + len(file.read(1))
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is truncated or broken gzip ({error}); download it again") from error
    if there != size:
        raise InputError(
            f"{path} holds {there} bytes of values, but its header says {shape}, which is {size}; it is truncated or "
            "broken: download it again"
        )
    return (
        np.frombuffer(data, np.uint8).reshape(shape)
        if packed
        else np.fromfile(path, np.uint8, offset=start).reshape(shape)
    )


def _idx_header(path: Path, data: bytes, dims: tuple[int, ...]) -> tuple[list[int], int]:
    """The sizes in the header of an IDX file, and where its values begin."""
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
    return [int(size) for size in np.frombuffer(data[4:start], ">u4")], start


def read_npz(path: Path, x: str | None = None, y: str | None = None, also: str = "") -> Arrays:
    """The samples and, if there are any, the labels of an npz or npy file, under the names `x` and `y` if given.

    Errors about the names of arrays end with `also`, which may say how to give others.
    """
    if path.is_dir():
        raise InputError(
            f"{path} is a folder; expected an .npz or .npy file; for a folder of images give --data folder"
        )
    if not path.is_file():
        raise InputError(f"{path} is missing; expected an .npz or .npy file; correct the path")
    # NumPy reads the head of an array as Python's words, so a damaged one may be no Python.
    broken = (OSError, ValueError, EOFError, SyntaxError, TokenError, zipfile.BadZipFile, zlib.error, RuntimeError)
    with path.open("rb") as raw:  # np.load would leave a broken file open
        try:
            if not zipfile.is_zipfile(raw):
                raw.seek(0)
                _check_header(raw, path.stat().st_size, f"{path}")
            raw.seek(0)
            file = np.load(raw, allow_pickle=False)
        except InputError:
            raise
        except broken as error:
            raise InputError(
                f"{path} is not a NumPy file, is broken, or holds Python objects; expected plain numbers, written by "
                "np.savez or np.save"
            ) from error
        if isinstance(file, np.ndarray):
            return Arrays(file, None, [])
        names = list(file.files)
        x, y = _names(path, names, x, y, also)
        try:
            label = None if y is None else _member(path, file, y)
            if label is not None and NAMES in names and label.dtype.kind in "iu":  # a file of `ensgan sample`
                label = _member(path, file, NAMES)[label]
            read = {x, y, NAMES} if label is not None else {x}
            return Arrays(_member(path, file, x), label, [name for name in names if name not in read])
        except InputError:
            raise
        except (*broken, IndexError) as error:
            raise InputError(
                f"an array of {path} is broken; expected plain numbers; save it again as uint8 or float32"
            ) from error


def _member(path: Path, file: Any, name: str) -> np.ndarray:
    """An array of an .npz file."""
    inside = name if name in file.zip.namelist() else f"{name}.npy"
    info = file.zip.getinfo(inside)
    with file.zip.open(info) as raw:
        _check_header(raw, info.file_size, f"{name} of {path}")
    return file[name]


def _check_header(raw: Any, size: int, what: str) -> None:
    """Raises InputError where a .npy of so many bytes says that its array is another size, or more than the memory."""
    version = np.lib.format.read_magic(raw)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:  # of structures, which are refused later
        return
    shape, _, dtype = readers[version](raw)
    if dtype.hasobject:
        raise InputError(
            f"{what} holds Python objects; expected plain numbers, or texts for labels; save it as uint8 or float32, "
            "and labels by y.astype(str)"
        )
    asked, there = math.prod(shape) * dtype.itemsize, size - raw.tell()
    if asked > there:
        raise InputError(
            f"{what} holds {there:,} bytes of values, but its header says {list(shape)} {dtype}, which is {asked:,}; "
            "it is truncated or broken: save it again"
        )
    check_fits(asked, what, "give fewer or smaller samples, or a folder of images, which can be streamed")


def _names(path: Path, names: list[str], x: str | None, y: str | None, also: str) -> tuple[str, str | None]:
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
        raise InputError(f"{path} holds arrays {names}; expected samples under 'x' or 'images', labels under 'y'{also}")
    return x, y
