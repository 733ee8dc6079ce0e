"""Two folders or files compared, from the command line as well, and what is refused."""

import re
from functools import partial

import numpy as np
import pytest
from image_files import pictures, save
from toys import points, quadrants

from ensgan import metrics
from ensgan.cli import main as cli
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
    assert found.notes[0] == "fakes: 60 copies of one picture"
    assert [note for note in found.notes[1:] if "of one colour throughout" not in note] == []
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
    assert re.search(
        r"\nrecall +not defined, because there (is 1 fake|are [23] fakes); at least 6 are needed: give more\n", out
    )


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


def test_odd_images_are_named_as_before_training(tmp_path):
    real, dark = save(tmp_path / "real", pictures(30, 0)), pictures(30, 1) // 16
    found = compare_folders(real, save(tmp_path / "dark", dark), repeats=0, strict=False)[0]
    odd = [note for note in found.notes if note.startswith("fakes: ")]
    assert any("images are nearly black" in note for note in odd)
    assert any("half of the range or less" in note for note in odd)
    assert not any(note.startswith("reals: ") for note in found.notes)


def test_a_frechet_distance_alone_that_is_not_defined_is_an_answer(tmp_path, capsys):
    real, few = save(tmp_path / "real", pictures(60, 0)), save(tmp_path / "few", pictures(9, 1))
    assert cli.main(["evaluate", "--real", str(real), "--fake", str(few), "--moments"]) == 0
    assert capsys.readouterr().out.startswith(
        "Fréchet distance  not defined, because there are 9 fakes with 16 features"
    )
