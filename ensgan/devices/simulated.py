"""CPU devices that are not there: JAX makes them up, to compile for or to try a mesh on."""

from __future__ import annotations

import atexit
import socket
import subprocess
import sys

import jax

from ensgan.environment import SIMULATED
from ensgan.types import InputError

PROCESSES = 4  # the most that make up devices together
WAIT = 120  # seconds until all of them have started
# Another process of that kind: it only has devices, until the first one closes its input.
_OTHER = """
import sys
import jax
address, num, index, devices = sys.argv[1], *map(int, sys.argv[2:])
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", devices)
jax.distributed.initialize(address, num, index)
jax.devices()
sys.stdin.read()
jax.distributed.shutdown()
"""


def devices(num: int) -> None:
    """Sees to it that JAX has at least `num` CPU devices to compile for; those that it lacks are made up.

    It comes before whatever starts JAX, which then uses no other device. A process has at most 2,048. More belong to
    others as well, which wait until this one ends; programs can then be compiled for all of them, but not run.

    Raises:
        InputError: so many cannot be made up, or JAX has started with fewer.
    """
    parts = next((k for k in range(-(-num // SIMULATED), PROCESSES + 1) if num % k == 0), None)
    if parts is None:
        raise InputError(
            f"the mesh takes {num} devices; at most {PROCESSES} processes with the same number, up to {SIMULATED}, are "
            "simulated, so give a smaller mesh, one that 2, 3 or 4 divides, or a --topology"
        )
    try:
        jax.config.update("jax_platforms", "cpu")
        there = jax.config.jax_num_cpu_devices  # type: ignore[missing-attribute]
        jax.config.update("jax_num_cpu_devices", max(num, there) if parts == 1 else num // parts)
        if parts > 1:
            _together(parts, num // parts)
    except RuntimeError as error:  # JAX has started
        if len(jax.devices()) < num:
            raise InputError(
                f"the mesh takes {num} devices, but JAX has already started with {len(jax.devices())}; "
                f"set JAX_NUM_CPU_DEVICES={num} before it starts"
            ) from error


def _together(parts: int, each: int) -> None:
    """Starts the other processes, and connects this one to them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    others = []
    for index in range(1, parts):
        command = [sys.executable, "-c", _OTHER, address, *map(str, (parts, index, each))]
        others.append(subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL))
    try:
        jax.distributed.initialize(address, parts, 0, initialization_timeout=WAIT)
        jax.devices()
    except RuntimeError:
        for other in others:
            other.kill()
        raise
    for other in others:
        if other.stdin is not None:
            atexit.register(other.stdin.close)  # before JAX waits for them
