"""The report of a run: what it shows, and what it escapes."""

import numpy as np
import pytest
from made_runs import make_run, report, score_record, train_record

from ensgan.reporting import (
    MetricsLog,
    write_report,
)
from ensgan.reporting.times import duration, time_sections
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


def test_the_time_of_a_run_is_divided():
    """Of 20 s, 8 are of training, in which 3 went into reading; ten steps were taken."""
    clock = {"compile": 2.0, "train": 8.0, "read": 3.0, "evaluate": 4.0, "report": 1.0, "total": 20.0, "steps": 10}
    speeds = [
        {"samples_per_second": 1000.0 * k, "flops_per_second": k * 1e9, "share_of_product": 0.1 * k} for k in (1, 2, 9)
    ]
    train = [{"step": 1}, *({"speed": {**speed, "peak_bytes": 5e8}} for speed in speeds)]
    (section,) = time_sections(clock, train)
    rows = [cells for _, cells in section.tables[0].rows]
    assert rows == [
        ("compile", "2 s", "10.0 %", "0.2 s"),
        ("train", "5 s", "25.0 %", "0.5 s"),
        ("read batches", "3 s", "15.0 %", "0.3 s"),
        ("scores", "4 s", "20.0 %", "0.4 s"),
        ("pictures and report", "1 s", "5.0 %", "0.1 s"),
        ("checkpoints", "0 s", "0.0 %", "0 s"),
        ("other", "5 s", "25.0 %", "0.5 s"),
        ("total", "20 s", "", "2 s"),
    ]
    assert [width for _, width in section.bar] == ["10.00%", "25.00%", "15.00%", "20.00%", "5.00%", "0.00%", "25.00%"]
    assert "2,000 samples per second and 2 GFLOP/s, 20% of what a product of large matrices" in section.notes[0]
    assert section.notes[0].endswith("At most 500 MB of memory were in use.")
    assert time_sections({}, []) == []
    (old,) = time_sections({"train": 1.0, "total": 2.0}, [{"speed": None}, {"speed": {"peak_bytes": None}}])
    assert [cells[0] for _, cells in old.tables[0].rows] == [
        "compile",
        "train",
        "scores",
        "checkpoints",
        "other",
        "total",
    ]


def test_durations_read_well():
    assert [duration(s) for s in (0.1234, 59.0, 61.0, 3725.0)] == [
        "0.123 s",
        "59 s",
        "1 min 1 s",
        "1 h 2 min",
    ]
