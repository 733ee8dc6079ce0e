"""Data sets by name: downloaded once, or read from a folder. Their training files alone are read, and divided anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack

import numpy as np

from ensgan.data import binary
from ensgan.data.addresses import FILES, IMAGES, LABELS, MEDICAL
from ensgan.data.archives import is_archive
from ensgan.data.arrays import read_npz
from ensgan.data.downloads import fetched
from ensgan.data.images import idx
from ensgan.data.options import Options
from ensgan.data.source import Source, from_arrays
from ensgan.types import InputError, unknown


def mnist(path: str | Path | None = None, *, seed: int = 0, pad: int = 0, **options: Unpack[Options]) -> Source:
    """The training files of MNIST (LeCun et al. 1998), or of a data set with its layout.

    Args:
        path: directory of `train-images-idx3-ubyte` and, if there are labels, `train-labels-idx1-ubyte`. Either name
            may end in `.gz`, and may have a dot instead of the hyphen before `idx`. By default they are downloaded.
        seed: seed of the splits and of the noise of held-out samples.
        pad: number of black pixels around the image; 2 turns 28×28 into 32×32.
        options: `dequantize`, `flip` and `fractions`; see `Options`.

    Returns:
        A source of images `(28 + 2 pad, 28 + 2 pad, 1)`, in memory.

    Raises:
        InputError: a missing directory or file, a download that fails, and everything that `idx` raises.
    """
    return _mnist_like("mnist", path, seed=seed, pad=pad, **options)


def fashion_mnist(path: str | Path | None = None, *, seed: int = 0, pad: int = 0, **options: Unpack[Options]) -> Source:
    """Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747): 60,000 grey images of clothes, ten classes.

    Args:
        path: as for `mnist`.
        seed: seed of the splits and of the noise of held-out samples.
        pad: number of black pixels around the image.
        options: `dequantize`, `flip` and `fractions`; see `Options`.

    Returns:
        A source of images `(28 + 2 pad, 28 + 2 pad, 1)`, in memory.

    Raises:
        InputError: as for `mnist`.
    """
    return _mnist_like("fashion_mnist", path, seed=seed, pad=pad, **options)


def kmnist(path: str | Path | None = None, *, seed: int = 0, pad: int = 0, **options: Unpack[Options]) -> Source:
    """Kuzushiji-MNIST (Clanuwat et al. 2018, arXiv 1812.01718): 60,000 grey images of old Japanese letters.

    Args:
        path: as for `mnist`.
        seed: seed of the splits and of the noise of held-out samples.
        pad: number of black pixels around the image.
        options: `dequantize`, `flip` and `fractions`; see `Options`.

    Returns:
        A source of images `(28 + 2 pad, 28 + 2 pad, 1)`, in memory.

    Raises:
        InputError: as for `mnist`.
    """
    return _mnist_like("kmnist", path, seed=seed, pad=pad, **options)


def cifar10(path: str | Path | None = None, *, seed: int = 0, **options: Unpack[Options]) -> Source:
    """CIFAR-10 (Krizhevsky 2009): 50,000 colour images, ten classes, from its binary version.

    Args:
        path: the folder of `data_batch_1.bin` to `data_batch_5.bin`, or the archive; by default it is downloaded.
        seed: seed of the splits and of the noise of held-out samples.
        options: `dequantize`, `flip` and `fractions`; see `Options`.

    Returns:
        A source of images `(32, 32, 3)`, in memory.

    Raises:
        InputError: a batch is missing or cut off, or the download fails.
    """
    batches = [f"data_batch_{k}.bin" for k in range(1, 6)]
    x, label, names = binary.cifar(_archive("cifar10", path), batches, "batches.meta.txt", 1)
    return _named("cifar10", x, label, names, seed, options)


def cifar100(path: str | Path | None = None, *, seed: int = 0, **options: Unpack[Options]) -> Source:
    """CIFAR-100 (Krizhevsky 2009): 50,000 colour images, a hundred classes, from its binary version.

    Args:
        path: the folder of `train.bin`, or the archive; by default it is downloaded.
        seed: seed of the splits and of the noise of held-out samples.
        options: `dequantize`, `flip` and `fractions`; see `Options`.

    Returns:
        A source of images `(32, 32, 3)`, in memory.

    Raises:
        InputError: as for `cifar10`.
    """
    x, label, names = binary.cifar(_archive("cifar100", path), ["train.bin"], "fine_label_names.txt", 2)
    return _named("cifar100", x, label, names, seed, options)


def svhn(path: str | Path | None = None, *, seed: int = 0, **options: Unpack[Options]) -> Source:
    """Street View House Numbers (Netzer et al. 2011): 73,257 colour images of digits, ten classes.

    Args:
        path: `train_32x32.mat`, or the folder that has it; by default it is downloaded.
        seed: seed of the splits and of the noise of held-out samples.
        options: `dequantize`, `flip` and `fractions`; see `Options`.

    Returns:
        A source of images `(32, 32, 3)`, in memory.

    Raises:
        InputError: the file is missing, is another one, or cannot be downloaded.
    """
    file = Path(path) if path is not None and Path(path).is_file() else None
    x, label = binary.svhn(file or fetched("svhn", FILES["svhn"], path)["train_32x32.mat"])
    return from_arrays("svhn", x, label, seed=seed, **options)


def stl10(
    path: str | Path | None = None, *, seed: int = 0, unlabelled: bool = False, **options: Unpack[Options]
) -> Source:
    """STL-10 (Coates et al. 2011): colour images of 96×96 pixels, 5,000 of ten classes, or 100,000 without labels.

    Args:
        path: the folder of `train_X.bin`, or the archive; by default it is downloaded.
        seed: seed of the splits and of the noise of held-out samples.
        unlabelled: the images without labels.
        options: `dequantize`, `flip` and `fractions`; see `Options`.

    Returns:
        A source of images `(96, 96, 3)`, in memory.

    Raises:
        InputError: a file is missing or cut off, or the download fails.
    """
    x, label, names = binary.stl10(_archive("stl10", path), unlabelled)
    return _named("stl10", x, label, names, seed, options)


def medmnist(
    path: str | Path | None = None, *, which: str = "bloodmnist", seed: int = 0, **options: Unpack[Options]
) -> Source:
    """A data set of MedMNIST v2 (Yang et al. 2023, arXiv 2110.14795): medical images of 28×28 pixels with classes.

    Args:
        path: the .npz file, or the folder that has it; by default it is downloaded.
        which: its name, such as bloodmnist; `--data medmnist:bloodmnist` is short for it.
        seed: seed of the splits and of the noise of held-out samples.
        options: `dequantize`, `flip` and `fractions`; see `Options`.

    Returns:
        A source of images `(28, 28, 1)` or `(28, 28, 3)`, in memory.

    Raises:
        InputError: an unknown name, or a file that is missing, is another one, or cannot be downloaded.
    """
    if which not in MEDICAL:
        raise unknown("data set of MedMNIST", which, MEDICAL)
    file = Path(path) if path is not None and Path(path).is_file() else None
    file = file or fetched(f"medmnist-{which}", FILES[f"medmnist:{which}"], path)[f"{which}.npz"]
    found = read_npz(file, "train_images", "train_labels")
    label = None if found.label is None else found.label.reshape(len(found.x), -1)
    if label is not None and label.shape[1] != 1:
        raise InputError(f"{file} has {label.shape[1]} labels a sample; expected one")
    return from_arrays(which, found.x, None if label is None else label[:, 0], seed=seed, **options)


def _mnist_like(name: str, path: str | Path | None, **options: Any) -> Source:
    """A data set in the two files of MNIST; in a folder of one's own, labels may be missing."""
    if path is None:
        found = fetched(name, FILES[name], None)
        return idx(found[IMAGES], labels=found[LABELS], **options)
    if not Path(path).is_dir():
        kind = "a file" if Path(path).exists() else "missing"
        raise InputError(f"{path} is {kind}; give the folder with train-images-idx3-ubyte[.gz]")

    folder = Path(path)

    def find(stem: str, kind: str) -> Path | None:
        files = (folder / f"{stem}{dot}{kind}{end}" for dot in "-." for end in ("", ".gz"))
        return next((file for file in files if file.is_file()), None)

    images, labels = find("train-images", "idx3-ubyte"), find("train-labels", "idx1-ubyte")
    if images is None:
        raise InputError(f"{path} has no train-images-idx3-ubyte[.gz]; put the training images of MNIST there")
    return idx(images, labels=labels, **options)


def _archive(name: str, path: str | Path | None) -> Path:
    """The folder or archive of a data set that is published as one file."""
    if path is None:
        return next(iter(fetched(name, FILES[name], None).values()))
    place = Path(path)
    if is_archive(place):
        return place
    if not place.is_dir():
        raise InputError(f"{path} is neither a folder nor an archive; give one of them, or nothing to download it")
    packed = [place / file for file in FILES[name] if (place / file).is_file()]
    return packed[0] if packed else place


def _named(name: str, x: np.ndarray, label: np.ndarray | None, names: list[str], seed: int, options: Options) -> Source:
    """A source whose classes have names."""
    if label is None:
        return from_arrays(name, x, seed=seed, **options)
    return from_arrays(name, x, np.array(names)[label], classes=tuple(names), seed=seed, **options)
