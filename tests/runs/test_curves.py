"""What runs measured, read from their folders: axes, values of the mixture, and sides by name."""

import json

import numpy as np
import pytest

from ensgan.reporting import MetricsLog
from ensgan.reporting.files import RunFiles, write_json
from ensgan.runs.curves import contenders, curve_of
from ensgan.types import InputError


def run(folder, seed=0, records=()):
    """A folder with the settings and the log of a run."""
    folder.mkdir(parents=True)
    settings = {"seed": seed, "generators": [], "discriminators": [], "data": {"name": "ring"}}
    write_json(RunFiles(folder).config, settings)
    with MetricsLog(RunFiles(folder).metrics) as log:
        for record in records:
            log.write(record)
    return folder


def train(step, **fields):
    return {"kind": "train", "step": step, **fields}


def score(step, mixture, modes=None):
    mmd = {"title": "squared MMD", "generators": [mixture], "mixture": mixture, "floor": None}
    distances = {"num": 10, "features": "pixels", "mmd": mmd}
    return {"kind": "score", "step": step, "distances": distances, **({} if modes is None else {"modes": modes})}


def test_work_and_time_are_read_between_training_records(tmp_path):
    place = run(
        tmp_path / "r",
        records=[
            train(2, flops=20.0, seconds=1.0),
            score(3, 0.5),
            train(4, flops=60.0),
            score(4, None),
            score(8, 0.25),
        ],
    )
    titles = {}
    found = curve_of(place, titles)
    np.testing.assert_array_equal(found.axes["steps"], [3, 4, 8])
    np.testing.assert_allclose(
        found.axes["flops"], [40.0, 60.0, 60.0]
    )  # halfway from 20 to 60, and no further than known
    np.testing.assert_allclose(found.axes["seconds"], [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(found.values["mmd"], [0.5, np.nan, 0.25])
    assert titles == {"mmd": "squared MMD"}


def test_modes_are_those_of_the_mixture(tmp_path):
    modes = {"names": ["generator 0", "mixture"], "modes": [3, 7], "hq": [0.1, 0.9], "kl": [2.0, 1.0], "spread": [1, 2]}
    titles = {}
    found = curve_of(run(tmp_path / "r", records=[score(1, 0.5, modes)]), titles)
    assert {key: values.tolist() for key, values in found.values.items()} == {
        "mmd": [0.5], "modes": [7.0], "hq": [0.9], "kl": [1.0], "spread": [2.0],
    }  # fmt: skip
    assert titles["kl"] == "KL of modes"
    assert set(found.axes) == {"steps"}


def test_a_run_that_was_not_scored_yet_has_no_values(tmp_path):
    found = curve_of(run(tmp_path / "r"), {})
    assert (len(found.axes["steps"]), found.values) == (0, {})
    RunFiles(tmp_path / "r").metrics.unlink()
    assert curve_of(tmp_path / "r", {}).values == {}


def test_seeds_and_sweeps_are_sides(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in (0, 3):
        run(tmp_path / "many" / f"seed-{seed}", seed, [score(1, 0.1 * seed)])
    names = ["lam=1/seed-0", "lam=1/seed-1", "lam=2/seed-0", "lam=2/seed-1"]
    (tmp_path / "swept").mkdir()
    (tmp_path / "swept" / "series.json").write_text(json.dumps({"runs": {name: {} for name in names}}))
    for name in names[:-1]:  # the last one has not begun
        run(tmp_path / "swept" / name, int(name[-1]))
    sides, titles = contenders(["many", "other=many/seed-0/../../swept"])
    assert [(side.name, sorted(side.runs)) for side in sides] == [("many", [0, 3]), ("lam=1", [0, 1]), ("lam=2", [0])]
    assert titles == {"mmd": "squared MMD"}
    assert sides[0].facts[3]["the data"] == "ring (unknown)"
    assert sides[0].facts[3]["the samples of distances"] == "10"
    assert sides[0].facts[3]["the splits"] == "unknown"


def test_names_are_given_with_an_equals_sign_unless_a_folder_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(tmp_path / "a=b")
    run(tmp_path / "c")
    assert [side.name for side in contenders(["a=b", "d=c"])[0]] == ["a=b", "d"]


def test_what_cannot_be_compared_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "deep/one", "twice/seed-0", "twice/seed-1"):
        run(tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "waiting").mkdir()
    (tmp_path / "waiting" / "series.json").write_text(json.dumps({"runs": {"seed-0": {}}}))
    for places, text in (
        (["empty"], "empty is no run, and has no runs of several seeds; give what `ensgan train` made"),
        (["waiting"], "no run in waiting has begun; train with `ensgan resume waiting`"),
        (["one", "deep/one"], "two sides are called one; give one another name, such as other=deep/one"),
        (["one", "again=one"], "one is in one and in again; compare each run once"),
        (["twice"], r"two runs of twice have the seed 0; twice/seed-1 is one of them"),
    ):
        with pytest.raises(InputError, match=text):
            contenders(places)


def test_a_run_whose_replacement_was_cut_off_is_put_back_first(tmp_path):
    folder = run(tmp_path / "r", records=[train(2, flops=20.0, seconds=1.0), score(2, 0.5)])
    files = RunFiles(folder)
    aside = list(folder.iterdir())
    files.replaced.mkdir()
    for path in aside:
        path.rename(files.replaced / path.name)
    (found,), _ = contenders([str(folder)])
    assert found.name == "r"
    assert files.config.is_file()
