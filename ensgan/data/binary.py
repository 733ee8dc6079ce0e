"""Readers of the binary forms in which CIFAR, STL-10 and SVHN are published."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from ensgan.data.archives import Archive, is_archive
from ensgan.types import InputError

SIDE = 32

_TRY = "import sys; from scipy.io import loadmat; loadmat(sys.argv[1], variable_names=('X', 'y'))"


def content(path: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Files by their names from a folder, a folder in it, or an archive; those that are missing are left out."""
    if is_archive(path):
        archive = Archive(path)
        found = {PurePosixPath(each.name).name: each for each in archive.members()}
        return {name: archive.read(found[name].name) for name in names if name in found}
    inside = [path, *sorted(each for each in path.iterdir() if each.is_dir())] if path.is_dir() else []
    places = {name: next((d / name for d in inside if (d / name).is_file()), None) for name in names}
    return {name: place.read_bytes() for name, place in places.items() if place is not None}


def cifar(path: Path, batches: Sequence[str], names: str, labels: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Images and labels of CIFAR-10 or CIFAR-100 (Krizhevsky 2009) in their binary form.

    A record is `labels` bytes, the last of which is the fine label, and 3 × 32 × 32 pixels, channels first.

    Args:
        path: the folder, or the archive, of the batches.
        batches: names of the files to read.
        names: name of the text with a class a line; where it is missing, classes are numbers.
        labels: number of label bytes.

    Returns:
        Pixels uint8 `[n, 32, 32, 3]`, labels `[n]`, and the names of classes.

    Raises:
        InputError: a batch is missing or cut off.
    """
    found = content(path, [*batches, names])
    record, pixels, numbers = labels + 3 * SIDE**2, [], []
    for batch in batches:
        if batch not in found:
            old = " (files without .bin are Python objects, which are not read)" if path.is_dir() else ""
            raise InputError(f"{path} has no {batch}; give the binary version of the data set{old}")
        data = np.frombuffer(found[batch], np.uint8)
        if not data.size or data.size % record:
            raise InputError(
                f"{batch} of {path} has {data.size:,} bytes, which are not records of {record:,}; unpack it again"
            )
        rows = data.reshape(-1, record)
        numbers.append(rows[:, labels - 1])
        pixels.append(rows[:, labels:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
    label = np.concatenate(numbers)
    known = found.get(names, b"").decode("utf-8", "replace").split()
    if len(known) <= int(label.max()) or len(set(known)) < len(known):
        known = [str(k) for k in range(int(label.max()) + 1)]
    return np.concatenate(pixels), label, known


def stl10(path: Path, unlabelled: bool) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Images of STL-10 (Coates et al. 2011) in their binary form, `[n, 96, 96, 3]`, columns first in the file.

    Args:
        path: the folder, or the archive, of `train_X.bin` and others.
        unlabelled: read the 100,000 images without labels in place of the 5,000 with labels.

    Raises:
        InputError: a file is missing or cut off.
    """
    file = "unlabeled_X.bin" if unlabelled else "train_X.bin"
    found = content(path, [file] if unlabelled else [file, "train_y.bin", "class_names.txt"])
    if file not in found:
        raise InputError(f"{path} has no {file}; give the binary version of STL-10")
    data = np.frombuffer(found[file], np.uint8)
    if not data.size or data.size % (3 * 96 * 96):
        raise InputError(
            f"{file} of {path} has {data.size:,} bytes, which are no images of 3 × 96 × 96; unpack it again"
        )
    x = data.reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1)
    if unlabelled:
        return x, None, []
    label = np.frombuffer(found.get("train_y.bin", b""), np.uint8).astype(np.int64) - 1
    if len(label) != len(x):
        raise InputError(f"train_y.bin of {path} has {len(label):,} labels for {len(x):,} images; unpack it again")
    names = found.get("class_names.txt", b"").decode("utf-8", "replace").split()
    right = len(names) > label.max() and len(set(names)) == len(names)
    return x, label, names if right else [str(k + 1) for k in range(int(label.max()) + 1)]


def svhn(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images `[n, 32, 32, 3]` and digits of a file of SVHN (Netzer et al. 2011), where the digit 0 is called 10.

    Raises:
        InputError: the file is not one of MATLAB with X and y.
    """
    from scipy.io import loadmat

    # Damage can end the process that reads, which is therefore another one the first time.
    first = subprocess.run([sys.executable, "-I", "-c", _TRY, str(path)], capture_output=True)
    if first.returncode < 0:
        raise InputError(f"{path} is damaged, and ends the process that reads it; download it again")
    try:
        found = loadmat(path, variable_names=("X", "y"))
        x, y = found["X"], found["y"].reshape(-1)
    except Exception as error:  # the reader raises errors of all kinds for broken files
        raise InputError(f"{path} cannot be read as a file of SVHN; download it again") from error
    if x.ndim != 4 or x.dtype != np.uint8 or len(y) != x.shape[-1] or y.dtype.kind not in "iu":
        raise InputError(f"{path} is not a file of SVHN: expected pixels X [32, 32, 3, n] and labels y [n]")
    return x.transpose(3, 0, 1, 2), y.astype(np.int64) % 10
