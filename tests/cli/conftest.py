"""Runs that several files of tests look at, made by the commands once for each worker."""

import os
import subprocess
import sys

import pytest
from untrained import untrained

from ensgan.cli import main as cli

RING = """
steps = 6
batch_size = 8
log_every = 3
eval_every = 6
checkpoint_every = 3
held_out = 64
data = "ring"
generators = {count = 2, network = {name = "mlp", latent = 2, widths = [8]}}
discriminators = {count = 2, network = {name = "mlp", widths = [8]}}
"""


@pytest.fixture(scope="session")
def ring(tmp_path_factory):
    """A short run made by the command, and what the command printed."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "small.toml").write_text(RING)
    done = subprocess.run(
        [sys.executable, "-m", "ensgan.cli", "train", "small.toml", "--seed", "3"],
        cwd=folder, capture_output=True, text=True, timeout=300, env={**os.environ, "JAX_NUM_CPU_DEVICES": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done


SMALL = """
steps = 4
batch_size = 8
log_every = 2
eval_every = 2
checkpoint_every = 2
held_out = 64
distances = ["mmd"]
data = "ring"
pairing = "softmax"
generators = {count = 2, network = {name = "mlp", latent = 2, widths = [8]}}
discriminators = {count = 2, network = {name = "mlp", widths = [8]}}
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Two seeds of one configuration, and a sweep of two settings."""
    place = tmp_path_factory.mktemp("series")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        (place / "small.toml").write_text(SMALL)
        assert cli.main(["train", "small.toml", "--seeds", "0,2"]) == 0
        sweep = ["sweep", "small.toml", "--set", "pairing.lam=1,2", "--run-dir", "swept"]
        assert cli.main([*sweep, "--print-array"]) == 0
        assert cli.main(["resume", "swept", "--part", "1/2"]) == 0
        assert not (place / "swept" / "lam=2").exists()
        assert cli.main(["resume", "swept"]) == 0
    return place


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A run on the digits that was not trained yet."""
    mlp = {"name": "mlp", "widths": [8]}
    sides = {"generators": {"network": {**mlp, "latent": 2}}, "discriminators": {"network": mlp}}
    return str(untrained(tmp_path_factory.mktemp("digits") / "run", {"data": "digits", **sides})[0])
