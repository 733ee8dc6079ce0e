"""The cells of .csv, .tsv and .parquet files by columns, and which of them are numbers."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ensgan.data.labels import some
from ensgan.types import InputError

SUFFIXES = (".csv", ".tsv", ".parquet")
FIELD = 2**20  # characters in one cell of a text
SHOWN = 20  # lines from which the separator is read
PLAIN = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*|\s*[-+]?(nan|inf|infinity)\s*", re.I)
PADDED = re.compile("0[0-9]")
WHOLE = re.compile(r"[-+]?[0-9]{1,18}")  # what int64 holds
OTHERWISE = {  # numbers that are not written as expected: what they have, and what to write
    re.compile(r"[-+]?(\d{1,3}(\.\d{3})+|\d+),\d+([eE][-+]?\d+)?"): "a comma in it; write 1.5 and not 1,5",
    re.compile(r"[-+]?\d{1,3}(,\d{3})+\.\d+"): "commas in it; write 1000.5 and not 1,000.5",
    re.compile(r"[-+]?\d+(_\d+)+(\.\d*)?"): "underscores in it; write 1000 and not 1_000",
    re.compile(r"[-+]?\d{1,3}([ '\u00a0\u202f]\d{3})+([.,]\d*)?"): "gaps in it; write 1000 and not 1 000",
}


class Read(NamedTuple):
    """What files hold.

    Attributes:
        columns: by name: numbers `[n]`, or lists of n texts, bytes or structures.
        num: number of rows.
        parts: the files in their order; each with the number of its rows, and, of a text, the line of each row.
        names: of the classes that numbers in a column stand for, where a file of Hugging Face gives them.
    """

    columns: dict[str, Any]
    num: int
    parts: tuple[tuple[Path, int, np.ndarray | None], ...]
    names: dict[str, tuple[str, ...]] = {}  # noqa: RUF012, never changed

    def where(self, row: int) -> str:
        """The place of a row for messages."""
        for file, num, lines in self.parts:
            if row < num:
                return f"row {row + 1} of {file}" if lines is None else f"row {lines[row]} of {file}"
            row -= num
        raise IndexError(row)

    def counting(self) -> list[str]:
        """The columns that only count the rows of each file, from 0 or 1, such as the index of a data frame."""
        ends = np.cumsum([num for _, num, _ in self.parts])[:-1]
        counts = lambda part: len(part) > 2 and part[0] in (0, 1) and (part == np.arange(len(part)) + part[0]).all()
        whole = {name: column for name, column in self.columns.items() if isinstance(column, np.ndarray)}
        return [name for name, column in whole.items() if all(map(counts, np.split(column, ends)))]


def read_sheets(place: Path) -> Read:
    """All columns of a file, or of the files in a folder and its folders, one below the other.

    Raises:
        InputError: no such file, one that is broken, or files with other columns than the first.
    """
    if place.is_dir():
        files = sorted(tables_in(place))
        if not files:
            raise InputError(f"{place} has no table; expected files that end in {', '.join(SUFFIXES)}")
        return read_files(files)
    if not place.is_file() or place.suffix.lower() not in SUFFIXES:
        raise InputError(f"{place} is no table; give a file that ends in {', '.join(SUFFIXES)}, or a folder of them")
    return _file(place)


def read_files(files: Sequence[Path]) -> Read:
    """All columns of files, one below the other.

    Raises:
        InputError: a file that is broken, or that has other columns than the first.
    """
    reads = [_file(file) for file in files]
    for file, read in zip(files, reads, strict=True):
        if list(read.columns) != list(reads[0].columns):
            raise InputError(f"{file} has the columns {some(read.columns)}, but {files[0]} {some(reads[0].columns)}")
    joined = {name: _joined([read.columns[name] for read in reads]) for name in reads[0].columns}
    parts = tuple(part for read in reads for part in read.parts)
    return Read(joined, sum(read.num for read in reads), parts, reads[0].names)


def tables_in(place: Path) -> list[Path]:
    """The tables in a folder and in its folders; hidden ones are left out."""
    inside = (file for file in place.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    return [file for file in inside if not any(part.startswith(".") for part in file.relative_to(place).parts)]


def is_number(cell: Any) -> bool:
    """Whether a cell is a number, or a text that is one as programs write it: 1.5, -2e3, nan."""
    return isinstance(cell, float | int) or (isinstance(cell, str) and PLAIN.fullmatch(cell) is not None)


def otherwise(cell: Any) -> str | None:
    """What is unusual in a cell that is meant as a number, such as 1,5; None if it is not meant so."""
    text = str(cell).strip()
    return next((what for form, what in OTHERWISE.items() if form.fullmatch(text)), None)


def meant_as_numbers(column: list[Any]) -> bool:
    """Whether at least half of the cells that are not empty are numbers, or are meant as such."""
    given = [cell for cell in column if cell not in ("", None)]
    like = sum(is_number(cell) or otherwise(cell) is not None for cell in given)
    return bool(like) and 2 * like >= len(given)


def numbers(column: Any) -> np.ndarray:
    """A column as float64 `[n]`, with NaN where a cell is no number."""
    if isinstance(column, np.ndarray):
        return column.astype(np.float64)
    return np.array([float(cell) if is_number(cell) else np.nan for cell in column], np.float64)


def _joined(parts: list[Any]) -> Any:
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return [cell for part in parts for cell in (part.tolist() if isinstance(part, np.ndarray) else part)]


def _file(file: Path) -> Read:
    return _columnar(file) if file.suffix.lower() in (".parquet", ".arrow") else _text(file)


def _text(file: Path) -> Read:
    """A .csv or .tsv file, with or without a line of names."""
    try:
        content = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read as text ({error}); save it as UTF-8") from error
    between = "\t" if file.suffix.lower() == ".tsv" else _between(content[:FIELD].splitlines()[:SHOWN])
    csv.field_size_limit(FIELD)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=between)
    rows, lines = [], []
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"{file} is not a table of values with commas ({error}); save it again") from error
    if not rows:
        raise InputError(f"{file} is empty; expected a row for each sample")
    named = any(not (is_number(cell) or otherwise(cell)) for cell in rows[0]) or _counts_columns(rows)
    names = [cell.strip() for cell in rows[0]] if named else [f"column {k}" for k in range(len(rows[0]))]
    rows, lines = rows[named:], lines[named:]
    if len(set(names)) < len(names):
        raise InputError(
            f"{file} has two columns of one name: {some(sorted(n for n in set(names) if names.count(n) > 1))}"
        )
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            cells = f"{len(row)} cell{'s' * (len(row) != 1)}"
            raise InputError(f"{file}, row {line} has {cells}; expected {len(names)}; repair it")
    found = {name: _column([row[k] for row in rows]) for k, name in enumerate(names)}
    return Read(found, len(rows), ((file, len(rows), np.array(lines)),))


def _counts_columns(rows: list[list[str]]) -> bool:
    """Whether the first row is 0, 1, 2, ... above numbers with fractions: names, as data frames of arrays have them."""
    first = [cell.strip() for cell in rows[0]]
    if len(first) < 2 or first != [str(k) for k in range(len(first))]:
        return False
    return not all(WHOLE.fullmatch(cell.strip()) for row in rows[1:] for cell in row)


def _between(lines: list[str]) -> str:
    """What separates cells: semicolons or tabs, if each line has as many, since numbers may have commas in them."""
    counts = {each: {line.count(each) for line in lines if line} for each in ";\t"}
    alike = [each for each, found in counts.items() if len(found) == 1 and found != {0}]
    return alike[0] if alike else max(",;\t", key=(lines or [""])[0].count)


def _column(cells: list[str]) -> Any:
    """Numbers where all cells are numbers or empty, which is NaN; else texts."""
    whole = [cell.strip() for cell in cells]
    if whole and all(map(WHOLE.fullmatch, whole)):
        if any(map(PADDED.match, whole)) and len({*map(int, whole)}) < len({*whole}):  # 01 and 1 are two names
            return whole
        return np.array(list(map(int, whole)), np.int64)
    if any(whole) and all(is_number(cell) or not cell for cell in whole):
        return numbers(whole)
    return whole


def _columnar(file: Path) -> Read:
    """A .parquet file, or an .arrow file as `datasets` writes it."""
    kind = file.suffix.lower()
    try:
        from pyarrow import ArrowException, ipc, memory_map, parquet
    except ImportError as error:
        raise InputError(f"{kind} needs pyarrow, which is not installed: pip install 'ensgan[parquet]'") from error
    try:
        found = parquet.read_table(file) if kind == ".parquet" else ipc.open_stream(memory_map(str(file))).read_all()
        found.validate(full=True)  # or damage in an .arrow file, which is used as it lies there, ends the process
        return _from_arrow(found, file)
    except (ArrowException, OSError, ValueError, OverflowError) as error:  # names and cells are decoded late
        what = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{file} cannot be read as {kind} ({what}); write it again") from error


def _from_arrow(found: Any, file: Path) -> Read:
    """The columns of a table of Arrow, and the names of classes that Hugging Face keeps in its schema."""
    columns: dict[str, Any] = {}
    for name, column in zip(found.column_names, found.columns, strict=True):
        column = column.cast("double") if str(column.type).startswith("decimal") else column
        numeric = str(column.type).startswith(("int", "uint", "float", "double", "halffloat", "bool"))
        columns[name] = column.to_numpy() if numeric else column.to_pylist()
    return Read(columns, found.num_rows, ((file, found.num_rows, None),), _class_names(found.schema.metadata or {}))


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """The names of classes by column, from what `datasets` writes beside a schema; what is damaged has none."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        named = {column: each["names"] for column, each in features.items() if "names" in each}
    except (ValueError, AttributeError, TypeError, RecursionError):
        return {}
    fits = lambda names: isinstance(names, list) and all(isinstance(name, str) for name in names)
    return {column: tuple(names) for column, names in named.items() if fits(names)}
