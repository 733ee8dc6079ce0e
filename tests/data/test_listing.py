"""Which files of a folder are images, and what is skipped."""

import json
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
        "folders without an image": ("sub",),
    }
    save(tmp_path, pictures(20, 0))
    assert (
        data.folder(tmp_path)
        .summary()[1]
        .endswith(
            "skipped: 14 (hidden or system: ._0.png, .ipynb_checkpoints, @eaDir and 4 more; notes: LICENSE, README, "
            "README.md and 3 more; folders without an image: sub)"
        )
    )


def test_only_junk_is_no_data(tmp_path):
    (tmp_path / "README").write_text("text")
    with pytest.raises(InputError, match=r"has no images; .*\.pgm; skipped: 1 \(notes: README\)"):
        listed(tmp_path)
    with pytest.raises(InputError, match="README is a file; expected a directory"):
        listed(tmp_path / "README")
    with pytest.raises(InputError, match="nowhere is missing; expected a directory"):
        listed(tmp_path / "nowhere")


def test_what_windows_and_editors_leave_beside_files_is_skipped(tmp_path):
    save(tmp_path, pictures(1, 0))
    left = ["0000.png:Zone.Identifier", "Thumbs.db:encryptable", "~$notes.docx", "list~"]
    for name in left:
        (tmp_path / name).write_text("text")
    assert names(tmp_path) == ["0000.png"]
    assert listed(tmp_path).skipped == {"hidden or system": sorted(left)}


def test_files_of_other_kinds_are_named_together_and_can_be_skipped(tmp_path):
    save(tmp_path / "cat", pictures(2, 0))
    for name in ("cat/a.psd", "b.mov", "cat/c.psd"):
        (tmp_path / name).write_text("text")
    with pytest.raises(
        InputError, match=r"b\.mov is not an image of a kind that is read \(nor are 2 more\).*--data\.skip"
    ):
        listed(tmp_path)
    found = listed(tmp_path, skip_other=True)
    assert [file.name for file in found.files] == ["0000.png", "0001.png"]
    assert dict(found.left_out()) == {"files of other kinds": ("b.mov", "cat/a.psd", "cat/c.psd")}
    (tmp_path / "cat" / "0000.png").unlink()
    (tmp_path / "cat" / "0001.png").unlink()
    with pytest.raises(InputError, match=r"has no images; .*skipped: 3 \(files of other kinds"):
        listed(tmp_path, skip_other=True)


def test_folders_without_an_image_are_named_once(tmp_path):
    save(tmp_path / "cat", pictures(1, 0))
    (tmp_path / "dog" / "young" / "small").mkdir(parents=True)
    (tmp_path / "dog" / "old").mkdir()
    (tmp_path / "dogs").mkdir()
    assert listed(tmp_path).skipped == {"folders without an image": ["dog", "dogs"]}


def test_folders_that_hold_everything_are_no_classes(tmp_path):
    for name in ("cat", "dog"):
        save(tmp_path / "pets" / "images" / name, pictures(20, 0))
    found = data.folder(tmp_path)
    assert listed(tmp_path).top == tmp_path / "pets" / "images"
    assert found.class_names == ("cat", "dog")
    assert data.folder(tmp_path / "pets" / "images" / "cat").class_names is None
    assert data.folder(tmp_path / "pets" / "images").class_names == ("cat", "dog")
    save(tmp_path / "other", pictures(1, 0))
    assert data.folder(tmp_path).class_names == ("other", "pets")  # nothing holds everything any more


def test_labels_in_a_folder_that_holds_everything_count(tmp_path):
    save(tmp_path / "images" / "0", pictures(20, 0))
    save(tmp_path / "images" / "1", pictures(20, 1))
    label = {f"images/{k}/{i:04}.png": i % 2 for k in (0, 1) for i in range(20)}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": list(label.items())}))
    assert listed(tmp_path).top == tmp_path
    facts = data.folder(tmp_path).facts
    assert facts.classes == (("0", 20), ("1", 20))


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
        f"train with one of them: --data-dir '{tmp_path}/Training set'" in x for x in data.folder(tmp_path).summary()
    )
    save(tmp_path / "cat", pictures(10, 0))
    assert len(data.folder(tmp_path).summary()) == 2
    save(tmp_path, pictures(1, 0))
    assert "because 1 of 31 images are in none, such as 0000.png" in data.folder(tmp_path).summary()[2]


def test_runs_among_the_data_are_no_data(tmp_path):
    save(tmp_path, pictures(3, 0))
    run = tmp_path / "runs" / "a"
    save(run, pictures(1, 1))
    (run / "config.json").write_text("{}")
    assert len(names(tmp_path)) == 4  # images may have a config.json too
    (run / "checkpoints").mkdir()
    assert len(names(tmp_path)) == 3
    assert ("runs of ensgan", (os.path.join("runs", "a"),)) in listed(tmp_path).left_out()
    with pytest.raises(InputError, match="is a run and no data"):
        listed(run)
