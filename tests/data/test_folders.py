"""Folders of images, in memory and streamed."""

import os

import numpy as np
import pytest
from image_files import COLOURS, fill
from PIL import Image

from ensgan import data
from ensgan.data import listing, pictures
from ensgan.types import InputError


def test_resident_folder_holds_the_pixels_in_the_order_of_names(tmp_path):
    (tmp_path / ".git").mkdir()
    for junk in (".DS_Store", "Thumbs.db", ".git/config"):
        (tmp_path / junk).write_text("junk")
    source = data.folder(fill(tmp_path))
    assert (source.name, source.shape, source.classes) == (tmp_path.name, (4, 4, 3), None)
    for split, where in data.split_indices(24).items():
        np.testing.assert_array_equal(source.arrays[split]["x"], COLOURS[where])
        assert "label" not in source.arrays[split]


def test_subfolders_are_classes(tmp_path):
    fill(tmp_path / "dogs", COLOURS[:12])
    fill(tmp_path / "cats" / "deeper", COLOURS[12:])
    source = data.folder(tmp_path)
    assert source.classes == 2
    where = data.split_indices(24)["train"]
    np.testing.assert_array_equal(source.arrays["train"]["label"], where >= 12)
    # files are sorted, so cats come first
    np.testing.assert_array_equal(source.arrays["train"]["x"], np.roll(COLOURS, 12, axis=0)[where])
    fill(tmp_path, COLOURS[:1])
    assert data.folder(tmp_path).classes is None


def test_class_folders_are_in_natural_order_and_keep_their_names(tmp_path):
    for name in ("class10", "class9", "class1"):
        fill(tmp_path / name, COLOURS[:8])
    for resident in (True, False):
        source = data.folder(tmp_path, resident=resident)
        assert source.class_names == ("class1", "class9", "class10")
        assert source.classes == 3
        assert "3 classes: 0 = class1 (8), 1 = class9 (8), 2 = class10 (8); nothing" in source.summary()[1]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"size": 0}, "size is 0"),
        ({"channels": 2}, "channels is 2; expected 1"),
        ({"resident": "maybe"}, "resident is 'maybe'"),
    ],
)
def test_bad_options_of_a_folder(tmp_path, options, match):
    with pytest.raises(InputError, match=match):
        data.folder(tmp_path, **options)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("film.mp4", b"film", "film.mp4 is not an image of a kind that is read; expected only files that end in .png"),
        ("train.zip", b"archive", "read the archive itself: --data-dir"),
        (
            "zz.png",
            b"text",
            r"zz.png cannot be read as an image \(it is no PNG, JPEG, BMP, WEBP, GIF, TIFF or PPM, or is broken",
        ),
        ("zz.png", None, r"zz.png cannot be read as an image \("),
    ],
)
def test_files_that_are_no_images(tmp_path, name, content, match):
    fill(tmp_path)
    cut = fill(tmp_path / ".hidden", COLOURS[:1]) / "00.png"
    (tmp_path / name).write_bytes(content or cut.read_bytes()[:-40])
    with pytest.raises(InputError, match=match) as caught:
        data.folder(tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(InputError, match="nowhere is missing; expected a directory"):
        data.folder(tmp_path / "nowhere")
    with pytest.raises(InputError, match="has no images"):
        data.folder(tmp_path)
    fill(tmp_path, COLOURS[:9])
    with pytest.raises(InputError, match="9 samples cannot be divided into four splits"):
        data.folder(tmp_path)


def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    def scan(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(listing.os, "scandir", scan)
    with pytest.raises(InputError, match=r"cannot be listed \(Permission denied\)"):
        data.folder(tmp_path)


def test_a_streamed_folder_gives_the_pixels_of_the_resident_one(tmp_path, monkeypatch):
    fill(tmp_path / "a", COLOURS[:12])
    fill(tmp_path / "b", COLOURS[12:])
    held = data.folder(tmp_path, dequantize=False)
    monkeypatch.setattr(pictures, "MEMORY", COLOURS.nbytes - 1)  # one byte too little for "auto"
    streamed = data.folder(tmp_path, dequantize=False)
    assert (held.read, streamed.draw, streamed.arrays) == (None, None, {})
    assert (streamed.shape, streamed.num, streamed.classes) == (held.shape, held.num, held.classes)
    for split in data.SPLITS:
        for name in ("x", "label"):
            np.testing.assert_array_equal(streamed.held_out(split, 99)[name], held.held_out(split, 99)[name])
    epoch = streamed.read(0, streamed.num["train"])
    known = held.held_out("train", 99)
    assert sorted(zip(rows(epoch["x"]), epoch["label"].tolist(), strict=True)) == sorted(
        zip(rows(known["x"]), known["label"].tolist(), strict=True)
    )
    noisy = [data.folder(tmp_path, resident=resident).held_out("report", 9)["x"] for resident in (True, False)]
    np.testing.assert_array_equal(*noisy)


def rows(x):
    return [row.tobytes() for row in x]


def pixels(batch):
    return [int(v) for v in np.floor((batch["x"][:, 0, 0, 0] + 1) * 128)]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes in folders")
def test_a_pipe_among_images_is_not_waited_for(tmp_path):
    for number in range(12):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / f"{number}.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match=r"pipe.png cannot be read as an image .it is a pipe or a device"):
        data.folder(tmp_path)
    assert data.folder(tmp_path, skip_broken=True).shape == (4, 4, 1)
