"""Files that a reader, or a crash, finds whole: JSON and bytes, written in one piece."""

from __future__ import annotations

import contextlib
import json
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

SUM = "crc32"  # the key of a checksum


class _At(property):
    """A file of a run."""


def _at(name: str) -> Any:
    return _At(lambda self: self.folder / name)


class RunFiles:
    """The files of a run, all of them in its folder."""

    def __init__(self, folder: str | Path) -> None:
        """The files in a folder, whether they are there or not."""
        self.folder = Path(folder)

    config: Path = _at("config.json")  # the settings, resolved
    metrics: Path = _at("metrics.jsonl")
    clock: Path = _at("clock.json")  # seconds by what they were spent on
    versions: Path = _at("versions.json")  # of the libraries, with the checksum of the data
    data: Path = _at("data.json")  # what was read: number, shape, range of values, classes, what was skipped
    checkpoints: Path = _at("checkpoints")
    samples: Path = _at("samples.npz")
    picture: Path = _at("samples.png")
    progress: Path = _at("progress")  # the picture of samples at each step that had one
    film: Path = _at("progress.gif")
    report: Path = _at("report.html")
    selection: Path = _at("selection.json")  # what `ensgan select` chose
    judge: Path = _at("judge.json")  # what `ensgan judge` left: how good its judge is
    judge_arrays: Path = _at("judge.npz")  # the judge itself
    reliability: Path = _at("reliability.png")  # likewise
    tensorboard: Path = _at("tensorboard")
    profile: Path = _at("profile")  # traces
    tracking: Path = _at("tracking.json")  # the run's id for W&B and other trackers
    wandb: Path = _at("wandb.json")  # the same of runs made before there were others
    series: Path = _at("series.json")  # of a folder of several runs, which is none itself
    search: Path = _at("search.json")  # of a series whose runs are the trials of a search: what is searched
    study: Path = _at("study.log")  # the trials, as Optuna keeps them
    replaced: Path = _at(".replaced")  # the run that this one replaces, until it has a checkpoint

    def names(self) -> set[str]:
        """The names of all of them."""
        return {getattr(self, name).name for name, each in vars(RunFiles).items() if isinstance(each, _At)}

    @property
    def removable(self) -> tuple[Path, ...]:
        """The files that go when another run takes the folder: all but the configuration, which is replaced."""
        texts = (
            self.metrics,
            self.clock,
            self.versions,
            self.data,
            self.samples,
            self.picture,
            self.film,
            self.report,
            self.tracking,
            self.wandb,
        )
        judged = (self.judge, self.judge_arrays, self.reliability)
        return (*texts, self.selection, *judged, self.checkpoints, self.progress, self.tensorboard, self.profile)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file as `written` does."""
    with written(path) as file:
        file.write(content)


@contextlib.contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A file to write into that has its name once it is whole: a reader, or a crash, finds the old one or the new one.

    After a failure (a full disk) nothing is left of it. What is no regular file, such as a pipe, is written directly.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    target = path.resolve() if path.is_symlink() else path
    temporary = target.with_name(target.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def plain(value: Any) -> Any:
    """The value in JSON's own types: arrays become lists, floats keep 6 digits, NaN and ±∞ become null."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) or np.ndim(value) == 0:
        return _number(value)
    return [plain(item) for item in np.asarray(value)]


def _number(value: Any) -> float | int | bool | None:
    if not isinstance(value, float):
        value = np.asarray(value)
        # bfloat16 and its relatives are of no kind that numpy knows: all but bools and integers are floats.
        if value.dtype.kind in "biu":
            return value.item()
    value = float(value)
    # More than six digits are noise in a mean over a batch, and would double the file.
    return float(f"{value:.6g}") if math.isfinite(value) else None


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Writes JSON atomically, with a checksum in it: a reader, or a crash, finds the old file or the new one."""
    value = json.loads(json.dumps(value))
    write_atomically(path, (json.dumps({**value, SUM: checksum(value)}, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, without the checksum, which must be right if there is one.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, no object, or not what was written.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("too deep") from error
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__}; expected a JSON object")
    return believed(found)


def believed(found: dict[str, Any]) -> dict[str, Any]:
    """An object without its checksum. Raises ValueError where that is another one; objects without one are older."""
    rest = {key: value for key, value in found.items() if key != SUM}
    if SUM in found and found[SUM] != checksum(rest):
        raise ValueError(f"it is not what was written; if you changed it yourself, remove {SUM!r} from it")
    return rest


def checksum(value: dict[str, Any]) -> str:
    """The CRC-32 of an object, whatever its layout in a file."""
    return f"{zlib.crc32(json.dumps(value, separators=(',', ':')).encode()):08x}"
