"""Archives of files, .zip and .tar, that are read in place: nothing is unpacked, so nothing is written."""

from __future__ import annotations

import contextlib
import io
import lzma
import struct
import tarfile
import threading
import weakref
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ensgan.data.libraries import reason
from ensgan.types import InputError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
LARGEST = 256 * 2**20  # bytes of one file, unpacked
TOGETHER = 2 * 2**30  # bytes of all files of a compressed .tar, which is read as a whole
BROKEN = (
    OSError, EOFError, RuntimeError, ValueError, LookupError, ArithmeticError,
    struct.error, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError,
)  # fmt: skip


@dataclass(frozen=True, order=True)
class Member:
    """A file in an archive, with what is needed of a path."""

    name: str  # with slashes
    archive: Archive = field(compare=False, repr=False)

    def __str__(self) -> str:
        """The place for messages."""
        return f"{self.archive.path}/{self.name}"

    @property
    def suffix(self) -> str:
        """The ending of the name."""
        return PurePosixPath(self.name).suffix

    def relative_to(self, root: Any) -> PurePosixPath:
        """The path inside the archive, below the folder that holds everything, if there is one."""
        return PurePosixPath(self.name).relative_to(self.archive.top)

    def open(self) -> io.BytesIO:
        """The content. Raises InputError for a broken or very large file."""
        return io.BytesIO(self.archive.read(self.name))


def is_archive(path: Path) -> bool:
    """Whether a path is a file with the ending of an archive."""
    return path.name.lower().endswith(SUFFIXES) and path.is_file()


class Archive:
    """The files of an archive by name.

    Attributes:
        path: where it is.
        top: the folder inside that holds everything; empty if there is none.
        repeated: names that occur more than once; the last file of a name is the one that is read.
    """

    def __init__(self, path: Path) -> None:
        """Reads the list of files.

        Raises:
            InputError: it is broken, or names a file outside of itself.
        """
        self.path, self.top = path, PurePosixPath()
        self._lock = threading.Lock()
        self._content: dict[str, bytes] = {}  # of a compressed .tar
        self.repeated: list[str] = []
        with _reported(path):
            if path.name.lower().endswith(".zip"):
                self._file: Any = zipfile.ZipFile(path)
                files = [each for each in self._file.infolist() if not each.is_dir()]
                sizes = {each.filename: each.file_size for each in files}
                if len(sizes) < len(files):
                    self.repeated = [name for name, count in Counter(e.filename for e in files).items() if count > 1]
            else:
                self._file = tarfile.open(path)  # noqa: SIM115, open as long as the archive
                sizes = self._tar(compressed=not path.name.lower().endswith(".tar"))
        weakref.finalize(self, self._file.close)
        for name in sizes:
            parts = PurePosixPath(name.replace("\\", "/")).parts
            if ".." in parts or name.startswith(("/", "\\")) or ":" in (parts or ("",))[0]:
                raise InputError(f"{path} names a file outside of itself, {name!r}, so it is not read")
            if "\\" in name:
                raise InputError(
                    f"{path} names a file with a backslash, {name!r}, as some programs on Windows write it between "
                    "folders; pack the folder again with another program"
                )
        self._sizes = sizes

    def _tar(self, compressed: bool) -> dict[str, int]:
        """The sizes of its files by name; the files themselves where one cannot go back in it."""
        sizes: dict[str, int] = {}
        self._entries = {}
        for each in self._file:
            if not each.isfile():
                continue
            if each.name in sizes:
                self.repeated.append(each.name)
            sizes[each.name] = each.size
            self._entries[each.name] = each
            if not compressed:
                continue
            if sum(sizes.values()) > TOGETHER:
                raise InputError(
                    f"{self.path} holds more than {TOGETHER // 2**30} GiB, too much for a compressed .tar, which is "
                    "read as a whole; unpack it, or pack it as a .zip"
                )
            self._content[each.name] = self._file.extractfile(each).read(LARGEST + 1)
        return sizes

    def members(self) -> list[Member]:
        """All files."""
        return [Member(name, self) for name in self._sizes]

    def read(self, name: str) -> bytes:
        """The content of a file, whatever size the archive says it has."""
        with _reported(self.path, name), self._lock:
            if name in self._content:
                content = self._content[name]
            elif isinstance(self._file, zipfile.ZipFile):
                with self._file.open(name) as file:
                    content = file.read(LARGEST + 1)
            else:
                content = self._file.extractfile(self._entries[name]).read(LARGEST + 1)
        if len(content) > LARGEST:
            raise InputError(f"{self.path}/{name} is larger than {LARGEST // 2**20} MiB, so it is not read; remove it")
        return content


@contextlib.contextmanager
def _reported(path: Path, name: str = "") -> Iterator[None]:
    """Errors of the libraries as one line."""
    try:
        yield
    except InputError:
        raise
    except BROKEN as error:
        what = f"{name} in {path}" if name else f"{path}"
        raise InputError(f"{what} cannot be read ({reason(error)}); pack or download it again") from error
