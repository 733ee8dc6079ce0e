"""How much memory arrays may take, so that what a header or a flag asks for is refused before it is allocated."""

from __future__ import annotations

import os

from ensgan.types import InputError


def memory() -> int:
    """The bytes of memory of this machine; 2**40 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not on Windows
        return 2**40


def check_fits(size: int, what: str, instead: str) -> None:
    """Raises InputError where `size` bytes are more than the memory of this machine.

    Args:
        size: bytes.
        what: what needs them, for the message.
        instead: what to do.
    """
    if size > memory():
        raise InputError(f"{what} needs {gib(size)}, and this machine has {gib(memory())} of memory; {instead}")


def gib(size: int) -> str:
    """Bytes in GiB, as a text."""
    number = size / 2**30
    return (
        f"{number:,.0f} GiB" if 100 <= number < 2**20 else f"{number:.3g} GiB" if number < 100 else f"{number:.1e} GiB"
    )
