"""`ensgan judge`: which files of samples it reads."""

import numpy as np
import pytest

from ensgan.cli.judge import _read
from ensgan.types import InputError


def test_a_judge_reads_images_that_are_no_pixels(tmp_path):
    """As gradients of a judge leave them."""
    x = np.linspace(-1.2, 1.2, 32, dtype=np.float32).reshape(2, 4, 4, 1)
    np.savez(tmp_path / "x.npz", x=x)
    np.testing.assert_array_equal(_read(tmp_path / "x.npz", None)[0], x)
    with pytest.raises(InputError, match=r"^--input .* is a folder; give a file, such as `ensgan sample"):
        _read(tmp_path, None)
    np.savez(tmp_path / "x.npz", x=x * np.inf)
    with pytest.raises(InputError, match="holds NaN or infinite values"):
        _read(tmp_path / "x.npz", None)


def test_images_in_another_range_are_asked_about_and_not_judged_as_they_are(tmp_path):
    x = np.linspace(-1, 1, 32, dtype=np.float32).reshape(2, 4, 4, 1)
    for scaled, span in (((x + 1) / 2, (0, 1)), ((x + 1) * 127.5, (0, 255)), (3 * x, (-3, 3))):
        np.savez(tmp_path / "x.npz", x=scaled)
        with pytest.raises(InputError, match=r"holds float images in \[.*--range 0,"):
            _read(tmp_path / "x.npz", None)
        np.testing.assert_allclose(_read(tmp_path / "x.npz", span)[0], x, atol=1e-6)
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 4, 4, 1), np.uint8))
    with pytest.raises(InputError, match=r"--range is for float images, and .* holds none; leave it out"):
        _read(tmp_path / "x.npz", (0, 1))
