"""Devices that JAX makes up: as many as are asked for, in one process or in several."""

import json
import subprocess
import sys

import jax
import pytest

from ensgan.devices import simulated
from ensgan.types import InputError

PROGRAM = """
import sys
from ensgan.cli.main import main
from ensgan.devices import simulated
simulated.SIMULATED = 2
sys.exit(main(["plan", "ring8", "--mesh", "member=2,data=2", *sys.argv[1:]]))
"""
SMALL = ["--generators.0.network.widths", "8", "--discriminators.0.network.widths", "8", "--reals", "8", "--json"]


def test_more_than_a_process_has_are_compiled_for_by_several(tmp_path):
    both = [sys.executable, "-c", PROGRAM, *SMALL], [sys.executable, "-c", PROGRAM.replace("= 2", "= 4"), *SMALL]
    two, one = (subprocess.run(each, cwd=tmp_path, capture_output=True, text=True, timeout=300) for each in both)
    assert (two.returncode, one.returncode) == (0, 0), two.stderr
    assert two.stdout == one.stdout  # nothing that is planned depends on where the devices are
    assert json.loads(one.stdout)["mesh"] == {"member": 2, "data": 2}


@pytest.mark.parametrize("num", [2049 + 2, 4 * 2048 + 1])
def test_numbers_that_processes_cannot_share_are_refused(num, monkeypatch):
    monkeypatch.setattr(jax.config, "update", lambda *args: pytest.fail("JAX was touched"))
    with pytest.raises(InputError, match=f"the mesh takes {num} devices; at most 4 processes with the same number"):
        simulated.devices(num)


def test_a_started_jax_with_too_few_is_named():
    jax.devices()
    with pytest.raises(InputError, match=r"takes 2000 devices, but JAX has already started with 8; set JAX_NUM"):
        simulated.devices(2000)
