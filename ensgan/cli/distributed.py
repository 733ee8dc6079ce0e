"""A command as one of several processes: its flags, how it joins the others, and how it reports its end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

from ensgan.devices import mesh, processes
from ensgan.types import InputError, out_of_memory

INTERRUPTED = 128 + signal.SIGINT
SAFE = "Complete checkpoints are safe: start all processes again, with `ensgan resume RUN` if there are any"
# What JAX's errors say, of whatever type, when a process does not answer any more.
LOST = r"Gloo|NCCL|[Cc]oordination ?[Ss]ervice|Connection closed by peer|sync_global_devices|Barrier (failed|timed out)"
LAST_WORDS = (
    "ensgan: this process was ended from outside, most likely because another process of its run had ended, as the "
    f"last lines of that one say, or had the same --process-id. {SAFE}\n"
)


@dataclass(frozen=True)
class Processes:
    """Where a command computes.

    Args:
        mesh: devices for members and for samples, such as member=4,data=2; auto uses all that fit.
        distributed: be one of several processes, as Slurm, Open MPI, Kubernetes or a TPU pod started them.
        coordinator: host:port of process 0, for several processes started by hand.
        num_processes: how many processes there are, with --coordinator.
        process_id: which of them this is, from 0, with --coordinator.
        local_devices: numbers of the local devices that this process uses, such as 0,1.
        join_timeout: seconds to wait for the other processes.
    """

    mesh: str = "auto"
    distributed: bool = False
    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None
    local_devices: str | None = None
    join_timeout: int = 120


@contextlib.contextmanager
def joined(command: str, place: Processes) -> Iterator[None]:
    """Is one of several processes, if the command line says so, until the end of the block."""
    mesh.parse(place.mesh)  # wrong sizes are refused before any process waits for another
    explicit = (place.coordinator, place.num_processes, place.process_id)
    devices = place.local_devices
    if not place.distributed and explicit == (None, None, None):
        if devices is not None:
            raise InputError("--local-devices is given to a process alone; add --distributed, or --coordinator")
        yield
        return
    if devices is not None and not re.fullmatch(r"\d+(,\d+)*", devices):
        raise InputError(f"--local-devices is {devices!r}; give numbers of devices, such as 0,1")
    numbers = None if devices is None else [int(number) for number in devices.split(",")]
    processes.join(*explicit, numbers, timeout=place.join_timeout)
    in_order = processes.last_words(LAST_WORDS)
    try:
        processes.check_same({"the command": command})  # those of another one would not take the steps that follow
        yield
    except BaseException as error:
        if not isinstance(error, processes.Agreed):  # the others know nothing of it, and would wait for this process
            code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 2
            tell(error)
            in_order()
            os._exit(code)
        if not processes.first():
            in_order()
            sys.exit(2)
        raise
    finally:
        in_order()


def tell(error: BaseException) -> None:
    """One line on stderr for what a user did, a traceback for what we did."""
    if isinstance(error, InputError | OSError) or out_of_memory(error):
        text = str(error) if isinstance(error, InputError) else _system(error)
        print(f"ensgan: {' '.join(text.split())}", file=sys.stderr, flush=True)
    elif isinstance(error, KeyboardInterrupt):
        print("ensgan: interrupted", file=sys.stderr, flush=True)
    elif isinstance(error, Exception) and re.search(LOST, str(error)):
        text = " ".join(str(error).split())[:160]
        print(f"ensgan: another process of this run has ended ({text}). {SAFE}", file=sys.stderr, flush=True)
    else:
        traceback.print_exception(error)
    sys.stdout.flush()


def _system(error: BaseException) -> str:
    if isinstance(error, OSError):
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{place}"
    return "out of memory; lower --batch-size or the number of members, or --num"
