"""Images decoded one by one: turned as the camera noted, laid over a background, cropped and resized."""

import io

import numpy as np
import pytest
from image_files import COLOURS, fill
from PIL import Image

from ensgan import data
from ensgan.data import limits
from ensgan.data.decoding import Images, opened, orientation_of
from ensgan.data.pictures import Cell
from ensgan.types import InputError


def test_transparency_and_palettes_become_rgb(tmp_path):
    fill(tmp_path)
    palette = Image.fromarray(COLOURS[0]).quantize(16)
    palette.save(tmp_path / "p.png", transparency=bytes(range(16)))
    Image.fromarray(COLOURS[0]).convert("RGBA").save(tmp_path / "q.png")
    Image.fromarray(COLOURS[0]).convert("1").save(tmp_path / "r.gif")
    assert data.folder(tmp_path).shape == (4, 4, 3)


def test_rotation_by_the_camera_is_applied(tmp_path):
    upright = np.zeros((16, 8, 3), np.uint8)
    upright[:8] = 230
    for number, turned in ((1, upright), (3, upright[::-1, ::-1]), (6, np.rot90(upright)), (8, np.rot90(upright, -1))):
        exif = Image.Exif()
        exif[0x0112] = number
        for k in range(5):
            for end in ("png", "jpg", "webp", "tif"):
                file = tmp_path / f"{number}{k}.{end}"
                Image.fromarray(np.ascontiguousarray(turned)).save(file, exif=exif, quality=95)
    x = data.read_images(tmp_path)
    assert x.shape == (80, 16, 8, 3)
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


def test_other_names_of_jpeg_and_plain_formats_are_read(tmp_path):
    fill(tmp_path, COLOURS[:1])
    image = Image.fromarray(COLOURS[0])
    for name, kind in (("1.jfif", "JPEG"), ("2.tif", "TIFF"), ("3.TIFF", "TIFF"), ("4.ppm", "PPM")):
        image.save(tmp_path / name, format=kind, **({"quality": 100, "subsampling": 0} if kind == "JPEG" else {}))
    image.convert("L").save(tmp_path / "5.pgm")
    x = data.read_images(tmp_path).astype(int)
    np.testing.assert_array_equal(x[[0, 2, 3, 4]], np.broadcast_to(COLOURS[0], (4, *COLOURS[0].shape)))
    np.testing.assert_allclose(x[1], COLOURS[0], atol=30)
    np.testing.assert_array_equal(x[5], np.asarray(image.convert("L").convert("RGB")))


def test_a_background_is_said_where_an_image_is_transparent(tmp_path):
    fill(tmp_path, COLOURS)
    assert "transparent" not in data.folder(tmp_path).summary()[1]
    clear = np.dstack([COLOURS[0], np.full(COLOURS[0].shape[:2], 9, np.uint8)])
    Image.fromarray(clear).save(tmp_path / "z.png")
    assert data.folder(tmp_path).summary()[1].endswith("; transparent images laid over white")
    assert data.folder(tmp_path, background="red").summary()[1].endswith("; transparent images laid over red")


def png(image, **options):
    file = io.BytesIO()
    image.save(file, format="PNG", **options)
    return Cell("this", file.getvalue())


def images(file, mode="RGB", size=None, shape=(4, 4, 3), label=None):
    return Images([file], label, mode, size, Image.Resampling.LANCZOS, shape, (255, 255, 255))


def test_a_record_has_a_label_only_where_there_are_classes():
    file = png(Image.fromarray(COLOURS[0]))
    assert set(images(file)[0]) == {"x"}
    found = images(file, label=np.array(["cat"]))
    assert found[0]["label"] == "cat"
    np.testing.assert_array_equal(found[0]["x"], COLOURS[0])
    np.testing.assert_array_equal(found.pixels(), COLOURS[:1])
    assert len(found) == 1


def test_the_centred_square_is_cropped_before_it_is_resized():
    wide = np.zeros((2, 6, 3), np.uint8)
    wide[:, 2:4] = [10, 20, 30]
    found = images(png(Image.fromarray(wide)), size=2, shape=(2, 2, 3))
    np.testing.assert_array_equal(found[0]["x"], np.broadcast_to([10, 20, 30], (2, 2, 3)))
    assert "resized to 2×2" in found.treated()[0]
    high = png(Image.fromarray(np.full((9, 4, 3), 77, np.uint8)))
    np.testing.assert_array_equal(images(high, size=3, shape=(3, 3, 3))[0]["x"], np.full((3, 3, 3), 77))
    assert images(png(Image.fromarray(wide))).treated() == ()


def test_grey_images_have_an_axis_of_channels():
    x = images(png(Image.fromarray(COLOURS[0, ..., 0])), "L", shape=(4, 4, 1))[0]["x"]
    np.testing.assert_array_equal(x, COLOURS[0, ..., :1])


def test_notes_of_a_camera_that_make_no_sense_are_none():
    for number, want in ((1, 1), (6, 6), (8, 8), (9, 1), (0, 1)):
        exif = Image.Exif()
        exif[0x0112] = number
        with opened(png(Image.fromarray(COLOURS[0]), exif=exif)) as image:
            assert orientation_of(image) == want
    with opened(png(Image.fromarray(COLOURS[0]))) as image:
        assert orientation_of(image) == 1


def test_what_is_no_image_is_named_with_a_way_on():
    with pytest.raises(InputError, match=r"^this cannot be read as an image \(.*\); .*--data\.skip-broken"):
        opened(Cell("this", b"text"))
    cut = png(Image.fromarray(COLOURS[0])).content[:-30]
    with pytest.raises(InputError, match="this cannot be read as an image") as told:
        images(Cell("this", cut))[0]
    assert "\n" not in str(told.value)


def test_more_pixels_than_memory_are_refused_before_they_are_decoded(monkeypatch):
    monkeypatch.setattr(limits, "memory", lambda: 47)
    with pytest.raises(
        InputError, match=r"holding 1 images of \[4, 4, 3\] needs .*; stream them: --data.resident false"
    ):
        images(Cell("this", b"never opened")).pixels()
