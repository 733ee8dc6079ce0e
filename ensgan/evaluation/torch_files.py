"""Tensors in files that `torch.save` wrote, read without PyTorch and without running anything that is in them."""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ensgan.types import InputError

TYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4"}


class Stored(NamedTuple):
    """A tensor as its file describes it: a view of a storage."""

    storage: tuple[Any, ...]  # "storage", type, key, device, how many numbers
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in numbers


class _Descriptions(pickle.Unpickler):
    """Builds dictionaries of `Stored`, and refuses to name anything else.

    A pickle can do harm only by the functions that it names. Besides the type of a state dict those are taken for the
    description of a tensor, and nothing of PyTorch is called or imported.
    """

    def find_class(self, module: str, name: str) -> Any:
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda *args: Stored(*args[:4]),
            ("torch._utils", "_rebuild_parameter"): lambda stored, *others: stored,
            **{("torch", kind): kind for kind in TYPES},
        }
        if (module, name) not in known:
            raise ValueError(f"it names {module}.{name}, which is no part of a dictionary of tensors")
        return known[module, name]

    def persistent_load(self, pid: Any) -> Any:
        return pid


def read_tensors(file: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict by name.

    Both formats are read: the zip file that PyTorch writes since 1.6, and the row of pickles from before.

    Args:
        file: what `torch.save(module.state_dict(), file)` wrote, of floating-point and integer tensors.

    Raises:
        InputError: the file is missing, broken, or holds anything else.
    """
    if not Path(file).is_file():
        raise InputError(f"{file} is missing; expected a state dict that torch.save wrote")
    try:
        with Path(file).open("rb") as stream:
            described, storage = (_zipped if zipfile.is_zipfile(file) else _in_a_row)(stream)
            return {str(name): _tensor(stored, storage) for name, stored in described.items()}
    except Exception as error:  # whatever pickle, zipfile and numpy raise at broken data
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{file} cannot be read as a state dict that torch.save wrote ({reason})") from error


def _zipped(stream: IO[bytes]) -> tuple[dict[str, Stored], Callable[[str], bytes]]:
    """Descriptions, and the bytes of a storage by its key."""
    archive = zipfile.ZipFile(io.BytesIO(stream.read()))
    (top,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
    described = _Descriptions(io.BytesIO(archive.read(top))).load()
    return described, lambda key: archive.read(f"{top.removesuffix('data.pkl')}data/{key}")


def _in_a_row(stream: IO[bytes]) -> tuple[dict[str, Stored], Callable[[str], bytes]]:
    """As `_zipped`. The row is: a magic number, a version, the system, the descriptions, keys; then storages."""
    _, _, _, described, keys = (_Descriptions(stream).load() for _ in range(5))
    of = {stored.storage[2]: stored.storage for stored in described.values()}
    found = {}
    for key in keys:  # of each, how many numbers in eight bytes, and the numbers
        num = int.from_bytes(stream.read(8), "little")
        found[key] = stream.read(num * np.dtype(TYPES[of[key][1]]).itemsize)
    return described, found.__getitem__


def _tensor(stored: Stored, storage: Callable[[str], bytes]) -> np.ndarray:
    _, kind, key, _, num, *_ = stored.storage
    flat = np.frombuffer(storage(key), TYPES[kind])
    last = stored.offset + sum((n - 1) * step for n, step in zip(stored.shape, stored.strides, strict=True))
    if len(flat) != num or min(stored.offset, *stored.strides, 0) < 0 or (math.prod(stored.shape) and last >= num):
        raise ValueError("a tensor reaches beyond its numbers")
    strides = [step * flat.itemsize for step in stored.strides]
    return np.lib.stride_tricks.as_strided(flat[stored.offset :], stored.shape, strides).copy()
