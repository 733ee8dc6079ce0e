"""Signals that end a run, collected until it can stop in order."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]


@contextlib.contextmanager
def collected() -> Iterator[list[int]]:
    """Collects `ENDING` signals while inside; a second SIGINT is the usual KeyboardInterrupt."""
    caught: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and caught:
            raise KeyboardInterrupt
        caught.append(number)

    previous = {}
    with contextlib.suppress(ValueError):  # only the main thread may set handlers
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # under nohup, a closed terminal ends nothing
                previous[number] = signal.signal(number, remember)
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
