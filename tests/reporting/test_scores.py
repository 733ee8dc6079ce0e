"""The sections of the report about scores and training, where numbers are missing."""

import numpy as np
import pytest
from made_runs import make_run, report, score_record, train_record

from ensgan.reporting import (
    MetricsLog,
)
from ensgan.reporting.figures import curves


def test_report_of_one_score_with_nulls(tmp_path):
    run = make_run(tmp_path / "run", M=1, N=1, scores=0)
    with MetricsLog(run / "metrics.jsonl") as log:
        record = score_record(np.random.default_rng(0), 1, 1, 30, False)
        log.write(record | {"mmd": [np.nan], "score_g": [np.nan], "error_d": None, "mmd_floor": np.nan})
    _, page = report(run)
    assert "– ± 0.010" in page.text


def test_pairs_that_are_not_played_do_not_spoil_a_loss(tmp_path, monkeypatch):
    drawn = []
    keep = lambda steps, values, *, ylabel, **rest: (
        drawn.append((ylabel, values)) or curves(steps, values, ylabel=ylabel, **rest)
    )
    monkeypatch.setattr("ensgan.reporting.scores.curves", keep)
    run = make_run(tmp_path / "run", scores=0)
    with MetricsLog(run / "metrics.jsonl") as log:
        record = train_record(np.random.default_rng(0), 3, 2, 31)
        record["loss_g"][0, 0], record["weight_g"][0, 0] = np.nan, 0.0
        log.write(record)
    report(run)
    losses = [values for ylabel, values in drawn if ylabel == "loss"]
    assert [values.shape[1] for values in losses] == [3, 2]
    assert np.isfinite(losses[0]).all()
    assert losses[0][-1, 0] == pytest.approx(record["weight_g"][0, 1] * record["loss_g"][0, 1], rel=1e-5)
