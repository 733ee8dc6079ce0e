"""Headers of IDX and NumPy files: what they claim is checked before anything is read."""

import gzip
import io
import zipfile

import numpy as np
import pytest
from array_files import GOOD, IMAGES, LABELS, idx_bytes

from ensgan import data
from ensgan.data import limits
from ensgan.types import InputError


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
    with pytest.raises(InputError, match=r"x of .* holds Python objects"):
        data.npz(file)
    np.savez(file, x=IMAGES, y=np.array(["a", "b"], object))
    with pytest.raises(InputError, match=r"y of .* holds Python objects; .* and labels by y\.astype\(str\)"):
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
    with pytest.raises(InputError, match=r"whose header says .* needs 93,132 GiB, and this machine has"):
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
