"""Series: each run is the one that it would be alone, they go on where they stopped, and one failure is not all."""

import json
import signal

import pytest
from small_runs import assert_same_bits, final, settings

from ensgan.reporting import Watcher
from ensgan.runs import run as run_module
from ensgan.runs import series
from ensgan.runs.curves import contenders
from ensgan.types import InputError

SHORT = {"steps": 6, "log_every": 2, "eval_every": 3, "checkpoint_every": 3, "distances": []}


@pytest.mark.parametrize(("text", "seeds"), [("0-2", (0, 1, 2)), ("7", (7,)), ("5, 0-1", (5, 0, 1))])
def test_seeds_and_ranges_of_them(text, seeds):
    assert series.seeds_of(text) == seeds


@pytest.mark.parametrize("text", ["", "1-", "3-1", "a", "0-2,1", "-1", "0-99999"])
def test_other_texts_are_no_seeds(text):
    with pytest.raises(InputError, match="--seeds is"):
        series.seeds_of(text)


def test_a_grid_has_every_combination():
    assert series.grid(["pairing.own=0,.5", "lr-x=1"]) == [
        {"pairing.own": "0", "lr_x": "1"},
        {"pairing.own": ".5", "lr_x": "1"},
    ]
    assert series.grid(["a.widths=[8,8],[16]"]) == [{"a.widths": "[8,8]"}, {"a.widths": "[16]"}]
    for wrong in (["seed=0,1"], ["own"], ["own="], ["own=1,,2"], ["own=1,1"], ["own=1", "own=2"], ["a b=1"]):
        with pytest.raises(InputError, match="--set"):
            series.grid(wrong)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series") / "two"
    runs = series.seeds(settings(**SHORT), (3, 8))
    series.enter(folder, runs, overwrite=False)
    assert series.train_all(folder, runs) == series.Ended({}, None)
    return folder, runs


def test_each_run_is_the_run_alone_bit_for_bit(two, tmp_path):
    folder, _ = two
    run_module.run(settings(**SHORT, seed=8), tmp_path / "alone")
    assert_same_bits(final(folder / "seed-8"), final(tmp_path / "alone"))


def test_complete_runs_are_left_alone_and_new_seeds_are_added(two):
    folder, _ = two
    before = (folder / "seed-3" / "metrics.jsonl").read_bytes()
    more = series.seeds(settings(**SHORT), (8, 11))
    series.enter(folder, more, overwrite=False)
    assert list(series.loaded(folder)) == ["seed-3", "seed-8", "seed-11"]
    assert series.loaded(folder)["seed-11"] == more["seed-11"]
    series.train_all(folder, series.loaded(folder))
    assert (folder / "seed-3" / "metrics.jsonl").read_bytes() == before
    (side,), _ = contenders([str(folder)])
    assert list(side.runs) == [3, 8, 11]
    with pytest.raises(InputError, match="holds another kind of series"):
        series.enter(folder, series.seeds(settings(**SHORT), (3,), "own=1/"), overwrite=False)
    with pytest.raises(InputError, match="already holds seed-3 with another steps"):
        series.enter(folder, series.seeds(settings(**{**SHORT, "steps": 9}), (3,)), overwrite=False)


def test_a_signal_ends_the_series_and_it_goes_on(tmp_path):
    runs = series.seeds(settings(**SHORT), (0, 1))
    folder = tmp_path / "stopped"
    series.enter(folder, runs, overwrite=False)

    class Stopper(Watcher):
        def progress(self, step, record):
            signal.raise_signal(signal.SIGTERM)

    assert series.train_all(folder, runs, watcher=Stopper()).stopped_by == signal.SIGTERM
    assert not (folder / "seed-1").exists()
    assert series.train_all(folder, series.loaded(folder)) == series.Ended({}, None)
    run_module.run(settings(**SHORT, seed=1), tmp_path / "alone")
    assert_same_bits(final(folder / "seed-1"), final(tmp_path / "alone"))


def test_a_run_that_fails_while_it_trains_does_not_stop_the_others(tmp_path):
    bad = settings(**SHORT, seed=0, optimizer={"name": "sgd", "learning_rate": 1e30})
    runs = {"bad": bad, "good": settings(**SHORT)}
    ended = series.train_all(tmp_path, runs)
    assert list(ended.failed) == ["bad"]
    assert "finite" in ended.failed["bad"]
    assert (tmp_path / "good" / "report.html").is_file()


def test_a_run_that_cannot_begin_ends_the_series(tmp_path):
    with pytest.raises(InputError, match="sliced2"):
        series.train_all(tmp_path, series.seeds(settings(**{**SHORT, "distances": ["sliced2"]}), (0, 1)))


@pytest.mark.parametrize("runs", [[], {"a": 3}, {"../a": {}}, {"/a": {}}, {"": {}}])
def test_a_record_from_elsewhere_is_not_believed(tmp_path, runs):
    (tmp_path / series.FILE).write_text(json.dumps({"runs": runs}))
    with pytest.raises(InputError, match="not the record of a series"):
        series.series_of(tmp_path)


def test_sides_are_named_and_none_is_compared_twice(two, tmp_path):
    folder, _ = two
    sides, titles = contenders([f"old={folder}/seed-3", f"new={folder}/seed-8"])
    assert [side.name for side in sides] == ["old", "new"]
    assert "mmd" not in titles  # no distances were asked for
    with pytest.raises(InputError, match="compare each run once"):
        contenders([str(folder), f"again={folder}/seed-3"])
    with pytest.raises(InputError, match="two sides are called two"):
        contenders([str(folder), str(folder)])
    with pytest.raises(InputError, match="is no run"):
        contenders([str(tmp_path)])
