"""Digits, IDX files and NumPy files."""

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest
from toys import draw

from ensgan import data
from ensgan.data import images, limits
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


def idx_bytes(x, kind=8):
    x = np.asarray(x, np.uint8)
    return struct.pack(f">BBBB{x.ndim}I", 0, 0, kind, x.ndim, *x.shape) + x.tobytes()


IMAGES = (np.arange(20 * 4 * 3) % 256).astype(np.uint8).reshape(20, 4, 3)


LABELS = np.arange(20) % 10


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


GOOD = idx_bytes(IMAGES)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", r"begins with bytes \[\]; expected an IDX file"),
        (b"\x89PNG....", r"begins with bytes \[89 50 4e 47\]"),
        (GOOD[:2] + b"\x0d" + GOOD[3:], "IDX type 0x0d; expected 0x08"),
        (idx_bytes(LABELS), "has 1 dimensions; expected 3 or 4"),
        (GOOD[:9], "ends within its header, after 9 bytes"),
        (GOOD[:-1], r"holds 239 bytes of values, but its header says \[20, 4, 3\], which is 240"),
        (GOOD + b"x", "holds 241 bytes of values"),
        (gzip.compress(GOOD, mtime=0)[:-9], "truncated or broken gzip"),
        (gzip.compress(GOOD, mtime=0)[:12] + b"\xff" * 40, "truncated or broken gzip"),
        (idx_bytes(np.zeros((10, 3, 4, 5))), "expected 1 to 4 channels on the last axis"),
        (idx_bytes(np.zeros((10, 0, 4))), "expected at least one number per sample"),
    ],
)
def test_bad_idx_files(tmp_path, content, match):
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(content)
    with pytest.raises(InputError, match=match) as caught:
        data.mnist(tmp_path)
    assert file.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_errors_of_idx_and_mnist(tmp_path):
    with pytest.raises(InputError, match="nowhere is not a directory"):
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


def test_bad_npz_files(tmp_path):
    file = tmp_path / "a.npz"
    with pytest.raises(InputError, match=r"is missing; expected an .npz"):
        data.npz(file)
    np.savez(file, x=IMAGES)
    whole = file.read_bytes()
    for content in (b"", b"no numbers here", whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(InputError, match="is not a NumPy file, is broken"):
            data.npz(file)
    np.save(tmp_path / "o.npy", np.array([{}, None], object), allow_pickle=True)
    with pytest.raises(InputError, match="holds Python objects"):
        data.npz(tmp_path / "o.npy")
    np.savez(file, x=np.array([{}, None], object))
    with pytest.raises(InputError, match=r"an array of .* holds Python objects"):
        data.npz(file)
    np.savez(file, a=IMAGES, b=IMAGES)
    with pytest.raises(InputError, match=r"holds arrays \['a', 'b'\]; expected samples under 'x'"):
        data.npz(file)
    with pytest.raises(InputError, match=r"or both names by --data.x and --data.y"):
        data.npz(file)
    np.testing.assert_array_equal(
        data.npz(file, x="b").arrays["train"]["x"], data.npz(file, x="a").arrays["train"]["x"]
    )
    with pytest.raises(InputError, match=r"has no array 'c', which --data.y names; it holds \['a', 'b'\]"):
        data.npz(file, x="a", y="c")
    with pytest.raises(
        InputError, match=r"is a folder; expected an .npz or .npy file; for a folder of images .*folder"
    ):
        data.npz(tmp_path)
    np.savez(file, y=LABELS)
    with pytest.raises(InputError, match=r"holds arrays \['y'\]"):
        data.npz(file)


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


def npy_of(shape, dtype="<f8"):
    """A NumPy file whose header claims a shape, with a hundred bytes of values."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(100)


def test_a_header_that_claims_more_than_there_is_is_found_before_memory_is_taken(tmp_path):
    """A million million samples, in each of the forms."""
    header = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in (10**9, 100, 1000))
    (tmp_path / "a").write_bytes(header + bytes(10))
    with pytest.raises(InputError, match=r"holds 10 bytes of values, but its header says .*100000000000000"):
        data.idx(tmp_path / "a")
    (tmp_path / "a.gz").write_bytes(gzip.compress(header + bytes(10)))
    with pytest.raises(InputError, match=r"whose header says .* needs 9\.31e\+04 GiB, and this machine has"):
        data.idx(tmp_path / "a.gz")
    (tmp_path / "a.npy").write_bytes(npy_of((10**12, 8)))
    with pytest.raises(InputError, match=r"a\.npy holds 100 bytes of values, but its header says \[1000000000000, 8\]"):
        data.npz(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", npy_of((10**12, 8)))
    with pytest.raises(InputError, match=r"x of .*a\.npz holds 100 bytes of values, but its header says"):
        data.npz(tmp_path / "a.npz")


def test_what_does_not_fit_into_memory_is_said(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(GOOD)
    with pytest.raises(InputError, match=r"with pad 1000000 needs .* GiB, and this machine has"):
        data.idx(tmp_path / "a", pad=10**6)
    x = np.zeros((100, 8, 8), np.uint8)
    np.savez_compressed(tmp_path / "a.npz", x=x)
    np.save(tmp_path / "a.npy", x)
    monkeypatch.setattr(limits, "memory", lambda: 5000)
    for name in ("x of .*a.npz", "a.npy"):
        with pytest.raises(InputError, match=rf"{name} needs .* give fewer or smaller samples"):
            data.npz(tmp_path / name[-5:])
