"""`ensgan sample --interpolate`: the ways between samples, as a picture and as arrays."""

import numpy as np
import pytest
from PIL import Image

from ensgan.cli import main as cli


def test_ways_between_samples_are_rows_of_a_picture_or_arrays(digits, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for ending in ("png", "npz"):
        assert cli.main(["sample", digits, "--interpolate", "4", "--num", "3", "--out", f"walk.{ending}"]) == 0
    assert "3 ways of 4 samples, from " in capsys.readouterr().out
    with np.load("walk.npz") as file:
        found = dict(file)
    assert found["x"].shape == found["images"].shape == (3, 4, 8, 8, 1)
    assert found["member"].shape == (3,)
    with Image.open("walk.png") as picture:
        width, height = picture.size
    assert width > height  # four samples wide, three high


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--interpolate", "1"], "--interpolate 1; give at least 1 and 2, and 4,096 samples at most"),
        (["--interpolate", "4", "--num", "0"], "--num is 0 and --interpolate 4"),
        (["--interpolate", "64", "--num", "65"], "4,096 samples at most"),
        (["--interpolate", "4", "--refine", "obrs"], "--refine does not go with --interpolate"),
        (["--interpolate", "4", "--out", "x.csv"], "--out is x.csv; give a name that ends in .png or .npz"),
        (["--interpolate", "4", "--seed", "-1"], "--seed is -1"),
    ],
)
def test_ways_that_cannot_be_drawn_are_refused(digits, flags, text, capsys):
    assert cli.main(["sample", digits, *flags]) == 2
    assert text in capsys.readouterr().err


def test_points_have_no_picture_of_their_ways(ring, tmp_path, capsys):
    run = str(ring[0] / "runs" / "small-3-1")
    assert cli.main(["sample", run, "--interpolate", "3", "--out", str(tmp_path / "a.png")]) == 2
    assert "ways between points have no picture; give a name that ends in .npz" in capsys.readouterr().err
