"""Checks of flags that several commands have."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from ensgan.cli.checks import (
    REPEATS,
    check_apart,
    check_data_apart,
    check_folder,
    check_out,
    check_spares,
    counted,
    enough,
    repeats_or_default,
    span_of,
)
from ensgan.types import InputError


def test_numbers_that_are_given_or_not():
    assert [repeats_or_default(n) for n in (None, 0, 2)] == [REPEATS, 0, 2]
    assert [enough(n) for n in (None, 8, 1000)] == [None, 8, 1000]
    assert [counted(n, "sample") for n in (0, 1, 2, 1000)] == ["0 samples", "1 sample", "2 samples", "1,000 samples"]


@pytest.mark.parametrize("repeats", [1, -1])
def test_one_half_sample_gives_no_interval(repeats):
    with pytest.raises(InputError, match=rf"^--repeats is {repeats}; give 2 or more, or 0 for no intervals$"):
        repeats_or_default(repeats)


def test_ranks_of_a_few_samples_are_noise():
    with pytest.raises(InputError, match=r"^--num is 7; scores need at least 8 samples$"):
        enough(7)


def test_a_file_needs_its_ending_and_its_folder(tmp_path):
    check_out(tmp_path / "a.png", ".png", ".npz")
    for out, folder, text in (
        ("a.gif", False, r"a\.gif; give a name that ends in \.png or \.npz$"),
        ("a", False, r"ends in \.png or \.npz$"),
        ("a", True, r"ends in \.png or \.npz, or .*a/ for a folder$"),
        ("a.gif", True, r"ends in \.png or \.npz$"),
        ("no/a.png", False, r"but the folder .*no does not exist; make it first$"),
    ):
        with pytest.raises(InputError, match=text):
            check_out(tmp_path / out, ".png", ".npz", folder=folder)


def test_a_relative_name_is_in_the_folder_that_one_is_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_out(Path("a.png"), ".png")


def test_samples_go_into_an_empty_or_a_new_folder(tmp_path):
    check_folder(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    check_folder(tmp_path / "empty")
    (tmp_path / "file").write_text("")
    for out, text in (
        ("file", "holds other files"),
        ("", "holds other files"),
        ("no/where", "does not exist; make it"),
    ):
        with pytest.raises(InputError, match=text):
            check_folder(tmp_path / out)


def test_files_of_a_run_are_not_written_over(tmp_path):
    check_out(tmp_path / "samples.npz", ".npz")
    (tmp_path / "config.json").touch()
    check_out(tmp_path / "more.npz", ".npz")
    for name in ("samples.npz", "judge.npz"):
        with pytest.raises(InputError, match=rf"{name}, a file of the run in that folder; give another name"):
            check_out(tmp_path / name, ".npz")
    with pytest.raises(InputError, match=r"report.html, a file of the run"):
        check_spares(tmp_path / "report.html")


def test_nothing_is_written_over_what_is_read(tmp_path):
    file = tmp_path / "x.npz"
    file.write_bytes(b"x")
    (tmp_path / "link.npz").symlink_to(file)
    for read in (str(file), None, "s3://bucket/data"):
        check_apart(tmp_path / "y.npz", read)
    for out in (file, tmp_path / "link.npz"):
        with pytest.raises(InputError, match="which is read, and would be replaced; give a place elsewhere"):
            check_apart(out, str(file))


def test_nothing_is_written_among_data_that_are_read_as_a_whole(tmp_path):
    settings = lambda name: SimpleNamespace(data=SimpleNamespace(name=name, options={"path": str(tmp_path / "data")}))
    (tmp_path / "data" / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "data" / "run" / "config.json").write_text("{}")
    for out in ("data/new.png", "data/new.npz", "data/folder"):
        check_data_apart(tmp_path / out, settings("mnist"))  # whose files are read by their names
        with pytest.raises(InputError, match=r"in the folder .*data, whose files are data; give a place elsewhere"):
            check_data_apart(tmp_path / out, settings("folder"))
    check_data_apart(tmp_path / "x.png", settings("folder"))
    check_data_apart(tmp_path / "data" / "run" / "x.png", settings("folder"))  # runs are no data


def test_a_range_is_two_numbers():
    assert [span_of(text) for text in (None, "0,1", " -1 , 2.5e1 ")] == [None, (0, 1), (-1, 25)]
    for text in ("1,0", "a,b", "1", "nan,1"):
        with pytest.raises(InputError, match=r"--range is '.*'; give the values of black and white, such as 0,1"):
            span_of(text)
