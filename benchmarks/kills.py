"""Runs that are killed (SIGKILL) at random moments and go on: is the end the one of an undisturbed run?

    python benchmarks/kills.py --kills 50 --out FILE
    python benchmarks/kills.py --kills 20 --processes 2 --out FILE

A small run on the ring (2×2 members, 300 steps; checkpoints every 20 steps, scores and reports every 60) is started,
killed at a moment drawn evenly between 0 and the time that an undisturbed run takes, and resumed, until it ends; then
another one is started, until there were so many kills. With several processes, all are killed, a moment after each
other, or one is, and the others end by themselves. After each kill, the newest complete checkpoint must be as new as
before. In the end, the last state and the log must be those of the undisturbed run, to the last bit.
"""

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import jax
import numpy as np
from rows import emit

from ensgan.reporting import read_metrics
from ensgan.reporting.files import RunFiles
from ensgan.runs import directory as rundir
from ensgan.runs.restore import load_run, restore

CONFIG = """
steps = 300
batch_size = 8
log_every = 10
eval_every = 60
checkpoint_every = 20
held_out = 64
distances = ["mmd"]
data = "ring"
pairing = "softmax"
generators = {count = 2, network = {name = "mlp", latent = 2, widths = [8]}}
discriminators = {count = 2, network = {name = "mlp", widths = [8]}}
"""
WAIT = 600  # seconds for a run that is not disturbed
TIMES = ("seconds", "flops", "speed")  # of a log, which differ


def main():
    """Kills, resumes, compares, and prints one row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="append the row to this file")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "small.toml").write_text(CONFIG)
        right = place / "right"
        started(place, right, options.processes, again=False).wait(WAIT)  # also fills the cache of programs
        begin = time.perf_counter()
        started(place, place / "timed", options.processes, again=False).wait(WAIT)
        whole = time.perf_counter() - begin
        found, run = Counter(), 0
        while found["kills"] < options.kills:
            run += 1
            directory = place / f"run-{run}"
            lived = lives(place, directory, options, whole, rng, found, options.kills - found["kills"])
            found["runs"] += 1
            found["identical"] += same(directory, right)
            found["lost checkpoints"] += lived
    row = {"benchmark": "kills", "processes": options.processes, "seconds of a run": round(whole, 1), **found}
    emit(row | rundir.versions(), options.out)
    sys.exit(0 if found["identical"] == found["runs"] and not found["lost checkpoints"] else 1)


def lives(place, directory, options, whole, rng, found, left):
    """One run from its start to its end, killed at most `left` times; how often a checkpoint was lost."""
    lost = killed = 0
    while True:
        newest = max(complete(directory), default=0)
        going = started(place, directory, options.processes, again=(directory / "config.json").exists())
        if killed < left:
            try:
                going.wait(rng.uniform(0, whole))
            except subprocess.TimeoutExpired:
                found[f"in {phase(directory)}"] += 1
                going.kill(rng)
                killed += 1
                found["kills"] += 1
                lost += max(complete(directory), default=0) < newest
                continue
        else:
            going.wait(WAIT)
        over = any("to go on, give more" in text for text in going.said())  # killed after its last file
        if any(going.codes()) and not over:
            sys.exit(f"a command failed: {going.said()}")
        return lost


def phase(directory):
    """What the run was at, as far as its folder shows."""
    if not (directory / "config.json").exists():
        return "its start"
    if any(directory.glob("*.tmp")) or any((directory / "checkpoints").glob("*tmp*")):
        return "writing a file"
    return "training" if RunFiles(directory).metrics.is_file() else "compiling"


def complete(directory):
    """The steps of complete checkpoints."""
    found = (directory / "checkpoints").glob("*/commit_success.txt")
    return [int(file.parent.name) for file in found if file.parent.name.isdigit()]


class Going:
    """The processes of one run."""

    def __init__(self, commands, place, names):
        """Starts them."""
        self.logs = [open(place / f"log-{k}", "w+") for k in range(len(commands))]  # noqa: SIM115
        self.all = [
            subprocess.Popen(command, cwd=place, stdout=log, stderr=log, env={**os.environ, **names})
            for command, log in zip(commands, self.logs, strict=True)
        ]

    def wait(self, seconds):
        """Waits for all; raises TimeoutExpired."""
        end = time.monotonic() + seconds
        for process in self.all:
            process.wait(max(end - time.monotonic(), 0.001))

    def kill(self, rng):
        """Kills all, or one, and waits for the others."""
        one = len(self.all) > 1 and rng.random() < 0.5
        for process in [rng.choice(self.all)] if one else self.all:
            process.send_signal(signal.SIGKILL)
            time.sleep(rng.uniform(0, 0.3) if len(self.all) > 1 else 0)
        for process in self.all:
            process.wait(WAIT)

    def codes(self):
        """Exit codes."""
        return [process.wait() for process in self.all]

    def said(self):
        """The end of what they printed."""
        return [Path(log.name).read_text()[-300:] for log in self.logs]


def started(place, directory, processes, again):
    """Starts, or resumes, a run."""
    what = ["resume", str(directory)] if again else ["train", "small.toml", "--run-dir", str(directory)]
    if not again and directory.exists():
        what.append("--overwrite")
    command = [sys.executable, "-m", "ensgan.cli", *what]
    if processes == 1:
        return Going([command], place, {"JAX_NUM_CPU_DEVICES": "1"})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = ["--coordinator", f"127.0.0.1:{port}", "--num-processes", str(processes)]
    commands = [[*command, *group, "--process-id", str(k)] for k in range(processes)]
    return Going(commands, place, {"JAX_NUM_CPU_DEVICES": "1"})


def same(directory, right):
    """Whether the last state and the log are those of another run."""
    state = lambda run: jax.tree.leaves(plain(restore(run, load_run(run))[2]))
    bits = all(np.array_equal(a, b) for a, b in zip(state(directory), state(right), strict=True))
    return bits and str(records(directory)) == str(records(right))


def plain(state):
    """A state as arrays of numpy."""
    return jax.tree.map(np.asarray, state._replace(key=jax.random.key_data(state.key)))


def records(run):
    """The log without times."""
    every = read_metrics(RunFiles(run).metrics)
    return [{key: value for key, value in each.items() if key not in TIMES} for each in every]


if __name__ == "__main__":
    main()
