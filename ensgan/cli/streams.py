"""Standard output and errors of the program: any encoding, and a reader that has gone or a disk that is full."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from ensgan.types import printable

CALLED: dict[str, str] = {}  # folders of this machine, and the addresses that are worked on there
PLAIN = str.maketrans({"−": "-", "–": "-", "×": "x", "·": ".", "→": "->"})  # where an encoding lacks them


class Patient(io.FileIO):
    """A file that drops what it cannot write, so that work goes on; `failed` is the first error."""

    failed: OSError | None = None

    def write(self, data: Any) -> int:
        """Writes, or drops, the data."""
        if self.failed is None:
            try:
                return super().write(data) or 0
            except OSError as error:
                self.failed = error
        return memoryview(data).nbytes


class Plain(io.TextIOWrapper):
    """A stream on which names from strangers' files cannot drive the terminal; `free` is for bars, which do."""

    free: TextIO

    def write(self, text: str) -> int:
        """Writes the text with escapes in place of control characters."""
        for folder, address in CALLED.items():
            text = text.replace(folder, address)
        return super().write(printable(text))


@contextlib.contextmanager
def called(folder: str, address: str) -> Iterator[None]:
    """Shows an address in place of a folder while inside, so that what is printed is true on other machines too."""
    CALLED[folder] = address
    try:
        yield
    finally:
        CALLED.pop(folder, None)


def prepare() -> None:
    """Makes standard output and errors take every text, whatever their encoding is, also where they are closed."""
    codecs.register_error("ensgan", _replaced)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # closed: the next file that is opened must not get its number
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    sys.stdout, sys.stderr = _opened(sys.stdout), _opened(sys.stderr)


def failed() -> OSError | None:
    """What went wrong with standard output, once all of it was to be written; None if nothing did."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.failed if isinstance(raw, Patient) else None


def _opened(stream: TextIO) -> TextIO:
    """The stream with errors of encoding and of writing taken care of."""
    if os.name != "posix":  # a console of Windows is no file
        stream.reconfigure(errors="ensgan")  # type: ignore[attr-defined]
        return stream
    stream.flush()
    buffer = io.BufferedWriter(Patient(stream.fileno(), "w", closefd=False))
    through = stream.isatty() or stream is sys.stderr
    how: Any = {"encoding": stream.encoding, "errors": "ensgan", "line_buffering": through}
    plain = Plain(buffer, **how)
    plain.free = io.TextIOWrapper(buffer, **how)
    return plain


def _replaced(error: UnicodeError) -> tuple[bytes, int]:
    """Bytes of a file's name as they are; of other characters a similar one, or a question mark."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end].translate(PLAIN)
    byte = lambda c: bytes([ord(c) - 0xDC00]) if 0xDC80 <= ord(c) <= 0xDCFF else c.encode("ascii", "replace")
    return b"".join(map(byte, text)), error.end
