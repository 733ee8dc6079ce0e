"""The report of a run: what it shows, and what it escapes."""

import numpy as np
import pytest
from made_runs import make_run, report, score_record, train_record

from ensgan.reporting import (
    MetricsLog,
    write_report,
)
from ensgan.types import InputError


def test_report_names_every_member_and_shows_every_figure(tmp_path):
    _, page = report(make_run(tmp_path / "run"))
    for name in ("generator 0", "generator 1", "generator 2", "discriminator 0", "discriminator 1", "real"):
        assert name in page.text
    alts = [image["alt"] for image in page.images]
    assert alts[:4] == [
        "samples: generator 0",
        "samples: generator 1",
        "samples: generator 2",
        "samples: real",
    ]
    assert len(alts) == 4 + 2 + 3 + 2 + 4  # samples, matrices, scores, losses, health
    assert "step30 of 100" in page.text
    assert "180 held-out reals" in page.text
    assert "The mixture covers 75% of held-out reals, and training reals cover –" in page.text
    assert '"seed": 3' in page.text
    assert "15 steps per second" in page.text


def test_report_of_points_has_modes_and_says_parts(tmp_path):
    text, page = report(make_run(tmp_path / "run", points=True))
    assert "modes of 8" in page.text
    assert "perfect <sampler>" in page.text
    assert "perfect <sampler>" not in text
    assert "only their mixture" in page.text


def test_report_early_in_a_run(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    _, page = report(tmp_path)
    assert "No scores yet." in page.text
    assert "No samples yet." in page.text
    assert "No training steps yet." in page.text
    assert page.images == []
    (tmp_path / "metrics.jsonl").write_text("")
    report(tmp_path)
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        log.write(train_record(np.random.default_rng(0), 2, 2, 1))
    _, page = report(tmp_path)
    assert "No scores yet." in page.text
    assert "Loss of every generator" in page.text


def test_report_names_the_data(tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / "data.json").write_text('{"name": "my shapes"}')
    assert "datamy shapes" in report(folder)[1].text


def test_report_escapes_what_users_write(tmp_path):
    text, page = report(make_run(tmp_path / "run", name="<script>alert('&')</script>"))
    assert "<script" not in text
    assert "<script>alert('&')</script>" in page.text
    assert "a <small> CPU" in page.text


def test_report_is_a_function_of_the_files(tmp_path):
    run = make_run(tmp_path / "run")
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
    assert not list(run.glob("*.tmp"))


def test_report_of_a_long_run_with_many_members_stays_small(tmp_path):
    run = make_run(tmp_path / "run", M=6, N=6)
    rng = np.random.default_rng(0)
    with MetricsLog(run / "metrics.jsonl", resume_step=0) as log:
        for step in range(1, 1201):
            log.write(train_record(rng, 6, 6, step))
            log.write(score_record(rng, 6, 6, step, False))
    images = np.random.default_rng(0).integers(0, 256, (7, 64, 128, 128, 3)).astype(np.uint8)  # noise does not compress
    np.savez(run / "samples.npz", generators=images[:6], real=images[6], step=1200)
    assert write_report(run).stat().st_size < 3_000_000


def test_report_errors_name_the_file(tmp_path):
    with pytest.raises(InputError, match=r"no run at .*: expected config\.json"):
        write_report(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json is damaged"):
        write_report(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(InputError, match=r"config\.json is damaged: it holds a list"):
        write_report(tmp_path)
