"""Searches from the command line: the table of trials, and one line for what is wrong."""

import importlib.util
import math
import sys

import pytest
from small_runs import settings

from ensgan.cli import main as cli
from ensgan.cli.trials import ranked, table
from ensgan.runs.config import to_dict
from ensgan.runs.search import Search
from ensgan.runs.study import Trial

SMALL = """
steps = 2
batch_size = 8
log_every = 2
eval_every = 2
checkpoint_every = 2
held_out = 64
distances = ["mmd"]
data = "ring"
pairing = "softmax"
generators = {count = 2, network = {name = "mlp", latent = 2, widths = [8]}}
discriminators = {count = 2, network = {name = "mlp", widths = [8]}}
"""
needed = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="the extra optuna is not installed")
ASKED = ["sweep", "small.toml", "--trials", "1", "--search", "pairing.lam=1..2", "--goal", "mmd"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A search of one trial."""
    place = tmp_path_factory.mktemp("trials")
    (place / "small.toml").write_text(SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert cli.main([*ASKED, "--run-dir", "found"]) == 0
    return place


@needed
def test_a_search_that_is_complete_prints_its_table_again_and_nothing_of_optuna(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    before = (folder / "found" / "study.log").read_bytes()
    for command in ([*ASKED, "--run-dir", "found"], ["resume", "found"]):
        assert cli.main(command) == 0
        said = capsys.readouterr()
        assert said.err == ""
        assert said.out.startswith("mmd of the mixture, seed 0; lower is better")
        assert "1     trial-0  " in said.out
        assert "best:  found/trial-0" in said.out
    assert (folder / "found" / "study.log").read_bytes() == before


@needed
@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["sweep", "small.toml", "--search", "pairing.lam=1..2"], "--search is for a search, and --trials is missing"),
        (["sweep", "small.toml", "--set", "pairing.lam=1,2", "--goal", "mmd"], "--goal is for a search"),
        (["sweep", "small.toml", "--trials", "3"], "--trials has nothing to search"),
        (["sweep", "small.toml", "--trials", "0", "--set", "pairing.lam=1,2", "--goal", "mmd"], "--trials is 0"),
        (["sweep", "small.toml", "--trials", "3", "--set", "pairing.lam=1,2"], "--goal is missing; give the metric"),
        ([*ASKED, "--set", "pairing.lam=1,2"], "pairing.lam is given by --set and by --search"),
        ([*ASKED[:-1], "fid"], "unknown metric for --goal 'fid'; known: hq, kl, mmd, modes"),
        ([*ASKED, "--print-array"], "--print-array does not go with --trials"),
        ([*ASKED, "--run-dir", "found", "--seed", "3"], "found already holds a search with another seed"),
        ([*ASKED, "--run-dir", "found/trial-0/seed-0"], "holds a single run"),
        (["sweep", "small.toml", "--set", "pairing.lam=1,2", "--run-dir", "found"], "found holds a search"),
        (["train", "small.toml", "--seeds", "0", "--run-dir", "found"], "holds another kind of series"),
        (["resume", "found", "--steps", "9"], "--steps does not go with a search"),
        (["resume", "found", "--part", "1/2"], "--part does not go with a search"),
    ],
)
def test_what_is_wrong_is_one_line(folder, monkeypatch, capsys, argv, text):
    monkeypatch.chdir(folder)
    assert cli.main(argv) == 2
    said = capsys.readouterr().err.strip()
    assert text in said
    assert "\n" not in said


def test_without_optuna_the_extra_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "small.toml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert cli.main(ASKED) == 2
    assert "a search needs optuna, which is not installed: pip install 'ensgan[optuna]'" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("goal", "first"), [("mmd", 2), ("coverage", 0)])
def test_the_best_trial_comes_first_and_those_that_failed_last(goal, first):
    worths = {0: 0.5, 1: math.nan, 2: 0.25}
    trials = [Trial(k, {"loss": "hinge"}, "failed" if k == 1 else "done", worth) for k, worth in worths.items()]
    asked = Search(to_dict(settings()), {"loss": ("hinge",)}, goal, (0, 1), 3)
    assert [trial.number for trial in ranked(asked, trials)] == [first, 2 - first, 1]
    lines = table(asked, trials)
    assert lines[0] == f"{goal} of the mixture, mean of 2 seeds; {'lower' if goal == 'mmd' else 'higher'} is better"
    assert lines[-1].split() == ["-", "trial-1", "failed", "hinge"]
