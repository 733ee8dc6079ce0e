"""Object stores and their addresses, such as s3://bucket/data.zip: what is there, and data fetched into the cache."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ensgan.data.downloads import cache
from ensgan.types import InputError

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
ONE_SLASH = re.compile(r"(s3a?|gs|gcs|az|abfss?|adl|hdfs|memory|https?):/(?!/)")  # what `Path` makes of an address
TRIES, WAIT = 6, 0.2  # of a request, and seconds before the second; the waits double
# What says that a file is another one than before, in the words of the backends; the first of them that is there.
TAGS = ("ETag", "etag", "generation", "md5Hash", "mtime", "LastModified", "modified", "created")


class Entry(NamedTuple):
    """A file of a store.

    Attributes:
        size: in bytes.
        tag: another text when its content is another one.
    """

    size: int
    tag: str


def is_address(place: object) -> bool:
    """Whether a place is an address, and not a path on this machine.

    Raises:
        InputError: it would be an address, but has one slash.
    """
    if isinstance(place, str | Path) and (kind := ONE_SLASH.match(str(place))):
        right = f"{kind[1]}://{str(place)[kind.end() :]}"
        how = "" if isinstance(place, str) else ", as text, since a Path keeps one slash only"
        raise InputError(f"{place} has one slash where an address has two; write {right}{how}")
    return isinstance(place, str) and ADDRESS.match(place) is not None


def store(address: str) -> tuple[Any, str]:
    """The file system of an address, as fsspec knows it, and the path in it.

    Credentials are what its backend finds in the environment.

    Raises:
        InputError: fsspec or the backend is not installed or not known, or the address has a secret in it, or no name.
    """
    if not address.partition("://")[2].strip("/"):
        raise InputError(f"{address} has no name of a bucket; give an address such as s3://bucket/folder")
    if "?" in address or "@" in address.partition("://")[2].partition("/")[0]:
        raise InputError(
            f"{address.partition('://')[0]}://… has a password or a key in the address, which would be written into "
            "the run; put it into the environment, and give the address without '@' and '?'"
        )
    try:
        from fsspec.core import url_to_fs

        # Not shared with other users of fsspec, and never an old listing.
        files, path = url_to_fs(address, skip_instance_cache=True, use_listings_cache=False)
    except ImportError as error:
        raise InputError(
            f"{address} needs fsspec and its backend, which are not installed: pip install 'ensgan[cloud]'"
        ) from error
    except ValueError as error:
        raise InputError(
            f"{address} is of a kind that fsspec does not know; give an address such as s3://bucket/folder or "
            "gs://bucket/folder"
        ) from error
    return files, path.rstrip("/")


def tried(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a request, which is made again after growing waits where it fails.

    What is not there, or not allowed, is not asked for again. The last error is raised as it came.
    """
    for k in range(TRIES):
        try:
            return function(*arguments)
        except (FileNotFoundError, PermissionError):
            raise
        except Exception:  # backends raise errors of many kinds
            if k == TRIES - 1:
                raise
            time.sleep(WAIT * 2**k)


def why(error: BaseException) -> str:
    """A short reason why a request failed."""
    text = " ".join(str(error).split())[:120]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def listed(files: Any, root: str) -> dict[str, Entry]:
    """The files under a path, by their paths as seen from there; of a path that is a file, itself under an empty name.

    Raises:
        InputError: a name that would be outside of a folder into which it is copied.
    """

    def ask() -> dict[str, Any]:
        files.invalidate_cache()
        return files.find(root, detail=True)

    try:
        found = tried(ask)
    except FileNotFoundError:
        return {}
    entries = {}
    for name, about in found.items():
        inside = name[len(root) :].lstrip("/")
        if about.get("type") != "file" or name.endswith("/") or (name != root and not name.startswith(f"{root}/")):
            continue  # a place holder for a folder, or a neighbour whose name begins alike
        if ".." in PurePosixPath(inside).parts or "\0" in inside:
            raise InputError(f"{root} has a file {inside!r}, which would be outside of its folder; remove it there")
        tag = next((str(about[key]) for key in TAGS if about.get(key)), "")
        entries[inside] = Entry(int(about.get("size") or 0), f"{about.get('size')} {tag}")
    return entries


def download(files: Any, source: str, target: Path, size: int) -> None:
    """Copies one file here, whole or not at all.

    Raises:
        FileNotFoundError: it is not there any more.
        OSError: it did not come whole.
    """

    def get() -> None:
        files.get_file(source, str(part))
        if (got := part.stat().st_size) != size:
            raise OSError(f"{source} has {size} bytes, and {got} of them came")

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.tmp")
    try:
        tried(get)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def fetched(address: str) -> Path:
    """The data at an address, a file or a folder, in the user's cache; fetched again only when they changed there.

    Raises:
        InputError: as in `store`; nothing is there, or it cannot be read.
    """
    files, root = store(address)
    try:
        found = listed(files, root)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{address} cannot be read ({why(error)}); check its name, the connection and the credentials"
        ) from error
    if not found:
        raise InputError(f"there is nothing at {address}; check its name, and whether your credentials may read it")
    content = json.dumps([address, sorted(found.items())])
    folder = cache() / "addresses" / hashlib.sha256(content.encode()).hexdigest()[:16]
    place = folder / PurePosixPath(root).name
    if place.exists():
        return place
    print(f"fetching {address}, {sum(entry.size for entry in found.values()):,} bytes, into {folder}", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix="part-", dir=folder))
    try:
        for name, entry in found.items():
            download(files, f"{root}/{name}" if name else root, part / place.name / name, entry.size)
        if not place.exists():  # else another process was faster
            os.replace(part / place.name, place)
    except Exception as error:
        if place.exists():
            return place
        raise InputError(f"{address} cannot be fetched ({why(error)}); try again") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return place
