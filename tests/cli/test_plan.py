"""`ensgan plan`: a table or JSON without the data, and one line for what cannot be planned."""

import importlib.util
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from ensgan.cli import main as cli
from ensgan.cli.configurations import shipped
from ensgan.devices.mesh import Sizes
from ensgan.runs import config
from ensgan.runs.build import TABLES, build
from ensgan.runs.parsing import parse
from ensgan.runs.plan import plan

QUICK = [f"--{side}.0.network.widths=[8]" for side in ("generators", "discriminators")]


def command(*argv, **variables):
    environment = {**os.environ, **variables}
    run = [sys.executable, "-m", "ensgan.cli", "plan", *argv]
    return subprocess.run(run, capture_output=True, text=True, timeout=300, env=environment)


def test_the_command_prints_a_table_without_the_data_being_there():
    done = command("mnist_mlp", "--mesh", "member=8,data=8", *QUICK)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    for text in (
        "8 generators × 8 discriminators, full coverage",
        "64 reals and 8 × 64 fakes a step",
        "samples of 28×28×1, 42,000 to train with",
        f"64 × cpu, mesh member=8,data=8, jax {jax.__version__}",
        "generators.0      8 × ",
        "memory of each device",
        "GFLOP",
        "all-gather",
        "if a device sends 100 GB/s (--bandwidth)",
        "of the step is communication",
    ):
        assert text in done.stdout, text
    assert max(map(len, done.stdout.splitlines())) < 110


def test_the_command_prints_the_plan_of_the_configuration_as_json(tmp_path, capsys):
    options = {"path": tmp_path / "x.npz"}
    np.savez(options["path"], x=np.zeros((40, 3)))
    named = ["--data", "npz", *QUICK]
    known = ["--sample-shape", "3", "--samples", "40", "--batch-size", "16"]
    assert (
        cli.main(["plan", "digits_4x4", *named, *known, "--json", "--mesh", "member=2,data=2", "--bandwidth", "50"])
        == 0
    )
    printed = json.loads(capsys.readouterr().out)
    flags = [*named, "--batch_size", "16", "--data.path", str(options["path"])]
    settings, _ = parse(config.read(shipped()["digits_4x4"]), TABLES, flags)
    real = plan(*build(settings), Sizes(2, 2)).as_dict()
    assert json.loads(json.dumps(real)).items() <= printed.items()
    sent, computed = printed["travel"] / 50e9, printed["flops"] / 100e12
    assert printed["communication_share"] == pytest.approx(sent / (sent + computed))


WRONG = [
    (["mnist_mlp", "--mesh", "member=3"], "generators.0 has 8 members, which a mesh with member=3 does not divide"),
    (["--mesh", "member=9000"], "the mesh takes 9000 devices; at most 4 processes with the same number"),
    (["--mesh", "data=64"], "the mesh takes 64 devices, but JAX has already started with 8"),
    (["--mesh", "four"], "give auto, or sizes of its two axes"),
    (["--data", "npz"], "the shape of a sample of 'npz' is in its files, which are not read here; give --sample-shape"),
    (["--data", "npz", "--sample-shape", "8,x"], "--sample-shape is '8,x'; give H,W,C of images"),
    (["--data", "npz", "--sample-shape", "8,8,1", "--samples", "3"], "3 samples cannot be divided into four splits"),
    (["ring8", "--sample-shape", "3"], "'ring' makes points (2,); leave it out"),
    (["--bandwidth", "0"], "--bandwidth is 0.0; give a number above 0"),
    (["--peak", "nan"], "--peak: expected a finite number. Got value: nan"),
    (["ring8", "--data-dir", "x"], "unknown argument --data.path"),
    (["--meshes", "x"], "unknown argument --meshes; did you mean --mesh?"),
]


@pytest.mark.parametrize(("argv", "message"), WRONG, ids=[" ".join(argv) for argv, _ in WRONG])
def test_wrong_input_is_one_line(argv, message, capsys):
    jax.devices()
    assert cli.main(["plan", *argv]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("ensgan: ")
    assert err.count("\n") == 1
    assert message in err


LIBTPU = importlib.util.find_spec("libtpu") is not None or "TPU_LIBRARY_PATH" in os.environ


@pytest.mark.skipif(LIBTPU, reason="libtpu is installed")
def test_a_topology_takes_libtpu(capsys):
    assert cli.main(["plan", "--topology", "v5e:4x4"]) == 2
    assert "needs libtpu; pip install 'ensgan[tpu]'" in capsys.readouterr().err
