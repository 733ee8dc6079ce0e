"""The run directory: what a run leaves in it, and who may write there."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import uuid
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from shlex import quote
from typing import Any

import jax

from ensgan.reporting import read_metrics
from ensgan.reporting.files import RunFiles, read_json, write_json
from ensgan.runs.config import read
from ensgan.types import InputError

try:
    import fcntl
except ImportError:  # not on Windows, where nothing stops two processes from training in one folder
    fcntl = None  # type: ignore[assignment]

PACKAGES = ("ensgan", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def settings(file: Path) -> dict[str, Any]:
    """The content of `config.json`. Raises InputError where no run wrote it."""
    tree = read(file)
    if missing := [key for key in ("generators", "discriminators", "data") if key not in tree]:
        raise InputError(f"{file} is not the configuration of a run: it has no {missing[0]!r}")
    return tree


def check_free(directory: Path, overwrite: bool) -> None:
    """Raises InputError where a run, or what only looks like one, would be lost."""
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; give a folder for the run")
    files = RunFiles(directory)
    if not files.config.exists():
        if found := [file.name for file in files.removable if file.exists()]:
            raise InputError(
                f"{directory} holds {found[0]}, but no config.json of a run, so it is left alone; choose another folder"
            )
        return
    settings(files.config)
    if not overwrite:
        raise InputError(
            f"{directory} already holds a run; continue it with `ensgan resume {quote(str(directory))}`, choose "
            "another --run-dir, or add --overwrite to replace it"
        )


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keeps other processes from training in the directory; the lock goes with this process, however it ends."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(f"another process is training in {directory}; wait for it, or stop it") from error
            except OSError:  # a file system without locks
                pass
        yield
    finally:
        os.close(descriptor)


def versions() -> dict[str, str]:
    """Versions of what a result depends on, and the device."""
    found = {"python": platform.python_version(), "platform": platform.platform(terse=True)}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    device = jax.devices()[0]
    # Results on a GPU are only reproducible under XLA's deterministic settings, which the user chooses here.
    found["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "")
    return {**found, "device": f"{device.platform}: {device.device_kind} × {jax.device_count()}"}


def versions_of(directory: Path) -> dict[str, Any]:
    """The versions and data checksum that a run last wrote; empty where they cannot be read."""
    return dictionary(RunFiles(directory).versions)


def damaged(path: Path) -> bool:
    """Whether an optional JSON file is there and cannot be believed."""
    return os.path.lexists(path) and not dictionary(path)


def dictionary(path: Path) -> dict[str, Any]:
    """The content of an optional JSON file; empty if it is missing or broken."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return read_json(path)
    return {}


def tracking_id(directory: Path) -> str:
    """The id of the run for trackers, made at its beginning and kept in its folder, so that it goes on there."""
    files = RunFiles(directory)
    known = dictionary(files.tracking).get("id") or dictionary(files.wandb).get("id")
    if not known:
        write_json(files.tracking, {"id": (known := uuid.uuid4().hex[:12])})
    return str(known)


def make(directory: Path) -> None:
    """Makes the folder and those around it. Raises InputError where that cannot be."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the run directory {directory}: {error.strerror}") from error


@contextlib.contextmanager
def replacing(directory: Path) -> Iterator[Callable[[], None] | None]:
    """Sets an older run aside while inside.

    Gives a function to call when the new run has its first checkpoint: then the older one is removed. If that never
    happens, the older run is put back at the end, as it was. The directory should be locked. Without an older run, it
    gives None.
    """
    files = RunFiles(directory)
    if not files.config.exists():
        yield None
        return
    files.replaced.mkdir(exist_ok=True)
    _move(directory, files.replaced)
    try:
        yield lambda: shutil.rmtree(files.replaced, ignore_errors=True)
    finally:
        if files.replaced.is_dir():
            _put_back(files)


def recover(directory: Path) -> None:
    """Ends a replacement that a crash left half done, unless a process trains there."""
    files = RunFiles(directory)
    if not files.replaced.is_dir():
        return
    with contextlib.suppress(InputError), locked(directory):
        if any(step.name.isdigit() for step in files.checkpoints.glob("*")):
            shutil.rmtree(files.replaced)
        else:
            _put_back(files)


def _put_back(files: RunFiles) -> None:
    if (files.replaced / files.config.name).exists():  # else nothing of it had been moved
        clear(files.folder)
        _move(files.replaced, files.folder)
    shutil.rmtree(files.replaced)


def _move(from_: Path, to: Path) -> None:
    """Moves a run to another folder of its file system; its configuration, which makes it a run, goes first."""
    for file in (RunFiles(from_).config, *RunFiles(from_).removable):
        if file.exists():
            os.replace(file, to / file.name)


def clear(directory: Path) -> None:
    """Removes what an earlier run left, except its configuration, which is replaced; anything else stays."""
    try:
        for file in RunFiles(directory).removable:
            if file.is_dir():
                shutil.rmtree(file)
            else:
                file.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot empty the run directory {directory}: {error.strerror}") from error


def scores_at(directory: Path, step: int) -> dict[str, Any] | None:
    """The held-out scores of that step in the log, if it has them."""
    file = RunFiles(directory).metrics
    records = read_metrics(file) if file.is_file() else []
    return next((r for r in reversed(records) if (r.get("kind"), r.get("step")) == ("score", step)), None)
