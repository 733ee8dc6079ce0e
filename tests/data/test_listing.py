"""Which files of a folder are images, and what is skipped."""

import os

import pytest
from image_files import pictures, save

from ensgan import data
from ensgan.data.listing import listed
from ensgan.types import InputError


def names(path):
    return [file.name for file in listed(path).files]


def test_system_files_and_notes_are_skipped_and_counted(tmp_path):
    save(tmp_path, pictures(3, 0))
    for junk in ("@eaDir", "__MACOSX", ".ipynb_checkpoints", "sub/.thumbs"):
        save(tmp_path / junk, pictures(1, 1))
    for note in (
        "README",
        "README.md",
        "labels.csv",
        "meta.json",
        "a.txt",
        "LICENSE",
        "desktop.ini",
        "Thumbs.db",
        "._0.png",
    ):
        (tmp_path / note).write_text("text")
    found = listed(tmp_path)
    assert names(tmp_path) == ["0000.png", "0001.png", "0002.png"]
    assert dict(found.left_out()) == {
        "hidden or system": (
            "._0.png",
            ".ipynb_checkpoints",
            "@eaDir",
            "Thumbs.db",
            "__MACOSX",
            "desktop.ini",
            "sub/.thumbs",
        ),
        "notes": ("LICENSE", "README", "README.md", "a.txt", "labels.csv", "meta.json"),
    }
    save(tmp_path, pictures(20, 0))
    assert (
        data.folder(tmp_path)
        .summary()[1]
        .endswith(
            "skipped: 13 (hidden or system: ._0.png, .ipynb_checkpoints, @eaDir and 4 more; notes: LICENSE, README, "
            "README.md and 3 more)"
        )
    )


def test_only_junk_is_no_data(tmp_path):
    (tmp_path / "README").write_text("text")
    with pytest.raises(InputError, match=r"has no images; .*\.gif; skipped: 1 \(notes: README\)"):
        listed(tmp_path)
    with pytest.raises(InputError, match="README is a file; expected a directory"):
        listed(tmp_path / "README")


def test_links_into_the_folder_itself_are_skipped(tmp_path):
    inside = tmp_path / "a"
    save(inside / "b", pictures(2, 0))
    save(tmp_path / "outside", pictures(1, 0))
    os.symlink(".", inside / "again")
    os.symlink("..", inside / "b" / "up")
    os.symlink("..", inside / "above")
    os.symlink("self", inside / "self")
    os.symlink("../outside", inside / "more")  # another folder, which is read
    found = listed(inside)
    assert [str(file.relative_to(inside)) for file in found.files] == ["b/0000.png", "b/0001.png", "more/0000.png"]
    assert dict(found.left_out()) == {"links into the folder itself": ("above", "again", "b/up", "self")}


def test_splits_as_classes_get_a_hint(tmp_path):
    for name in ("train", "val"):
        save(tmp_path / name, pictures(10, 0))
    assert any(
        "train, val, which look like splits" in line and "train with one of them: --data-dir" in line
        for line in data.folder(tmp_path).summary()
    )
    (tmp_path / "val").rename(tmp_path / "Test set")
    (tmp_path / "train").rename(tmp_path / "Training set")
    assert any(
        f"train with one of them: --data-dir {tmp_path}/Training set" in x for x in data.folder(tmp_path).summary()
    )
    save(tmp_path / "cat", pictures(10, 0))
    assert len(data.folder(tmp_path).summary()) == 2
    save(tmp_path, pictures(1, 0))
    assert "because 1 of 31 images are in none, such as 0000.png" in data.folder(tmp_path).summary()[2]
