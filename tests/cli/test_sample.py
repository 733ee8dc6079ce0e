"""`ensgan sample`: pictures, single files, and samples of earlier checkpoints."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from judges import game
from PIL import Image

from ensgan.cli import main as cli
from ensgan.cli import sample
from ensgan.runs import run as run_module
from ensgan.runs.build import TABLES
from ensgan.runs.parsing import parse
from ensgan.runs.restore import Opened
from ensgan.types import InputError

MLP = {"name": "mlp", "widths": [8], "classes": 10}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run on the digits, with checkpoints of steps 2 and 4."""
    tree = {
        "steps": 4,
        "batch_size": 8,
        "held_out": 20,
        "eval_every": 4,
        "checkpoint_every": 2,
        "distances": [],
        "generators": {"count": 2, "network": {**MLP, "latent": 2}},
        "discriminators": {"count": 2, "network": MLP},
    }
    directory = tmp_path_factory.mktemp("runs") / "r"
    run_module.run(parse(tree, TABLES)[0], directory)
    return directory


def test_a_folder_gets_one_file_for_each_sample_and_a_table(run, tmp_path, capsys):
    folder, arrays = tmp_path / "samples", tmp_path / "x.npz"
    for out in (f"{folder}/", str(arrays)):
        assert cli.main(["sample", str(run), "--num", "11", "--out", out]) == 0
    assert "11 samples from" in capsys.readouterr().out
    with np.load(arrays) as found, (folder / "samples.csv").open(newline="") as file:
        rows = list(csv.reader(file))
        assert rows[0] == ["file", "class"]
        assert [row[0] for row in rows[1:]] == [f"{k:02}.png" for k in range(11)]
        assert [row[1] for row in rows[1:]] == [found["class_names"][k] for k in found["label"]]
        pixels = np.stack([np.asarray(Image.open(folder / row[0])) for row in rows[1:]])
        np.testing.assert_array_equal(pixels, found["images"][..., 0])
    assert cli.main(["sample", str(run), "--num", "2", "--out", str(folder)]) == 2
    assert "which holds other files; give a new or an empty folder" in capsys.readouterr().err
    assert cli.main(["sample", str(run), "--num", "2", "--out", str(tmp_path / "no" / "x") + "/"]) == 2
    assert "does not exist; make it first" in capsys.readouterr().err


def test_an_earlier_checkpoint_may_be_sampled(run, tmp_path, capsys):
    drawn = {}
    for name, more in (("newest", []), ("4", ["--from-step", "4"]), ("2", ["--from-step", "2"])):
        out = tmp_path / f"{name}.npz"
        assert cli.main(["sample", str(run), "--num", "3", "--from", "member:0", "--out", str(out), *more]) == 0
        with np.load(out) as found:
            drawn[name] = found["x"]
    np.testing.assert_array_equal(drawn["newest"], drawn["4"])
    assert np.abs(drawn["4"] - drawn["2"]).max() > 0
    assert cli.main(["evaluate", str(run), "--from-step", "3"]) == 2
    assert "has no checkpoint of step 3; it has [2, 4]" in capsys.readouterr().err


def test_samples_of_one_number_have_no_picture(tmp_path, monkeypatch):
    found = Opened(tmp_path, None, game([1.0], [0.0])[0], None, None, None)
    monkeypatch.setattr(sample, "opened_for", lambda *where: found)
    with pytest.raises(InputError, match=r"samples of one number have no picture; give a name that ends in .npz"):
        sample.sample(tmp_path, out=str(tmp_path / "a.png"), num=4)


def test_a_picture_that_no_program_shows_is_refused_before_it_is_drawn():
    with pytest.raises(
        InputError, match=r"--num is 1000000, and a picture holds 43690 of these samples; give a .npz or a"
    ):
        sample._check_size(Path("a.png"), 10**6, (8, 8, 1), False)
    sample._check_size(Path("a.png"), 40_000, (8, 8, 1), False)
    sample._check_size(Path("a.npz"), 10**6, (8, 8, 1), False)
    with pytest.raises(InputError, match=r"--num is 10000000; give 1 to \d+ at a time"):
        sample._check_size(Path("a.npz"), 10**7, (512, 512, 3), False)


def test_evaluate_says_whether_generators_copy(run, capsys):
    flags = ["--classifier-steps", "0", "--num", "40", "--repeats", "0"]
    assert cli.main(["evaluate", str(run), *flags]) == 0
    out = capsys.readouterr().out
    assert "do generators copy training samples?" in out
    assert "distances to the nearest of 1260 training samples, in the samples themselves; of 40 held-out reals" in out
    for name in ("generator 0", "generator 1", "mixture", "40 other reals"):
        assert re.search(rf"\n{name} +\d\S+ +\d+\.\d%( +-?\d+\.\d\d){{2}} +\d\S* +40\n", out)
    assert "no sign of copies" in out  # after four steps they draw noise
    assert "generator 0, generator 1, mixture: farther from them than reals are" in out


def test_truncation_says_what_it_costs_and_is_in_the_file(run, tmp_path, capsys):
    out = tmp_path / "x.npz"
    base = ["sample", str(run), "--num", "9", "--out", str(out), "--from", "mixture"]
    found = {}
    for value in ("0.5", "1"):
        assert cli.main([*base, "--truncation", value]) == 0
        with np.load(out) as file:
            assert file["truncation"] == float(value)
            found[value] = file["x"]
    told = capsys.readouterr().out
    assert re.search(r"truncation 0.5 costs (no|0\.\d{3} of) recall.*against 179 held-out reals, 179 samples as", told)
    assert "9 samples from the uniform mixture of 2 generators, truncation 0.5 are in" in told
    assert cli.main(base) == 0
    with np.load(out) as file:
        assert "truncation" not in file
        np.testing.assert_array_equal(file["x"], found["1"])
    assert np.abs(found["0.5"] - found["1"]).max() > 1e-3
    classes = ["--label", "3,4", "--truncation", "0.5"]
    assert cli.main([*base, *classes]) == 0
    assert re.search(r"against (2|3|4)\d held-out reals", capsys.readouterr().out)
    assert cli.main([*base, "--truncation", "0"]) == 2
    assert "give a number above 0 and at most 1" in capsys.readouterr().err


def test_a_judge_of_truncated_samples_refines_those_and_no_others(run, tmp_path, capsys):
    out = str(tmp_path / "x.npz")
    draw = ["sample", str(run), "--num", "4", "--out", out, "--from", "mixture", "--refine", "obrs"]
    assert cli.main(["judge", str(run), "--from", "mixture", "--truncation", "0.5"]) == 0
    capsys.readouterr()
    for flags, stored in ((["--truncation", "0.5"], True), ([], False), (["--truncation", "0.6"], False)):
        assert cli.main([*draw, *flags]) == 0
        assert ("from judge.npz" in capsys.readouterr().err) == stored
    for name in ("judge.npz", "judge.json", "reliability.png"):
        (run / name).unlink()
