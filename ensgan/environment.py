"""Environment variables that JAX cannot use: one line that names the variable and the fix, in place of a traceback.

This file is imported before all others, because JAX reads some variables while it is imported.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from types import TracebackType

DEFAULT = "JAX_DEFAULT_DEVICE"
PLATFORMS = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", DEFAULT)
SIMULATED = 2048  # devices of a CPU; more take minutes and gigabytes before anything is computed
# XLA ends the whole process where it cannot read its flags, so another process tries them first.
_TRY = "from jaxlib import _jax; _jax.get_tfrt_cpu_client()"
OPEN = (None, "allow", "log", "log_explicit")
# Variables that JAX takes, and the values with which programs here compute what they should.
NEEDED: dict[str, tuple[object, ...]] = {
    "JAX_DISABLE_JIT": (False,),
    "JAX_NO_TRACING": (False,),
    "JAX_NUMPY_DTYPE_PROMOTION": ("standard",),
    "JAX_DEFAULT_PRNG_IMPL": ("threefry2x32",),
    "JAX_THREEFRY_PARTITIONABLE": (True,),
    "JAX_TRANSFER_GUARD": OPEN,
    "JAX_TRANSFER_GUARD_HOST_TO_DEVICE": OPEN,
    "JAX_TRANSFER_GUARD_DEVICE_TO_DEVICE": OPEN,
    "JAX_TRANSFER_GUARD_DEVICE_TO_HOST": OPEN,
}


class EnvironmentFault(ImportError):
    """JAX cannot be imported because of an environment variable."""


def import_jax() -> None:
    """Imports JAX.

    Raises:
        EnvironmentFault: a variable that JAX reads at once is wrong. Where nobody catches it, the program prints one
            line and ends with code 2.
    """
    try:
        import jax  # noqa: F401
    except ValueError as error:
        found = re.search(r"\bjax[._]\w+", str(error), re.IGNORECASE)
        name = "" if found is None else found[0].upper().replace(".", "_")
        if name not in os.environ:
            raise
        sys.excepthook = _in_one_line(sys.excepthook)
        raise EnvironmentFault(_wrong(name, _line(error))) from error


def xla_fault() -> str | None:
    """What XLA says against XLA_FLAGS; None where it takes them. Starts a process if they are set."""
    if not os.environ.get("XLA_FLAGS", "").strip():
        return None
    tried = subprocess.run([sys.executable, "-c", _TRY], capture_output=True, text=True, errors="replace")
    if tried.returncode == 0 or "XLA_FLAGS" not in tried.stderr:  # an error of another kind will be reported as one
        return None
    lines = [line for line in tried.stderr.splitlines() if "XLA_FLAGS" in line or "parse" in line]
    return _wrong("XLA_FLAGS", re.sub(r"^F\d+ .*?\] ", "", lines[0])[:200])


def setting_fault() -> str | None:
    """Which variable makes JAX compute in a way that programs here cannot use; None where there is none."""
    import jax

    for name, values in NEEDED.items():
        if name in os.environ and getattr(jax.config, name.lower(), values[0]) not in values:
            return f"the environment variable {name} is {os.environ[name]!r}, with which ensgan does not work; unset it"
    if int(os.environ.get("JAX_NUM_CPU_DEVICES") or 0) > SIMULATED:
        return _wrong("JAX_NUM_CPU_DEVICES", f"no more than {SIMULATED:,} devices can be simulated")
    return None


def device_fault() -> str | None:
    """Why JAX finds no device; None where it finds one."""
    import jax

    asked = [name for name in PLATFORMS if os.environ.get(name)]
    try:
        jax.devices()
        asked = [name for name in asked if name == DEFAULT]
        if asked:
            jax.devices(os.environ[DEFAULT])
    except Exception as error:
        given = os.environ.get("JAX_NUM_CPU_DEVICES")
        if given is not None and int(given) < 1:
            return _wrong("JAX_NUM_CPU_DEVICES", "there must be at least 1 device")
        if asked:
            why = _line(error).partition(". (set ")[0] or "there is no such device, or no package of JAX for it"
            return f"{_wrong(asked[0], why)}, or set it to cpu"
        return f"JAX finds no device: {_line(error) or type(error).__name__}; set JAX_PLATFORMS=cpu to compute without"
    return None


def _wrong(name: str, why: str) -> str:
    fix = "unset it to take the devices that are there" if name in PLATFORMS else "correct it, or unset it"
    return f"the environment variable {name} is {os.environ[name]!r}, which JAX cannot use ({why}); {fix}"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _in_one_line(
    otherwise: Callable[[type[BaseException], BaseException, TracebackType | None], object],
) -> Callable[[type[BaseException], BaseException, TracebackType | None], object]:
    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> object:
        if not isinstance(error, EnvironmentFault):
            return otherwise(kind, error, trace)
        os.write(2, f"ensgan: {error}\n".encode("ascii", "backslashreplace"))
        os._exit(2)

    return hook


import_jax()
