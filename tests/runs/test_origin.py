"""A run that is moved, copied or shared: which commands need its data, and how they find them."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from small_runs import settings

from ensgan.cli import main as cli
from ensgan.data.recorded import differences, record, remembered
from ensgan.reporting.files import read_json, write_json
from ensgan.runs import run as run_module
from ensgan.runs.build import TABLES
from ensgan.runs.judges import load
from ensgan.runs.parsing import parse
from ensgan.runs.restore import donors, opened, restore
from ensgan.types import InputError

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (200, 4, 4, 1), np.uint8), np.array(["cat", "dog"])[(RNG.random(200) < 0.3).astype(int)]
MLP = {"name": "mlp", "widths": [8], "classes": 2}
TREE = {
    "steps": 2,
    "batch_size": 8,
    "held_out": 20,
    "eval_every": 2,
    "distances": [],
    "data": {"name": "npz", "path": "data/x.npz"},
    "generators": {"count": 2, "network": {**MLP, "latent": 2}},
    "discriminators": {"count": 2, "network": MLP},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with `runs/r`, trained with `data/x.npz` beside `runs`, and judged."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "data").mkdir()
    np.savez(folder / "data" / "x.npz", x=X, y=Y)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_module.run(parse(TREE, TABLES)[0], folder / "runs" / "r")
        assert cli.main(["judge", "runs/r", "--calibrate", "logistic"]) == 0
    return folder


@pytest.fixture
def shared(home, tmp_path, monkeypatch):
    """A copy of the run, without its data, as somebody else gets it."""
    shutil.copytree(home / "runs" / "r", tmp_path / "got")
    about = read_json(tmp_path / "got" / "data.json")
    assert about["relative_to"] == {"folder": str(home), "from_run": "../.."}
    about["relative_to"]["folder"] = str(tmp_path / "gone")  # another machine
    write_json(tmp_path / "got" / "data.json", about)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arrays(path):
    with np.load(path) as content:
        return dict(content)


def test_samples_exports_reports_and_judgements_need_no_data(home, shared, capsys):
    for where, out in ((home / "runs" / "r", "there"), (shared / "got", "here")):
        for method in ("obrs", "dot"):
            command = ["sample", str(where), "--num", "6", "--refine", method, "--out", f"{out}-{method}.npz"]
            assert cli.main(command) == 0
        assert cli.main(["sample", str(where), "--num", "6", "--out", f"{out}.npz"]) == 0
        assert cli.main(["judge", str(where), "--input", f"{out}.npz", "--out", f"{out}-judged.npz"]) == 0
        assert cli.main(["export", str(where), "--to", f"{out}-export"]) == 0
        assert cli.main(["report", str(where)]) == 0
    for name in ("there", "there-obrs", "there-dot", "there-judged"):
        one, other = arrays(f"{name}.npz"), arrays(f"{name.replace('there', 'here')}.npz")
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])
    told = capsys.readouterr()
    assert told.err.count("note: no reals to compare with, because the data of") == 2
    assert "law of labels (training): cat 0." in told.out
    config = lambda out: json.loads((shared / f"{out}-export" / "config.json").read_text())
    assert config("here")["class_law"] == config("there")["class_law"]


@pytest.mark.parametrize(
    "argv", [["select"], ["evaluate"], ["judge"], ["resume"], ["sample", "--refine", "obrs", "--rule", "median"]]
)
def test_commands_that_need_the_data_say_where_they_were_looked_for(argv, shared, capsys):
    command, *more = argv
    more = ["--steps", "4"] if command == "resume" else more
    assert cli.main([command, "got", *more]) == 2
    said = capsys.readouterr().err
    assert f"the data of got are not at {shared}/gone/data/x.npz or " in said
    assert "say where they are with --data-dir PATH" in said


def test_data_elsewhere_are_named_or_found_as_far_from_the_run(home, shared, capsys):
    elsewhere = str(home / "data" / "x.npz")
    assert cli.main(["select", "got", "--data-dir", elsewhere]) == 0
    assert cli.main(["evaluate", "got", "--data-dir", elsewhere, "--classifier-steps", "0", "--repeats", "0"]) == 0
    assert cli.main(["resume", "got", "--steps", "3", "--data-dir", elsewhere]) == 0
    assert cli.main(["resume", "got", "--steps", "4"]) == 0  # it is remembered
    assert json.loads((shared / "got" / "config.json").read_text())["data"]["path"] == elsewhere
    shutil.copytree(shared.parent / shared.name / "got", shared / "new" / "runs" / "r")
    about = shared / "new" / "runs" / "r" / "config.json"
    write_json(about, json.loads(json.dumps(read_json(about)).replace(elsewhere, "data/x.npz")))
    assert cli.main(["select", "new/runs/r"]) == 2
    shutil.copytree(home / "data", shared / "new" / "data")  # the whole project was moved
    (shared / "new" / "runs" / "r" / "data.json").write_text((home / "runs" / "r" / "data.json").read_text())
    assert cli.main(["select", "new/runs/r"]) == 0
    capsys.readouterr()


def test_data_that_are_no_files_have_no_place(tmp_path, capsys):
    run_module.run(parse({**TREE, "data": "ring", **sides_of_points()}, TABLES)[0], tmp_path / "r")
    assert cli.main(["select", str(tmp_path / "r"), "--data-dir", "x"]) == 2
    assert "the data 'ring' are not read from files; leave it out" in capsys.readouterr().err


def sides_of_points():
    mlp = {"name": "mlp", "widths": [8]}
    return {
        "generators": {"count": 2, "network": {**mlp, "latent": 2}},
        "discriminators": {"count": 2, "network": mlp},
    }


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.concatenate([X, X[:20]]), np.concatenate([Y, Y[:20]]), "the number of samples was 200 and is 220"),
        (X[::-1], Y[::-1], "some samples are others, or in another order"),
        (X[:, :, :, 0] // 2, Y, "the largest value was 255 and is 127"),
    ],
)
def test_other_data_are_named_and_welcome_when_asked(x, y, said, shared, capsys):
    np.savez("other.npz", x=x, y=y)
    command = ["resume", "got", "--steps", "4", "--data-dir", "other.npz"]
    assert cli.main(command) == 2
    error = capsys.readouterr().err
    assert f"the data have changed since got was started: {said}" in error
    assert "`ensgan resume got --new-data`, with the same --data-dir" in error
    assert cli.main([*command, "--new-data"]) == 0
    assert f"going on with other data and new splits: {said}" in capsys.readouterr().err
    about = read_json(shared / "got" / "data.json")
    assert about["changes"] == [{"step": 2, "what": [said]}]
    assert about["num"] == len(x)
    assert f"other data from step 2</dt><dd>{said}" in (shared / "got" / "report.html").read_text()
    assert cli.main(["select", "got"]) == 0


def test_new_data_have_the_classes_and_the_shape_that_networks_know(shared, capsys):
    for x, y, said in (
        (X, np.where(Y == "dog", "bird", Y), "know the classes cat, dog, and the data have bird, cat"),
        (X[:, :2], Y, "goes on only with samples of its shape"),
        (X, None, "know the classes cat, dog, and the data have "),
    ):
        np.savez("other.npz", **{"x": x} if y is None else {"x": x, "y": y})
        command = ["resume", "got", "--steps", "4", "--data-dir", "other.npz"]
        for more in ([], ["--new-data"]):  # which is not recommended where it does not help
            assert cli.main([*command, *more]) == 2
            error = capsys.readouterr().err
            assert said in error
            assert "--new-data" not in error


def test_weights_of_a_run_are_taken_without_its_data(shared):
    assert len(donors(["got:member:1"])) == 1


def test_what_is_remembered_is_what_was_read(home, shared):
    found = opened(shared / "got")
    with pytest.raises(InputError, match=r"the data of .* are not at"):
        found.data()
    source = opened(shared / "got", str(home / "data" / "x.npz")).data()
    for field in ("name", "shape", "num", "classes", "class_names"):
        assert getattr(found.source, field) == getattr(source, field), field
    there = remembered(json.loads(json.dumps(record(source))), source.held_out)
    np.testing.assert_array_equal(there.law, found.source.law)
    assert differences(record(source), record(source)) == []
    assert remembered({"name": "x", "shape": [2]}, source.held_out) is None  # as earlier versions wrote it


DAMAGED = [
    "", "[1]", "5", '{"name": "x"}', {"training_law": "a"}, {"class_names": 5}, {"shape": "8"}, {"shape": None},
    {"splits": [1, 2]}, {"classes": 3}, {"relative_to": "x"}, {"relative_to": {"folder": 3, "from_run": 4}},
    {"changes": 7}, {"num": "many"},
]  # fmt: skip


@pytest.mark.parametrize("change", DAMAGED, ids=str)
def test_damaged_facts_of_the_data_are_named_or_read_again(change, home, shared, capsys):
    file = shared / "got" / "data.json"
    content = change if isinstance(change, str) else json.dumps({**read_json(file), **change})
    file.write_text(content)
    assert cli.main(["sample", "got", "--num", "2", "--out", "x.npz"]) == 2
    said = capsys.readouterr().err
    assert "are not at" in said
    assert "data.json is damaged)" in said
    elsewhere = str(home / "data" / "x.npz")
    assert cli.main(["sample", "got", "--num", "2", "--out", "x.npz", "--data-dir", elsewhere]) == 0
    np.savez("other.npz", x=X[::-1], y=Y[::-1])
    assert cli.main(["resume", "got", "--steps", "4", "--data-dir", "other.npz"]) == 2
    assert "some samples are others, or in another order" in capsys.readouterr().err


def test_a_place_that_does_not_exist_is_refused(shared, capsys):
    assert cli.main(["sample", "got", "--data-dir", "nowhere"]) == 2
    assert "--data-dir is nowhere, which does not exist" in capsys.readouterr().err


def test_a_judge_that_is_there_refines_although_the_data_changed(shared, capsys):
    np.savez("other.npz", x=X[::-1], y=Y[::-1])
    command = ["sample", "got", "--num", "2", "--refine", "obrs", "--out", "x.npz", "--data-dir", "other.npz"]
    assert cli.main(command) == 0
    assert "note: no reals to compare with, because the data have changed since got" in capsys.readouterr().err


def test_a_judge_of_another_kind_is_asked_for(shared, capsys):
    assert cli.main(["sample", "got", "--refine", "ddls", "--calibrate", "temperature"]) == 2
    assert "make one where the data are, with `ensgan judge got --calibrate temperature`" in capsys.readouterr().err


def test_a_damaged_judge_is_named(shared, capsys):
    file = shared / "got" / "judge.npz"
    found = opened(shared / "got")
    judge = load(shared / "got", found.game, found.state)
    assert judge.rule == "stacking"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"judge.npz cannot be read; write it again with `ensgan judge"):
        load(shared / "got", found.game, found.state)
    file.write_bytes(whole)
    with np.load(file) as content:
        arrays = dict(content)
    for change in ({"parts.head.0": np.ones(5)}, {"parts.head.0": np.full(2, np.nan)}, {"parts.scale": None}):
        kept = {name: value for name, value in {**arrays, **change}.items() if value is not None}
        np.savez(file, **kept)
        with pytest.raises(InputError, match=r"judge.npz cannot be read; write it again with `ensgan judge"):
            load(shared / "got", found.game, found.state)
    with np.load(shared / "got" / "samples.npz") as content:
        np.savez(file, **content)
    assert cli.main(["sample", "got", "--refine", "obrs"]) == 2
    assert "judge.npz cannot be read" in capsys.readouterr().err


def test_other_data_than_those_of_the_run_are_refused(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (100, 4, 4, 1), np.uint8)
    np.savez(tmp_path / "images.npz", x=images)
    mlp = {"name": "mlp", "widths": [8]}
    given = settings(
        steps=1,
        held_out=8,
        data={"name": "npz", "path": str(tmp_path / "images.npz")},
        generators={"count": 2, "network": {**mlp, "latent": 2}},
        discriminators={"count": 2, "network": mlp},
    )
    run_module.run(given, tmp_path / "run")
    np.savez(tmp_path / "images.npz", x=np.concatenate([images, images[:10]]))
    message = "the data have changed since .* was started"
    with pytest.raises(InputError, match=message):
        restore(tmp_path / "run", given)
    with pytest.raises(InputError, match=message):
        run_module.run(dataclasses.replace(given, steps=2), tmp_path / "run", resume=True)
    np.savez(tmp_path / "images.npz", x=images)
    restore(tmp_path / "run", given)
