"""Tables: the numbers of the file, labels, standardised columns that come back, and one line for what is wrong."""

import io

import numpy as np
import pytest
from PIL import Image

from ensgan import data
from ensgan.data.recorded import record, remembered
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
    parquet.write_table(arrow.table({"image": [*cells[:-1], {"bytes": b"no", "path": ""}]}), tmp_path / "u.parquet")
    with pytest.raises(InputError, match="sample 39 cannot be read as an image"):
        data.table(tmp_path / "u.parquet")


@pytest.mark.parametrize(
    ("content", "options", "text"),
    [
        ("", {}, "is empty"),
        ("a,b\n1,2\n3\n", {}, "row 3 has 1 cells; expected 2"),
        ("a,a\n1,2\n", {}, "two columns of one name: a"),
        ("a,b\n1,\n2,3\n", {}, "column 'b' .* has 1 cells without a finite number, first in sample 0"),
        ("a,b\n1,nan\n2,3\n", {}, "without a finite number"),
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
