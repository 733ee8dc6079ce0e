"""Tables: the numbers of the file, labels, standardised columns that come back, and one line for what is wrong."""

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from ensgan import data
from ensgan.data.recorded import record, remembered
from ensgan.data.tables import read_points
from ensgan.types import InputError

ROWS = np.random.default_rng(0).normal([3.0, -200.0, 7.0], [0.1, 50.0, 0.0], (40, 3))
WORDS = ["low", "high"] * 20


def written(path, rows=ROWS, words=WORDS, header="a,b b,c,label", between=","):
    lines = [header] if header else []
    cells = ([*map(repr, row.tolist()), *([word] if word else [])] for row, word in zip(rows, words, strict=True))
    lines += map(between.join, cells)
    path.write_text("\ufeff" + "\n".join(lines) + "\n\n", encoding="utf-8")
    return path


def all_of(source):
    order = np.argsort(np.concatenate(list(data.split_indices(len(ROWS), 0).values())))
    return np.concatenate([source.arrays[split]["x"] for split in data.SPLITS])[order]


def test_rows_are_samples_and_words_are_classes(tmp_path):
    found = data.table(written(tmp_path / "t.csv"))
    np.testing.assert_allclose(all_of(found), ROWS, rtol=1e-6)
    assert found.class_names == ("high", "low")
    assert found.columns.names == ("a", "b b", "c")
    assert data.table(tmp_path / "t.csv", columns=("b b",)).shape == (1,)
    assert data.table(tmp_path / "t.csv", columns=("a, b b",)).columns.names == ("a", "b b")
    with pytest.raises(InputError, match="columns has a more than once"):
        data.table(tmp_path / "t.csv", columns=("a,b b", "a"))


@pytest.mark.parametrize(("name", "between"), [("t.csv", ";"), ("t.tsv", "\t")])
def test_other_separators_and_no_names(tmp_path, name, between):
    found = data.table(written(tmp_path / name, words=[""] * 40, header="", between=between))
    np.testing.assert_allclose(all_of(found), ROWS, rtol=1e-6)
    assert found.columns.names == ("column 0", "column 1", "column 2")
    assert found.classes is None


def test_standardised_columns_come_back_also_from_the_record(tmp_path):
    found = data.table(written(tmp_path / "t.csv"), standardise=True)
    train = found.arrays["train"]["x"]
    np.testing.assert_allclose(train.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(train.std(axis=0), [1.0, 1.0, 0.0], atol=1e-5)  # the last column is constant
    np.testing.assert_allclose(found.columns.undone(all_of(found)), ROWS, rtol=1e-5)
    again = remembered(record(found), lambda split, num: {})
    np.testing.assert_allclose(again.columns.undone(all_of(found)), ROWS, rtol=1e-5)
    broken = record(found)
    broken["columns"]["std"].pop()
    assert remembered(broken, lambda split, num: {}) is None


def test_parquet_is_the_csv(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"a": ROWS[:, 0], "b b": ROWS[:, 1], "c": ROWS[:, 2], "label": WORDS}
    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    found, other = data.table(tmp_path / "t.parquet"), data.table(written(tmp_path / "t.csv"))
    np.testing.assert_array_equal(all_of(found), all_of(other))
    assert found.class_names == other.class_names
    folder = tmp_path / "parts"
    folder.mkdir()
    for k in range(2):
        part = {name: values[20 * k : 20 * k + 20] for name, values in columns.items()}
        parquet.write_table(arrow.table(part), folder / f"{k}.parquet")
    np.testing.assert_array_equal(all_of(data.table(folder)), all_of(other))


def test_images_in_cells(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    x = np.random.default_rng(0).integers(0, 256, (40, 5, 4, 3), dtype=np.uint8)

    def png(pixels):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="PNG")
        return file.getvalue()

    cells = [{"bytes": png(pixels), "path": f"{k}.png"} for k, pixels in enumerate(x)]
    parquet.write_table(arrow.table({"image": cells, "label": [0, 1] * 20}), tmp_path / "t.parquet")
    found = data.table(tmp_path / "t.parquet")
    np.testing.assert_array_equal(all_of(found), x)
    assert found.classes == 2
    small = data.table(tmp_path / "t.parquet", size=3, flip=True)
    assert small.shape == (3, 3, 3)
    assert "Lanczos" in small.summary()[1]
    for k, mode in enumerate(("RGBA", "L")):  # as a folder would have them: RGB over the background, of one size
        file = io.BytesIO()
        Image.new(mode, (9, 9)).save(file, format="PNG")
        cells[k] = {"bytes": file.getvalue(), "path": ""}
    (tmp_path / "deep" / "er").mkdir(parents=True)
    parquet.write_table(arrow.table({"image": cells[:20]}), tmp_path / "deep" / "er" / "0.parquet")
    parquet.write_table(arrow.table({"image": cells[20:]}), tmp_path / "deep" / "er" / "1.parquet")
    with pytest.raises(InputError, match=r"images differ in size: column 'image', row 1 of .* is 9×9"):
        data.table(tmp_path / "deep")
    assert data.table(tmp_path / "deep", size=4, background="black").shape == (4, 4, 3)
    parquet.write_table(arrow.table({"image": [*cells[2:-1], None]}), tmp_path / "v.parquet")
    assert data.table(tmp_path / "v.parquet", skip_broken=True).facts.num == 37
    parquet.write_table(arrow.table({"image": [*cells[:-1], {"bytes": b"no", "path": ""}]}), tmp_path / "u.parquet")
    cells[:2] = cells[2:4]
    parquet.write_table(arrow.table({"image": [*cells[:-1], {"bytes": b"no", "path": ""}]}), tmp_path / "u.parquet")
    with pytest.raises(InputError, match=r"column 'image', row 40 of .* cannot be read as an image"):
        data.table(tmp_path / "u.parquet")


@pytest.mark.parametrize(
    ("content", "options", "text"),
    [
        ("", {}, "is empty"),
        ("a,b\n1,2\n3\n", {}, "row 3 has 1 cell; expected 2"),
        ("a,a\n1,2\n", {}, "two columns of one name: a"),
        ("a,b\n1,\n2,3\n", {}, r"column 'b', row 2 of .* holds no finite number; repair it"),
        ("a,b\n1,nan\n2,3\n3,\n", {}, r"column 'b', row 2 of .* holds no finite number \(1 more in this column\)"),
        ("a,b\n1,2\n\n2,n/a\n3,4\n", {}, r"column 'b', row 4 of .* holds 'n/a', which is no number; .*skip-broken"),
        ("a;b\n1;1,5\n2;2,5\n", {}, r"column 'b', row 2 of .*: '1,5' is a number with a comma in it; write 1\.5"),
        ("a;b\n1,5;1\n2,5;2\n", {}, r"'1,5' is a number with a comma in it; .* \(1 more in this column\)"),
        ("1;1,5\n2;2,5\n", {}, r"column 'column 1', row 1 of .*: '1,5' is a number with a comma in it"),
        ("a;b\n1;1.234,5\n2;1\n", {}, r"'1\.234,5' is a number with a comma in it"),
        ("a;b\n1;1,234.5\n2;1\n", {}, r"'1,234\.5' is a number with commas in it"),
        ("a,b\n1,1_000\n2,3\n", {}, "'1_000' is a number with underscores in it; write 1000"),
        ("a,b\n1,1 000\n2,3\n", {}, "'1 000' is a number with gaps in it; write 1000"),
        (
            "a,b\n1,2\n1,-1e200\n",
            {},
            r"column 'b', row 3 of .* holds -1e\+200; float32 ends at 3\.4e\+38; .*standardise",
        ),
        ("a,b\nx,y\n", {}, "no column of numbers"),
        ("a,b\n1,y\n", {"columns": ("b",)}, "holds 'y', which is no number"),
        ("a,b\n1,2\n", {"y": "c"}, r"unknown column for --data\.y 'c'; known: a, b"),
        ("a,b\n1,2\n", {"columns": ("d",)}, r"unknown column for --data\.columns 'd'"),
        ("a,y\n1,0.5\n2,1\n", {}, "labels that are not whole numbers"),
        ("a,b\n1,2\n3,4\n", {}, "cannot be divided into four splits"),
        ("a\n" + "1" * 2**21 + "\n", {}, "is not a table of values"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, content, options, text):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=text):
        data.table(tmp_path / "t.csv", **options)


def test_rows_without_a_number_can_be_left_out(tmp_path):
    lines = [f"{k},{'?' if k in (3, 17) else k},{'a' if k % 2 else 'b'}" for k in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,label", *lines]))
    found = data.table(tmp_path / "t.csv", skip_broken=True)
    seen = np.concatenate([found.arrays[split]["x"] for split in data.SPLITS])
    label = np.concatenate([found.arrays[split]["label"] for split in data.SPLITS])
    assert sorted(seen[:, 0]) == [k for k in range(40) if k not in (3, 17)]
    np.testing.assert_array_equal(seen[:, 0] % 2, label == 0)  # labels stay with their rows
    assert "skipped: 2 (rows without a number: row 5, row 19)" in found.summary()[1]
    assert "other columns" in data.table(tmp_path / "t.csv", columns=("a",)).summary()[1]
    (tmp_path / "t.csv").write_text("a\n" + "?\n1_0\n" * 20)
    with pytest.raises(InputError, match=r"no row of .* has a finite number"):
        data.table(tmp_path / "t.csv", skip_broken=True)


def test_dates_and_names_are_other_columns(tmp_path):
    """They have digits and commas, and are no numbers written in an unusual way."""
    lines = [f"{k};{k % 28 + 1:02}.02.2024;1.2.{k};12:{k:02};{'' if k else 'one'};x{k}" for k in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["a;date;version;time;note;name", *lines]))
    found = data.table(tmp_path / "t.csv")
    assert found.columns.names == ("a",)
    assert "other columns: date, version, time" in found.summary()[1]


def test_a_folder_names_the_file_of_a_cell(tmp_path):
    (tmp_path / "1.csv").write_text("a\n" + "1\n" * 20)
    (tmp_path / "2.csv").write_text("a\n" + "1\n" * 20 + "no\n")
    with pytest.raises(InputError, match=r"row 22 of .*2\.csv holds 'no'"):
        data.table(tmp_path)


def test_large_numbers_are_scaled_and_copies_by_float32_are_said(tmp_path):
    rows = np.stack([1e200 * ROWS[:, 0], 1e9 + np.arange(40)], axis=1)
    written(tmp_path / "t.csv", rows, [""] * 40, "a,b")
    found = data.table(tmp_path / "t.csv", standardise=True)
    assert len(np.unique(all_of(found)[:, 1])) == 40
    np.testing.assert_allclose(found.columns.undone(all_of(found)), rows, rtol=1e-6)
    assert found.facts.merged == 0
    merged = data.table(tmp_path / "t.csv", columns=("b",))
    assert merged.facts.merged == 40 - len(np.unique(rows[:, 1].astype(np.float32)))
    assert "give --data.standardise" in merged.summary()[2]
    doubled = data.from_arrays("x", np.repeat(ROWS, 2, axis=0))
    assert doubled.facts.merged == 0  # they were equal before
    assert not any("float32 can hold" in line for line in doubled.summary())


def test_points_to_judge_are_the_columns_of_the_data(tmp_path):
    found = data.table(written(tmp_path / "t.csv"))
    x, label = read_points(written(tmp_path / "u.csv", ROWS[:, ::-1], header="c,b b,a,class"), found.columns, 3)
    np.testing.assert_array_equal(x, ROWS)
    assert label.tolist() == WORDS
    (tmp_path / "v.csv").write_text("x,y\n1,2\n0.5,1\n")
    x, label = read_points(tmp_path / "v.csv", None, 2)
    assert x.tolist() == [[1, 2], [0.5, 1]]
    assert label is None
    with pytest.raises(InputError, match="has no column 'a'; this run judges the columns a, b b, c"):
        read_points(tmp_path / "v.csv", found.columns, 3)
    with pytest.raises(InputError, match="has these columns of numbers: x; this run judges 3"):
        read_points(tmp_path / "v.csv", None, 3)


@pytest.mark.parametrize("cells", [("1", "", "2", ""), ("a", "", "b", "")])
def test_a_row_without_a_label_is_named(tmp_path, cells):
    (tmp_path / "a.csv").write_text("x,label\n" + "".join(f"{k},{cell}\n" for k, cell in enumerate(cells)))
    with pytest.raises(InputError, match=r"column 'label', row 3 of .* has no label \(nor have 1 more\); fill it"):
        data.table(tmp_path / "a.csv")


def test_labels_above_the_signed_integers_keep_their_value(tmp_path):
    label = pa.array([2**63, 2**63 + 1] * 10, pa.uint64())
    parquet.write_table(pa.table({"x": [float(k) for k in range(20)], "label": label}), tmp_path / "a.parquet")
    assert data.table(tmp_path / "a.parquet").class_names == (str(2**63), str(2**63 + 1))


def test_decimals_are_numbers(tmp_path):
    x = pa.array([f"{k}.5" for k in range(20)]).cast(pa.decimal128(6, 1))
    parquet.write_table(pa.table({"x": x}), tmp_path / "a.parquet")
    facts = data.table(tmp_path / "a.parquet").facts
    assert (facts.low, facts.high) == (0.5, 19.5)


def test_a_message_on_a_cell_that_is_no_image_shows_no_object(tmp_path):
    parquet.write_table(pa.table({"image": [b"no image"] * 20}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="it is no PNG") as caught:
        data.table(tmp_path / "a.parquet")
    assert " at 0x" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "match"),
    [("a,b\n", "has no rows"), ("a|b\n" + "1|2\n" * 20, "commas, semicolons or tabs between them")],
)
def test_a_table_without_rows_or_with_other_separators(tmp_path, text, match):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=match):
        data.table(tmp_path / "a.csv")


@pytest.mark.parametrize("header", [",a,b,id", "Unnamed: 0,a,b,id"])
def test_a_column_without_a_name_that_counts_the_rows_is_left_out(tmp_path, header):
    for name in ("1.csv", "2.csv"):  # each counts its own rows
        rows = [f"{k},{k * k},{-k},{k + 1}" for k in range(20)]
        (tmp_path / name).write_text("\n".join([header, *rows]))
    first = header.partition(",")[0]
    for place in (tmp_path / "1.csv", tmp_path):
        found = data.table(place)
        assert found.columns.names == ("a", "b", "id")
        assert f"columns without a name that only count the rows: {first!r}" in found.summary()[1]
        assert "column 'id' only counts the rows" in found.summary()[2]
        assert read_points(place, None, 3)[0].shape[1] == 3
    assert data.table(place, columns=(first, "a")).columns.names == (first, "a")  # asked for
    (tmp_path / "1.csv").write_text("\n".join([header, *reversed(rows)]))
    assert data.table(tmp_path / "1.csv").columns.names == (first, "a", "b", "id")  # it counts nothing


def test_whole_numbers_in_text_are_exact(tmp_path):
    keys = [2**53 + k for k in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(["a,label", *(f"{key},{key}" for key in keys)]))
    found = data.table(tmp_path / "t.csv")
    assert found.class_names == tuple(map(str, keys))
    assert "column 'a' has whole numbers above 9,007,199,254,740,992" in found.summary()[2]
