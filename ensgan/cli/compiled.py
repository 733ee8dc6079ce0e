"""The cache of compiled programs: a command finds again what an earlier one compiled on this machine."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import platform
import re
import sys
import warnings
from pathlib import Path
from typing import Any

OFF = "--no-compile-cache"
OWN = ("JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE")  # JAX's own settings win
MOST = 2**30  # bytes; what was not used for longest goes


def use(argv: list[str]) -> list[str]:
    """Turns the cache on, unless `--no-compile-cache` is among the arguments; gives the others.

    What is found was compiled by the same versions, with the same flags, on a machine of this kind, so results are the
    same, to the last bit on a CPU. A cache that cannot be used is noted, and never stops a command.
    """
    others = [each for each in argv if each != OFF]
    if len(others) < len(argv) or any(os.environ.get(name) for name in OWN):
        return others
    if sys.platform == "darwin":  # XLA there may crash on programs that it stored itself
        return others
    import jax

    folder = folder_of_machine()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _prune(folder)
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        print(f"note: programs are compiled again each time, since {folder}: {error.strerror}", file=sys.stderr)
        return others
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # a run has many small programs
    _note_faults(folder)
    return others


def folder_of_machine() -> Path:
    """Where the programs of this kind of machine are kept."""
    return _home() / "ensgan" / "compiled" / _machine()


def _home() -> Path:
    """The user's folder for caches."""
    given = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", "")
    return Path(given) if os.path.isabs(given) else Path.home() / ".cache"


def _machine() -> str:
    """A name for machines that can run each other's programs: one kind of processor, and as many cores."""
    about = [platform.machine(), str(os.cpu_count())]
    with contextlib.suppress(OSError, AttributeError):
        about.append(str(len(os.sched_getaffinity(0))))
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        about += sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    return hashlib.sha256("\n".join(about).encode()).hexdigest()[:16]


def _prune(folder: Path) -> None:
    """Removes what was not used for longest, until the rest is small enough."""
    found = []
    for file in folder.iterdir():
        with contextlib.suppress(OSError):  # another process may remove it
            about = file.stat()
            found.append((max(about.st_atime, about.st_mtime), about.st_size, file))
    size = sum(one for _, one, _ in found)
    for _, one, file in sorted(found):
        if size <= MOST:
            return
        with contextlib.suppress(OSError):
            file.unlink()
        size -= one


def _note_faults(folder: Path) -> None:
    """Turns JAX's warnings about broken entries, or a full disk, into one note, and removes what is broken."""
    show, told = warnings.showwarning, []

    def shown(message: Any, *where: Any, **more: Any) -> None:
        if "persistent compilation cache" not in str(message):
            show(message, *where, **more)
            return
        # JAX would never replace an entry that it cannot read.
        broken = re.search(r"reading .*entry for '([^']+)'", str(message))
        for file in folder.glob(f"{glob.escape(broken[1])}-*") if broken else ():
            with contextlib.suppress(OSError):
                file.unlink()
        if not told:
            told.append(message)
            print(f"note: a program in {folder} cannot be read or written, and is compiled again", file=sys.stderr)

    warnings.showwarning = shown
