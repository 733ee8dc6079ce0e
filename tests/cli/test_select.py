"""`ensgan select`: rankings, and the mixture that other commands take."""

import json
import re
import shutil

import numpy as np

from ensgan.cli import evaluate
from ensgan.cli import main as cli
from ensgan.evaluation import tables
from ensgan.reporting.files import read_json, write_json


def test_select_and_evaluate_print_rankings_and_modes(ring, capsys):
    run = str(ring[0] / "runs" / "small-3-1")
    assert cli.main(["select", run]) == 0
    out = capsys.readouterr().out
    assert "1. generator" in out
    assert "|S(G) − 0.5| and MMD together" in out
    assert "Glicko-2" in out
    assert "modes" not in out
    assert cli.main(["evaluate", run, "--num", "200"]) == 0
    out = capsys.readouterr().out
    for text in ("modes/8", "KL to uniform", "KL from uniform", "perfect sampler", "mixture", "report split"):
        assert text in out
    assert "distances to 200 held-out reals (report split) in the features: identity at most 8×8" in out
    assert re.search(r"\nFréchet distance +\S+ \[\S+, \S+\] +\S+ \[\S+, \S+\] +\S+ +200\n", out)
    assert "the floor is what 200 other reals get\n" in out
    assert re.search(r"Fréchet distance of each generator: \d\S*, \d\S*\n", out)
    assert "copy training samples is not defined, because training samples are drawn anew at every step" in out
    assert "score matrix on 64 held-out reals (report split)" in out  # scores are as in the log, whatever --num is


def test_select_chooses_what_sample_and_evaluate_take(ring, capsys, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(ring[0] / "runs" / "small-3-1", run)
    file = run / "selection.json"
    file.unlink(missing_ok=True)

    def drawn(choice):
        out = tmp_path / "x.npz"
        assert cli.main(["sample", str(run), "--num", "40", "--out", str(out), "--from", choice]) == 0
        told = capsys.readouterr()
        return np.load(out)["x"], told.out + told.err

    before, text = drawn("mixture")
    assert "the uniform mixture" in text
    assert cli.main(["select", str(run), "--method", "single"]) == 0
    assert "--from mixture` now takes single" in capsys.readouterr().out
    record = read_json(file)
    assert (record["method"], record["step"], len(record["weights"])) == ("single", 6, 10)
    assert np.shape(record["ratings"]["glicko"]) == (4,)
    assert np.shape(record["meta_game"]["gmam"]) == (2, 2)
    samples, text = drawn("mixture")
    assert "the mixture single of 2 generators" in text
    np.testing.assert_array_equal(samples, drawn(f"member:{np.argmax(record['weights']['single'])}")[0])
    used = []
    for name in ("evaluate_modes", "evaluate_distances"):
        call = getattr(tables, name)
        monkeypatch.setattr(evaluate, name, lambda *a, call=call, **o: used.append(o["weights"]) or call(*a, **o))
    assert cli.main(["evaluate", str(run), "--repeats", "0"]) == 0
    out = capsys.readouterr().out
    assert "--from mixture` draws from: the mixture single of 2 generators (selection.json)" in out
    np.testing.assert_array_equal(used, 3 * [record["weights"]["single"]])
    assert cli.main(["select", str(run)]) == 0
    record = read_json(file)
    least = min(record["mmd_select"], key=lambda name: record["mmd_select"][name]["value"])
    assert record["mmd_select"][record["method"]]["value"] == record["mmd_select"][least]["value"]
    # A choice of another step is not taken, and one line says so; nor is what cannot be read.
    write_json(file, {**record, "step": 3})
    samples, text = drawn("mixture")
    assert "selection.json is of step 3 and the run at step 6" in text
    np.testing.assert_array_equal(samples, before)
    for broken, words in (
        ("{", "cannot be read"),
        (json.dumps({**record, "weights": {record["method"]: [1]}}), "has w"),
    ):
        file.write_text(broken)
        assert cli.main(["sample", str(run), "--from", "mixture", "--out", str(tmp_path / "x.npz")]) == 2
        assert words in capsys.readouterr().err
