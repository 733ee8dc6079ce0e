"""The study of a search: its trials follow from the seed, also where it was stopped, and a damaged file is one line."""

import math

import pytest

from ensgan.runs.space import Range
from ensgan.runs.study import Study, Trial
from ensgan.types import InputError

pytest.importorskip("optuna", reason="the extra optuna is not installed")

SPACE = {"a": Range(1e-4, 1e-2, True, False), "b": Range(2, 9, False, True), "c": ("x", "y")}


def worth(values):
    return math.log10(values["a"]) ** 2 + values["b"] + (values["c"] == "x")


def played(file, count, seed=3, most=24):
    """What the next trials are, each of which is told at once; one with b = 5 fails."""
    found = []
    for _ in range(count):
        study = Study(file, SPACE, False, seed)  # opened anew each time, as a search that was stopped does
        trial = study.ask(most)
        found.append(trial.values)
        study.tell(trial.number, math.nan if trial.values["b"] == 5 else worth(trial.values))
    return found


def test_the_trials_follow_from_the_seed_and_are_within_bounds(tmp_path):
    whole = played(tmp_path / "a.log", 24)
    assert whole == played(tmp_path / "b.log", 24)
    assert whole != played(tmp_path / "c.log", 24, seed=4)
    assert all(1e-4 <= each["a"] <= 1e-2 and each["b"] in range(2, 10) and each["c"] in "xy" for each in whole)
    later = whole[12:]
    assert sum(map(worth, later)) / 12 < sum(map(worth, whole[:12])) / 12  # it does search


def test_a_trial_that_was_stopped_comes_again_and_the_rest_is_the_same(tmp_path):
    whole = played(tmp_path / "a.log", 14)
    assert played(tmp_path / "b.log", 11) == whole[:11]
    begun = Study(tmp_path / "b.log", SPACE, False, 3).ask(24)
    assert begun == Trial(11, whole[11], "begun", begun.worth)
    with (tmp_path / "b.log").open("ab") as file:
        file.write(b'{"op_code":6,"wor')  # a kill in the middle of a line
    assert played(tmp_path / "b.log", 3) == whole[11:]


def test_failed_trials_are_counted_and_the_search_ends(tmp_path):
    played(tmp_path / "a.log", 5)
    study = Study(tmp_path / "a.log", SPACE, False, 3)
    assert study.ask(5) is None
    for trial in study.trials():
        assert trial.state == ("failed" if trial.values["b"] == 5 else "done")
        assert math.isnan(trial.worth) == (trial.state == "failed")


@pytest.mark.parametrize("higher", [True, False])
def test_the_direction_is_that_of_the_goal(tmp_path, higher):
    study = Study(tmp_path / "a.log", {"b": Range(0.0, 1.0, False, False)}, higher, 0)
    values = []
    for _ in range(25):
        trial = study.ask(25)
        values.append(trial.values["b"])
        study.tell(trial.number, trial.values["b"])
    assert (sum(values[15:]) / 10 > 0.5) == higher


def test_a_damaged_study_is_one_line(tmp_path):
    played(tmp_path / "a.log", 2)
    with pytest.raises(InputError, match="not the study of this search"):
        Study(tmp_path / "a.log", {"z": ("p", "q")}, False, 3)
    with pytest.raises(InputError, match="not the study of this search"):
        Study(tmp_path / "a.log", SPACE, True, 3)
    content = (tmp_path / "a.log").read_bytes()
    (tmp_path / "a.log").write_bytes(b"[1]\n" + content)
    with pytest.raises(InputError, match="not the study of this search"):
        Study(tmp_path / "a.log", SPACE, False, 3)
    (tmp_path / "a.log").write_bytes(content.replace(b"{", b"(", 1))
    with pytest.raises(InputError, match="not the study of this search"):
        Study(tmp_path / "a.log", SPACE, False, 3)
