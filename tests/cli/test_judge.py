"""`ensgan judge`: which files of samples it reads."""

import numpy as np
import pytest

from ensgan.cli.judge import _read
from ensgan.types import InputError


def test_a_judge_reads_images_that_are_no_pixels(tmp_path):
    """As gradients of a judge leave them."""
    x = np.linspace(-1.2, 1.2, 32, dtype=np.float32).reshape(2, 4, 4, 1)
    np.savez(tmp_path / "x.npz", x=x)
    np.testing.assert_array_equal(_read(tmp_path / "x.npz")[0], x)
    with pytest.raises(InputError, match=r"^--input .* is a folder; give a file, such as `ensgan sample"):
        _read(tmp_path)
    np.savez(tmp_path / "x.npz", x=x * np.inf)
    with pytest.raises(InputError, match="holds NaN or infinite values"):
        _read(tmp_path / "x.npz")
