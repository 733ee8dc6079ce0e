"""`ensgan evaluate`: whose order is printed, and generators that collapsed."""

import re

import numpy as np

from ensgan.cli import main as cli
from ensgan.cli import sample
from ensgan.evaluation import selection
from ensgan.refine import NothingAccepted


def test_evaluate_prints_the_order_of_the_select_split(ring, capsys, monkeypatch):
    run, real = str(ring[0] / "runs" / "small-3-1"), selection.select

    def turned(*args, split="select", **options):
        found = real(*args, split=split, **options)
        turn = -1 if split == "report" else 1
        return found._replace(rank_g=np.array([1, 0])[::turn], rank_d=np.array([0, 1])[::turn])

    monkeypatch.setattr(selection, "select", turned)
    assert cli.main(["evaluate", run, "--repeats", "0"]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"\d\. (\w+ \d)", out) == ["generator 1", "generator 0", "discriminator 0", "discriminator 1"]
    assert out.count("in the order of the select split") == 2
    assert "generator 1, the best" in out


def test_a_collapsed_generator_is_evaluated_and_refined(ring, tmp_path, capsys, monkeypatch):
    run, file = str(tmp_path / "run"), tmp_path / "c.npz"
    small = str(ring[0] / "small.toml")
    assert cli.main(["train", small, "--generators.0.latent_scale", "0", "--run-dir", run]) == 0
    capsys.readouterr()
    refine = ["sample", run, "--from", "member:0", "--refine", "obrs", "--out", str(file)]
    assert cli.main(refine) == 0
    out, err = capsys.readouterr()
    assert len(np.unique(np.load(file)["x"], axis=0)) == 1
    assert "note: fakes: 64 copies of one sample\n" in err
    assert re.search(r"squared MMD \d", out)

    def none(*args, **more):
        raise NothingAccepted("0 of 9 proposals were accepted")

    file.unlink()
    monkeypatch.setattr(sample, "refined", none)
    assert cli.main(refine) == 0
    out, err = capsys.readouterr()
    assert np.load(file)["x"].shape == (64, 2)
    assert "note: 0 of 9 proposals were accepted. So the samples are not refined\n" in err
    assert "64 samples from generator 0, not refined, because obrs accepted none, are in" in out
    assert cli.main(["evaluate", run, "--num", "100"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"\nFréchet distance +\d\S* \[\S+, \S+\] +\d\S* \[\S+, \S+\] +\S+ +100\n", out)
    assert "\ngenerator 0: fakes: 100 copies of one sample\n" in out
