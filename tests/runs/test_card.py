"""Model cards: what the folder of a run knows, in a form that machines read and names cannot break."""

import contextlib
import io
import json
import os
import re

import numpy as np
import pytest
import small_runs
import yaml

from ensgan.cli import main as cli
from ensgan.reporting import read_metrics
from ensgan.runs.card import escaped
from ensgan.runs.run import run as train

NAMES = ["a|b", "<script>alert(1)</script>", "`c` [d](e)"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a few steps on images whose classes have odd names."""
    folder = tmp_path_factory.mktemp("card")
    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 256, (400, 4, 4, 1), np.uint8), np.resize(NAMES, 400)
    np.savez(folder / "data.npz", x=x, y=y)
    network = {"name": "mlp", "widths": [8], "classes": 3}
    settings = small_runs.settings(
        name="odd_*name*", steps=4, eval_every=4, checkpoint_every=4, penalty="none", pairing="mean",
        data={"name": "npz", "path": str(folder / "data.npz")},
        generators={"count": 2, "network": {**network, "latent": 2}}, discriminators={"count": 2, "network": network},
    )  # fmt: skip
    train(settings, folder / "run")
    return folder / "run"


def card(run, folder, *flags):
    with contextlib.redirect_stdout(io.StringIO()):
        assert cli.main(["export", str(run), "--to", str(folder), *flags]) == 0
    text = (folder / "README.md").read_text()
    _, front, body = re.split(r"^---\n", text, maxsplit=2, flags=re.M)
    return yaml.safe_load(front), body


@pytest.mark.parametrize("flags", [["--from", "member:1"], ["--from", "mixture", "--format", "onnx"]])
def test_a_card_has_the_facts_of_the_run(flags, run, tmp_path):
    front, body = card(run, tmp_path / "out", *flags)
    (logged,) = [each for each in read_metrics(run / "metrics.jsonl") if each["kind"] == "score"]
    frechet = logged["distances"]["frechet"]
    value = frechet["mixture"] if "mixture" in flags else frechet["generators"][1]
    assert front["library_name"] == "ensgan"
    (result,) = front["model-index"][0]["results"]
    assert {"type": "frechet", "name": "Fréchet distance", "value": value} in result["metrics"]
    assert f"| Fréchet distance | {value:.4g} | {frechet['floor']:.4g} |" in body
    assert f"n = {logged['distances']['num']:,}" in body
    assert "400 samples of 4×4×1" in body
    assert "seed 0, step 4 of 4" in body
    assert "licence of the data: not stated" in body
    for name in NAMES:
        assert name not in body
        assert f"{escaped(name)} (13" in body
    assert r"odd\_\*name\*" in body
    listed = set(re.findall(r"^\| `([\w.]+)` \|", body, re.M))
    assert listed | {"README.md"} == {path.name for path in (tmp_path / "out").iterdir()}


KINDS = [["--from", who, "--format", what] for who in ("mixture", "discriminator:1") for what in ("jax", "onnx")]


@pytest.mark.parametrize("flags", [*KINDS, ["--from", "member:0", "--format", "onnx"]])
def test_the_program_of_a_card_runs(flags, run, tmp_path, monkeypatch):
    _, body = card(run, tmp_path / "out", *flags)
    program = body.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path / "out")
    names = {}
    exec(program, names)
    result = np.asarray(names["logit" if "discriminator:1" in flags else "x"])
    assert len(result) == 64
    assert np.isfinite(result).all()
    assert np.ptp(result) > 0 or "discriminator:1" in flags


def test_what_was_not_measured_is_said(run, tmp_path):
    front, body = card(run, tmp_path / "law", "--from", "member:0", "--classes", "0.5,0.25,0.25")
    assert "model-index" not in front
    assert "The log has no held-out scores of step 4 with this law of labels." in body
    _, body = card(run, tmp_path / "judge", "--from", "discriminator:0")
    (logged,) = [each for each in read_metrics(run / "metrics.jsonl") if each["kind"] == "score"]
    assert f"held-out reals (select split): {logged['score_d'][0]:.3g} ± " in body
    os.rename(run / "data.json", run / "data.json.away")
    try:
        _, body = card(run, tmp_path / "data", "--from", "member:0")
    finally:
        os.rename(run / "data.json.away", run / "data.json")
    assert "the run's folder has no record of its data" in body
    assert json.loads((tmp_path / "data" / "config.json").read_text())["format"] == "jax"
