"""Signals: a run that they stop goes on bit for bit."""

import json
import os
import signal
import time

import jax
import numpy as np
import pytest
from small_runs import TREE, assert_same_bits, command, final

from ensgan.game.placement import start
from ensgan.game.program import Program
from ensgan.runs import run as run_module
from ensgan.runs import signals
from ensgan.runs.build import build
from ensgan.runs.checkpoint import Checkpoints
from ensgan.runs.restore import load_run


@pytest.mark.bits
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_killed_run_goes_on_bit_for_bit(number, tmp_path):
    # A long run is interrupted somewhere; what it then does until step `end` is what an undisturbed run does.
    tree = {**TREE, "steps": 1_000_000, "log_every": 50, "eval_every": 10_000_000, "checkpoint_every": 50}
    file = tmp_path / "long.json"
    file.write_text(json.dumps(tree))
    directory = tmp_path / "run"
    process = command("train", file, "--run-dir", directory)
    deadline = time.monotonic() + 120
    while not any((directory / "checkpoints").glob("[0-9]*/commit_success.txt")) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number, err
        assert "continue with: ensgan resume" in out
    with Checkpoints(directory / "checkpoints", 3) as checkpoints:
        stopped = checkpoints.steps[-1]
    end = stopped + 30
    run_module.run(load_run(directory, {"steps": end}), directory, resume=True)
    game, source = build(load_run(directory))
    state, _ = Program(game, source)(start(game), end)
    state = jax.tree.map(np.asarray, state._replace(key=jax.random.key_data(state.key)))
    assert_same_bits(final(directory), state)


def test_under_nohup_a_closed_terminal_ends_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.collected() as caught:
            os.kill(os.getpid(), signal.SIGHUP)
        assert caught == []
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with signals.collected() as caught:
            os.kill(os.getpid(), signal.SIGHUP)
        assert caught == [signal.SIGHUP]
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
