"""Cells of tables: where they are, what separates them, and which of them are numbers."""

import json

import numpy as np
import pytest

from ensgan import data
from ensgan.data.sheets import (
    Read,
    is_number,
    meant_as_numbers,
    numbers,
    otherwise,
    read_sheets,
    tables_in,
)
from ensgan.types import InputError


def test_other_files_are_no_tables(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00a")
    (tmp_path / "t.xlsx").write_bytes(b"x")
    (tmp_path / "t.parquet").write_bytes(b"x")
    for name, text in (("t.csv", "save it as UTF-8"), ("t.xlsx", "is no table"), ("no.csv", "is no table")):
        with pytest.raises(InputError, match=text):
            data.table(tmp_path / name)
    pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match=r"cannot be read as \.parquet"):
        data.table(tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("a\n1\n")
    (tmp_path / "t.parquet").unlink()
    (tmp_path / "u.csv").write_text("b\n1\n")
    with pytest.raises(InputError, match="has the columns b, but"):
        data.table(tmp_path)


@pytest.mark.parametrize(("cell", "is_one"), [
    ("1.5", True), ("-2e3", True), (" +.5 ", True), ("3.", True), ("NaN", True), ("-inf", True), ("Infinity", True),
    (7, True), (0.5, True), ("", False), (".", False), ("1e", False), ("0x10", False), ("1_000", False), ("1,5", False),
    ("٣", True), (None, False), (b"1", False),
])  # fmt: skip
def test_numbers_are_what_programs_write(cell, is_one):
    assert is_number(cell) == is_one
    if is_one:
        float(cell)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("1,5", "a comma"), ("-1.234.567,8", "a comma"), ("1,234.5", "commas"), ("1_000", "underscores"),
        ("1 000", "gaps"), ("1\u202f000,5", "gaps"), ("1'000", "gaps"), ("12 34", None), ("1.2.3", None), ("a,b", None),
        ("1.5", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_numbers_that_are_written_otherwise_are_known(cell, words):
    found = otherwise(cell)
    assert found is None if words is None else found.startswith(words)


def test_half_of_the_cells_make_a_column_of_numbers():
    assert meant_as_numbers(["1", "2", "x", "y"])
    assert meant_as_numbers(["1,5", "", None, "no"])
    assert not meant_as_numbers(["1", "x", "y"])
    assert not meant_as_numbers(["", None])
    assert not meant_as_numbers([])


def test_a_column_is_float64_with_nan_for_what_is_no_number():
    np.testing.assert_array_equal(numbers(["1", "x", None, " 2e1 "]), [1.0, np.nan, np.nan, 20.0])
    assert numbers(np.array([1, 2], np.int8)).dtype == np.float64


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a,b\n1,x\n2,y\n", {"a": [1, 2], "b": ["x", "y"]}),
        ("a;b\n1,5;2\n1,6;3\n", {"a": ["1,5", "1,6"], "b": [2, 3]}),  # as many semicolons in each line
        ("a\tb\n1\t2\n", {"a": [1], "b": [2]}),
        ("1,2\n3,4\n", {"column 0": [1, 3], "column 1": [2, 4]}),
        ("1,5\n", {"column 0": [1], "column 1": [5]}),
        ("a,b\n1,\n,2\n", {"a": [1, np.nan], "b": [np.nan, 2]}),
        ('a,b\n"x, y",1\n', {"a": ["x, y"], "b": [1]}),
        ("a,b\n", {"a": [], "b": []}),
        ("a,b\n,\n,\n", {"a": ["", ""], "b": ["", ""]}),
    ],
)
def test_cells_by_columns(tmp_path, text, columns):
    (tmp_path / "t.csv").write_text(text)
    found = read_sheets(tmp_path / "t.csv")
    assert list(found.columns) == list(columns)
    for name, cells in columns.items():
        assert isinstance(found.columns[name], np.ndarray) == any(isinstance(cell, int | float) for cell in cells)
        np.testing.assert_array_equal(found.columns[name], cells)
    assert found.num == len(next(iter(columns.values())))


def test_the_place_of_a_row_is_its_file_and_line(tmp_path):
    (tmp_path / "1.csv").write_text('a\n1\n\n"x\ny"\n')
    (tmp_path / "2.csv").write_text("a\n3\n")
    (tmp_path / ".hidden.csv").write_text("b\n3\n")
    found = read_sheets(tmp_path)
    assert found.columns["a"] == ["1", "x\ny", 3.0]
    assert [found.where(k) for k in range(3)] == [
        f"row 2 of {tmp_path / '1.csv'}",
        f"row 5 of {tmp_path / '1.csv'}",
        f"row 2 of {tmp_path / '2.csv'}",
    ]
    with pytest.raises(IndexError):
        found.where(3)
    assert Read({}, 2, ((tmp_path / "t.parquet", 2, None),)).where(1) == f"row 2 of {tmp_path / 't.parquet'}"


def test_tables_are_found_in_folders_of_folders_but_not_hidden_ones(tmp_path):
    for name in ("b.csv", "a/c.TSV", "a/d.parquet", ".git/e.csv", "a/.f.csv", "g.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a\n1\n")
    found = sorted(file.relative_to(tmp_path).as_posix() for file in tables_in(tmp_path))
    assert found == ["a/c.TSV", "a/d.parquet", "b.csv"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"has no table; expected files that end in \.csv, \.tsv, \.parquet"):
        read_sheets(tmp_path / "empty")


def test_names_of_classes_in_a_schema_are_believed_where_they_are_names(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def read(features):
        schema = features if isinstance(features, bytes) else json.dumps({"info": {"features": features}}).encode()
        made = arrow.table({"label": [0, 1]}).replace_schema_metadata({b"huggingface": schema})
        parquet.write_table(made, tmp_path / "t.parquet")
        return read_sheets(tmp_path / "t.parquet").names

    named = {"label": {"names": ["cat", "dog"]}, "x": {"dtype": "int64"}}
    assert read(named) == {"label": ("cat", "dog")}
    for damaged in ({"label": {"names": "cat"}}, {"label": {"names": [1, 2]}}, {"label": 3}, b"{", b"[]", b"[" * 10**5):
        assert read(damaged) == {}


def test_numbers_of_columns_are_names_where_the_rest_has_fractions(tmp_path):
    """As `DataFrame(array).to_csv(index=False)` writes them."""
    for text, columns, num in (
        ("0,1,2\n.5,1,2\n3,4,5\n", ["0", "1", "2"], 2),
        ("0,1,2\n5,1,2\n3,4,5\n", ["column 0", "column 1", "column 2"], 3),  # all are whole, the first may be a sample
        ("0,1,3\n.5,1,2\n", ["column 0", "column 1", "column 2"], 2),
        ("0\n.5\n", ["column 0"], 2),
    ):
        (tmp_path / "t.csv").write_text(text)
        read = read_sheets(tmp_path / "t.csv")
        assert (list(read.columns), read.num) == (columns, num)


def test_zeros_before_a_number_are_part_of_a_name(tmp_path):
    (tmp_path / "t.csv").write_text("x,y,z\n1,01,01\n2,1,02\n3,001,03\n")
    read = read_sheets(tmp_path / "t.csv")
    assert read.columns["y"] == ["01", "1", "001"]
    np.testing.assert_array_equal(read.columns["z"], [1, 2, 3])
