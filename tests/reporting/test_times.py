"""Where the time of a run went, in the words of the report."""

import pytest

from ensgan.reporting.times import duration, in_bytes, speed_sentences, time_sections


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
    assert section.notes[0].endswith("At most 500 MB of memory was in use.")
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


def test_the_report_tells_the_share_of_time_that_was_not_in_vain():
    clock = {"train": 50.0, "lost": 10.0, "lost_steps": 30, "total": 60.0, "elapsed": 80.0, "interruptions": 2}
    (section,) = time_sections(clock, [])
    (text,) = section.notes
    assert "Interruptions: 2. 30 steps, 10 s of training, were done again." in text
    assert "Of the 1 min 20 s since the first start, 50% went into steps that count." in text


def test_bytes_are_in_the_larger_unit_from_a_thousand_of_the_smaller():
    assert [in_bytes(n) for n in (0, 5e8, 999_400_000, 1e9, 2.5e10)] == ["0 MB", "500 MB", "999 MB", "1 GB", "25 GB"]


def test_times_near_the_ends_of_their_units():
    assert [duration(s) for s in (0.0, 0.0123, 0.1, 59.9, 60.0, 3599.0, 3600.0)] == [
        "0 s", "12.3 ms", "0.1 s", "59.9 s", "1 min 0 s", "59 min 59 s", "1 h 0 min",
    ]  # fmt: skip


def test_speeds_are_medians_and_the_share_needs_one():
    speed = lambda **fields: {"speed": fields}
    assert speed_sentences([]) == []
    assert speed_sentences([speed(share_of_product=0.5)]) == []  # of nothing that is said
    assert speed_sentences([speed(samples_per_second=n) for n in (100, 1000, 3000)]) == [
        "Median over all records: 1,000 samples per second."
    ]
    assert speed_sentences([speed(flops_per_second=2e12, share_of_product=0.25), speed(peak_bytes=2e9)]) == [
        "Median over all records: 2e+03 GFLOP/s, 25% of what a product of large matrices reached on this device "
        "when the run began.",
        "At most 2 GB of memory was in use.",
    ]


def test_parts_that_are_more_than_the_whole_leave_nothing_for_others():
    (section,) = time_sections({"train": 2.0, "read": 3.0, "total": 1.0}, [])
    rows = {cells[0]: cells[1] for _, cells in section.tables[0].rows}
    assert (rows["train"], rows["read batches"], rows["other"]) == ("0 s", "3 s", "0 s")
    assert "report" not in rows
    assert sum(float(width[:-1]) for _, width in section.bar) == pytest.approx(100.0, abs=0.05)
    assert section.tables[0].header == ("", "time", "share")  # no steps, so nothing for one
