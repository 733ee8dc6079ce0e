"""`ensgan sample --nearest`: samples beside the training samples that are nearest to them."""

import numpy as np
import pytest
from PIL import Image

from ensgan.cli import main as cli


def test_each_sample_stands_beside_its_nearest_training_samples(digits, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for ending in ("png", "npz"):
        assert cli.main(["sample", digits, "--nearest", "2", "--num", "3", "--out", f"nearest.{ending}"]) == 0
    with np.load("nearest.npz") as found:
        assert found["nearest"].shape == (3, 2, 8, 8, 1)
        assert (np.diff(found["distance"], axis=1) >= 0).all()
    said = capsys.readouterr().out
    assert ", each with its 2 nearest training samples: nearest.png\n" in said
    assert "that of 179 held-out reals" in said
    with Image.open("nearest.png") as picture:
        assert min(picture.size) > 20


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--nearest", "0"], "--num is 8 and --nearest 0; give 1 to 1,000 of each"),
        (["--nearest", "2", "--num", "1001"], "--num is 1001 and --nearest 2"),
        (["--nearest", "2", "--out", "x.csv"], "--out is x.csv"),
    ],
)
def test_numbers_and_names_that_do_not_fit_are_refused(digits, flags, text, capsys):
    assert cli.main(["sample", digits, *flags]) == 2
    assert text in capsys.readouterr().err
