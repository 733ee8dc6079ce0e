"""The program elsewhere: other encodings, closed output, variables that JAX cannot use, paths that are no text."""

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from programs import program

from ensgan.cli import main as cli
from ensgan.reporting import read_metrics
from ensgan.runs.build import TABLES
from ensgan.runs.checkpoint import Checkpoints
from ensgan.runs.parsing import parse
from ensgan.runs.restore import load_run, restore
from ensgan.runs.run import run
from ensgan.types import InputError

SMALL = {
    "steps": 2,
    "batch_size": 4,
    "eval_every": 2,
    "held_out": 10,
    "distances": [],
    "generators": {"count": 1, "network": {"name": "mlp", "latent": 2, "widths": [4]}},
    "discriminators": {"count": 1, "network": {"name": "mlp", "widths": [4]}},
}
LATIN = os.fsdecode(b"latin\xe9")  # the name of a folder that is not UTF-8


def settings(**changes):
    return parse({**SMALL, "data": "ring", **changes}, TABLES)[0]


@pytest.mark.parametrize(("there", "here", "fix"), [(32, 64, "unset it"), (64, 32, "JAX_ENABLE_X64=1")])
def test_a_checkpoint_of_another_precision_names_the_variable(there, here, fix, tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"a": np.zeros(3, f"float{there}"), "b": np.zeros(2, np.int32)})
    like = {"a": np.zeros(3, f"float{here}"), "b": np.zeros(2, np.int32)}
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(InputError, match=f"numbers of {there} bits.*JAX_ENABLE_X64.*") as told,
    ):
        checkpoints.restore(like)
    assert fix in str(told.value)


def test_paths_that_are_not_utf8_a_thread_and_a_running_loop(tmp_path):
    pictures, folder = tmp_path / LATIN, tmp_path / f"run-{LATIN}"
    pictures.mkdir()
    draw = np.random.default_rng(0)
    for i in range(100):
        Image.fromarray(draw.integers(0, 255, (4, 4), np.uint8)).save(pictures / f"{i}.png")
    config = settings(data={"name": "folder", "path": str(pictures)})

    async def inside():
        return run(config, folder)

    with ThreadPoolExecutor() as pool:
        assert pool.submit(lambda: asyncio.run(inside())).result().step == 2
    assert json.loads((folder / "config.json").read_text())["data"]["path"] == str(pictures)
    assert r"latin\udce9" in (folder / "report.html").read_text()
    assert int(restore(folder, load_run(folder))[2].step) == 2
    done = program("resume", str(folder), "--steps", "3", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert os.fsencode(folder / "report.html") in done.stdout  # byte for byte, whatever the encoding
    assert read_metrics(folder / "metrics.jsonl")[-1]["step"] == 3
    assert program("sample", str(folder), "--out", str(folder / "more.npz")).returncode == 0
    assert (folder / "more.npz").is_file()


def test_a_tilde_is_the_home_in_flags_and_files(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "points.npz", x=np.random.default_rng(0).normal(size=(80, 2)).astype(np.float32))
    tree = {**SMALL, "data": {"name": "npz", "path": "~/points.npz"}}
    (tmp_path / "own.json").write_text(json.dumps(tree), encoding="utf-8-sig")  # with a mark before the text
    assert cli.main(["train", "~/own.json", "--run-dir=~/run"]) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["path"] == str(tmp_path / "points.npz")
    assert cli.main(["sample", "~/run", "--out=~/more.npz"]) == 0
    assert (tmp_path / "more.npz").is_file()
    assert cli.main(["train", "~/own.json", "--run-dir", "~/other", "--data-dir=~/none.npz"]) == 2
    assert str(tmp_path / "none.npz") in capsys.readouterr().err
