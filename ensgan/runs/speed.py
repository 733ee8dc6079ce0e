"""How fast a run goes, beside what its device can do: rates, the share of a measured matrix product, and memory."""

from __future__ import annotations

import functools
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp

from ensgan.devices import processes

SIDES = {"cpu": 1024}  # of the square matrices that are multiplied, by platform
SIDE = 4096  # on others
REPEATS = 8


@functools.cache
def product_rate(device: jax.Device) -> float:
    """FLOPs per second of a product of two square matrices of float32 on a device: the best of eight.

    Measured once in a process. On two CPU cores this takes about a tenth of a second.
    """
    side = SIDES.get(device.platform, SIDE)
    with jax.default_device(device):
        matrix = jnp.ones((side, side), jnp.float32)
        product = jax.jit(lambda a: a @ a).lower(matrix).compile()
        times = []
        for _ in range(1 + REPEATS):  # the first one is warm-up
            start = time.perf_counter()
            product(matrix).block_until_ready()
            times.append(time.perf_counter() - start)
    return 2.0 * side**3 / min(times[1:])


def peak_memory(device: jax.Device) -> int | None:
    """The most bytes that were in use on a device; on a CPU, of this process; None where neither is known."""
    if found := device.memory_stats():
        return found.get("peak_bytes_in_use")
    if device.platform != "cpu":
        return None
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


class Meter:
    """Rates between one record of training and the next."""

    def __init__(self, mesh: jax.sharding.Mesh | None, seconds: float, step: int) -> None:
        """Measures the product of this process's first device.

        Args:
            mesh: the devices of the run, or None for one.
            seconds: of training so far.
            step: the number of steps so far.
        """
        self.device = jax.local_devices()[0] if mesh is None else mesh.local_devices[0]
        count = 1 if mesh is None else mesh.size
        # Devices that XLA simulates on a CPU share its cores, so the rate of one says nothing about all.
        alone = self.device.platform != "cpu" or count == 1
        self.product = count * product_rate(self.device) if alone and processes.first() else None
        self._before = (seconds, step)

    def read(self, seconds: float, step: int, samples: int, flops: float) -> dict[str, Any]:
        """What is known since the last call, for the record of a step; no rates where no time has passed.

        Args:
            seconds: of training so far.
            step: the number of steps so far.
            samples: of one step.
            flops: of one step; 0 if they are not known.

        Returns:
            `samples_per_second`, `flops_per_second`, `share_of_product` (of those of a matrix product, mostly below
            1) and `peak_bytes`, as far as they are known.
        """
        found: dict[str, Any] = {}
        (then, before), self._before = self._before, (seconds, step)
        if seconds > then:
            rate = (step - before) / (seconds - then)
            found["samples_per_second"] = rate * samples
            if flops:
                found["flops_per_second"] = rate * flops
            if flops and self.product:
                found["share_of_product"] = rate * flops / self.product
        peak = peak_memory(self.device)
        return found if peak is None else {**found, "peak_bytes": peak}
