"""Samples of a run to look at: `samples.npz` and `samples.png` beside reals, and pictures of samples drawn later."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ensgan.data import Source, to_uint8
from ensgan.data.columns import Columns
from ensgan.game.game import Game
from ensgan.game.state import State
from ensgan.reporting import write_samples
from ensgan.reporting.figures import scatter_panel
from ensgan.reporting.files import RunFiles, write_atomically, written
from ensgan.reporting.pictures import COLUMNS, png, tile
from ensgan.sampling.inference import NOISE_SEED, every_member


def save_samples(directory: Path, game: Game, state: State, source: Source) -> None:
    """`samples.npz` and `samples.png`: averaged generators beside reals."""
    image = len(game.sample_shape) == 3
    if not image and int(np.prod(game.sample_shape)) < 2:
        return  # a single number has no picture
    num, told = 32 if image else 1000, 0
    reals = source.held_out("select", num)
    label = reals.get("label")
    if image and game.classes is not None:
        told = min(COLUMNS, game.classes)
        reals, label = by_class(source.held_out("select", 1000), told, -(-num // told))
    num = len(reals["x"])
    fakes = np.asarray(every_member(game, state, jax.random.key(NOISE_SEED + 1), num, label))
    if image:
        fakes, real = to_uint8(fakes), to_uint8(reals["x"])
    else:  # points are shown by their first two coordinates
        fakes, real = fakes.reshape(game.M, num, -1)[..., :2], reals["x"].reshape(num, -1)[:, :2]
    takes_part = game.taking_part(state)[0]
    arrays = {"generators": fakes, "real": real, "step": int(state.step), "classes": told, "takes_part": takes_part}
    if told and source.class_names:
        arrays["class_names"] = np.array(source.class_names[:told])
    with written(RunFiles(directory).samples) as file:
        np.savez(file, **arrays)
    write_samples(directory)


def by_class(reals: dict[str, Any], classes: int, rows: int) -> tuple[dict[str, Any], np.ndarray]:
    """Reals in rows that run through the first classes, and their labels `[rows · classes]`.

    A class with fewer reals shows them again; one that has none shows grey.
    """
    x = np.zeros((rows, classes, *reals["x"].shape[1:]), np.float32)
    for k in range(classes):
        found = reals["x"][reals["label"] == k]
        if len(found):
            x[:, k] = found[np.arange(rows) % len(found)]
    return {"x": x.reshape(-1, *x.shape[2:])}, np.tile(np.arange(classes, dtype=np.int32), rows)


def save_picture(path: Path, x: np.ndarray, real: np.ndarray | None, columns: int = 0) -> None:
    """Samples `[n, ...]` as one picture: images enlarged in a grid, points (two coordinates) over the reals, if given.

    The grid has so many columns, or where that is 0 as many as make it nearly a square.
    """
    if x.ndim == 4:
        scale = -(-64 // x.shape[1])
        enlarged = to_uint8(x).repeat(scale, axis=1).repeat(scale, axis=2)
        columns = columns or int(np.ceil(np.sqrt(len(x))))
        write_atomically(path, png(tile(enlarged, columns=min(20, columns), gap=4)))
    else:
        flat = lambda points: points.reshape(len(points), -1)[:, :2]
        reals = flat(x)[:0] if real is None else flat(real)
        write_atomically(path, png(scatter_panel(flat(x), reals, "#1f77b4")))


def save_files(folder: Path, x: np.ndarray, tags: Any, names: Sequence[str] | None) -> None:
    """Images `[n, H, W, C]` as one file each, and `samples.csv` with their names and classes."""
    digits = len(str(len(x) - 1))
    files = [f"{k:0{digits}}.png" for k in range(len(x))]
    for name, pixels in zip(files, to_uint8(x), strict=True):
        (folder / name).write_bytes(png(pixels[..., 0] if pixels.shape[-1] < 3 else pixels[..., :3]))
    with (folder / "samples.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        if tags is None or names is None:
            table.writerows([["file"], *([name] for name in files)])
        else:
            table.writerows([["file", "class"], *([name, names[k]] for name, k in zip(files, tags, strict=True))])


def save_table(path: Path, x: np.ndarray, tags: Any, names: Sequence[str] | None, columns: Columns | None) -> None:
    """Points `[n, D]` as a table, in the numbers of the data's own table if there is one, with their classes."""
    rows = x if columns is None else columns.undone(x)
    heads = [f"x{k}" for k in range(x.shape[1])] if columns is None else list(columns.names)
    classes = None if tags is None or names is None else [names[k] for k in tags]
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(heads if classes is None else [*heads, "class"])
    for k, row in enumerate(rows):
        numbers = [f"{value:.9g}" for value in row]
        table.writerow(numbers if classes is None else [*numbers, classes[k]])
    write_atomically(path, text.getvalue().encode())
