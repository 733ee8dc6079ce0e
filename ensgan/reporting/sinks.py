"""Where numbers and pictures may go besides `metrics.jsonl`: TensorBoard, W&B, trackio, or a function of the user.

A *sink* is one function, `sink(step, values)`. A *tracker* opens one for a run, and closes it at the end.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ensgan.reporting.files import RunFiles
from ensgan.types import InputError

# Both kinds of records have a `fool`, of the training batch and held out; they must not share a curve.
RENAMED = {("train", "fool"): "fool_batch"}

# Takes a step and what is known of it, by name: numbers, and pictures as uint8 `[H, W, 3]`.
Sink = Callable[[int, Mapping[str, Any]], object]


class Tracked(NamedTuple):
    """The run that a tracker is told about.

    Attributes:
        name: what the run is called.
        id: twelve letters and digits; they stay the same when the run goes on after an interruption.
        folder: that of the run.
        settings: its configuration, as plain data.
    """

    name: str
    id: str
    folder: Path
    settings: dict[str, Any]


Tracker = Callable[[Tracked], AbstractContextManager[Sink]]


@contextlib.contextmanager
def tensorboard(run: Tracked) -> Iterator[Sink]:
    """Event files for TensorBoard in the folder of the run, by tensorboardX.

    Raises:
        InputError: tensorboardX is not installed.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise InputError("TensorBoard needs tensorboardX: pip install 'ensgan[tensorboard]'") from None
    with contextlib.closing(SummaryWriter(str(RunFiles(run.folder).tensorboard))) as writer:

        def sink(step: int, values: Mapping[str, Any]) -> None:
            for name, value in values.items():
                if np.ndim(value):
                    writer.add_image(name, np.asarray(value), step, dataformats="HWC")
                else:
                    writer.add_scalar(name, value, step)

        yield sink


def wandb(project: str) -> Tracker:
    """A tracker for a project of Weights & Biases; it raises InputError where wandb is missing or cannot start."""
    advice = "run `wandb login`, set the environment variable WANDB_MODE=offline to keep its files here, or leave out"
    settings = lambda run: {"name": run.name, "dir": str(run.folder), "id": run.id}
    return _hosted("wandb", "Weights & Biases", f"{advice} --wandb", project, settings)


def trackio(project: str) -> Tracker:
    """A tracker for a project of trackio, on this machine unless the user's environment says otherwise.

    It raises InputError where trackio is missing or cannot start. Runs are found again by their names, so the name
    carries the id.
    """
    alone = {"embed": False, "auto_log_cpu": False, "auto_log_gpu": False}  # nothing but the numbers of the run
    settings = lambda run: {"name": f"{run.name}-{run.id}", **alone}
    return _hosted("trackio", "trackio", "choose another name of a project, or leave out --trackio", project, settings)


def _hosted(
    package: str, title: str, advice: str, project: str, settings: Callable[[Tracked], dict[str, Any]]
) -> Tracker:
    """A tracker for a package whose runs work as those of Weights & Biases do."""

    @contextlib.contextmanager
    def tracker(run: Tracked) -> Iterator[Sink]:
        try:
            module = importlib.import_module(package)
        except ImportError:
            raise InputError(f"{title} needs {package}: pip install 'ensgan[{package}]'") from None
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what a command prints is its result
                opened = module.init(project=project, resume="allow", **settings(run))
        except Exception as error:
            raise InputError(f"{title} does not start ({' '.join(str(error).split())[:120]}); {advice}") from error
        shown = lambda value: module.Image(np.asarray(value)) if np.ndim(value) else value
        try:
            # All names at once, since every call is a row of its own.
            yield lambda step, values: opened.log({name: shown(value) for name, value in values.items()}, step=step)
        finally:
            with contextlib.redirect_stdout(sys.stderr):
                module.finish()  # not the run's, after which trackio would finish it again at exit

    tracker.__name__ = package
    return tracker


def flatten(record: dict[str, Any]) -> dict[str, float]:
    """The numbers of a record of `metrics.jsonl`, by names such as `score_g/0` and `fool/1_2`.

    Indices of one array are joined by `_`, names of nested dicts by `/`. Left out are `kind`, `step`, texts,
    and what is not finite. `fool` of a training record is called `fool_batch`.
    """
    flat = {}
    for name, value in record.items():
        if name not in ("kind", "step"):
            flat.update(_numbers(RENAMED.get((str(record.get("kind")), name), name), value))
    return flat


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _numbers(f"{name}/{key}", item)
        return
    array = np.array(value)
    if array.dtype.kind in "US":
        return
    array = array.astype(float)  # None becomes NaN
    for index in np.ndindex(array.shape):
        if np.isfinite(array[index]):
            yield (f"{name}/{'_'.join(map(str, index))}" if index else name), float(array[index])
