"""A search: its trials are runs in folders, it goes on where it stopped, and a trial that fails is not all."""

import json
import math
import signal

import pytest
from small_runs import Notes, settings

from ensgan.reporting import read_metrics
from ensgan.reporting.files import RunFiles
from ensgan.runs import search as searching
from ensgan.runs import series
from ensgan.runs.config import to_dict
from ensgan.runs.curves import contenders
from ensgan.runs.search import Search
from ensgan.runs.space import Range
from ensgan.types import InputError

pytest.importorskip("optuna", reason="the extra optuna is not installed")

SHORT = {"steps": 4, "log_every": 2, "eval_every": 2, "checkpoint_every": 2, "distances": ["mmd"]}
RATE = "optimizer.learning_rate"


def search(trials=3, space=None, seeds=(0,), goal="mmd", **changes):
    space = space or {"pairing.lam": Range(0.5, 4.0, False, False), RATE: Range(1e-4, 1e-2, True, False)}
    return Search(to_dict(settings(**{**SHORT, **changes})), space, goal, seeds, trials)


def made(folder, asked, **more):
    searching.check(asked)
    searching.enter(folder, asked, overwrite=False)
    return searching.train(folder, searching.searched(folder), **more)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search") / "whole"
    return folder, made(folder, search(2, seeds=(0, 5)))


@pytest.fixture
def quick(monkeypatch):
    """Trials without training: a run leaves its configuration and one score, and fails where its rate is large."""

    def train_all(folder, runs, **more):
        failed = {}
        for name, config in runs.items():
            if config.generators[0].count == config.discriminators[0].count == 3:
                raise InputError("these do not go together")
            rate, files = config.optimizer.options["learning_rate"], RunFiles(folder / name)
            files.folder.mkdir(parents=True)
            files.config.write_text(json.dumps(to_dict(config)))
            mmd = {"title": "MMD", "generators": [rate], "mixture": rate * (1 + config.seed), "floor": None}
            distances = {"num": 8, "features": "identity", "mmd": mmd}
            score = {"kind": "score", "step": config.steps, "distances": distances}
            files.metrics.write_text(json.dumps(score) + "\n")
            failed |= {name: "not finite"} if rate > 1 else {}
        return series.Ended(failed, None)

    monkeypatch.setattr(series, "train_all", train_all)


def test_the_worth_of_a_trial_is_the_mean_over_its_seeds(whole):
    folder, ended = whole
    assert [trial.state for trial in ended.trials] == ["done"] * 2
    assert (ended.failed, ended.stopped_by) == ({}, None)
    for trial in ended.trials:
        found = []
        for seed in (0, 5):
            files = RunFiles(folder / f"trial-{trial.number}" / f"seed-{seed}")
            config = json.loads(files.config.read_text())
            assert config["seed"] == seed
            assert config["pairing"]["lam"] == trial.values["pairing.lam"]
            assert config["optimizer"]["learning_rate"] == trial.values[RATE]
            records = [each for each in read_metrics(files.metrics) if each["kind"] == "score"]
            found.append(records[-1]["distances"]["mmd"]["mixture"])
        assert trial.worth == pytest.approx(sum(found) / 2, abs=1e-12)
    sides, _ = contenders([str(folder)])  # a comparison takes a search like any series
    assert [(side.name, sorted(side.runs)) for side in sides] == [(f"trial-{k}", [0, 5]) for k in range(2)]


def test_a_search_that_was_stopped_makes_the_same_trials(whole, tmp_path):
    class Stopper(Notes):
        def progress(self, step, record):
            if any(text.startswith("trial-1 (") for text in self.notes):
                signal.raise_signal(signal.SIGTERM)

    folder = tmp_path / "stopped"
    ended = made(folder, search(2, seeds=(0, 5)), watcher=Stopper())
    assert ended.stopped_by == signal.SIGTERM
    assert not (folder / "trial-1" / "seed-5").exists()
    assert made(folder, search(2, seeds=(0, 5))).trials == whole[1].trials


def test_more_trials_are_added(quick, tmp_path):
    three = made(tmp_path / "a", search(3))
    assert made(tmp_path / "a", search(5)).trials == made(tmp_path / "b", search(5)).trials
    assert made(tmp_path / "b", search(5)).trials[:3] == three.trials


def test_other_settings_do_not_continue_a_search(whole):
    folder, _ = whole
    for other, text in (
        (search(seeds=(0,)), "another --seeds"),
        (search(seeds=(0, 5), goal="sliced"), "another --goal"),
        (search(seeds=(0, 5), steps=6), "another steps"),
        (search(seeds=(0, 5), seed=1), "another seed"),
        (search(seeds=(0, 5), space={RATE: Range(1e-4, 1e-2, True, False)}), "another space for pairing.lam"),
    ):
        with pytest.raises(InputError, match=text):
            searching.enter(folder, other, overwrite=False)


def test_trials_that_fail_do_not_end_the_search_and_equal_ones_are_made_once(quick, tmp_path):
    space = {RATE: ("1e-3", "1e30"), "optimizer.b1": ("0", "0.5")}
    notes = Notes()
    ended = made(tmp_path, search(9, space), watcher=notes)
    assert {trial.state for trial in ended.trials} == {"done", "failed"}
    for trial in ended.trials:
        assert (trial.state == "failed") == (trial.values[RATE] == "1e30") == math.isnan(trial.worth)
    different = {tuple(trial.values.items()) for trial in ended.trials}
    assert len(list(tmp_path.glob("trial-*"))) == len(different) < 9
    assert sum("and so its result" in text for text in notes.notes) == 9 - len(different)
    assert set(ended.failed.values()) == {"not finite"}


def test_a_trial_that_cannot_begin_fails_alone(quick, tmp_path):
    """Each choice is tried by itself before; only together they do not fit."""
    asked = search(9, {"generators.0.count": ("2", "3"), "discriminators.0.count": ("2", "3")}, pairing="mean")
    ended = made(tmp_path, asked)
    bad = [trial for trial in ended.trials if set(trial.values.values()) == {"3"}]
    assert bad
    assert all(trial.state == "failed" for trial in bad)
    assert set(ended.failed.values()) == {"these do not go together"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"goal": "hq2"}, "unknown metric for --goal 'hq2' .did you mean hq..; known: hq, kl, mmd, modes"),
        ({"goal": "spread"}, "unknown metric for --goal"),
        ({"space": {"pairing.own": Range(0.0, 2.0, False, False)}}, "own is 2"),
        ({"space": {"loss": ("hinge", "hing")}}, "unknown loss 'hing'"),
        ({"space": {"pairing": ("softmax", "mean"), "pairing.lam": ("1", "2")}}, "pairing.lam"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_a_trial(changes, text):
    with pytest.raises(InputError, match=text):
        searching.check(search(**changes))


def test_a_search_that_is_replaced_leaves_nothing(quick, whole, tmp_path):
    made(tmp_path / "a", search(2))
    (tmp_path / "a" / "trial-1" / "seed-0" / "mine.txt").write_text("kept")
    searching.enter(tmp_path / "a", search(1, seeds=(3,)), overwrite=True)
    left = sorted(str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert left == ["search.json", "trial-1/seed-0/mine.txt"]
    with pytest.raises(InputError, match="holds a single run"):
        searching.enter(whole[0] / "trial-0" / "seed-0", search(), overwrite=False)


@pytest.mark.parametrize(
    "tree", [{}, {"settings": 3}, {"settings": {"seed": 0}, "space": [1], "goal": "mmd", "seeds": [0], "trials": 2}]
)
def test_a_damaged_record_is_one_line(tmp_path, tree):
    RunFiles(tmp_path).search.write_text(json.dumps(tree))
    with pytest.raises(InputError, match="not the record of a search"):
        searching.searched(tmp_path)
