"""Folders of images, in memory and streamed."""

import numpy as np
import pytest
from PIL import Image

from ensgan import data
from ensgan.data import listing, pictures
from ensgan.types import InputError

COLOURS = np.random.default_rng(0).integers(0, 256, (24, 4, 4, 3), np.uint8)


def fill(path, pixels=COLOURS, names="{:02d}.png"):
    """Write images; the name of image i is names.format(i)."""
    for i, image in enumerate(pixels):
        file = path / names.format(i)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    return path


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


def test_grey_and_colour(tmp_path):
    fill(tmp_path, COLOURS[..., 0])
    grey = data.folder(tmp_path, dequantize=False)
    assert grey.shape == (4, 4, 1)
    np.testing.assert_array_equal(grey.arrays["train"]["x"][..., 0], COLOURS[data.split_indices(24)["train"], ..., 0])
    assert data.folder(tmp_path, channels=3).shape == (4, 4, 3)
    fill(tmp_path, COLOURS[:1], "colour.png")
    assert data.folder(tmp_path).shape == (4, 4, 3)
    assert data.folder(tmp_path, channels=1).shape == (4, 4, 1)


def test_transparency_and_palettes_become_rgb(tmp_path):
    fill(tmp_path)
    palette = Image.fromarray(COLOURS[0]).quantize(16)
    palette.save(tmp_path / "p.png", transparency=bytes(range(16)))
    Image.fromarray(COLOURS[0]).convert("RGBA").save(tmp_path / "q.png")
    Image.fromarray(COLOURS[0]).convert("1").save(tmp_path / "r.gif")
    assert data.folder(tmp_path).shape == (4, 4, 3)


def test_sixteen_bits_are_refused(tmp_path):
    fill(tmp_path, COLOURS[..., 0].astype(np.uint16) * 200)
    with pytest.raises(InputError, match=r"00.png has mode I;16; expected 8-bit"):
        data.folder(tmp_path)


def test_mixed_sizes_need_a_size(tmp_path):
    fill(tmp_path)
    wide = np.zeros((2, 6, 3), np.uint8)
    wide[:, 2:4] = 200  # the centred square
    fill(tmp_path, [wide], "wide.png")
    with pytest.raises(InputError, match=r"00.png is 4×4, .*wide.png is 6×2 .*give a size .*--data.size 64"):
        data.folder(tmp_path)
    source = data.folder(tmp_path, size=2)
    assert source.shape == (2, 2, 3)
    pixels = np.concatenate([table["x"] for table in source.arrays.values()])
    assert (pixels == 200).all(axis=(1, 2, 3)).sum() == 1


def test_rotation_by_the_camera_is_applied(tmp_path):
    upright = np.zeros((16, 8, 3), np.uint8)
    upright[:8] = 230
    for number, turned in ((1, upright), (3, upright[::-1, ::-1]), (6, np.rot90(upright)), (8, np.rot90(upright, -1))):
        exif = Image.Exif()
        exif[0x0112] = number
        for k in range(5):
            for end in ("png", "jpg", "webp"):
                file = tmp_path / f"{number}{k}.{end}"
                Image.fromarray(np.ascontiguousarray(turned)).save(file, exif=exif, quality=95)
    x = data.read_images(tmp_path)
    assert x.shape == (60, 16, 8, 3)
    np.testing.assert_allclose(x.astype(float), np.broadcast_to(upright, x.shape), atol=9)


def test_transparency_is_laid_over_the_background(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (4, 4, 4), np.uint8)
    noise[..., 3] = [[0], [0], [255], [51]]  # transparent, opaque, one fifth
    fill(tmp_path, [noise] * 10)
    for options, under in (({}, 255), ({"background": "black"}, 0), ({"background": "#000"}, 0)):
        x = data.read_images(tmp_path, **options)[0].astype(float)
        np.testing.assert_array_equal(x[:2], under)
        np.testing.assert_array_equal(x[2], noise[2, :, :3])
        np.testing.assert_allclose(x[3], 0.2 * noise[3, :, :3] + 0.8 * under, atol=1)
    assert (data.read_images(tmp_path, background="#0a141e")[0, 0, 0] == [10, 20, 30]).all()
    with pytest.raises(InputError, match="background is 'sky'; expected a colour, such as white"):
        data.folder(tmp_path, background="sky")
    grey = np.stack([noise[..., 0], noise[..., 3]], axis=-1)
    fill(tmp_path / "grey", [grey] * 10)
    assert data.folder(tmp_path / "grey").shape == (4, 4, 1)
    assert (data.read_images(tmp_path / "grey")[0, :2] == 255).all()
    assert data.folder(tmp_path / "grey", background="red").shape == (4, 4, 3)
    palette = Image.fromarray(COLOURS[0]).quantize(16)
    palette.save(tmp_path / "grey" / "p.png", transparency=bytes(16))
    assert (data.read_images(tmp_path / "grey")[-1] == 255).all()


def test_broken_images_are_named_and_may_be_left_out(tmp_path):
    fill(tmp_path / "a")
    fill(tmp_path / "b")
    cut = tmp_path / "b" / "03.png"
    cut.write_bytes(cut.read_bytes()[:-40])
    (tmp_path / "a" / "away.png").symlink_to("nowhere.png")
    with pytest.raises(InputError, match=r"(03|away).png cannot be read as an image \(.*--data.skip-broken"):
        data.folder(tmp_path)
    for resident in (True, False):
        source = data.folder(tmp_path, skip_broken=True, resident=resident)
        assert source.facts.num == 47
        assert source.facts.classes == (("a", 24), ("b", 23))
        assert "skipped: 2 (broken: a/away.png, b/03.png)" in source.summary()[1]
    for file in (tmp_path / "a").iterdir():
        file.unlink()
    for file in (tmp_path / "b").iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"none of 24 images can be read, first .*00.png"):
        data.folder(tmp_path, skip_broken=True)


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
        ("film.mp4", b"film", "film.mp4 is not an image; expected only files that end in .png"),
        ("train.zip", b"archive", "read the archive itself: --data-dir"),
        ("zz.png", b"text", r"zz.png cannot be read as an image \(cannot identify image file"),
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
    with pytest.raises(InputError, match="nowhere is not a directory"):
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
