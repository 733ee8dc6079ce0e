"""Files of well-known data sets: found in a folder, or downloaded once into the user's cache and checked."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ensgan.data.libraries import reason
from ensgan.types import InputError

WAIT = 20  # seconds for a server to answer


class Remote(NamedTuple):
    """A file to download.

    Attributes:
        url: its address.
        md5: its checksum, as its publisher gives it.
    """

    url: str
    md5: str


def fetched(name: str, files: Mapping[str, Remote], path: str | Path | None) -> dict[str, Path]:
    """The places of a data set's files, by their names.

    Args:
        name: of the data set, for its folder in the cache and for messages.
        files: what it consists of.
        path: a folder that has them; None looks into the cache, and downloads what is
            missing. The environment's proxies are used.

    Raises:
        InputError: a file is not there, cannot be downloaded, or is another one; nothing half stays.
    """
    if path is not None:
        place = Path(path)
        if not place.is_dir():
            raise InputError(
                f"{place} is {'a file' if place.exists() else 'missing'}; give the folder that has {', '.join(files)}"
            )
        return {file: _in_folder(place, file, files) for file in files}
    folder = cache() / name
    return {file: _downloaded(name, folder, file, remote) for file, remote in files.items()}


def cache() -> Path:
    """The folder for downloaded data: `ENSGAN_DATA` if it is set, else `ensgan/data` in the user's cache."""
    if own := os.environ.get("ENSGAN_DATA"):
        return Path(os.path.expanduser(own))
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ensgan" / "data"


def _in_folder(place: Path, file: str, files: Mapping[str, Remote]) -> Path:
    names = [
        file,
        file.removesuffix(".gz"),
        file.replace("-idx", ".idx"),
        file.removesuffix(".gz").replace("-idx", ".idx"),
    ]
    found = next((place / name for name in names if (place / name).is_file()), None)
    if found is None:
        raise InputError(f"{place} has no {file}; put {', '.join(files)} there")
    return found


def _downloaded(name: str, folder: Path, file: str, remote: Remote) -> Path:
    import pooch  # slow to import
    import requests

    elsewhere = f"put {file} into {folder}, or give the folder that has it: --data-dir DIR"
    with _quiet(pooch.get_logger()):
        try:
            if not (folder / file).is_file():
                print(f"downloading {file} of {name} from {remote.url} into {folder}")
            loader: Any = pooch.HTTPDownloader(progressbar=True, timeout=WAIT)
            return Path(pooch.retrieve(remote.url, f"md5:{remote.md5}", file, folder, downloader=loader))
        except ValueError as error:
            raise InputError(
                f"what came from {remote.url} is not {file}: its checksum is another one, so it was not kept; try "
                f"again, or put the right file into {folder}"
            ) from error
        except requests.Timeout as error:
            raise InputError(f"{remote.url} did not answer within {WAIT} seconds; {elsewhere}") from error
        except requests.ConnectionError as error:
            raise InputError(f"there is no connection to {remote.url}; {elsewhere}") from error
        except (requests.RequestException, OSError) as error:
            raise InputError(f"cannot download {file} of {name} ({reason(error)}); {elsewhere}") from error


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Leaves the talking to this library."""
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
