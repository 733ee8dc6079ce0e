"""Fakes against reals in one table: floors, intervals, features and their cache, two folders, and what is refused."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from image_files import pictures, save
from toys import quadrants

from ensgan import metrics
from ensgan.cli import main as cli
from ensgan.data import from_arrays
from ensgan.evaluation import comparison, families, features
from ensgan.evaluation.comparison import compare
from ensgan.evaluation.families import DIRECTIONS, METRICS, NEIGHBOURS, SHORT
from ensgan.evaluation.features import Features, extract, identity, statistics
from ensgan.evaluation.folders import compare_folders
from ensgan.evaluation.tables import DistanceTable, distances, evaluate_distances
from ensgan.evaluation.text import describe_distances
from ensgan.metrics.transport import Unconverged
from ensgan.runs import records
from ensgan.types import InputError


def points(num, seed, shift=0.0):
    return (np.random.default_rng(seed).standard_normal((num, 3)) + shift).astype(np.float32)


@pytest.fixture(scope="module")
def close():
    return compare(points(160, 0), points(80, 1), repeats=30)


def test_every_row_has_a_floor_an_interval_and_n(close):
    assert set(close.rows) == {name for metric in METRICS for name in metric.names}
    assert (close.reals, close.fakes, close.floor, close.refused) == (160, 80, 80, {})
    for name, row in close.rows.items():
        assert row.low <= row.value <= row.high, name
        assert row.low < row.high or name == "coverage", name
        assert np.isfinite(row.floor), name
        assert row.n == 80, name


def test_rows_are_the_metrics(close):
    real, fake = points(160, 0).astype(np.float64), points(80, 1).astype(np.float64)
    rows = close.rows
    want = metrics.frechet_distance(metrics.moments(real), metrics.moments(fake))
    assert rows["Fréchet distance"].value == pytest.approx(want, rel=1e-9)
    # Where pairs are compared, as many of both are: given as many, the order of samples is all that may differ.
    rows, real = compare(real[:80], fake, repeats=4).rows, real[:80]
    cover = metrics.neighbours(real, fake)
    assert [rows[name].value for name in NEIGHBOURS] == pytest.approx(list(cover))
    assert rows["Wasserstein"].value == pytest.approx(metrics.wasserstein(real, fake))
    sliced = metrics.sliced_wasserstein(real, fake, directions=DIRECTIONS)
    assert rows["sliced Wasserstein"].value == pytest.approx(sliced)
    assert rows["Sinkhorn divergence"].value == pytest.approx(metrics.sinkhorn(real, fake).value, rel=1e-3)
    kid = metrics.kid(real, fake, subsets=1, size=80).value
    assert rows["kernel distance (cubic)"].value == pytest.approx(kid)
    share = metrics.duplicates(fake, metrics.duplicate_radius(real))
    assert rows["duplicate pairs"].value == pytest.approx(share)


def test_equal_laws_are_at_the_floor_and_others_above(close):
    far = compare(points(160, 0), points(80, 1, shift=2.0), repeats=30).rows
    for name in ("Fréchet distance", "sliced Wasserstein", "Wasserstein", "Sinkhorn divergence", "MMD² (Gaussian)"):
        near = close.rows[name]
        assert near.low - 0.1 < near.floor < near.high + 0.1, name
        assert far[name].low > 3 * abs(near.floor), name
        assert far[name].floor == near.floor, name
    for name in ("precision", "recall", "density", "coverage"):
        assert far[name].value < 0.8 * close.rows[name].floor, name


def test_where_the_floor_comes_from(close):
    real, fake = points(160, 0), points(80, 1)
    compare = partial(comparison.compare, names=["Fréchet distance"], repeats=2)
    few = compare(real[:80], fake)
    assert few.floor == 40  # two halves
    assert few.rows["Fréchet distance"].floor > close.rows["Fréchet distance"].floor
    other = compare(real[:80], fake, more=real[80:])
    assert other.floor == 80
    parts = (metrics.moments(part) for part in (real[:80], real[80:]))
    assert other.rows["Fréchet distance"].floor == pytest.approx(metrics.frechet_distance(*parts), rel=1e-5)
    assert compare(real[:80], fake[:40], more=real[80:]).floor == 40  # as many as there are fakes
    small = compare(points(7, 0), points(6, 1))  # halves of three have no covariance
    assert np.isnan(small.rows["Fréchet distance"].floor)


def test_what_is_refused_is_raised_or_noted(monkeypatch):
    with pytest.raises(InputError, match="there are 3 reals with 3 features each"):
        compare(points(3, 0), points(9, 1))
    names = [*NEIGHBOURS, "duplicate pairs", "Fréchet distance"]
    few = compare(points(9, 0), points(9, 1), names=names, repeats=2, strict=False)
    assert set(few.refused) == {"duplicate pairs"}
    assert set(few.rows) == {"Fréchet distance", *NEIGHBOURS}
    assert np.isfinite(few.rows["recall"].value)
    assert np.isnan([few.rows["recall"].low, few.rows["recall"].high]).all()  # a value has fewer demands
    with pytest.raises(InputError, match="9 reals; at least 12 are needed: give more, or take no interval"):
        compare(points(9, 0), points(9, 1), names=["recall"], repeats=2)
    assert set(compare(points(6, 0), points(9, 1), names=["recall"], repeats=0).rows) == {"recall"}
    with pytest.raises(InputError, match=r"there are 5 reals; at least 6 are needed: give more$"):
        compare(points(5, 0), points(9, 1), names=["recall"], repeats=0)
    with pytest.raises(InputError, match="unknown metric 'FID'; known: Fréchet distance, MMD"):
        compare(points(9, 0), points(9, 1), names=["FID"])
    wide = np.random.default_rng(0).standard_normal((20, 30))
    with pytest.raises(InputError, match="a Fréchet distance needs more samples than features: give at least 31"):
        compare(wide, wide + 1.0)
    with pytest.raises(InputError, match=r"fakes have the shape \[2\], reals \[3\]"):
        compare(points(50, 0), points(50, 1)[:, :2])

    # What no more samples would mend is noted even where all else is raised.
    def unconverged(*args):
        raise Unconverged("Sinkhorn's iteration misses the marginals")

    monkeypatch.setattr(families, "sinkhorn", unconverged)
    found = compare(points(50, 0), points(50, 1), repeats=2, names=["Sinkhorn divergence", "Wasserstein"])
    assert set(found.rows) == {"Wasserstein"}
    assert "misses the marginals" in found.refused["Sinkhorn divergence"]
    bad = points(50, 1)
    bad[4, 1] = np.nan
    with pytest.raises(InputError, match="1 of 50 fakes hold NaN or infinite numbers"):
        compare(points(50, 0), bad)


def test_identity_averages_images_and_leaves_points():
    x = np.random.default_rng(0).uniform(-1, 1, (5, 16, 16, 2)).astype(np.float32)
    np.testing.assert_array_equal(extract(identity(), x), x.reshape(5, -1))
    small = extract(identity(8), x).reshape(5, 8, 8, 2)
    assert small.std() < x.std()
    np.testing.assert_allclose(small.mean((1, 2)), x.mean((1, 2)), atol=0.02)
    np.testing.assert_array_equal(extract(identity(8), x[:, :8, :8]), x[:, :8, :8].reshape(5, -1))
    np.testing.assert_array_equal(extract(identity(2), points(5, 0)), points(5, 0))
    with pytest.raises(InputError, match="size is 0"):
        identity(0)


def test_features_of_a_users_function_are_cached_by_content(tmp_path):
    calls = []

    def of(factor):
        def double(x):
            calls.append(len(x))
            return factor * np.asarray(x)

        return Features("scaled", double)

    x = points(20, 0)
    first = extract(of(2.0), x, cache=tmp_path / "kept")
    np.testing.assert_array_equal(first, 2 * x)
    assert calls == [8, 20]  # the first few for the name of the file, then all
    np.testing.assert_array_equal(extract(of(2.0), x, cache=tmp_path / "kept"), first)
    assert calls == [8, 20, 8]
    np.testing.assert_array_equal(extract(of(3.0), x, cache=tmp_path / "kept"), 3 * x)  # of one name, but another
    np.testing.assert_array_equal(extract(of(2.0), 2 * x, cache=tmp_path / "kept"), 4 * x)
    files = sorted((tmp_path / "kept").iterdir())
    assert len(files) == 3
    for file in files:
        file.write_bytes(b"broken")
    with pytest.raises(InputError, match=r"features-.*npz cannot be read .*: remove it"):
        extract(of(2.0), x, cache=tmp_path / "kept")
    with pytest.raises(InputError, match=r"have the shape \[20\]; expected \[20, D\]"):
        extract(Features("flat", lambda x: x[:, 0]), x)


def test_means_and_covariances_are_cached_and_features_are_not(tmp_path):
    calls = []

    def of(factor, **known):
        def double(x):
            calls.append(len(x))
            return factor * np.asarray(x)

        return Features("scaled", double, **known)

    x, kept = points(20, 0), tmp_path / "kept"
    first = statistics(of(2.0), x, cache=kept)
    for part, want in zip(first, metrics.moments(2 * x.astype(np.float64)), strict=True):
        np.testing.assert_allclose(part, want, rtol=1e-12)
    assert calls == [8, 20]
    again = statistics(of(2.0), x, cache=kept)
    assert calls == [8, 20, 8]
    for part, same in zip(again, first, strict=True):
        np.testing.assert_array_equal(part, same)
    assert type(again.n) is int
    statistics(of(3.0), x, cache=kept)  # of one name, but another
    statistics(of(2.0), 2 * x, cache=kept)
    statistics(of(2.0, classes=1), x, cache=kept)
    assert calls == [8, 20, 8] + 3 * [8, 20]
    assert len(sorted(kept.glob("moments-*.npz"))) == len(sorted(kept.iterdir())) == 4
    # Who says which version it is need not show features of the first samples.
    for version, new in (("a", [20]), ("a", []), ("b", [20])):
        calls.clear()
        statistics(of(2.0, version=version), x, cache=kept)
        assert calls == new
    for file in kept.iterdir():
        file.write_bytes(file.read_bytes()[:99])
    with pytest.raises(InputError, match=r"moments-.*npz cannot be read .*: remove it"):
        statistics(of(2.0), x, cache=kept)


def test_logits_are_no_part_of_the_moments_and_refusals_are_those_of_moments(monkeypatch):
    monkeypatch.setattr(features, "CHUNK", 7)
    x = points(22, 0)  # three chunks and one sample
    found = statistics(Features("own", lambda x: x, classes=1), x)
    for part, want in zip(found, metrics.moments(x[:, :2].astype(np.float64)), strict=True):
        np.testing.assert_allclose(part, want, rtol=1e-12)
    own = Features("own", lambda x: x)
    with pytest.raises(InputError, match="there are 3 fakes with 3 features each; a Fréchet distance needs more"):
        statistics(own, x[:3], what="fakes")
    same = statistics(own, np.full((20, 3), 0.1, np.float32), what="fakes")
    np.testing.assert_allclose(same.covariance, 0.0, atol=1e-12)
    x[9, 1] = np.inf
    with pytest.raises(InputError, match="1 of 7 samples hold NaN or infinite numbers"):
        statistics(own, x)


def test_chunks_of_features_are_one_row_after_the_other(monkeypatch):
    monkeypatch.setattr(features, "CHUNK", 7)
    np.testing.assert_array_equal(extract(Features("own", lambda x: x + 1), points(20, 0)), points(20, 0) + 1)


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


def test_a_run_with_few_samples_says_what_is_not_measured():
    few = compare(points(5, 0), points(5, 1), names=["Fréchet distance", "recall"], repeats=2, strict=False)
    none = few._replace(rows={}, refused={**few.refused, "Fréchet distance": "it is broken"}, notes=("fakes: copies",))
    table, each = DistanceTable({1: few}, few), DistanceTable({0: none, 1: few}, few)
    lines = describe_distances(table, each).splitlines()
    assert lines[0].startswith("distances to 5 held-out reals (report split)")
    assert lines[1].split() == ["generator", "1,", "the", "best", "mixture", "floor", "n"]
    assert lines[2].startswith("Fréchet distance")
    assert lines[3].startswith("recall            not defined, because there are 5 reals; at least 6 are needed")
    assert lines[4] == "there is no floor: it needs other reals"
    assert lines[5] == f"Fréchet distance of each generator: -, {few.rows['Fréchet distance'].value:.4g}"
    assert lines[6] == "Fréchet distance of generator 0: not defined, because it is broken"
    assert lines[7] == "generator 0: fakes: copies"
    assert len(lines) == 8


def test_a_comparison_without_intervals_and_with_a_known_floor_is_the_same():
    names = ["Fréchet distance", "MMD² (Gaussian)"]
    whole = compare(points(60, 0), points(40, 1), more=points(40, 2), names=names, repeats=2)
    floor = {name: row.floor for name, row in whole.rows.items()}
    again = compare(points(60, 0), points(40, 1), more=points(40, 2), names=names, repeats=0, floor=floor)
    bare = compare(points(60, 0), points(40, 1), more=points(40, 2), names=names, repeats=0)
    for name, row in whole.rows.items():
        assert np.isfinite([row.low, row.high]).all()
        assert np.isnan([again.rows[name].low, again.rows[name].high]).all()
        assert (
            again.rows[name]._replace(low=0, high=0)
            == row._replace(low=0, high=0)
            == bare.rows[name]._replace(low=0, high=0)
        )
    lied = compare(points(60, 0), points(40, 1), names=names, repeats=0, floor=dict.fromkeys(names, 7.0))
    assert {row.floor for row in lied.rows.values()} == {7.0}


def test_every_metric_of_two_samples_has_a_short_name():
    assert sorted(SHORT.values()) == sorted(name for metric in METRICS for name in metric.names)
    with pytest.raises(InputError, match="unknown distance 'fid'; known: coverage, density, duplicates, frechet"):
        distances(["fid"])


def test_one_generator_without_distances_leaves_those_of_the_others():
    game = toys.game(2, 1)
    source = from_arrays("points", points(200, 0)[:, :2])
    state = game.init(jax.random.key(0))
    broken = jax.tree.map(lambda leaf: leaf.at[0].set(jnp.nan), state.generators[0].average)
    state = state._replace(generators=(state.generators[0]._replace(average=broken),))
    table = evaluate_distances(game, state, source, names=["mmd"], repeats=0)
    assert table.generators[0].rows == {}
    assert "NaN" in table.generators[0].refused["MMD² (Gaussian)"]
    assert np.isfinite(table.generators[1].rows["MMD² (Gaussian)"].value)
    record = records.distance_record(table, ["mmd"])
    assert record["mmd"]["generators"][0] is record["mmd"]["mixture"] is None
    assert np.isfinite([record["mmd"]["generators"][1], record["mmd"]["floor"]]).all()


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


def test_the_floor_of_a_classifier_comes_from_reals_that_it_has_not_seen():
    game, source = toys.game(2, 1), from_arrays("points", points(400, 0)[:, :2])
    state = game.init(jax.random.key(0))
    seen = {row.tobytes() for row in source.held_out("train", 400)["x"]}

    def of(x):  # sure of one of two classes, on the training reals alone
        sure = np.array([20.0 * (row.tobytes() in seen) for row in np.asarray(x)])
        side = np.where(np.arange(len(x)) % 2, 1.0, -1.0)
        return np.stack([*np.asarray(x).T, sure * side, -sure * side], axis=1)

    how = {"features": Features("own", of, classes=2), "num": 40, "repeats": 0}
    table = evaluate_distances(game, state, source, **how)
    assert table.mixture.rows["classifier score"].floor == pytest.approx(1.0)  # of training reals it would be 2
    assert table.mixture.floor == 40
    # Others have no such reason, and take training reals.
    plain = evaluate_distances(game, state, source, names=["frechet"], num=40, repeats=0).mixture
    pair = (metrics.moments(source.held_out(split, 40)["x"]) for split in ("report", "train"))
    assert plain.rows["Fréchet distance"].floor == pytest.approx(metrics.frechet_distance(*pair), rel=1e-5)


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
