"""Tables of numbers, .csv and .parquet, and images in the cells of a .parquet, each row a sample."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ensgan.data.columns import Columns
from ensgan.data.labels import some
from ensgan.data.source import FRACTIONS, Source, from_arrays, split_indices
from ensgan.types import InputError, unknown

LABELS = ("y", "label", "labels", "class", "target")  # usual names of the column of labels
SUFFIXES = (".csv", ".tsv", ".parquet")
FIELD = 2**20  # characters in one cell of a text


class Read(NamedTuple):
    """The columns of a file: numbers `[n]`, or lists of texts or bytes."""

    columns: dict[str, Any]
    num: int


def table(
    path: str | Path,
    *,
    y: str | None = None,
    columns: tuple[str, ...] = (),
    standardise: bool = False,
    seed: int = 0,
    dequantize: bool = True,
    fractions: tuple[float, ...] = FRACTIONS,
) -> Source:
    """The rows of a .csv, .tsv or .parquet file, or of all of them in a folder: points, or images in one column.

    Args:
        path: the file, or a folder of files with the same columns.
        y: the column of labels. By default one of the usual names, such as `label`, if there is one.
        columns: the columns of a sample; by default all that are numbers, or the one that holds images (encoded, as
            data sets of Hugging Face have them).
        standardise: shift and scale each column to mean 0 and deviation 1 over the train split; this is undone in what
            `ensgan sample` writes.
        seed: seed of the splits and of the noise of held-out samples.
        dequantize: whether the pixels of images get uniform noise.
        fractions: shares of train, select, calibrate and report.

    Returns:
        A source of points `(D,)` or images `(H, W, C)`, in memory.

    Raises:
        InputError: a file that is missing or broken, a column that is not there, a cell that is no number, or images
            of several sizes.
    """
    place = Path(path)
    read = _read(place)
    found = read.columns
    columns = tuple(part.strip() for name in columns for part in ([name] if name in found else name.split(",")))
    for flag, name in [("y", y), *(("columns", name) for name in columns)]:
        if name is not None and name not in found:
            raise unknown(f"column for --data.{flag}", name, found)
    y = y or next((name for name in LABELS if name in found and name not in columns), None)
    label = None if y is None else _labels(found[y], y, place)
    options: Any = {"seed": seed, "fractions": fractions}
    images = [name for name in columns or found if name != y and _is_images(found[name])]
    if images:
        if len(images) > 1 or len(columns) > 1 or standardise:
            raise InputError(
                f"{place} has images in {some(images)}; give one by --data.columns, and no --data.standardise"
            )
        x = _images([cell["bytes"] if isinstance(cell, dict) else cell for cell in found[images[0]]], place, images[0])
        return from_arrays(place.stem, x, label, dequantize=dequantize, **options)
    names = list(columns) or [name for name, column in found.items() if name != y and isinstance(column, np.ndarray)]
    if not names:
        raise InputError(f"{place} has no column of numbers; its columns are {some(found)}")
    for name in names:
        _check_numbers(found[name], name, place)
    x = np.stack([found[name] for name in names], axis=1).astype(np.float64)
    scale = _scale(x[split_indices(len(x), seed, fractions)["train"]]) if standardise else None
    made = Columns(tuple(names), *(scale or (np.zeros(len(names)), np.ones(len(names)))))
    source = from_arrays(place.stem, made.done(x), label, **options)
    left = tuple(name for name in found if name not in names and name != y)
    facts = source.facts
    if facts is not None and left:
        facts = facts._replace(skipped=(("other columns", left),))
    return dataclasses.replace(source, facts=facts, columns=made)


def _scale(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each column; 1 for a constant one."""
    std = train.std(axis=0)
    return train.mean(axis=0), np.where(std > 0, std, 1.0)


def _read(place: Path) -> Read:
    """All columns of a file, or of the files in a folder one below the other."""
    if place.is_dir():
        files = sorted(file for file in place.iterdir() if file.suffix.lower() in SUFFIXES and file.name[0] != ".")
        if not files:
            raise InputError(f"{place} has no table; expected files that end in {', '.join(SUFFIXES)}")
        parts = [_file(file) for file in files]
        for file, part in zip(files, parts, strict=True):
            if list(part.columns) != list(parts[0].columns):
                raise InputError(
                    f"{file} has the columns {some(part.columns)}, but {files[0]} {some(parts[0].columns)}"
                )
        joined = {name: _joined([part.columns[name] for part in parts]) for name in parts[0].columns}
        return Read(joined, sum(part.num for part in parts))
    if not place.is_file() or place.suffix.lower() not in SUFFIXES:
        raise InputError(f"{place} is no table; give a file that ends in {', '.join(SUFFIXES)}, or a folder of them")
    return _file(place)


def _joined(parts: list[Any]) -> Any:
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return [cell for part in parts for cell in (part.tolist() if isinstance(part, np.ndarray) else part)]


def _file(file: Path) -> Read:
    return _parquet(file) if file.suffix.lower() == ".parquet" else _text(file)


def _text(file: Path) -> Read:
    """A .csv or .tsv file, with or without a line of names."""
    try:
        content = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read as text ({error}); save it as UTF-8") from error
    head = content[: content.find("\n")] if "\n" in content else content
    between = "\t" if file.suffix.lower() == ".tsv" else max(",;\t", key=head.count)
    csv.field_size_limit(FIELD)
    try:
        rows = [row for row in csv.reader(io.StringIO(content, newline=""), delimiter=between) if row]
    except csv.Error as error:
        raise InputError(f"{file} is not a table of values with commas ({error}); save it again") from error
    if not rows:
        raise InputError(f"{file} is empty; expected a row for each sample")
    named = any(not _is_number(cell) for cell in rows[0])
    names = [cell.strip() for cell in rows[0]] if named else [f"column {k}" for k in range(len(rows[0]))]
    rows, first = rows[named:], 1 + named
    if len(set(names)) < len(names):
        raise InputError(
            f"{file} has two columns of one name: {some(sorted(n for n in set(names) if names.count(n) > 1))}"
        )
    for k, row in enumerate(rows):
        if len(row) != len(names):
            raise InputError(f"{file}, row {k + first} has {len(row)} cells; expected {len(names)}; repair it")
    return Read({name: _column([row[k] for row in rows]) for k, name in enumerate(names)}, len(rows))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _column(cells: list[str]) -> Any:
    """Numbers where most cells are numbers; an empty cell among them is NaN, which is refused later."""
    whole = [cell.strip() for cell in cells]
    if any(_is_number(cell) for cell in whole) and all(_is_number(cell) or not cell for cell in whole):
        return np.array([float(cell) if cell else np.nan for cell in whole])
    return whole


def _parquet(file: Path) -> Read:
    """A .parquet file."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise InputError(".parquet needs pyarrow, which is not installed: pip install 'ensgan[parquet]'") from error
    try:
        found = parquet.read_table(file)
    except (ArrowException, OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as .parquet ({str(error).splitlines()[0]}); write it again") from error
    columns: dict[str, Any] = {}
    for name, column in zip(found.column_names, found.columns, strict=True):
        numeric = str(column.type).startswith(("int", "uint", "float", "double", "halffloat", "bool"))
        columns[name] = column.to_numpy() if numeric else column.to_pylist()
    return Read(columns, found.num_rows)


def _check_numbers(column: Any, name: str, place: Path) -> None:
    if not isinstance(column, np.ndarray):
        wrong = next((str(cell) for cell in column if not _is_number(str(cell))), "")
        raise InputError(
            f"column {name!r} of {place} holds {wrong[:40]!r}, which is no number; leave it out of --data.columns"
        )
    bad = np.flatnonzero(~np.isfinite(column.astype(np.float64)))
    if len(bad):
        raise InputError(
            f"column {name!r} of {place} has {len(bad):,} cells without a finite number, first in sample {bad[0]}; "
            "fill them, remove those rows, or leave the column out by --data.columns"
        )


def _labels(column: Any, name: str, place: Path) -> Any:
    """Labels as integers or texts."""
    if not isinstance(column, np.ndarray):
        if any(cell is None or isinstance(cell, dict | list | bytes) for cell in column):
            raise InputError(f"column {name!r} of {place} holds no labels; name another by --data.y")
        return np.array([str(cell) for cell in column])
    if column.dtype.kind == "f":
        if not (np.isfinite(column).all() and (column == np.rint(column)).all()):
            raise InputError(
                f"column {name!r} of {place} holds labels that are not whole numbers; name another by --data.y, or all "
                "columns of a sample by --data.columns"
            )
        return column.astype(np.int64)
    return column.astype(np.int64)


def _is_images(column: Any) -> bool:
    """Whether the cells are encoded images: bytes, or structures with bytes."""
    if isinstance(column, np.ndarray) or not column:
        return False
    first = column[0]
    return isinstance(first, bytes) or (isinstance(first, dict) and isinstance(first.get("bytes"), bytes))


def _images(cells: list[Any], place: Path, name: str) -> np.ndarray:
    """The decoded images of a column, uint8 `[n, H, W, C]`."""
    from PIL import Image

    out: list[np.ndarray] = []
    for k, cell in enumerate(cells):
        try:
            with Image.open(io.BytesIO(cell), formats=("PNG", "JPEG", "BMP", "WEBP", "GIF")) as image:
                out.append(np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB")))
        except Exception as error:  # Pillow's decoders raise errors of all kinds for broken data
            raise InputError(f"column {name!r} of {place}, sample {k} cannot be read as an image; remove it") from error
        if out[-1].shape != out[0].shape:
            raise InputError(
                f"images of {place} differ: sample 0 is {list(out[0].shape)}, sample {k} {list(out[-1].shape)}; "
                "write them into a folder, and give it with --data folder --data.size 64"
            )
    return np.stack(out)
