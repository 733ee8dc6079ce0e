"""Digits, IDX files and NumPy files."""

import gzip

import numpy as np
import pytest
from array_files import GOOD, IMAGES, LABELS, idx_bytes
from toys import draw

from ensgan import data
from ensgan.data import images
from ensgan.types import InputError


def test_digits():
    source = data.digits()
    assert (source.shape, source.classes, source.resumable) == ((8, 8, 1), 10, True)
    assert source.num == {"train": 1260, "select": 179, "calibrate": 179, "report": 179}
    x = source.held_out("train", 1260)["x"]
    assert x.min() < -0.99
    assert 0.99 < x.max() <= 1
    assert source.arrays["train"]["x"].max() == 16
    assert source.arrays["train"]["x"].dtype == np.uint8


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dot", ["-", "."])
def test_mnist_files(tmp_path, zipped, dot):
    for stem, value in ((f"train-images{dot}idx3-ubyte", IMAGES), (f"train-labels{dot}idx1-ubyte", LABELS)):
        raw = idx_bytes(value)
        (tmp_path / (stem + ".gz" * zipped)).write_bytes(gzip.compress(raw) if zipped else raw)
    source = data.mnist(tmp_path, pad=2)
    assert (source.shape, source.classes) == ((8, 7, 1), 10)
    for split, where in data.split_indices(20).items():
        table = source.arrays[split]
        np.testing.assert_array_equal(table["x"][:, 2:-2, 2:-2, 0], IMAGES[where])
        np.testing.assert_array_equal(table["label"], LABELS[where])
        assert table["x"][:, :2].max() == 0


def test_idx_with_channels_and_without_labels(tmp_path):
    file = tmp_path / "images"
    file.write_bytes(idx_bytes(IMAGES[:, None].transpose(0, 2, 3, 1).repeat(3, axis=3)))
    source = data.idx(file)
    assert (source.shape, source.classes) == ((4, 3, 3), None)
    assert set(source.arrays["train"]) == {"x"}
    assert set(source.held_out("select", 1)) == {"x"}


def test_other_errors_of_idx_and_mnist(tmp_path):
    with pytest.raises(InputError, match="nowhere is missing"):
        data.mnist(tmp_path / "nowhere")
    with pytest.raises(InputError, match="has no train-images-idx3-ubyte"):
        data.mnist(tmp_path)
    with pytest.raises(InputError, match="nothing is missing; expected an IDX file"):
        data.idx(tmp_path / "nothing")
    (tmp_path / "images").write_bytes(GOOD)
    (tmp_path / "labels").write_bytes(idx_bytes(LABELS[:19]))
    with pytest.raises(InputError, match=r"labels holds 19 labels, but .*images holds 20 images"):
        data.idx(tmp_path / "images", labels=tmp_path / "labels")
    with pytest.raises(InputError, match="pad is -1"):
        data.idx(tmp_path / "images", pad=-1)


@pytest.mark.parametrize(
    ("x", "label"), [("x", "y"), ("images", "label"), ("anything", "labels"), ("x_train", "y_train")]
)
def test_npz_names(tmp_path, x, label):
    np.savez(tmp_path / "a.npz", **{x: IMAGES, label: LABELS})
    source = data.npz(tmp_path / "a.npz")
    assert (source.name, source.shape, source.classes) == ("a.npz", (4, 3, 1), 10)
    where = data.split_indices(20)["report"]
    np.testing.assert_array_equal(source.arrays["report"]["x"][..., 0], IMAGES[where])
    np.testing.assert_array_equal(source.arrays["report"]["label"], LABELS[where])


def test_points_are_drawn_as_they_are(tmp_path, key):
    points = np.random.default_rng(0).normal(size=(30, 5))
    np.save(tmp_path / "a.npy", points)
    source = data.npz(tmp_path / "a.npy")
    assert source.shape == (5,)
    rows = {row.tobytes() for row in points.astype(np.float32)}
    drawn = draw(source, source.arrays["train"], key, 8)["x"]
    assert {row.tobytes() for row in np.asarray(drawn)} <= rows
    assert {row.tobytes() for row in source.held_out("select", 9)["x"]} <= rows


def test_the_files_of_keras_are_read(tmp_path):
    np.savez(tmp_path / "k.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:3], y_test=LABELS[:3])
    source = data.npz(tmp_path / "k.npz")
    assert (source.facts.num, source.classes) == (20, 10)
    assert source.summary()[1].endswith("skipped: 2 (other arrays: x_test, y_test)")
    assert data.npz(tmp_path / "k.npz", x="x_train", y="y_train").checksum() == source.checksum()


def test_digits_are_those_of_the_library():
    from sklearn.datasets import load_digits

    x, label = load_digits(return_X_y=True)
    np.testing.assert_array_equal(images._digits(), np.column_stack([x, label]))
