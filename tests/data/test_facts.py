"""What was read: two lines, and notes about what may be a mistake."""

import numpy as np

from ensgan import data

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 4, 3, 1), np.uint8)


def test_two_lines_say_what_was_read():
    source = data.from_arrays("some", IMAGES, np.arange(20) % 2)
    low, high = IMAGES.min(), IMAGES.max()
    assert source.summary() == [
        f"data some: 20 images, 3 wide, 4 high, 1 channel, values {low} to {high} (uint8)",
        "  2 classes: 0 (10), 1 (10); nothing skipped",
    ]
    points = data.from_arrays("points", np.arange(60.0).reshape(20, 3), np.array(["b10", "b9"] * 10))
    assert points.summary() == [
        "data points: 20 samples, 3 numbers each, values 0 to 59 (float32)",
        "  2 classes: 0 = b9 (10), 1 = b10 (10); nothing skipped",
    ]
    assert data.gaussian_ring().summary() == []
    assert data.stacked_digits().summary()[0].startswith("data digits: 1,797 images, 8 wide")


def notes(x, **options):
    return [line.removeprefix("  note: ") for line in data.from_arrays("some", x, **options).summary()[2:]]


def test_odd_images_are_named():
    x = IMAGES.copy()
    x[3], x[5] = 255, 17
    x[7] = RNG.integers(0, 20, x[7].shape)
    assert notes(x) == [
        "2 images are of one colour throughout: number 3, number 5",
        "1 image is nearly black: number 7",
    ]
    assert notes(np.full((20, 4, 4), 9, np.uint8)) == [
        "20 images are of one colour throughout: number 0, number 1, number 2 and 17 more"
    ]
    floats = RNG.uniform(-1, 1, (20, 4, 3, 1))
    floats[2] = RNG.uniform(-1, -0.9, (4, 3, 1))
    assert notes(floats) == ["1 image is nearly black: number 2"]


def test_names_that_differ_only_in_spaces_are_named():
    label = np.array(["a", "a ", " a", "b"] * 10)
    source = data.from_arrays("points", RNG.normal(size=(40, 2)), label)
    assert source.summary()[2:] == [
        "  note: classes ' a', 'a', 'a ' differ only in spaces; if they are one class, give it one name"
    ]


def test_names_that_look_alike_are_named():
    label = np.array(["Hu\u0308ndin", "H\u00fcndin", "katze", "Katze", "b"] * 10)
    told = data.from_arrays("points", RNG.normal(size=(50, 2)), label).summary()[2]
    assert "differ only in capitals or in how accents are stored" in told
    assert "'b'" not in told


def test_half_of_the_range_is_named():
    expected = "the images use only {} of {}, half of the range or less; rescale them"
    assert notes(IMAGES // 2)[0].startswith(expected.format(f"{IMAGES.min() // 2} to {IMAGES.max() // 2}", "0 to 255"))
    assert notes(IMAGES // 16, levels=16) == []
    floats = RNG.uniform(-0.5, 0.5, (20, 4, 4))
    floats[0, 0, :2] = -0.5, 0.5
    assert notes(floats)[0].startswith(expected.format("-0.5 to 0.5", "-1 to 1"))
    assert notes(RNG.uniform(-9, 9, (20, 2))) == []


def test_files_are_named_in_notes(tmp_path):
    from image_files import save

    save(tmp_path, [*IMAGES[..., 0], np.zeros((4, 3), np.uint8)])
    assert data.folder(tmp_path).summary()[2:] == ["  note: 1 image is of one colour throughout: 0020.png"]
    streamed = data.folder(tmp_path, resident=False)
    assert streamed.summary() == data.folder(tmp_path).summary()
