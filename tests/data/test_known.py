"""Data sets by name: small files of the right form, from a folder, an archive, and a server on this machine."""

import tarfile
from functools import partial

import numpy as np
import pytest
from known_files import CONTENT, LABEL, NAMES, NUM, PIXELS, STL, npz_file

from ensgan import data
from ensgan.types import InputError


def pixels(source):
    """All stored pixels in the order of the file, and their labels."""
    order = np.argsort(np.concatenate(list(data.split_indices(NUM, 0).values())))
    x = np.concatenate([source.arrays[split]["x"] for split in data.SPLITS])[order]
    label = np.concatenate([source.arrays[split].get("label", np.zeros(0, int)) for split in data.SPLITS])
    return x, label[order] if len(label) else None


SETS = {
    "mnist": (data.mnist, PIXELS[:, :28, :28, :1], None),
    "fashion_mnist": (data.fashion_mnist, PIXELS[:, :28, :28, :1], None),
    "kmnist": (data.kmnist, PIXELS[:, :28, :28, :1], None),
    "cifar10": (data.cifar10, np.concatenate([PIXELS[k::5] for k in range(5)]), NAMES),
    "cifar100": (data.cifar100, PIXELS, [f"c{k}" for k in range(100)]),
    "svhn": (data.svhn, PIXELS, None),
    "stl10": (data.stl10, STL, NAMES),
    "medmnist:bloodmnist": (data.medmnist, PIXELS[:, :28, :28], None),
}


@pytest.mark.parametrize("name", SETS)
def test_a_data_set_is_downloaded_once(server, name, capsys):
    made, x, names = SETS[name]
    _, asked = server
    first = made()
    found, label = pixels(first)
    np.testing.assert_array_equal(found, x)
    dealt = np.concatenate([LABEL[k::5] for k in range(5)])  # to five batches
    right = {"cifar10": dealt, "medmnist:bloodmnist": LABEL % 8}.get(name, LABEL)
    np.testing.assert_array_equal(label, right)
    assert first.class_names == tuple(names or map(str, range(right.max() + 1)))
    assert "downloading" in capsys.readouterr().out
    before = len(asked)
    made(seed=1)
    assert len(asked) == before
    assert "downloading" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "stl10"])
def test_an_archive_and_its_folder_are_the_same(server, tmp_path, name):
    made = SETS[name][0]
    file, content = next(iter(CONTENT[name].items()))
    (tmp_path / file).write_bytes(content)
    with tarfile.open(tmp_path / file) as archive:
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # not before Python 3.11.4
        archive.extractall(tmp_path / "out", **safely)
    sources = [
        made(place) for place in (tmp_path / file, tmp_path, tmp_path / "out", next((tmp_path / "out").iterdir()))
    ]
    for source in sources:
        for a, b in zip(pixels(source), pixels(sources[0]), strict=True):
            np.testing.assert_array_equal(a, b)


def test_images_without_labels(server):
    found = data.stl10(unlabelled=True)
    assert found.classes is None
    np.testing.assert_array_equal(pixels(found)[0], STL[::-1])


@pytest.mark.parametrize("name", ["svhn", "medmnist:bloodmnist"])
def test_one_file_or_its_folder(server, tmp_path, name):
    made = SETS[name][0]
    file, content = next(iter(CONTENT[name].items()))
    (tmp_path / file).write_bytes(content)
    np.testing.assert_array_equal(pixels(made(tmp_path / file))[0], pixels(made(tmp_path))[0])


@pytest.mark.parametrize(
    ("name", "files", "text"),
    [
        ("cifar10", {}, r"has no data_batch_1\.bin; give the binary version"),
        ("cifar10", {"data_batch_1": b"x"}, "Python objects, which are not read"),
        ("cifar100", {"train.bin": bytes(3075)}, "3,075 bytes, which are not records of 3,074"),
        ("stl10", {"train_X.bin": bytes(10)}, "are no images of"),
        ("stl10", {"train_X.bin": bytes(96 * 96 * 3), "train_y.bin": b"\1\2"}, "2 labels for 1 images"),
        ("svhn", {"train_32x32.mat": b"no"}, "cannot be read as a file of SVHN"),
        ("svhn", {}, r"has no train_32x32\.mat"),
        ("medmnist:bloodmnist", {"bloodmnist.npz": npz_file(a=np.zeros(3))}, "has no array 'train_images'"),
    ],
)
def test_other_files_are_told(tmp_path, name, files, text):
    for file, content in files.items():
        (tmp_path / file).write_bytes(content)
    with pytest.raises(InputError, match=text):
        SETS[name][0](tmp_path)


def test_an_unknown_set_names_the_known():
    with pytest.raises(InputError, match=r"unknown data set of MedMNIST 'chestmnist' .*; known: .*bloodmnist"):
        data.medmnist(which="chestmnist")
    for made in (data.cifar10, data.stl10, partial(data.mnist)):
        with pytest.raises(InputError, match="nowhere"):
            made("nowhere")
