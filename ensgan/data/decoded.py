"""Decoded images in the user's cache, so that a folder or an archive is decoded, cropped and resized only once.

Nothing here is needed: what cannot be read, written or believed is decoded as if it had never been kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ensgan.data.archives import Member
from ensgan.data.downloads import cache

OFF = "ENSGAN_DECODED"  # the environment variable that turns this off
LEAST = 1_000  # images; fewer are decoded as quickly
MOST = 4 * 2**30  # bytes of all that is kept; what was not used for longest goes
LARGEST = 2 * 2**30  # bytes of one entry
SETTLED = 2  # seconds for which no file may have changed: clocks of file systems are coarse
FORMAT = 2
CHUNK = 2**24  # bytes that are checked at a time


class Kept(NamedTuple):
    """What was found out about images, and their pixels.

    Attributes:
        mode: that of all, in Pillow's words.
        transparent: whether one of them is, or has transparent parts.
        broken: the numbers of those that cannot be read.
        pixels: of the others, uint8 `[n, H, W, C]`, mapped from a file; what is written to it changes a copy.
    """

    mode: str
    transparent: bool
    broken: tuple[int, ...]
    pixels: np.ndarray


class Place(NamedTuple):
    """Where the pixels of some images are kept, and what they follow from."""

    file: Path
    files: Sequence[Any]
    root: Path
    options: Mapping[str, Any]


def folder() -> Path:
    """Where decoded images are kept: beside the downloaded data."""
    return cache() / "decoded"


def place_of(root: Path, files: Sequence[Any], options: Mapping[str, Any]) -> Place | None:
    """Where these images are kept, or would be; None where it is not worth it, or is turned off.

    Args:
        root: the folder or archive of all of them.
        files: paths, or members of archives.
        options: how they become pixels.
    """
    if len(files) < LEAST or os.environ.get(OFF, "").lower() in ("0", "off", "no", "false"):
        return None
    with contextlib.suppress(OSError):
        return Place(folder() / f"{_digest(root, files, options)[0]}.pixels", files, root, options)
    return None


def kept(place: Place) -> Kept | None:
    """What is kept there; None if nothing is, or it is not what was written. That is removed."""
    try:
        with place.file.open("rb") as file:
            try:
                found = _read(file, len(place.files))
            except (ValueError, KeyError, TypeError, RecursionError):
                _remove(place.file)
                return None
        with contextlib.suppress(OSError):
            os.utime(place.file)  # what was used last goes last
        return found
    except OSError:
        return None


def keep(place: Place, found: Kept) -> None:
    """Keeps pixels, unless their files changed meanwhile, or there is no room."""
    x = np.ascontiguousarray(found.pixels)
    with contextlib.suppress(OSError):
        name, changed = _digest(place.root, place.files, place.options)
        if place.file.stem != name or changed > time.time() - SETTLED or x.nbytes > LARGEST:
            return
        place.file.parent.mkdir(parents=True, exist_ok=True)
        place.file.parent.chmod(0o700)  # images may be nobody else's business
        _prune(place.file.parent, MOST - x.nbytes)
        if shutil.disk_usage(place.file.parent).free < 2 * x.nbytes:
            return
        head = {"format": FORMAT, "mode": found.mode, "transparent": found.transparent, "broken": found.broken}
        head |= {"shape": x.shape, "crc32": _sum(x)}
        text = json.dumps(head).encode()
        handle, temporary = tempfile.mkstemp(dir=place.file.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(b"%08x %s\n" % (zlib.crc32(text), text))
                file.write(_bytes(x))
            os.replace(temporary, place.file)
        except BaseException:
            _remove(Path(temporary))
            raise


def _digest(root: Path, files: Sequence[Any], options: Mapping[str, Any]) -> tuple[str, float]:
    """A name for all that the pixels follow from, and when the newest of the files changed, in seconds."""
    import PIL

    about = hashlib.sha256()
    newest = 0

    def note(*texts: Any) -> None:
        about.update(json.dumps(texts, default=str).encode())

    def note_file(name: str, path: str | Path) -> None:
        nonlocal newest
        stat = os.stat(path)
        newest = max(newest, stat.st_mtime_ns, stat.st_ctime_ns)
        note(name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)

    note(FORMAT, PIL.__version__, os.path.abspath(root), sorted(options.items()))
    inside = str(root)
    for file in files:
        if isinstance(file, Member):
            note(file.name)
        else:
            note_file(str(file).removeprefix(inside), file)
    for path in sorted({file.archive.path for file in files if isinstance(file, Member)}):
        note_file(str(path).removeprefix(inside), path)
    return about.hexdigest()[:40], newest / 1e9


def _read(file: Any, num: int) -> Kept:
    """The entry in an open file. Raises ValueError, KeyError or TypeError where it is not what was written."""
    line = file.readline(CHUNK)
    total, _, text = line.rstrip(b"\n").partition(b" ")
    if int(total, 16) != zlib.crc32(text):
        raise ValueError("the head is another one")
    head = json.loads(text)
    mode, broken, shape = str(head["mode"]), tuple(head["broken"]), tuple(head["shape"])
    transparent = bool(head["transparent"])
    if head["format"] != FORMAT or len(shape) != 4 or len(broken) + shape[0] != num:
        raise ValueError("it is of other images")
    if os.fstat(file.fileno()).st_size != len(line) + math.prod(shape):
        raise ValueError("it is cut off")
    x = np.asarray(np.memmap(file, np.uint8, "c", len(line), shape))
    if _sum(x) != head["crc32"]:
        raise ValueError("the pixels are other ones")
    return Kept(mode, transparent, broken, x)


def _bytes(x: np.ndarray) -> Any:
    """The bytes of an array, as they lie in memory."""
    return x.reshape(-1).data


def _sum(x: np.ndarray) -> int:
    """The CRC-32 of an array."""
    found, flat = 0, _bytes(x)
    for begin in range(0, len(flat), CHUNK):
        found = zlib.crc32(flat[begin : begin + CHUNK], found)
    return found


def _prune(place: Path, most: int) -> None:
    """Removes what was not used for longest, until the rest is small enough."""
    found = []
    for file in [*place.glob("*.pixels"), *place.glob(".*.part")]:  # a stranger's files stay
        with contextlib.suppress(OSError):  # another process may remove it
            about = file.stat()
            found.append((about.st_mtime, about.st_size, file))
    size = sum(one for _, one, _ in found)
    for _, one, file in sorted(found):
        if size <= most:
            return
        _remove(file)
        size -= one


def _remove(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink()
