"""Where metrics may go besides `metrics.jsonl`: TensorBoard and Weights & Biases, behind one protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ensgan.types import InputError

# Both kinds of records have a `fool`, of the training batch and held out; they must not share a curve.
RENAMED = {("train", "fool"): "fool_batch"}


class Sink(Protocol):
    """A place that takes numbers and pictures."""

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Take named numbers of one step."""

    def images(self, step: int, name: str, array: np.ndarray) -> None:
        """Take one picture, uint8 `[H, W, 3]`."""

    def close(self) -> None:
        """Finish writing."""


class TensorBoardSink:
    """Event files for TensorBoard, by tensorboardX."""

    def __init__(self, directory: str | Path) -> None:
        """Start an event file in `directory`.

        Raises:
            InputError: tensorboardX is not installed.
        """
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise InputError("TensorBoard needs tensorboardX: pip install 'ensgan[tensorboard]'") from None
        self._writer = SummaryWriter(str(directory))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """One curve per name."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def images(self, step: int, name: str, array: np.ndarray) -> None:
        """One picture, uint8 `[H, W, 3]`."""
        self._writer.add_image(name, np.asarray(array), step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class WandbSink:
    """A run of Weights & Biases."""

    def __init__(self, project: str, **settings: Any) -> None:
        """Start a run.

        Args:
            project: the project that the run belongs to.
            settings: further arguments of `wandb.init`, such as `name`, `config`, `dir`, `id` and `resume`.

        Raises:
            InputError: wandb is not installed, or cannot start: there is no key, for example.
        """
        try:
            import wandb  # pyrefly: ignore[missing-import]
        except ImportError:
            raise InputError("Weights & Biases needs wandb: pip install 'ensgan[wandb]'") from None
        self._image = wandb.Image
        try:
            self._run = wandb.init(project=project, **settings)
        except Exception as error:
            raise InputError(
                f"Weights & Biases does not start ({' '.join(str(error).split())[:120]}); run `wandb login`, set the "
                "environment variable WANDB_MODE=offline to keep its files here, or leave out --wandb"
            ) from error

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Log all names at once, since every call is a row of its own."""
        self._run.log(values, step=step)

    def images(self, step: int, name: str, array: np.ndarray) -> None:
        """One picture, uint8 `[H, W, 3]`."""
        self._run.log({name: self._image(np.asarray(array))}, step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


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
