"""A conditional run and its commands: classes in pictures, by number and by name, and one law of labels everywhere."""

import json

import numpy as np
import pytest
from labelled import TREE, parsed
from PIL import Image

from ensgan import data
from ensgan.cli import main as cli
from ensgan.evaluation import tables
from ensgan.reporting.pictures import load_samples
from ensgan.runs import run as run_module
from ensgan.runs.build import build
from ensgan.types import InputError


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    directory = tmp_path_factory.mktemp("conditional") / "run"
    run_module.run(parsed({}), directory)
    return directory


@pytest.mark.slow
def test_a_run_shows_classes_in_columns(digits):
    found = load_samples(digits)
    assert found.classes == 10
    assert found.generators.shape == (2, 40, 8, 8, 1)
    assert len(found.real) == 40
    with Image.open(digits / "samples.png") as picture:
        assert picture.size == (112 + 10 * 68 - 4 + 8, 8 + 20 + 3 * (4 * 68 - 4) + 16 + 48 + 8)
    assert "Columns are classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9." in (digits / "report.html").read_text()


@pytest.mark.slow
def test_the_command_draws_the_classes_it_is_told(digits, tmp_path, capsys):
    def draw(name, *more):
        out = tmp_path / name
        assert cli.main(["sample", str(digits), "--num", "6", "--from", "member:1", "--out", str(out), *more]) == 0
        return out

    with np.load(draw("x.npz", "--label", "3")) as threes, np.load(draw("y.npz", "--label", "3,0")) as turns:
        assert threes["label"].tolist() == [3] * 6
        assert turns["label"].tolist() == [3, 0] * 3
        np.testing.assert_allclose(turns["x"][::2], threes["x"][::2], rtol=1e-5)
        assert not np.allclose(turns["x"][1::2], threes["x"][1::2])
    with Image.open(draw("x.png", "--label", "0,1,2")) as shown:
        assert shown.size == (3 * 68 - 4, 2 * 68 - 4)
    capsys.readouterr()
    for wrong, part in (("10", "10"), ("-1", "-1"), ("3,", ""), ("3,three", "three")):
        assert cli.main(["sample", str(digits), f"--label={wrong}"]) == 2
        text = f"{part!r} is no class; give one class or several, such as 0,1; the classes are: 0, 1, 2"
        assert text in capsys.readouterr().err


def test_classes_go_by_their_names(tmp_path, capsys):
    x = np.random.default_rng(0).integers(0, 256, (60, 4, 4), np.uint8)
    np.savez(tmp_path / "x.npz", x=x, y=np.array(["10 dogs", "2 cats"])[np.arange(60) % 2])
    sides = {
        side: {**TREE[side], "network": {**TREE[side]["network"], "classes": 2}}
        for side in ("generators", "discriminators")
    }
    run, out = tmp_path / "run", tmp_path / "out.npz"
    config = parsed(
        {"data": {"name": "npz", "path": str(tmp_path / "x.npz"), "fractions": [0.4, 0.2, 0.2, 0.2]}, **sides}
    )
    run_module.run(config, run)
    assert load_samples(run).class_names == ("2 cats", "10 dogs")
    assert "Columns are classes: 2 cats, 10 dogs." in (run / "report.html").read_text()
    for asked, expected in (("10 dogs", [1, 1, 1, 1]), ("1", [1, 1, 1, 1]), ("10 dogs,2 cats", [1, 0, 1, 0])):
        command = ["sample", str(run), "--num", "4", "--from", "member:0", "--out", str(out), "--label", asked]
        assert cli.main(command) == 0
        assert np.load(out)["label"].tolist() == expected
        assert np.load(out)["class_names"].tolist() == ["2 cats", "10 dogs"]
    assert capsys.readouterr().out.endswith(", class 10 dogs, 2 cats in turn\n")
    assert data.npz(out, fractions=(0.25,) * 4, x="images").class_names == ("2 cats", "10 dogs")


def test_one_law_of_labels_everywhere(tmp_path, capsys, monkeypatch):
    """Classes 9 : 1. What is sampled, measured, judged, refined and exported has that law, or the one asked for."""
    x = np.random.default_rng(0).integers(0, 256, (400, 4, 4), np.uint8)
    np.savez(tmp_path / "x.npz", x=x, y=np.array(["common", "rare"])[(np.arange(400) % 10 == 0).astype(int)])
    sides = {
        side: {**TREE[side], "network": {**TREE[side]["network"], "classes": 2}}
        for side in ("generators", "discriminators")
    }
    config, run, out = (
        parsed({"data": {"name": "npz", "path": str(tmp_path / "x.npz")}, **sides}),
        tmp_path / "run",
        tmp_path / "o.npz",
    )
    run_module.run(config, run)
    _, source = build(config)
    trained = np.bincount(source.arrays["train"]["label"]) / 280
    found = json.loads((run / "data.json").read_text())["class_law"]
    np.testing.assert_allclose(found["weights"], trained)
    assert found["text"] == f"law of labels (training): common {trained[0]:.3g}, rare {trained[1]:.3g}"
    assert found["text"] in (run / "report.html").read_text()

    def rare(*more):
        assert cli.main(["sample", str(run), "--num", "800", "--from", "member:0", "--out", str(out), *more]) == 0
        return np.load(out)["label"].mean()

    assert abs(rare() - trained[1]) < 0.04
    assert found["text"] in capsys.readouterr().out
    assert abs(rare("--classes", "uniform") - 0.5) < 0.06
    assert rare("--classes", "1,0") == 0
    assert abs(rare("--refine", "obrs") - trained[1]) < 0.04
    assert abs(rare("--refine", "obrs", "--classes", "0.3,0.7") - 0.7) < 0.06
    drawn = []
    real = tables.labels
    monkeypatch.setattr(tables, "labels", lambda *a, **k: drawn.append(real(*a, **k)) or drawn[-1])
    for more, share in (([], trained[1]), (["--classes", "uniform"], 0.5)):
        drawn.clear()
        assert cli.main(["evaluate", str(run), "--classifier-steps", "1", "--repeats", "0", *more]) == 0
        assert len(drawn) == 3
        assert abs(np.concatenate(drawn).mean() - share) < 0.05
    assert cli.main(["select", str(run), "--classes", "uniform"]) == 0
    assert json.loads((run / "selection.json").read_text())["class_law"] == [0.5, 0.5]
    assert cli.main(["judge", str(run), "--classes", "0.25,0.75"]) == 0
    assert json.loads((run / "judge.json").read_text())["class_law"] == [0.25, 0.75]
    assert cli.main(["export", str(run), "--to", str(tmp_path / "e"), "--classes", "1,3"]) == 0
    told = json.loads((tmp_path / "e" / "config.json").read_text())
    assert (told["class_law"], told["class_names"]) == ([0.25, 0.75], ["common", "rare"])
    capsys.readouterr()
    assert cli.main(["sample", str(run), "--classes", "uniform", "--label", "rare"]) == 2
    assert "--label says the classes of all samples" in capsys.readouterr().err
    with pytest.raises(InputError, match="--classes is 'uniform', but the generators are not conditional"):
        build(
            parsed(
                {
                    "data": "digits",
                    "classes": "uniform",
                    "generators": {"network": "mlp"},
                    "discriminators": {"network": "mlp"},
                }
            )
        )
