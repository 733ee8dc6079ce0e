"""Checks of samples, labels and seeds."""

import jax
import numpy as np
import pytest

from ensgan import data
from ensgan.data.checks import check_seed, checked_labels, checked_samples
from ensgan.types import InputError


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_bad_seed(seed):
    for make in (data.gaussian_ring, data.digits, check_seed):
        with pytest.raises(InputError, match=f"seed is {seed}; it must be at least 0 and below 2³²"):
            make(seed=seed)
    with pytest.raises(InputError, match="--seed is"):
        check_seed(seed, "--seed")


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (np.zeros((20, 4), np.int64), "int64 .*; expected uint8 images or float32 samples"),
        (np.zeros((20, 4), np.uint8), "expected images"),
        (np.zeros(20), "expected images"),
        (np.zeros((20, 3, 8, 8), np.uint8), "expected 1 to 4 channels on the last axis"),
        (np.full((20, 2), np.nan), "NaN or infinite"),
        (np.full((20, 2), 1e300), r"values as large as 1e\+300; float32 ends at 3.4e\+38; rescale"),
        (np.full((20, 2, 2), 255.0), r"float images in \[255, 255\]; expected \[-1, 1\]; .*--data.range 0,255"),
        (np.zeros((20, 8, 8, 5), np.uint8), r"\[20, 8, 8, 5\]; .*5 channels cannot be drawn.*x\[..., :3\]"),
        (np.zeros((20, 3, 8, 8), np.uint8), r"axis 1; move them with x.transpose\(0, 2, 3, 1\)"),
    ],
)
def test_bad_samples(tmp_path, x, match):
    np.savez(tmp_path / "a.npz", x=x)
    with pytest.raises(InputError, match=match):
        data.npz(tmp_path / "a.npz")


def test_good_samples_settle_their_types():
    assert checked_samples(np.zeros((2, 3), np.float64), "x").dtype == np.float32
    assert checked_samples(jax.numpy.zeros((2, 3), jax.numpy.bfloat16), "x").dtype == np.float32
    assert checked_samples(np.zeros((2, 3, 4), np.uint8), "x").shape == (2, 3, 4, 1)
    assert checked_labels(np.zeros(2, np.uint8), 2, "y").dtype == np.int32


@pytest.mark.parametrize(
    ("label", "match"),
    [
        (np.zeros((20, 1), int), r"expected integers or strings \[20\]"),
        (np.zeros(20), r"float64 \[20\]; expected integers or strings"),
    ],
)
def test_bad_labels(label, match):
    with pytest.raises(InputError, match=match):
        data.from_arrays("some", np.zeros((20, 4, 3), np.uint8), label)


@pytest.mark.parametrize(
    ("x", "fix"),
    [
        (np.full((9, 4, 4), 200), "x.astype(np.uint8)"),
        (np.full((9, 4, 4), 40_000, np.uint16), "--data.range 0,65535"),
        (np.arange(-5, 139, dtype=np.int16).reshape(9, 4, 4), "--data.range -5,138"),
        (np.ones((9, 4, 4), bool), "x.astype(np.uint8) * 255 for images"),
        (np.ones((9, 2), int), "points with x.astype(np.float32)"),
    ],
)
def test_integers_are_told_what_they_may_become(x, fix):
    with pytest.raises(InputError) as caught:
        checked_samples(x, "x", "--data.range")
    assert fix in str(caught.value)
