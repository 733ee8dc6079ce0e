"""The commands on one run, as a user types them: what they print, what they write, and one line for what is wrong."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from ensgan.cli import main as cli


def test_sample_writes_arrays_and_pictures(ring, capsys, tmp_path):
    shutil.copytree(ring[0] / "runs" / "small-3-1", tmp_path / "run")
    (tmp_path / "run" / "selection.json").unlink(missing_ok=True)  # another test may have chosen a mixture
    run = str(tmp_path / "run")
    arrays = []
    for k, choice in enumerate(("member:1", "member:1", "mixture", "best")):
        out = tmp_path / f"{k}.npz"
        assert cli.main(["sample", run, "--num", "5", "--out", str(out), "--from", choice, "--seed", "4"]) == 0
        arrays.append(np.load(out)["x"])
    average = tmp_path / "average.npz"
    assert cli.main(["sample", run, "--num", "5", "--out", str(average), "--from", "average", "--seed", "4"]) == 0
    assert "the average of outputs, weighted as the uniform mixture of 2 generators," in capsys.readouterr().out
    each = tmp_path / "each.npz"
    assert cli.main(["sample", run, "--num", "5", "--out", str(each), "--from", "member:0", "--seed", "4"]) == 0
    np.testing.assert_allclose(np.load(average)["x"], (np.load(each)["x"] + arrays[0]) / 2, atol=1e-6)
    assert arrays[0].shape == (5, 2)
    np.testing.assert_array_equal(arrays[0], arrays[1])
    assert not np.array_equal(arrays[0], arrays[2])
    assert cli.main(["sample", run, "--num", "50", "--out", str(tmp_path / "a.png")]) == 0
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] > 100
    assert "50 samples from" in capsys.readouterr().out


def test_refined_samples_tell_their_cost_and_are_judged(ring, capsys, tmp_path):
    folder, made, scored = tmp_path / "run", tmp_path / "made.npz", tmp_path / "scored.npz"
    shutil.copytree(ring[0] / "runs" / "small-3-1", folder)
    run = str(folder)
    argv = [
        "sample",
        run,
        "--num",
        "60",
        "--out",
        str(made),
        "--from",
        "mixture",
        "--refine",
        "obrs",
        "--budget",
        "0.3",
    ]
    assert cli.main(argv) == 0
    out, err = capsys.readouterr()
    assert re.search(r"60 samples from .*refined by obrs \(acceptance [23]\d\.\d%.*effective sample size \d+", out)
    assert "judge: stacking of 2 discriminators" in err
    assert "refined 60 of 60 samples" in err
    assert re.search(r"against 60 held-out reals, as they come → refined: precision \d.*squared MMD -?\d", out)
    assert np.load(made)["x"].shape == (60, 2)
    assert cli.main(["judge", run, "--input", str(made), "--out", str(scored), "--from", "mixture"]) == 0
    out = capsys.readouterr().out
    assert "60 samples: mean probability 0." in out
    assert "... and 40 more" in out
    with np.load(scored) as file:
        found = dict(file)
    np.testing.assert_allclose(found["probability"], 1 / (1 + np.exp(-found["logit"])), atol=1e-5)
    assert out.splitlines()[2].split() == ["0", f"{found['probability'][0]:.4f}", f"{found['logit'][0]:.3f}"]
    # What the judge is worth is kept in the run, drawn, and shown by the report.
    record = json.loads((folder / "judge.json").read_text())
    assert (record["rule"], record["calibrate"], record["step"]) == ("stacking", "isotonic", 6)
    assert sum(record["after"]["count"]) == sum(record["before"]["count"]) > 100
    (folder / "reliability.png").unlink()
    assert cli.main(["report", run]) == 0
    assert (folder / "reliability.png").read_bytes()[1:4] == b"PNG"
    page = (folder / "report.html").read_text()
    for text in ("Dawid", f"{record['after']['brier']:.4f}", "isotonic", "reliability of the judge before and after"):
        assert text in page, text
    (folder / "judge.json").write_text("{}")
    assert cli.main(["report", run]) == 2
    assert "judge.json cannot be read as a judge" in capsys.readouterr().err
    table, wide = tmp_path / "made.csv", tmp_path / "wide.csv"
    table.write_text("\n".join(["x0,x1", *(f"{a:.9g},{b:.9g}" for a, b in np.load(made)["x"].tolist())]))
    wide.write_text("a,b,c\n1,2,3\n")
    (folder / "judge.json").unlink()
    again = tmp_path / "again.npz"
    assert cli.main(["judge", run, "--input", str(table), "--out", str(again), "--from", "mixture"]) == 0
    np.testing.assert_allclose(np.load(again)["logit"], found["logit"], atol=1e-4)  # a table is judged as an array is
    capsys.readouterr()
    assert cli.main(["judge", run, "--input", str(wide)]) == 2
    assert "has these columns of numbers: a, b, c; this run judges 2" in capsys.readouterr().err
    assert cli.main(["judge", run, "--calibrate", "logistic"]) == 0  # without samples, the judge alone
    assert json.loads((folder / "judge.json").read_text())["calibrate"] == "logistic"
    np.savez(tmp_path / "wrong.npz", x=np.zeros((3, 5), np.float32))
    assert cli.main(["judge", run, "--input", str(tmp_path / "wrong.npz")]) == 2
    assert "this run judges samples of shape [2]" in capsys.readouterr().err


WRONG = [
    ([], 2, "usage: ensgan COMMAND"),
    (["fly"], 2, "unknown command 'fly'; known: compare, data, doctor, .*train"),
    (["train", "nothing"], 2, "unknown configuration 'nothing'; known: .*digits_4x4"),
    (["train", "nothing.toml"], 2, "there is no configuration nothing.toml"),
    (["train", "--stepz", "5"], 2, "unknown argument --stepz; did you mean --steps?"),
    (["train", "--steps", "many"], 2, '--steps: expected an int. Got value: many'),
    (["train", "--generators.0.network.widths", "a"], 2, "widths: expected an int"),
    (["train", "--steps", "0"], 2, "steps is 0; it must be at least 1"),
    (["train", "--seed", "-1"], 2, "seed is -1"),
    (["train", "--pairing", "friends"], 2, "unknown pairing 'friends'; known: bandit, diagonal, dropout"),
    (["train", "--pairing"], 2, "--pairing needs a name; known: "),
    (["train", "--pairing", "softmax", "--pairing.lamb", "2"], 2, "did you mean --pairing.lam?"),
    (["train", "--loss", "love"], 2, "unknown loss 'love'; known: d2, hinge"),
    (["train", "--data", "cats"], 2, "unknown data 'cats'; known: cifar10, "),
    (["train", "--data", "idx"], 2, "--data.path is missing .or --data-dir."),
    (["train", "--data", "mnist", "--data-dir", "no/where"], 2, "no/where"),
    (["train", "--generators.0.count", "0"], 2, "a group has 0 members; a game needs at least 1"),
    (["train", "--discriminators.0.count", "-2"], 2, "a group has -2 members"),
    (["train", "--batch-size", "5000"], 2, "a batch of 5000 is larger than the train split of 'digits'"),
    (["train", "--pairing", "diagonal", "--generators.0.count", "3"], 2, "needs as many of both"),
    (["train", "--generators.0.network", "dcgan"], 2, "28"),
    (["resume", "no/run"], 2, "no run at no/run"),
    (["resume"], 2, "RUN is missing"),
    (["select", "no/run"], 2, "no run at no/run"),
    (["sample", "RUN", "--num", "0"], 2, "--num is 0; give 1 to "),
    (["sample", "RUN", "--num", "some"], 2, "num"),
    (["sample", "RUN", "--out", "a.gif"], 2, "ends in .png or .npz"),
    (["sample", "RUN", "--out", "no/where/a.png"], 2, "does not exist; make it first"),
    (["sample", "RUN", "--from", "member:2"], 2, "the run has generators 0 to 1"),
    (["sample", "RUN", "--from", "luck"], 2, "give best, mixture, or member:I"),
    (["evaluate", "RUN", "--num", "3"], 2, "at least 8 samples"),
    (["evaluate", "RUN", "--repeats", "-1"], 2, "--repeats is -1; give 2 or more, or 0 for no intervals"),
    (["sample", "RUN", "--num", "100000000000"], 2, "give 1 to .* at a time, and more with other seeds"),
    (["sample", "RUN", "--refine", "luck"], 2, "unknown refinement 'luck'; known: collaborative, ddls, dot, drs, mh"),
    (["sample", "RUN", "--out", "NAME"], 2, "ends in .png or .npz or .csv, or NAME/ for a folder"),
    (["sample", "RUN", "--interpolate", "3", "--nearest", "2"], 2, "--interpolate and --nearest are two forms of"),
    (["sample", "RUN", "--interpolate", "3", "--refine", "obrs"], 2, "--refine does not go with --interpolate"),
    (["train", "--steps", "[" * 100_000], 2, r"Got value: \[{79,80}\.\.\.; see"),
    (["train", "--data", "folder", "--data-dir", ".", "--data.size", "100000"], 2, "size is 100000; expected 1 to"),
    (["sample", "RUN", "-sn", "3"], 2, "unknown argument -sn; flags are whole words behind two hyphens"),
    (["resume", "RUN", "--steps", "1"], 2, r"has done \d+ steps; to go on, give more: --steps \d+"),
    (["judge", "RUN", "--input", "no.csv"], 2, "no.csv is no table"),
    (["sample", "RUN", "--budget", "0.5"], 2, "--budget is given without --refine"),
    (["sample", "RUN", "--refine", "mh", "--budget", "0.5"], 2, "budget is 0.5; for mh it is a whole number"),
    (["sample", "RUN", "--refine", "mh", "--budget", "1e10"], 2, "steps is 10000000000; .* below 2³¹"),
    (["sample", "RUN", "--refine", "obrs", "--rate", "0.1"], 2, "obrs takes no steps along a gradient"),
    (["sample", "RUN", "--refine", "dot", "--calibrate", "isotonic"], 2, "dot follows the gradient of the judge"),
    (["sample", "RUN", "--rule", "median"], 2, "--rule is given without --refine"),
    (["sample", "RUN", "--calibrate", "logistic"], 2, "--calibrate is given without --refine"),
    (["sample", "RUN", "--refine", "obrs", "--budget", "2"], 2, "budget is 2.0; it is the share of proposals"),
    (["sample", "RUN", "--refine", "obrs", "--rule", "luck"], 2, "unknown rule 'luck'; known: forest, log_mean"),
    (["judge", "RUN", "--out", "b.npz"], 2, "--out is given without --input; name a .npz, .npy or .csv file"),
    (["judge", "RUN", "--calibrate", "none"], 2, "unknown calibration 'none'; known: isotonic, logistic, temperature"),
    (["sample", "RUN", "--from", "average", "--refine", "obrs"], 2, "--refine needs a mixture and --from average"),
    (["sample", "RUN", "--stratified", "--refine", "obrs"], 2, "--stratified and --refine cannot be combined"),
    (["judge", "RUN", "--input", "no.npz"], 2, "no.npz is missing; expected an .npz or .npy file"),
    (["judge", "RUN", "--input", "a.npz", "--out", "b.png"], 2, "--out is b.png; give a name that ends in .npz"),
    (["sample", "RUN", "--label", "1"], 2, "the generators of this run are not conditional"),
    (["sample", "RUN", "--seed", "-1"], 2, "--seed is -1"),
    (["sample", "RUN", "--seed", "99999999999999999999"], 2, "--seed is 9"),
    (["sample", "RUN", "--from", "member:²"], 2, "give member:I with I from 0 to 1"),
    (["select", "RUN", "--num", "x"], 2, '--num: expected int. Got value: x; see `ensgan select --help`'),
    (["select", "RUN", "--method", "luck"], 2, "unknown method 'luck'; known: evolution, exponentiated_gradient, "),
    (["select", ""], 2, "the run's folder is empty"),
    (["train", ""], 2, "unknown configuration ''"),
    (["train", "--run-dir", ""], 2, "--run-dir is empty"),
    (["train", "--name", "../x"], 2, "name is '../x'; it is part of a folder's name"),
    (["train", "--seed", "4294967296"], 2, "below 2³²"),
    (["train", "--pairing", "mean", "--pairing.lam", "2"], 2, "the chosen pairing has no such option"),
    (["train", "--generators.0", "x.toml"], 2, "stands for several keys; set one of: .*generators.0.count"),
    (["train", "--optimizer.learning-rate", "-1"], 2, "learning_rate is -1.0; it must be"),
    (["train", "--optimizer.b2", "1"], 2, r"b2 is 1.0; it must be in \[0, 1\)"),
    (["train", "--penalty", "r1", "--penalty.strength", "-1"], 2, "a penalty's strength is -1"),
    (["train", "--penalty", "r1", "--penalty.strength", "nan"], 2, "a penalty's strength is nan"),
    (["evaluate", "RUN", "--fast"], 2, "unknown argument --fast; see --help"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "code", "message"), WRONG, ids=[" ".join(argv)[:60] or "nothing" for argv, _, _ in WRONG]
)
def test_wrong_input_is_one_line_and_code_2(argv, code, message, ring, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = str(ring[0] / "runs" / "small-3-1")
    assert cli.main([run if word == "RUN" else word for word in argv]) == code
    out, err = capsys.readouterr()
    if argv:
        assert err.startswith("ensgan: ")
        assert err.count("\n") == 1
    assert re.search(message, err or out), err or out
    assert not list(tmp_path.iterdir())  # nothing was left behind


@pytest.mark.parametrize(
    ("name", "content"), [("a.toml", f"steps = {'[' * 60}{']' * 60}"), ("b.json", '{"a":' * 100_000)], ids=["a", "b"]
)
def test_a_configuration_that_nests_deeply_is_one_line(tmp_path, monkeypatch, capsys, name, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(content)
    assert cli.main(["train", name]) == 2
    err = capsys.readouterr().err
    assert f"{name} nests its values" in err
    assert err.count("\n") == 1
