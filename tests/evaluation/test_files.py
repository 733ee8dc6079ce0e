"""Samples to compare from folders and files: one form, and a range that has to be said."""

import shutil

import numpy as np
import pytest
from image_files import pictures, save
from toys import points

from ensgan.cli import main as cli
from ensgan.evaluation.comparison import compare
from ensgan.evaluation.files import read_samples
from ensgan.evaluation.folders import compare_folders
from ensgan.reporting.files import RunFiles, write_json
from ensgan.types import InputError


def test_files_of_arrays_are_compared_as_folders_are(tmp_path, capsys):
    x = pictures(60, 0)
    real, fake = save(tmp_path / "real", x), save(tmp_path / "fake", pictures(60, 1, low=99))
    np.save(tmp_path / "real.npy", x)
    y = (pictures(60, 1, low=99)[..., None] + np.float32(0.5)) / 128 - 1
    np.savez(tmp_path / "fake.npz", x=y)
    want = compare_folders(real, fake, repeats=0)[0]
    assert repr(compare_folders(tmp_path / "real.npy", tmp_path / "fake.npz", repeats=0)[0]) == repr(want)
    np.savez(tmp_path / "sampled.npz", x=3 * y, images=pictures(60, 1, low=99)[..., None])  # pixels count
    assert repr(compare_folders(real, tmp_path / "sampled.npz", repeats=0)[0]) == repr(want)
    np.savez(tmp_path / "unit.npz", x=(y + 1) / 2)
    unit = ["evaluate", "--real", str(real), "--fake", str(tmp_path / "unit.npz"), "--repeats", "0"]
    assert cli.main(unit) == 2
    assert "say which with --range 0,1 or --range -1,1" in capsys.readouterr().err
    assert repr(compare_folders(real, tmp_path / "unit.npz", span=(0, 1), repeats=0)[0]) == repr(want)
    assert cli.main([*unit, "--range", "0,1"]) == 0
    assert cli.main([*unit, "--range", "1"]) == 2
    assert "--range is '1'; give the values of black and white, such as 0,1" in capsys.readouterr().err
    np.savez(tmp_path / "wide.npz", x=200 * y)
    assert cli.main(["evaluate", "--real", str(real), "--fake", str(tmp_path / "wide.npz")]) == 2
    assert "expected [-1, 1]; give their --range, such as --range 0,255" in capsys.readouterr().err
    np.savez(tmp_path / "points.npz", x=points(60, 0))
    assert cli.main(["evaluate", "--real", str(real), "--fake", str(tmp_path / "points.npz")]) == 2
    assert (
        "reals are images of 4×4×1 and fakes points of 3 numbers; give samples of one shape" in capsys.readouterr().err
    )
    np.savez(tmp_path / "more.npz", x=points(80, 1))
    both = compare_folders(tmp_path / "points.npz", tmp_path / "more.npz", repeats=0)[0]
    assert both.rows["Fréchet distance"].value == pytest.approx(
        compare(points(60, 0), points(80, 1), repeats=0).rows["Fréchet distance"].value
    )


def test_pictures_of_other_sizes_take_a_size(tmp_path):
    large = pictures(60, 0, (8, 12, 3))
    folder = save(tmp_path / "large", large)
    np.savez(tmp_path / "large.npz", x=large)
    small = save(tmp_path / "small", pictures(60, 0, (6, 6, 3)))
    want = compare_folders(folder, small, size=4, repeats=0)[0]
    assert repr(compare_folders(tmp_path / "large.npz", small, size=4, repeats=0)[0]) == repr(want)


def test_arrays_come_with_their_labels(tmp_path):
    x, label = pictures(6, 0, (4, 4, 3)), np.arange(6) % 2
    np.savez(tmp_path / "a.npz", x=x, y=label)
    found, tags = read_samples(tmp_path / "a.npz")
    np.testing.assert_array_equal(found, x)
    np.testing.assert_array_equal(tags, label)
    found, tags = read_samples(save(tmp_path / "folder", x))
    np.testing.assert_array_equal(found, x)
    assert tags is None


@pytest.mark.parametrize(
    ("x", "options", "text"),
    [
        (np.zeros((0, 2), np.float32), {}, "holds no samples; expected at least 1"),
        (points(6, 0), {"size": 4}, r"--size is 4, but .*a\.npy holds points and no images; leave it out"),
        (
            np.zeros((3, 4, 4, 1), np.float32),
            {},
            r"float images in \[0, 0\], which may be meant as \[0, 1\] or as \[-1, 1\]",
        ),
        (np.full((3, 4, 4, 1), -1.01, np.float32), {}, r"float images in \[-1\.01, -1\.01\]; expected \[-1, 1\]"),
        (np.full((3, 4, 4, 1), 0.5, np.float32), {"span": (1.0, 2.0)}, r"expected \[1, 2\]; give their --range"),
        (np.zeros((3, 4, 4, 1), np.uint8), {"size": 0}, "size is 0; expected at least 1 pixel"),
    ],
)
def test_what_cannot_be_compared_is_named(tmp_path, x, options, text):
    np.save(tmp_path / "a.npy", x)
    with pytest.raises(InputError, match=text):
        read_samples(tmp_path / "a.npy", **options)


def test_a_range_may_be_left_by_rounding_alone(tmp_path):
    x = np.linspace(-1.0, 1.0, 16, dtype=np.float32).reshape(1, 4, 4, 1) * np.float32(1.00001)
    np.save(tmp_path / "a.npy", x)
    found, _ = read_samples(tmp_path / "a.npy")
    assert (found.min(), found.max()) == (0, 255)
    np.save(tmp_path / "b.npy", (x + 1) * 100)
    np.testing.assert_array_equal(read_samples(tmp_path / "b.npy", span=(0.0, 200.0))[0], found)


def test_other_files_are_no_samples(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(
        InputError,
        match=r"a\.txt is a file; expected a folder of images, a \.zip or \.tar of one, or a file that ends in \.npz",
    ):
        read_samples(tmp_path / "a.txt")
    with pytest.raises(InputError, match="nowhere is missing"):
        read_samples(tmp_path / "nowhere")
    write_json(RunFiles(tmp_path).config, {})
    RunFiles(tmp_path).checkpoints.mkdir()
    with pytest.raises(InputError, match="is a run and holds no samples in files; write some with `ensgan sample"):
        read_samples(tmp_path)


def test_flags_of_other_commands_are_not_named(tmp_path):
    for x in (np.zeros((3, 4, 4), np.uint16), np.full((3, 4, 4), 999, np.int32)):
        np.save(tmp_path / "a.npy", x)
        with pytest.raises(InputError) as caught:
            read_samples(tmp_path / "a.npy")
        assert "--data" not in str(caught.value)
    np.savez(tmp_path / "a.npz", a=x, b=x)
    with pytest.raises(InputError, match=r"expected samples under 'x' or 'images', labels under 'y'$"):
        read_samples(tmp_path / "a.npz")


def test_numbers_beyond_float32_are_not_called_infinite(tmp_path):
    for x in (np.full((3, 2), 1e300), np.full((3, 4, 4, 1), 1e300)):
        np.save(tmp_path / "a.npy", x)
        with pytest.raises(InputError, match=r"values as large as 1e\+300; float32 ends at"):
            read_samples(tmp_path / "a.npy")


@pytest.mark.parametrize("shape", [(5, 3), (5, 6, 4, 1)])
@pytest.mark.parametrize("span", [None, (0.0, 1.0)])
def test_samples_that_are_not_finite_stay_so(tmp_path, shape, span):
    x = np.random.default_rng(0).uniform(-1 if span is None else 0, 1, shape).astype(np.float32)
    x[1, 0], x[3] = np.inf, np.nan
    for name, values in (("some", x), ("all", x * np.nan)):
        np.save(tmp_path / f"{name}.npy", values)
    size = 4 if len(shape) == 4 else None
    some, every = (read_samples(tmp_path / f"{name}.npy", span=span, size=size)[0] for name in ("some", "all"))
    assert np.isfinite(some).reshape(5, -1).all(axis=1).tolist() == [True, False, True, False, True]
    assert some.min(where=np.isfinite(some), initial=9) >= -1
    assert not np.isfinite(every).any()


def test_an_archive_is_the_folder(tmp_path):
    x = pictures(6, 0)
    place = save(tmp_path / "a", x)
    found = read_samples(shutil.make_archive(str(tmp_path / "packed"), "zip", place))[0]
    np.testing.assert_array_equal(found, read_samples(place)[0])


def test_wide_images_are_cropped_to_their_centre(tmp_path):
    x = np.zeros((2, 2, 6, 3), np.uint8)
    x[:, :, 2:4] = [[10, 20, 30], [40, 50, 60]]
    np.save(tmp_path / "a.npy", x)
    np.testing.assert_array_equal(read_samples(tmp_path / "a.npy", size=2)[0], x[:, :, 2:4])
