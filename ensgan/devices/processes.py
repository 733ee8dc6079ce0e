"""Several processes as one program: how they find each other, agree before they start, and end together.

`jax.distributed` connects them. In a single process, these functions do nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from ensgan import environment
from ensgan.types import InputError


class Agreed(InputError):
    """An error that all processes of a run raise, so that one of them can report it for all."""


RETRY = 1  # seconds between two attempts to find a host
SILENCE = 30  # seconds without a heartbeat, after which a process counts as dead


def join(
    coordinator: str | None = None,
    num: int | None = None,
    index: int | None = None,
    devices: list[int] | None = None,
    timeout: int = 120,
) -> None:
    """Connects this process to the others of its run; call it before any array exists.

    Without arguments, the environment variables of Slurm, Open MPI, Kubernetes or a TPU pod describe the cluster.

    Args:
        coordinator: `host:port` of process 0, which listens there.
        num: number of processes.
        index: number of this process, from 0.
        devices: the local devices of this process; by default all (on Slurm, one per task).
        timeout: number of seconds to wait for the others. A process that is still alone then ends with a message and
            exit code 2, since it waits outside Python and cannot be interrupted.

    Raises:
        InputError: arguments that are incomplete or out of range, or no cluster.
    """
    given = {"coordinator": coordinator, "num-processes": num, "process-id": index}
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if len(missing) not in (0, 3):
        raise InputError(f"{' and '.join(missing)} missing; give all of --coordinator, --num-processes, --process-id")
    if coordinator is not None and num is not None and index is not None:
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
            raise InputError(f"the coordinator is {coordinator!r}; give host:port of process 0, such as node0:1234")
        if num < 1 or not 0 <= index < num:
            raise InputError(
                f"process {index} of {num}; processes are numbered from 0: correct --process-id or --num-processes"
            )
        _check_host(host, timeout)
        if index == 0:
            _check_port(int(port))
    if timeout < 1:
        raise InputError(f"the timeout is {timeout} seconds; give at least 1")
    # JAX's preemption service agrees on a step number, which it misses if steps run many at a time. `any_of` votes.
    jax.config.update("jax_enable_preemption_service", False)
    where = f"process {index} of {num} at {coordinator}" if coordinator else "this process"
    waiting = threading.Timer(timeout, _give_up, [f"{where} waited {timeout} s for the others of its run; {_LATE}"])
    waiting.daemon = True
    waiting.start()
    interrupted = _default_interrupt()
    try:
        jax.distributed.initialize(
            coordinator, num, index, devices, initialization_timeout=timeout + 60, heartbeat_timeout_seconds=SILENCE
        )
        jax.local_devices()  # fails if a device in `devices` does not exist
    except RuntimeError as error:
        text = " ".join(str(error).split())[:200]
        if "backend" in text and (fault := environment.device_fault()) is not None:  # it is a variable's fault
            raise InputError(fault) from error
        raise InputError(f"{where} could not join the other processes of its run: {text}") from error
    except ValueError as error:  # no environment variables describe a cluster
        raise InputError(
            f"no cluster was found ({error}): the variables of Slurm, Open MPI, Kubernetes or a TPU pod are not set; "
            "give --coordinator HOST:PORT --num-processes N --process-id I"
        ) from error
    finally:
        waiting.cancel()
        interrupted()


def _default_interrupt() -> Callable[[], Any]:
    """Lets Ctrl-C end this process at once, since Python would not see it; returns a function that undoes this."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    except ValueError:  # not in the main thread
        return lambda: None
    return lambda: signal.signal(signal.SIGINT, before)


_LATE = "start all of them with the same coordinator and number of processes, and check that its port can be reached"


def _check_host(host: str, timeout: int) -> None:
    """Waits until a host name is known, for example that of a pod that is about to start."""
    last, said = time.monotonic() + timeout, False
    while True:
        try:
            socket.getaddrinfo(host.strip("[]"), None)
            return
        except OSError as error:
            text = f"the coordinator's host {host} is not known here ({error.strerror}); check --coordinator"
            if time.monotonic() + RETRY > last:
                raise InputError(text) from error
            if not said:
                print(f"ensgan: {text}; trying for {timeout} s", file=sys.stderr, flush=True)
            said = True
        time.sleep(RETRY)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise InputError(f"process 0 cannot listen on port {port}: {error.strerror}; choose another") from error


def _give_up(text: str) -> None:
    print(f"ensgan: {text}", file=sys.stderr, flush=True)
    os._exit(2)


def several() -> bool:
    """Whether this process is one of several."""
    return jax.process_count() > 1


def first() -> bool:
    """Whether this process is the one that writes files and prints."""
    return jax.process_index() == 0


def exchange(text: str) -> list[str]:
    """The texts of all processes, in their order. All processes must call it."""
    if not several():
        return [text]
    mine = np.frombuffer(text.encode(), np.uint8)
    sizes = np.ravel(multihost_utils.process_allgather(np.array([len(mine)], np.int32)))
    padded = np.zeros(max(1, int(sizes.max())), np.uint8)
    padded[: len(mine)] = mine
    rows = np.asarray(multihost_utils.process_allgather(padded)).reshape(len(sizes), -1)
    return [bytes(row[:size]).decode() for row, size in zip(rows, sizes, strict=True)]


def from_first(text: str) -> str:
    """The text of process 0."""
    return exchange(text if first() else "")[0]


@contextlib.contextmanager
def together() -> Iterator[None]:
    """An error in one process becomes an error in all processes, so that none waits for the others."""
    problem = ""
    try:
        yield
    except InputError as error:
        problem = str(error)
        if not several():
            raise
    found = exchange(problem)
    if any(found):
        k = next(k for k, text in enumerate(found) if text)
        raise Agreed(found[k] if all(found) else f"process {k}: {found[k]}")


def check_same(facts: Mapping[str, Any]) -> None:
    """Raises Agreed in all processes if a fact differs between two of them."""
    if not several():
        return
    lines = [dict(line.split("\t", 1) for line in text.splitlines()) for text in exchange(_lines(facts))]
    for k, other in enumerate(lines):
        for name in {**lines[0], **other}:
            here, there = lines[0].get(name, "missing"), other.get(name, "missing")
            if here != there:
                raise Agreed(
                    f"{name} is {here} in process 0 and {there} in process {k}; all processes of a run need the same "
                    "configuration, data and versions"
                )


def _lines(facts: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}\t{' '.join(str(value).split())}" for name, value in facts.items())


def any_of(flag: bool) -> bool:
    """Whether the flag is true in any process. All processes must call it."""
    return bool(np.any(multihost_utils.process_allgather(np.array([flag])))) if several() else flag


def same_array(x: Any) -> Any:
    """The array of process 0, in every process."""
    return multihost_utils.broadcast_one_to_all(x) if several() else x


# Waits for one byte. If the other end of the pipe closes without it, prints its argument.
_WATCH = "import os, sys; os.read(0, 1) or os.write(2, sys.argv[1].encode())"


def last_words(text: str) -> Callable[[], None]:
    """Arranges that `text` is printed if this process is killed, or ended by JAX because another one died.

    Returns:
        A function to call when the process ends normally.
    """
    command = [sys.executable, "-ISE", "-c", _WATCH, text]
    watcher = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def in_order() -> None:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            os.write(watcher.stdin.fileno(), b".")  # type: ignore[union-attr]
            watcher.wait(timeout=5)

    return in_order
