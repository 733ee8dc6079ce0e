"""Two folders or files compared, from the command line as well, and what is refused."""

import re
from functools import partial

import numpy as np
import pytest
from image_files import pictures, save
from toys import points, quadrants

from ensgan import metrics
from ensgan.cli import main as cli
from ensgan.evaluation.comparison import compare
from ensgan.evaluation.families import SHORT
from ensgan.evaluation.folders import compare_folders
from ensgan.types import InputError


def test_two_folders(tmp_path, capsys):
    real, same = save(tmp_path / "real", pictures(120, 0)), save(tmp_path / "same", pictures(60, 1))
    bright = save(tmp_path / "bright", pictures(60, 2, low=128))
    compare = partial(compare_folders, names=["Fréchet distance"], repeats=10)
    found, judge = compare(real, bright)
    assert judge is None
    x, y = (part.reshape(len(part), -1) / 128 + 1 / 256 - 1 for part in (pictures(120, 0), pictures(60, 2, low=128)))
    want = metrics.frechet_distance(metrics.moments(x), metrics.moments(y))
    assert found.rows["Fréchet distance"].value == pytest.approx(want, rel=1e-5)
    near, _ = compare(real, same)
    assert near.rows["Fréchet distance"].high < found.rows["Fréchet distance"].low
    again, _ = compare(real, same, cache=tmp_path / "cache")
    assert again == near
    assert compare(real, same, num=50)[0].fakes == 50

    assert cli.main(["evaluate", "--real", str(real), "--fake", str(same)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("60 fakes against 120 reals in the features: identity at most 8×8")
    assert re.search(r"\nWasserstein +\d\.\d+ \[\d\.\d+, \d\.\d+\] +\d\.\d+ +60\n", out)
    assert "the floor is what 60 other reals get\n" in out
    assert cli.main(["evaluate", "--real", str(real), "--fake", str(same), "--repeats", "0"]) == 0
    without = capsys.readouterr().out
    assert re.search(r"\n +value +floor +n\n", without)
    value = lambda text: re.search(r"\nWasserstein +(\S+)", text)[1]
    assert value(without) == value(out)


def test_folders_by_a_classifier_of_the_reals(tmp_path):
    source = quadrants(600)
    x = np.concatenate([table["x"][..., 0] for table in source.arrays.values()])
    label = np.concatenate([table["label"] for table in source.arrays.values()])
    real = save(tmp_path / "real", x[:400], label[:400])
    fake = save(tmp_path / "fake", x[400:][label[400:] < 2])  # half of the classes
    found, judge = compare_folders(
        real, fake, classifier_steps=40, repeats=2, names=["TV of classes", "classifier score"]
    )
    assert judge.accuracy == 1.0
    assert found.features == "classifier conv16-128-4"
    assert found.reals == 200
    classes = found.rows["TV of classes"]
    assert classes.value == pytest.approx(0.5, abs=0.06)
    assert classes.floor < 0.2
    score = found.rows["classifier score"]
    assert score.value == pytest.approx(2.0, abs=0.3)
    assert score.floor == pytest.approx(4.0, abs=0.4)
    with pytest.raises(InputError, match="has no classes; a classifier needs images of two or more"):
        compare_folders(fake, real, classifier_steps=40)


def test_wrong_folders_are_one_line_and_code_2(tmp_path, capsys):
    real = str(save(tmp_path / "real", pictures(60, 0)))
    wide, colour = (
        save(tmp_path / "wide", pictures(60, 1, (4, 6))),
        save(tmp_path / "colour", pictures(60, 1, (4, 4, 3))),
    )
    (tmp_path / "empty").mkdir()
    for argv, message in (
        (["--real", real], "--fake is missing"),
        (["--real", real, "--fake", str(tmp_path / "empty")], "has no images"),
        (["--real", str(tmp_path / "none"), "--fake", real], "is not a directory"),
        (["--real", real, "--fake", str(wide)], r"real images are 4×4×1, fake ones 4×6×1 .*: give a size"),
        (["--real", real, "--fake", str(colour)], "save both as grey or both as RGB"),
        (
            ["--real", real, "--fake", real, "--features", "inception"],
            "unknown features 'inception'; known: classifier",
        ),
        (["--real", real, "--fake", real, "--features", "classifier"], "has no classes"),
        (["--real", real, "--fake", real, "--num", "3"], "--num is 3; give at least 4"),
        (["--real", real, "--fake", real, "--pixels", "0"], "size is 0"),
        (["--real", real, "--fake", real, "--repeats", "1"], "--repeats is 1; give 2 or more, or 0"),
        (["--real", real, "--fake", real, "--classifier-steps", "9"], "no classifier is trained without --fea"),
        (["--real", real, "--fake", real, "--moments", "--repeats", "9"], "--repeats is given, but --moments takes no"),
        (
            ["--real", real, "--fake", real, "--features", "classifier", "--pixels", "4"],
            "--pixels is given, but the features are no pixels; leave it out",
        ),
        (["--real", real, "--fake", real, "--steps", "3"], "unknown argument --steps"),
    ):
        assert cli.main(["evaluate", *argv]) == 2, argv
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("ensgan: ")
        assert err.count("\n") == 1
        assert re.search(message, err), err


def test_small_folders_are_measured_by_what_they_suffice_for(tmp_path, capsys):
    real, few = save(tmp_path / "real", pictures(60, 0)), save(tmp_path / "few", pictures(9, 1))
    assert cli.main(["evaluate", "--real", str(real), "--fake", str(few), "--repeats", "0"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"\nWasserstein +\d", out)
    assert re.search(r"\nrecall +\d", out)
    assert "Fréchet distance         not defined, because there are 9 fakes with 16 features each; a Fréchet" in out
    assert re.search(r"\nkernel distance \(cubic\) +[-\d]", out)


def test_a_collapsed_set_is_an_answer(tmp_path, capsys):
    real, same = save(tmp_path / "real", pictures(60, 0)), save(tmp_path / "same", np.full((60, 4, 4), 7, np.uint8))
    found, _ = compare_folders(real, same, repeats=4)
    assert found.refused == {}
    assert found.notes == ("fakes: 60 copies of one picture",)
    rows = found.rows
    assert all(np.isfinite(row.value) for row in rows.values())
    assert (rows["recall"].value, rows["duplicate pairs"].value) == (0.0, 1.0)
    x, one = pictures(60, 0).reshape(60, -1) / 128 + 1 / 256 - 1, 7 / 128 + 1 / 256 - 1
    want = ((x.mean(0) - one) ** 2).sum() + np.trace(np.cov(x, rowvar=False))
    assert rows["Fréchet distance"].value == pytest.approx(want, rel=1e-5)
    assert cli.main(["evaluate", "--real", str(same), "--fake", str(real)]) == 0  # the other way round
    out = capsys.readouterr().out
    for name in (r"MMD² \(Gaussian\)", "Sinkhorn divergence", "duplicate pairs"):
        assert re.search(f"\n{name} +not defined, because all 60 reals are equal", out), out
    assert re.search(r"\nFréchet distance +\d", out)
    assert "\nreals: 60 copies of one picture\n" in out


@pytest.mark.parametrize("num", [1, 2, 3])
def test_a_tiny_set_is_an_answer(num, tmp_path, capsys):
    real, few = save(tmp_path / "real", pictures(60, 0)), save(tmp_path / "few", pictures(num, 1))
    assert cli.main(["evaluate", "--real", str(real), "--fake", str(few)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"\nWasserstein +\d", out)
    assert re.search(rf"\nrecall +not defined, because there are {num} fakes; at least 6 are needed: give more\n", out)


def test_copies_of_the_reals_are_named(tmp_path, capsys):
    real = save(tmp_path / "real", pictures(60, 0))
    assert cli.main(["evaluate", "--real", str(real), "--fake", str(real), "--repeats", "0"]) == 0
    assert capsys.readouterr().out.endswith("\nidentical to the reals: 60 of 60\n")
    some = np.concatenate([pictures(60, 0)[:3], pictures(57, 1)])
    assert compare_folders(real, save(tmp_path / "some", some), repeats=0)[0].notes == (
        "identical to the reals: 3 of 60",
    )
    twice = np.repeat(pictures(20, 1), 3, axis=0)
    notes = compare_folders(real, save(tmp_path / "twice", twice), repeats=0)[0].notes
    assert notes == ("fakes: 60 pictures, of which only 20 are different",)


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
    assert "reals are 4×4×1 and fakes 3; give samples of one shape" in capsys.readouterr().err
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


def test_labels_of_a_file_train_a_classifier_and_one_class_does_not(tmp_path):
    source = quadrants(400)
    x = np.concatenate([table["x"] for table in source.arrays.values()])
    label = np.concatenate([table["label"] for table in source.arrays.values()])
    np.savez(tmp_path / "real.npz", x=x, y=label)
    np.savez(tmp_path / "one.npz", x=x, y=0 * label + 3)
    found, judge = compare_folders(tmp_path / "real.npz", tmp_path / "one.npz", classifier_steps=5, repeats=0)
    assert judge.classes == 4
    assert "TV of classes" in found.rows
    with pytest.raises(InputError, match="has no classes; a classifier needs images of two or more"):
        compare_folders(tmp_path / "one.npz", tmp_path / "real.npz", classifier_steps=5)


def test_samples_that_are_not_finite_are_said_so_in_every_row(tmp_path, capsys):
    bad = points(50, 1)
    bad[4, 1] = np.nan
    np.savez(tmp_path / "real.npz", x=points(50, 0))
    np.savez(tmp_path / "bad.npz", x=bad)
    assert cli.main(["evaluate", "--real", str(tmp_path / "real.npz"), "--fake", str(tmp_path / "bad.npz")]) == 0
    out = capsys.readouterr().out
    told = re.findall(r"\n(\S.*?)  +not defined, because 1 of 50 fakes hold NaN or infinite numbers", out)
    assert sorted(told) == sorted(SHORT.values())


def test_a_frechet_distance_alone_that_is_not_defined_is_an_answer(tmp_path, capsys):
    real, few = save(tmp_path / "real", pictures(60, 0)), save(tmp_path / "few", pictures(9, 1))
    assert cli.main(["evaluate", "--real", str(real), "--fake", str(few), "--moments"]) == 0
    assert capsys.readouterr().out.startswith(
        "Fréchet distance  not defined, because there are 9 fakes with 16 features"
    )
