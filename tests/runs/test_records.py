"""Records of a run: JSON of scores, distances and modes, and the choices that commands read again."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from ensgan.evaluation.comparison import Comparison
from ensgan.evaluation.mixtures import Fitted
from ensgan.evaluation.selection import MetaGame, Selection
from ensgan.evaluation.tables import DistanceTable
from ensgan.metrics import Measured
from ensgan.metrics.measurement import Estimate
from ensgan.metrics.ratings import fresh
from ensgan.reporting import plain
from ensgan.reporting.files import RunFiles, read_json, write_json
from ensgan.runs import records
from ensgan.runs.identity import checksum
from ensgan.sampling.calibration import Quality
from ensgan.types import InputError

TWO = np.array([0.25, 0.75])
ONE = np.array([[0.5], [0.25]])
FITTED = Fitted(
    {"uniform": np.array([0.5, 0.5]), "single": np.array([0.0, 1.0])},
    {"uniform": Estimate(0.2, 0.01), "single": Estimate(0.1, 0.01)},
    {"uniform": Estimate(0.3, 0.01), "single": Estimate(0.4, 0.01)},
    "single",
)


def scores(**changes):
    """Scores of two generators against one discriminator."""
    found = Selection(
        fool=ONE, probability=ONE, log_odds=None, accuracy=None, score_g=Estimate(TWO, TWO / 10),
        score_d=Estimate(np.array([0.6]), np.array([0.1])), mmd=Estimate(TWO, TWO), mmd_floor=0.01,
        rank_g=np.array([1, 0]), rank_d=np.array([0]), coverage=np.array([0.1, 0.2, 0.3]), coverage_floor=0.9,
        mixture=np.array([0.5, 0.5]), members="complete", num=64, left_out=None, ratings=fresh(3), fitted=FITTED,
    )  # fmt: skip
    return found._replace(**changes)


STATE = SimpleNamespace(step=7, generators=TWO, discriminators=ONE)
META = MetaGame(TWO, np.ones(1), TWO, np.ones(1), TWO, np.ones(1), None)


def test_scores_that_do_not_exist_have_no_keys():
    found = records.score_record(scores(), 7)
    assert (found["kind"], found["step"], found["num"], found["members"]) == ("score", 7, 64, "complete")
    assert not {"log_odds", "accuracy", "left_out", "left_out_error"} & set(found)
    assert plain(found)["score_g"] == [0.25, 0.75]
    assert plain(found)["error_g"] == [0.025, 0.075]
    more = records.score_record(scores(log_odds=ONE, accuracy=ONE, left_out=Estimate(TWO, TWO)), 7)
    assert set(more) - set(found) == {"log_odds", "accuracy", "left_out", "left_out_error"}
    json.dumps(plain(more))


def test_distances_have_their_short_names_and_null_for_what_was_not_measured():
    row = lambda value: Measured(value, value, value, 0.5, 10)
    one = lambda **rows: Comparison(rows, {}, "pixels", 20, 10, 20, ())
    title = "Fréchet distance"
    table = DistanceTable({0: one(**{title: row(3.0)}), 2: one()}, one(**{title: row(1.0)}))
    found = records.distance_record(table, ["frechet"])
    assert found == {
        "num": 10, "features": "pixels",
        "frechet": {"title": title, "generators": [3.0, None], "mixture": 1.0, "floor": 0.5},
    }  # fmt: skip
    nothing = records.distance_record(table, ["mmd"])["mmd"]
    assert nothing == {"title": "MMD² (Gaussian)", "generators": [None, None], "mixture": None, "floor": None}


def test_modes_are_columns():
    row = lambda k: SimpleNamespace(modes=k, hq=0.5, kl=0.1 * k, spread=1.0)
    table = SimpleNamespace(names=["generator 0", "mixture"], scores=[row(1), row(3)], total=8, num=100)
    assert records.mode_record(table) == {
        "names": ["generator 0", "mixture"], "modes": [1, 3], "hq": [0.5, 0.5], "kl": [0.1, pytest.approx(0.3)],
        "spread": [1.0, 1.0], "total": 8, "num": 100,
    }  # fmt: skip


@pytest.mark.parametrize(("method", "taken"), [(None, "single"), ("uniform", "uniform")])
def test_a_choice_is_read_as_it_was_saved(tmp_path, method, taken):
    assert records.load_selection(tmp_path, 2) is None
    assert records.save_selection(tmp_path, scores(), META, STATE, method, np.array([0.1, 0.9])) == taken
    choice = records.load_selection(tmp_path, 2)
    assert (choice.step, choice.method, choice.members) == (7, taken, checksum(STATE))
    np.testing.assert_array_equal(choice.weights, FITTED.weights[taken])
    written = read_json(RunFiles(tmp_path).selection)
    assert (written["kind"], written["chosen"], written["class_law"]) == ("selection", "single", [0.1, 0.9])
    assert written["mmd_report"]["uniform"] == {"value": 0.3, "error": 0.01}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"method": "luck"}, "cannot be read; write it again with `ensgan select"),
        ({"step": None}, "cannot be read"),
        ({"weights": {"single": "many"}}, "cannot be read"),
        ({"weights": {"single": [1.0]}}, r"has weights of shape \(1,\), but the run has 2 generators; write it again"),
        ({"weights": {"single": [[0.5, 0.5]]}}, r"has weights of shape \(1, 2\)"),
    ],
    ids=str,
)
def test_a_choice_that_is_damaged_or_of_another_run_is_named(tmp_path, change, text):
    records.save_selection(tmp_path, scores(), META, STATE, None)
    file = RunFiles(tmp_path).selection
    write_json(file, {**read_json(file), **change})
    with pytest.raises(InputError, match=text):
        records.load_selection(tmp_path, 2)


def test_a_judge_leaves_how_far_it_can_be_trusted(tmp_path):
    quality = Quality(0.2, 0.1, -1.5, np.array([0.1, np.nan]), np.array([0.2, np.nan]), np.array([5, 0]))
    judge = SimpleNamespace(
        rule="stacking", calibrate="isotonic", classes=None, before=quality, after=quality._replace(brier=0.1)
    )
    records.save_judge(tmp_path, judge, "generator 1", 7)
    found = read_json(RunFiles(tmp_path).judge)
    assert {key: found[key] for key in ("kind", "step", "rule", "calibrate", "sampler", "class_law")} == {
        "kind": "judge", "step": 7, "rule": "stacking", "calibrate": "isotonic", "sampler": "generator 1",
        "class_law": None,
    }  # fmt: skip
    assert found["before"]["predicted"] == [0.1, None]
    assert (found["before"]["brier"], found["after"]["brier"]) == (0.2, 0.1)
