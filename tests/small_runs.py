"""A configuration of which a run takes a second, its last state as arrays of numpy, and commands that run beside."""

import os
import subprocess
import sys

import jax
import numpy as np

from ensgan.reporting import Watcher, read_metrics
from ensgan.runs.build import TABLES
from ensgan.runs.parsing import parse
from ensgan.runs.restore import load_run, restore

TREE = {
    "steps": 20,
    "batch_size": 8,
    "log_every": 4,
    "eval_every": 10,
    "checkpoint_every": 5,
    "held_out": 64,
    "data": "ring",
    "pairing": "softmax",
    "penalty": {"name": "r1", "strength": 0.1, "interval": 3},
    "generators": {"count": 2, "network": {"name": "mlp", "latent": 2, "widths": [8]}},
    "discriminators": {"count": 2, "network": {"name": "mlp", "widths": [8], "spectral_norm": True}},
}


def settings(**changes):
    return parse({**TREE, **changes}, TABLES)[0]


def final(directory):
    state = restore(directory, load_run(directory))[2]
    return jax.tree.map(np.asarray, state._replace(key=jax.random.key_data(state.key)))


def events(directory):
    """The records of members that were healed."""
    return [record for record in read_metrics(directory / "metrics.jsonl") if record["kind"] == "healing"]


def assert_same_bits(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def command(*arguments, **options):
    """A command of ensgan, started in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "ensgan.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "JAX_NUM_CPU_DEVICES": "1"},
        **options,
    )


class Notes(Watcher):
    """Keeps what it is told."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)
