"""`ensgan data`: what it says of data, the copies that it finds, and tables from reading to sampling."""

import csv

import numpy as np
import pytest
from PIL import Image

from ensgan.cli import main as cli


def test_the_name_of_data_is_enough(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["data", "digits", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    for text in ("1,797 images", "10 classes", "train 1,260, select 179", "(seed 3)", "0 are in the train split"):
        assert text in printed
    with Image.open("data.png") as picture:
        assert min(picture.size) > 400


@pytest.mark.parametrize("argv", [["ring"], ["ring8", "--num", "5"], ["grid", "--out", "x.png"]])
def test_points_without_end_are_drawn(tmp_path, monkeypatch, capsys, argv):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["data", *argv]) == 0
    assert "endless" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*.png"))) == 1


def test_a_table_from_reading_to_sampling(tmp_path, monkeypatch, capsys):
    """Standardised columns come back in samples, in the data's own columns and numbers, without the data."""
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal([100.0, -3.0], [10.0, 0.1], (400, 2))
    lines = ["height,depth,class", *(f"{a},{b},{'up' if a > 100 else 'down'}" for a, b in rows)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    small = ["--generators.0.network", "mlp", "--generators.0.network.widths", "[8]"]
    small += ["--discriminators.0.network", "mlp", "--discriminators.0.network.widths", "[8]"]
    counts = ["--generators.0.count", "2", "--discriminators.0.count", "2", "--distances", "[]"]
    train = ["train", "ring8", "--data", "table", "--data-dir", "t.csv", "--data.standardise", "--steps", "2"]
    assert cli.main([*train, *small, *counts, "--batch-size", "8", "--run-dir", "run"]) == 0
    assert "3 columns" not in capsys.readouterr().err
    (tmp_path / "t.csv").unlink()
    assert cli.main(["sample", "run", "--num", "50", "--out", "s.csv", "--from", "mixture"]) == 0
    with open("s.csv", newline="") as file:
        found = list(csv.reader(file))
    assert found[0] == ["height", "depth"]
    points = np.array(found[1:], float)
    assert points.shape == (50, 2)
    assert (np.abs(points.mean(axis=0) - [100, -3]) < [30, 0.3]).all()  # an untrained generator is near 0 in its units
    assert cli.main(["data", "table", "--data-dir", "s.csv", "--num", "1"]) == 0
    assert "1 sample of the select split is drawn" in capsys.readouterr().out
    assert cli.main(["sample", "run", "--num", "50", "--out", "s.npz", "--from", "mixture"]) == 0
    np.testing.assert_allclose(np.load("s.npz")["x"], points, rtol=1e-5)
    assert cli.main(["sample", "run", "--num", "5", "--out", "s.png", "--from", "mixture"]) == 0
    assert cli.main(["sample", "run", "--interpolate", "3", "--num", "4", "--out", "w.npz"]) == 0
    assert (np.abs(np.load("w.npz")["x"].mean(axis=(0, 1)) - [100, -3]) < [30, 0.3]).all()


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["data", "nonsense"], "unknown data or configuration 'nonsense'; known: cifar10, "),
        (["data", "mnst"], "unknown data or configuration 'mnst' (did you mean mnist or kmnist?)"),
        (["data", "digits", "--num", "0"], "--num is 0"),
        (["data", "digits", "--out", "x.pdf"], "--out is x.pdf"),
        (["data", "medmnist:x"], "unknown data set of MedMNIST 'x'"),
        (["data", "digits:x"], "unknown data 'digits:x'"),
        (["data", "mnist", "--data-dir", "nowhere"], "nowhere is missing"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, monkeypatch, capsys, argv, text):
    monkeypatch.chdir(tmp_path)
    assert cli.main(argv) == 2
    said = capsys.readouterr().err.strip()
    assert text in said
    assert "\n" not in said
