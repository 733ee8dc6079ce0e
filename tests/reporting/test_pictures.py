"""Pictures of samples, to the pixel, and what cannot be drawn."""

import numpy as np
import pytest
from made_runs import make_run
from PIL import Image

from ensgan.reporting import (
    sample_picture,
    write_report,
    write_samples,
)
from ensgan.reporting.pictures import thumbnails, tile
from ensgan.types import InputError


def test_sample_picture_has_hand_computed_size_and_pixels():
    generators = np.zeros((2, 3, 8, 8, 1), np.uint8)
    generators[1, 2, 0, 0] = 200
    real = np.full((3, 8, 8, 1), 90, np.uint8)
    picture = sample_picture(generators, real)
    # Three cells of 64 with gaps of 4 between the gutter of 112 and the margin of 8.
    assert picture.width == 112 + 3 * 64 + 2 * 4 + 8
    # Margins of 8, three blocks of 64, 16 between the generators, 48 before the reals.
    assert picture.height == 8 + 64 + 16 + 64 + 48 + 64 + 8
    pixels = np.asarray(picture)
    x, y = 112 + 2 * 68, 8 + 64 + 16
    assert (pixels[y : y + 8, x : x + 8] == 200).all()  # one pixel became a square of 8
    assert (pixels[y + 8 : y + 64, x : x + 64] == 0).all()
    assert (pixels[y + 64 + 48 :][:64, 112 : 112 + 64] == 90).all()
    assert tuple(pixels[y + 64 + 24, 200]) == (43, 47, 54)  # the line before the reals
    assert (pixels[y, 112 + 64 : 112 + 68] == (236, 238, 241)).all()


def test_sample_picture_breaks_rows_at_sixteen_and_keeps_colours():
    generators = np.zeros((1, 17, 4, 6, 3), np.uint8)
    generators[0, 16] = (10, 20, 30)
    picture = sample_picture(generators, generators[0, :2], scale=2)
    assert picture.width == 112 + 16 * 12 + 15 * 4 + 8
    assert picture.height == 8 + (2 * 8 + 4) + 48 + 8 + 8
    assert picture.getpixel((112, 8 + 8 + 4)) == (10, 20, 30)


def test_an_opacity_is_not_drawn():
    images = np.random.default_rng(0).integers(0, 256, (1, 5, 8, 8, 4)).astype(np.uint8)
    for channels, drawn in ((2, 1), (4, 3)):
        whole, part = images[..., :channels], images[..., :drawn]
        np.testing.assert_array_equal(sample_picture(whole, whole[0]), sample_picture(part, part[0]))
        np.testing.assert_array_equal(thumbnails(whole[0], 64), thumbnails(part[0], 64))  # shrunk


def test_large_images_are_not_enlarged():
    assert (
        sample_picture(np.zeros((1, 1, 80, 80, 3), np.uint8), np.zeros((1, 80, 80, 3), np.uint8)).width == 112 + 80 + 8
    )


def test_points_are_panels():
    points = np.random.default_rng(0).normal(size=(5, 30, 2))
    assert sample_picture(points, points[0]).size == (4 * 360, 2 * 360)


@pytest.mark.parametrize(
    ("generators", "real"),
    [
        (np.zeros((2, 3, 8, 8, 1), np.float32), np.zeros((3, 8, 8, 1), np.float32)),
        (np.zeros((2, 3, 8, 8, 5), np.uint8), np.zeros((3, 8, 8, 5), np.uint8)),
        (np.zeros((2, 3, 5)), np.zeros((3, 5))),
    ],
)
def test_what_cannot_be_drawn_is_an_error(generators, real):
    with pytest.raises(InputError, match="cannot draw"):
        sample_picture(generators, real)


def test_samples_that_do_not_fit_are_an_error():
    with pytest.raises(InputError, match="do not fit"):
        sample_picture(np.zeros((2, 3, 8, 8, 1), np.uint8), np.zeros((3, 4, 4, 1), np.uint8))
    with pytest.raises(InputError, match="no samples"):
        sample_picture(np.zeros((0, 3, 8, 8, 1), np.uint8), np.zeros((3, 8, 8, 1), np.uint8))


def test_write_samples_leaves_one_png(tmp_path):
    run = make_run(tmp_path / "run")
    with Image.open(write_samples(run)) as picture:
        assert picture.size == (112 + 5 * 64 + 4 * 4 + 8, 8 + 3 * 64 + 2 * 16 + 48 + 64 + 8)
    assert not list(run.glob("*.tmp"))


def test_slots_that_take_no_part_are_marked(tmp_path):
    run = make_run(tmp_path / "run")
    before = np.asarray(Image.open(write_samples(run)))
    arrays = dict(np.load(run / "samples.npz"))
    np.savez(run / "samples.npz", **arrays, takes_part=np.array([True, False, True]))
    after = np.asarray(Image.open(write_samples(run)))
    changed = np.flatnonzero((before != after).any(axis=(1, 2)))
    assert changed.min() >= 8 + 64 + 16  # the block of generator 1, and nothing of its samples
    assert changed.max() < 8 + 2 * 64 + 16
    assert (before[:, 112:] == after[:, 112:]).all()
    page = write_report(run).read_text()
    assert page.count("not in use") == 2  # the caption and the name of the picture
    np.savez(run / "samples.npz", **arrays, takes_part=np.array([True]))
    with pytest.raises(InputError, match="has flags for 1 generators but samples of 3"):
        write_samples(run)


def test_missing_and_damaged_samples_are_errors(tmp_path):
    with pytest.raises(InputError, match="no samples at"):
        write_samples(tmp_path)
    (tmp_path / "samples.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match=r"samples\.npz cannot be read"):
        write_samples(tmp_path)
    np.savez(tmp_path / "samples.npz", generators=np.zeros((1, 2, 2)))
    with pytest.raises(InputError, match=r"samples\.npz cannot be read"):
        write_samples(tmp_path)


def test_tile_places_images_row_by_row():
    images = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    assert tile(images, 2, 1)[..., 0].tolist() == [[0, 236, 1], [236, 236, 236], [2, 236, 236]]


def test_thumbnails_keep_to_their_pixels():
    images = np.zeros((50, 8, 8, 1), np.uint8)
    assert len(thumbnails(images, 10**6)) == 36
    assert len(thumbnails(images, 640)) == 10
    small = thumbnails(np.zeros((50, 100, 100, 3), np.uint8), 10_000)
    assert small.shape == (4, 50, 50, 3)
    assert thumbnails(np.zeros((1, 100, 100, 1), np.uint8), 10_000).shape == (1, 50, 50, 1)


def test_a_picture_without_classes_has_no_header():
    images = np.zeros((1, 6, 64, 64, 1), np.uint8)
    tall, flat = (
        sample_picture(images, images[0], classes=["cat", "2", "a long name"]),
        sample_picture(images, images[0]),
    )
    assert tall.size == (112 + 3 * 68 - 4 + 8, 8 + 20 + 2 * (2 * 68 - 4) + 48 + 8)
    assert flat.size == (112 + 6 * 68 - 4 + 8, 8 + 2 * 64 + 48 + 8)
