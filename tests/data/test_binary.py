"""The binary forms of CIFAR, STL-10 and SVHN, byte by byte."""

import numpy as np
import pytest
from archive_files import packed, unpacked
from known_files import mat
from scipy.io import savemat

from ensgan.data import binary
from ensgan.data.binary import cifar, content, stl10, svhn
from ensgan.types import InputError


def test_files_are_found_in_a_folder_a_folder_in_it_and_an_archive(tmp_path):
    deep = {"in/a.bin": b"1", "in/b.bin": b"2"}
    for place in (
        unpacked(tmp_path / "x", deep),
        packed(tmp_path / "x.zip", deep),
        packed(tmp_path / "x.tar.gz", deep),
    ):
        assert content(place, ["a.bin", "c.bin"]) == {"a.bin": b"1"}
    unpacked(tmp_path / "x", {"a.bin": b"nearer"})
    assert content(tmp_path / "x", ["a.bin", "b.bin"]) == {"a.bin": b"nearer", "b.bin": b"2"}
    assert content(tmp_path / "nowhere", ["a.bin"]) == {}


def record(labels, red):
    """A record of CIFAR: labels, then a red, a green and a blue plane of 32 rows; only two bytes are not 0."""
    planes = np.zeros((3, 32, 32), np.uint8)
    planes[0, 1, 2], planes[2, 31, 0] = red, 9
    return bytes(labels) + planes.tobytes()


def test_planes_of_cifar_become_pixels_and_the_last_label_counts(tmp_path):
    (tmp_path / "1.bin").write_bytes(record([7, 1], 5) + record([8, 0], 6))
    (tmp_path / "2.bin").write_bytes(record([9, 1], 7))
    (tmp_path / "names").write_text("cat\ndog\n")
    x, label, names = cifar(tmp_path, ["1.bin", "2.bin"], "names", 2)
    assert (x.shape, x.dtype) == ((3, 32, 32, 3), np.uint8)
    assert x[:, 1, 2, 0].tolist() == [5, 6, 7]
    assert x[:, 31, 0, 2].tolist() == [9, 9, 9]
    assert x.sum() == 5 + 6 + 7 + 27
    assert label.tolist() == [1, 0, 1]
    assert names == ["cat", "dog"]
    for other in ("cat\n", "cat\ncat\n", ""):  # too few, one twice, none
        (tmp_path / "names").write_text(other)
        assert cifar(tmp_path, ["1.bin"], "names", 2)[2] == ["0", "1"]


def test_batches_of_cifar_that_are_missing_or_cut_off_are_named(tmp_path):
    with pytest.raises(InputError, match=r"has no 1\.bin; .* \(files without \.bin are Python objects"):
        cifar(tmp_path, ["1.bin"], "names", 1)
    with pytest.raises(InputError, match=r"a\.zip has no 1\.bin; give the binary version of the data set$"):
        cifar(packed(tmp_path / "a.zip", {"x": b""}), ["1.bin"], "names", 1)
    for data in (b"", record([1], 5)[:-1]):
        (tmp_path / "1.bin").write_bytes(data)
        with pytest.raises(InputError, match=rf"has {len(data):,} bytes, which are not records of 3,073"):
            cifar(tmp_path, ["1.bin"], "names", 1)


def test_columns_of_stl10_become_rows_and_labels_begin_at_0(tmp_path):
    planes = np.zeros((2, 3, 96, 96), np.uint8)
    planes[0, 1, 10, 20] = 5  # column 10, row 20
    files = {"train_X.bin": planes.tobytes(), "train_y.bin": bytes([2, 1]), "class_names.txt": b"cat dog"}
    x, label, names = stl10(unpacked(tmp_path / "a", files), False)
    assert x.shape == (2, 96, 96, 3)
    assert np.argwhere(x).tolist() == [[0, 20, 10, 1]]
    assert label.tolist() == [1, 0]
    assert names == ["cat", "dog"]
    del files["class_names.txt"]
    assert stl10(packed(tmp_path / "b.zip", files), False)[2] == ["1", "2"]
    (tmp_path / "a" / "unlabeled_X.bin").write_bytes(planes[::-1].tobytes())
    x, label, names = stl10(tmp_path / "a", True)
    assert np.argwhere(x).tolist() == [[1, 20, 10, 1]]
    assert (label, names) == (None, [])


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({}, r"has no train_X\.bin"),
        ({"train_X.bin": bytes(27_649)}, "27,649 bytes, which are no images of 3 × 96 × 96"),
        ({"train_X.bin": bytes(27_648)}, "0 labels for 1 images"),
        ({"train_X.bin": bytes(27_648), "train_y.bin": b"\1\1"}, "2 labels for 1 images"),
    ],
)
def test_files_of_stl10_that_do_not_fit_are_named(tmp_path, files, text):
    with pytest.raises(InputError, match=text):
        stl10(packed(tmp_path / "a.zip", files | {"other": b""}), False)


def test_the_digit_that_svhn_calls_10_is_0(tmp_path):
    (tmp_path / "a.mat").write_bytes(mat())
    x, y = svhn(tmp_path / "a.mat")
    assert x.shape[1:] == (32, 32, 3)
    assert set(y.tolist()) == set(range(10))
    for change in ({"X": np.zeros((32, 32, 3, 2))}, {"X": np.zeros((32, 32, 3), np.uint8)}, {"y": np.zeros(2)}):
        whole = {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.array([10, 3], np.uint8)}
        savemat(tmp_path / "b.mat", whole)
        assert svhn(tmp_path / "b.mat")[1].tolist() == [0, 3]
        savemat(tmp_path / "b.mat", whole | change)
        with pytest.raises(InputError, match=r"is not a file of SVHN: expected pixels X \[32, 32, 3, n\]"):
            svhn(tmp_path / "b.mat")


def test_damage_that_ends_the_reader_does_not_end_this_process(tmp_path, monkeypatch):
    (tmp_path / "a.mat").write_bytes(mat())
    monkeypatch.setattr(binary, "_TRY", "import os; os.abort()")
    with pytest.raises(InputError, match=r"a\.mat is damaged, and ends the process that reads it; download it again"):
        svhn(tmp_path / "a.mat")
