"""The best checkpoint, those that are kept apart, and runs that end when nothing improves."""

import math

import numpy as np
import pytest
from small_runs import assert_same_bits, final, settings

from ensgan.cli import main as cli
from ensgan.reporting import Watcher, read_metrics
from ensgan.reporting.files import RunFiles
from ensgan.runs import run as run_module
from ensgan.runs.best import Best, best_of, value_of
from ensgan.types import InputError

SHORT = {"steps": 24, "log_every": 4, "eval_every": 4, "checkpoint_every": 8, "distances": ["mmd"], "keep": 1}
STILL = {"optimizer": {"name": "sgd", "learning_rate": 1e-30}}  # nothing changes


def kept(run):
    return sorted(int(path.name) for path in RunFiles(run).checkpoints.iterdir() if path.name.isdigit())


def test_the_better_of_two_scores_by_the_direction_of_the_metric():
    low = (
        Best().after(1, 3.0, "frechet").after(2, 2.0, "frechet").after(3, 2.0, "frechet").after(4, math.nan, "frechet")
    )
    assert low == Best(2, 2.0, 2)
    high = Best().after(1, math.nan, "recall").after(2, 0.2, "recall").after(3, 0.5, "recall")
    assert high == Best(3, 0.5, 0)


def test_scores_are_read_from_distances_and_modes_once_each():
    score = lambda step, value: {"kind": "score", "step": step, "distances": {"mmd": {"mixture": value}}}
    records = [
        score(4, 1.0),
        {"kind": "train", "step": 5},
        score(8, None),
        score(8, 0.1),
        score(12, 0.5),
        score(16, 0.1),
    ]
    assert best_of(records, "mmd", 12) == Best(12, 0.5, 0)
    assert best_of(records, "mmd", 16) == Best(16, 0.1, 0)
    modes = {"modes": {"names": ["generator 0", "mixture"], "hq": [0.1, 0.7]}}
    assert value_of(modes, "hq") == 0.7
    assert math.isnan(value_of(modes, "mmd"))


def test_the_best_checkpoint_is_kept_and_found(tmp_path, capsys):
    run = tmp_path / "run"
    run_module.run(settings(**SHORT, best="mmd", keep_every=16), run)
    scores = {r["step"]: value_of(r, "mmd") for r in read_metrics(RunFiles(run).metrics) if r["kind"] == "score"}
    best = min(scores, key=scores.get)
    assert kept(run) == sorted({best, 16, 24})
    out = tmp_path / "x.npz"
    assert cli.main(["sample", str(run), "--from-step", "best", "--num", "5", "--out", str(out)]) == 0
    first = np.load(out)["x"]
    assert cli.main(["sample", str(run), "--from-step", str(best), "--num", "5", "--out", str(out)]) == 0
    np.testing.assert_array_equal(np.load(out)["x"], first)
    for step, text in (("worst", "give a step of a checkpoint, or best"), ("3", "has no checkpoint of step 3")):
        assert cli.main(["sample", str(run), "--from-step", step, "--out", str(out)]) == 2
        assert text in capsys.readouterr().err


def test_patience_ends_a_run_at_the_same_step_whatever_interrupts_it(tmp_path):
    class Notes(Watcher):
        def __init__(self):
            self.notes = []

        def note(self, text):
            self.notes.append(text)

    config = settings(**{**SHORT, **STILL}, best="mmd", patience=2)
    notes = Notes()
    ended = run_module.run(config, tmp_path / "whole", watcher=notes)
    assert ended.step == 12
    assert ended.stopped_by is None
    assert any(note.startswith("ending at step 12: the best mmd was") for note in notes.notes)
    assert kept(tmp_path / "whole") == [4, 12]
    run_module.run(settings(**{**SHORT, **STILL, "steps": 8}, best="mmd", patience=2), tmp_path / "parts")
    assert run_module.run(config, tmp_path / "parts", resume=True).step == 12
    assert_same_bits(final(tmp_path / "parts"), final(tmp_path / "whole"))
    assert run_module.run(config, tmp_path / "whole", resume=True).step == 12  # it has ended, and stays so


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"best": "fid"}, "unknown metric for --best 'fid'; known: hq, kl, mmd, modes"),
        ({"best": "frechet"}, "known: hq, kl, mmd, modes"),
        ({"patience": 2}, "patience is given without best"),
        ({"patience": -1}, "patience is -1"),
        ({"keep_every": -1}, "keep_every is -1"),
    ],
)
def test_what_cannot_be_is_told_before_training(tmp_path, change, text):
    with pytest.raises(InputError, match=text):
        run_module.run(settings(**SHORT, **change), tmp_path / "run")


def test_a_run_without_a_metric_has_no_best(tmp_path, capsys):
    run_module.run(settings(**{**SHORT, "steps": 4}), tmp_path / "run")
    assert cli.main(["sample", str(tmp_path / "run"), "--from-step", "best", "--out", str(tmp_path / "x.npz")]) == 2
    assert "was not told what is best" in capsys.readouterr().err
