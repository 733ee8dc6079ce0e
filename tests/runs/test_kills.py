"""Runs that are killed at random moments end as if nothing had been."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "processes"), [(50, 1), (12, 2)])
def test_killed_at_random_moments(kills, processes):
    command = [sys.executable, SCRIPT, "--kills", str(kills), "--processes", str(processes)]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    row = json.loads(done.stdout.splitlines()[-1])
    assert row["kills"] >= kills
    assert row["identical"] == row["runs"]
    assert row["lost checkpoints"] == 0
