"""Float images and their range."""

import itertools

import jax
import numpy as np
import pytest

from ensgan import data
from ensgan.types import InputError

BYTES = np.random.default_rng(0).integers(0, 256, (20, 4, 3, 1), np.uint8)
ODD = np.random.default_rng(0).random((20, 4, 3, 1), np.float32)


def test_images_of_eight_bits_in_another_range_are_those_bytes():
    plain = data.from_arrays("x", BYTES)
    for x, range in (
        ((BYTES / 255).astype(np.float32), (0, 1)),
        (BYTES / 255, "0,1"),
        (BYTES.astype(np.float32), "0,255"),
    ):
        source = data.from_arrays("x", x, range=range)
        for split in data.SPLITS:
            np.testing.assert_array_equal(source.arrays[split]["x"], plain.arrays[split]["x"])
        np.testing.assert_array_equal(source.held_out("select", 2)["x"], plain.held_out("select", 2)["x"])


def test_other_floats_are_rescaled():
    source = data.from_arrays("x", ODD, range="0,1")
    where = data.split_indices(20)["train"]
    np.testing.assert_allclose(source.arrays["train"]["x"], 2 * ODD[where] - 1, atol=1e-6)
    assert source.arrays["train"]["x"].dtype == np.float32
    same = data.from_arrays("x", ODD, range="-1,1")
    np.testing.assert_array_equal(same.arrays["train"]["x"], ODD[where])


def test_zero_to_one_asks_for_the_range(tmp_path):
    np.savez(tmp_path / "a.npz", x=ODD)
    match = r"holds float images in \[.*\]; if 0 is black and 1 is white, give --data.range 0,1; if -1 is black"
    for make in (
        lambda: data.from_arrays("x", ODD),
        lambda: data.npz(tmp_path / "a.npz"),
        lambda: data.stream([{"x": x} for x in ODD]),
        lambda: data.from_iterator(itertools.repeat(ODD), held_out=6),
    ):
        with pytest.raises(InputError, match=match):
            make()
    assert data.npz(tmp_path / "a.npz", range="0,1").arrays["train"]["x"].min() < 0


def test_streams_have_the_range_too():
    for x in (ODD, BYTES / 255):
        held = data.from_arrays("x", x, range="0,1").held_out("report", 2)["x"]
        np.testing.assert_array_equal(
            data.stream([{"x": one} for one in x], range="0,1").held_out("report", 2)["x"], held
        )
        source = data.from_iterator(itertools.repeat(x), held_out=5, range=(0, 1))
        assert source.read(0, 20)["x"].min() < -0.9


@pytest.mark.parametrize(
    ("x", "range", "match"),
    [
        (ODD, "1,0", "range is '1,0'; expected the values of black and white, such as --data.range 0,1"),
        (ODD, "a,b", "range is 'a,b'"),
        (ODD, 3, "range is 3"),
        (3 * ODD, "0,1", r"expected \[0, 1\], as --data.range says"),
        (BYTES, "0,1", "holds uint8 images, and --data.range is for float images; leave it out"),
        (ODD[:, :, 0, 0], "0,1", "holds points, and --data.range is for"),
    ],
)
def test_bad_ranges(x, range, match):
    with pytest.raises(InputError, match=match):
        data.from_arrays("x", x, range=range)


def test_training_samples_are_mirrored_and_held_out_ones_are_not():
    """Each of 60 draws is its image or the mirrored one, about half of each, and the same again for the same key."""
    x = np.arange(20 * 2 * 3, dtype=np.uint8).reshape(20, 2, 3, 1)
    plain, flipped = (data.from_arrays("x", x, flip=flip, dequantize=False) for flip in (False, True))
    keys = jax.random.split(jax.random.key(0), 60)
    a, b = (np.asarray(source.draw(source.arrays["train"], keys)["x"]) for source in (plain, flipped))
    same, mirrored = ((a == other).all(axis=(1, 2, 3)) for other in (b, b[:, :, ::-1]))
    assert (same ^ mirrored).all()
    assert 15 < mirrored.sum() < 45
    for split in data.SPLITS:
        np.testing.assert_array_equal(flipped.held_out(split, 5)["x"], plain.held_out(split, 5)["x"])
    assert flipped.summary()[1].endswith("mirrored at random in training, not in held-out samples")
    with pytest.raises(InputError, match=r"holds points, and --data\.flip mirrors images"):
        data.from_arrays("x", np.ones((20, 2), np.float32), flip=True)


def test_streams_are_mirrored_as_well():
    x = np.arange(20 * 2 * 3, dtype=np.uint8).reshape(20, 2, 3, 1)
    records = [{"x": image} for image in x]
    plain, flipped = (data.stream(records, flip=flip, dequantize=False) for flip in (False, True))
    a, b = (np.concatenate([source.read(step, 8)["x"] for step in range(8)]) for source in (plain, flipped))
    same, mirrored = ((a == other).all(axis=(1, 2, 3)) for other in (b, b[:, :, ::-1]))
    assert (same ^ mirrored).all()
    assert 15 < mirrored.sum() < 49
    np.testing.assert_array_equal(flipped.read(3, 8)["x"], b[24:32])
    np.testing.assert_array_equal(flipped.held_out("train", 9)["x"], plain.held_out("train", 9)["x"])
    batches = ({"x": x[:8]} for _ in range(20))
    found = data.from_iterator(batches, held_out=2, flip=True, dequantize=False)
    there = found.held_out("select", 2)["x"]
    plain = data.from_iterator(iter([x[:8]] * 3), held_out=2, dequantize=False)
    np.testing.assert_array_equal(there, plain.held_out("select", 2)["x"])
    read = np.concatenate([found.read(step, 8)["x"] for step in range(4)])
    assert len({image.tobytes() for image in read}) > 8


@pytest.mark.parametrize(
    ("high", "likely"), [(16.0, "0,16"), (1.275, "0,1.275"), (254.0, "0,255"), (65000.0, "0,65535")]
)
def test_the_range_in_a_hint_fits_the_values(high, likely):
    x = np.linspace(0, high, 20 * 16).reshape(20, 4, 4)
    with pytest.raises(InputError, match=rf"such as --data.range {likely}$"):
        data.from_arrays("a", x)
