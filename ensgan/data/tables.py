"""Tables of numbers, .csv and .parquet, and images in the cells of a .parquet, each row a sample."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from ensgan.data.columns import Columns, hints
from ensgan.data.labels import some
from ensgan.data.options import Options, Pictures, Rows, parted
from ensgan.data.pictures import Cell, Found, Listed, looked
from ensgan.data.sheets import Read, is_number, meant_as_numbers, numbers, otherwise, read_sheets
from ensgan.data.source import FRACTIONS, Source, from_arrays, split_indices
from ensgan.types import InputError, unknown

LABELS = ("y", "label", "labels", "class", "target")  # usual names of the column of labels
BROKEN = "rows without a number"
COUNT = "columns without a name that only count the rows"
INDEX = ("", "Unnamed: 0", "__index_level_0__")  # names of a data frame's index, as pandas and R write it
FLOAT32 = float(np.finfo(np.float32).max)


def table(
    path: str | Path,
    *,
    y: str | None = None,
    columns: tuple[str, ...] = (),
    standardise: bool = False,
    seed: int = 0,
    **options: Unpack[Rows],
) -> Source:
    """The rows of a .csv, .tsv or .parquet file, or of all of them in a folder: points, or images in one column.

    Args:
        path: the file, or a folder of files with the same columns.
        y: the column of labels. By default one of the usual names, such as `label`, if there is one.
        columns: the columns of a sample; by default all that are numbers, or the one that holds images (encoded, as
            data sets of Hugging Face have them). A column without a name that only counts the rows is left out.
        standardise: shift and scale each column to mean 0 and deviation 1 over the train split; this is undone in what
            `ensgan sample` writes.
        seed: seed of the splits and of the noise of held-out samples.
        options: `fractions`, and of images `dequantize`, `flip`, `size`, `channels` and `background`; see `Options`
            and `Pictures`. `skip_broken` goes on without images that cannot be read, or without rows in which a cell
            of these columns is no finite number.

    Returns:
        A source of points `(D,)` or images `(H, W, C)`, in memory; more than 2 GiB of pixels are decoded as they are
        needed.

    Raises:
        InputError: a file that is missing or broken, a column that is not there, a cell that is no number among
            numbers, a number that float32 cannot hold, or images of several sizes.
    """
    place = Path(path)
    return source_of(read_sheets(place), (place, place.stem), columns, y, seed, standardise, options)


def source_of(
    read: Read,
    place: tuple[Path, str],
    columns: tuple[str, ...],
    y: str | None,
    seed: int,
    standardise: bool,
    options: Rows,
) -> Source:
    """The rows of what was read, as `table` takes them; `place` is where they are, and their name."""
    where, title = place
    treated, pictures = parted(options)
    columns = _named(columns, read.columns)
    for flag, name in [("y", y), *(("columns", name) for name in columns)]:
        if name is not None and name not in read.columns:
            raise unknown(f"column for --data.{flag}", name, read.columns)
    if images := [name for name in columns or read.columns if name != y and _is_images(read.columns[name])]:
        if len(images) > 1 or len(columns) > 1 or standardise:
            raise InputError(
                f"{where} has images in {some(images)}; give one column of images, and no --data.standardise"
            )
        return _images(read, where, images[0], y, pictures).source(title, "auto", {**treated, "seed": seed})
    wrong = [name for name in pictures if name != "skip_broken" and pictures.get(name) not in (None, "white")]
    if wrong := wrong + ["flip"] * bool(treated.get("flip")):
        raise InputError(f"--data.{wrong[0]} is for images, and {where} holds numbers; leave it out")
    found = _points(read, y, columns, standardise, bool(pictures.get("skip_broken")), seed, treated)
    return dataclasses.replace(found, name=title)


def _images(read: Read, place: Path, x: str, y: str | None, pictures: Pictures) -> Found:
    """The images in the column `x` of a table, with the labels in `y`; by default those in a column of a usual name."""
    y = y or next((name for name in LABELS if name in read.columns and name != x), None)
    cells = [cell.get("bytes") if isinstance(cell, dict) else cell for cell in read.columns[x]]
    files = [Cell(f"column {x!r}, {read.where(k)}", cell or b"") for k, cell in enumerate(cells)]
    label = None if y is None else _labels(read, y, place)
    names = None if y is None else read.names.get(y)
    if label is not None and names is not None and label.dtype.kind in "iu":
        if len(label) and not 0 <= label.min() <= label.max() < len(names):
            raise InputError(f"column {y!r} of {place} has labels {label.min()}..{label.max()} for {len(names)} names")
        label = np.array(names)[label]
    text = None if label is None else [str(each) for each in label]
    left = tuple(name for name in read.columns if name not in (x, y))
    skipped = (("other columns", left),) if left else ()
    return looked(Listed(files, text, names if text else None, str, skipped), **pictures)


def _points(
    read: Read,
    y: str | None,
    columns: tuple[str, ...],
    standardise: bool,
    skip_broken: bool,
    seed: int,
    options: Options,
) -> Source:
    """The columns of numbers."""
    found, place, fractions = read.columns, read.parts[0][0], options.get("fractions", FRACTIONS)
    y = y or next((name for name in LABELS if name in found and name not in columns), None)
    if not read.num:
        raise InputError(f"{place} has no rows; expected one for each sample")
    counting = read.counting()
    count = () if columns else tuple(name for name in INDEX if name in counting)
    names = list(columns) or [
        name for name, column in found.items() if name != y and name not in count and _is_numbers(column)
    ]
    if not names:
        text = place.suffix.lower() in (".csv", ".tsv")
        alone = "; cells must have commas, semicolons or tabs between them" if text and len(found) == 1 else ""
        raise InputError(f"{place} has no column of numbers; its columns are {some(found)}{alone}")
    x, kept = _rows(read, names, skip_broken)
    label = None if y is None else _labels(read, y, place, kept)
    scale = _scale(x[split_indices(len(x), seed, fractions)["train"]]) if standardise else None
    made = Columns(tuple(names), *(scale or (np.zeros(len(names)), np.ones(len(names)))))
    x = made.scaled(x)
    _check_size(x, names, read, kept)
    source = from_arrays(place.stem, x, label, seed=seed, fractions=fractions)
    left = tuple(name for name in found if name not in (*names, *count, y))
    skipped = (("other columns", left),) if left else ()
    skipped += ((COUNT, tuple(map(repr, count))),) if count else ()
    if len(kept) < read.num:
        lost = sorted(set(range(read.num)) - set(kept.tolist()))
        skipped += ((BROKEN, tuple(read.where(row).partition(" of ")[0] for row in lost)),)
    facts = source.facts
    if facts is not None:
        facts = facts._replace(skipped=skipped, hints=hints(found, names, () if columns else counting))
    return dataclasses.replace(source, facts=facts, columns=made)


def read_points(path: Path, columns: Columns | None, dim: int) -> tuple[np.ndarray, np.ndarray | None]:
    """The rows of a table to be judged, in its own numbers, float64 `[n, dim]`, and their labels if it has any.

    Args:
        path: a .csv, .tsv or .parquet file, with the columns of the data or as `ensgan sample` writes it.
        columns: those of the data; None if the data are no table: then all columns of numbers, in their order.
        dim: how many numbers a sample has.

    Raises:
        InputError: a column is missing, or a cell is no finite number.
    """
    read = read_sheets(path)
    y = next((name for name in LABELS if name in read.columns and not (columns and name in columns.names)), None)
    count = () if columns is not None else set(INDEX) & set(read.counting())
    every = [name for name, column in read.columns.items() if name not in count and _is_numbers(column)]
    y = None if columns is None and len(every) == dim else y  # x and y are two numbers of a point
    names = [name for name in every if name != y]
    if columns is not None:
        names = list(columns.names)
        if missing := [name for name in names if name not in read.columns]:
            raise InputError(
                f"{path} has no column {missing[0]!r}; this run judges the columns {some(names)}, and the file has "
                f"{some(read.columns)}"
            )
    if len(names) != dim:
        raise InputError(f"{path} has these columns of numbers: {some(names) or 'none'}; this run judges {dim} of them")
    x, _ = _rows(read, names, False)
    return x, None if y is None else _labels(read, y, path)


def _named(columns: tuple[str, ...], found: dict[str, Any]) -> tuple[str, ...]:
    """The names that a flag gives, also with commas."""
    parts = tuple(part.strip() for name in columns for part in ([name] if name in found else name.split(",")))
    if twice := [name for name, count in Counter(parts).items() if count > 1]:
        raise InputError(f"--data.columns has {some(twice)} more than once; give each column once")
    return parts


def _is_numbers(column: Any) -> bool:
    """Whether a column holds numbers; texts among them are found later."""
    if isinstance(column, np.ndarray):
        return True
    return all(isinstance(cell, str | float | int) for cell in column) and meant_as_numbers(column)


def _rows(read: Read, names: list[str], skip_broken: bool) -> tuple[np.ndarray, np.ndarray]:
    """The columns as float64 `[n, D]`, and the numbers of their rows.

    Raises:
        InputError: a cell is no finite number, unless such rows are skipped.
    """
    x = np.stack([numbers(read.columns[name]) for name in names], axis=1)
    good = np.isfinite(x).all(axis=1)
    if not skip_broken and not good.all():
        raise _no_number(read, names, x)
    kept = np.flatnonzero(good)
    if not len(kept):
        raise InputError(f"no row of {read.parts[0][0]} has a finite number in each of {some(names)}; repair it")
    return x[kept], kept


def _no_number(read: Read, names: list[str], x: np.ndarray) -> InputError:
    """Names the first cell that is no finite number."""
    row, k = np.argwhere(~np.isfinite(x))[0].tolist()
    column, count = read.columns[names[k]], int((~np.isfinite(x[:, k])).sum())
    cell = column[row]
    others = f" ({count - 1:,} more in this column)" if count > 1 else ""
    head = f"column {names[k]!r}, {read.where(row)}"
    if not isinstance(column, np.ndarray) and not is_number(cell) and cell not in ("", None):
        how = otherwise(cell)
        text = f"{str(cell)[:40]!r}"
        if how is not None:
            return InputError(f"{head}: {text} is a number with {how}{others}")
        what = f"holds {text}, which is no number{others}"
    else:
        what = f"holds no finite number{others}"
    return InputError(
        f"{head} {what}; repair it, leave the column out by --data.columns, or go on without such rows: "
        "--data.skip-broken"
    )


def _check_size(x: np.ndarray, names: list[str], read: Read, kept: np.ndarray) -> None:
    """Raises InputError for a number that float32 cannot hold."""
    large = np.abs(x) > FLOAT32
    if large.any():
        row, k = np.argwhere(large)[0].tolist()
        raise InputError(
            f"column {names[k]!r}, {read.where(int(kept[row]))} holds {x[row, k]:g}; float32 ends at 3.4e+38; rescale "
            "it, or give --data.standardise"
        )


def _scale(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each column; 1 for a constant one."""
    most = np.abs(train).max(axis=0)
    unit = np.where(most > 0, most, 1.0)  # else squares of large numbers would overflow
    small = train / unit
    std = small.std(axis=0) * unit
    return small.mean(axis=0) * unit, np.where(std > 0, std, 1.0)


def _labels(read: Read, name: str, place: Path, kept: np.ndarray | None = None) -> np.ndarray:
    """The labels of the rows that are kept, by default of all, as integers or texts."""
    column = read.columns[name]
    kept = np.arange(read.num) if kept is None else kept
    numeric = isinstance(column, np.ndarray)
    cells: Any = column[kept] if numeric else [column[k] for k in kept.tolist()]
    missing = np.isnan(cells) if numeric and cells.dtype.kind == "f" else [each in (None, "") for each in cells]
    none = np.flatnonzero(missing)
    if 0 < len(none) < len(kept):
        more = f" (nor have {len(none) - 1:,} more)" if len(none) > 1 else ""
        raise InputError(
            f"column {name!r}, {read.where(int(kept[none[0]]))} has no label{more}; fill it, remove the row, or name "
            "another column by --data.y"
        )
    if not numeric:
        if len(none) or any(isinstance(cell, dict | list | bytes) for cell in cells):
            raise InputError(f"column {name!r} of {place} holds no labels; name another by --data.y")
        return np.array([str(cell) for cell in cells])
    if cells.dtype.kind == "f":
        if not (np.isfinite(cells).all() and (cells == np.rint(cells)).all() and (np.abs(cells) < 2**53).all()):
            raise InputError(
                f"column {name!r} of {place} holds labels that are not whole numbers; name another by --data.y, or all "
                "columns of a sample by --data.columns"
            )
        return cells.astype(np.int64)
    return cells.astype(np.uint64 if cells.dtype.kind == "u" else np.int64)


def _is_images(column: Any) -> bool:
    """Whether the cells are encoded images: bytes, or structures with bytes."""
    if isinstance(column, np.ndarray):
        return False
    first = next((cell for cell in column if cell is not None), None)
    return isinstance(first, bytes) or (isinstance(first, dict) and isinstance(first.get("bytes"), bytes))
