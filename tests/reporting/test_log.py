"""The log of a run: strict JSON, six digits, and what is left of it after a crash."""

import json

import numpy as np
import pytest

from ensgan.reporting import (
    MetricsLog,
    read_metrics,
)
from ensgan.types import InputError


def test_records_come_back_as_plain_json_with_six_digits(tmp_path):
    import jax.numpy as jnp

    with MetricsLog(tmp_path / "deep" / "metrics.jsonl") as log:
        log.write(
            {
                "kind": "train",
                "step": np.int64(12345678),
                "pi": np.pi,
                "jax": jnp.array([[1.0, 0.5]], jnp.bfloat16),
                "numpy": np.array([1 / 3, np.nan, np.inf], np.float32),
                "flag": np.bool_(True),
                "nested": {"order": np.array([2, 0]), "none": None, "minus": -np.inf},
            }
        )
    assert read_metrics(tmp_path / "deep" / "metrics.jsonl") == [
        {
            "kind": "train",
            "step": 12345678,
            "pi": 3.14159,
            "jax": [[1.0, 0.5]],
            "numpy": [0.333333, None, None],
            "flag": True,
            "nested": {"order": [2, 0], "none": None, "minus": None},
        }
    ]


def test_every_line_is_strict_json_and_on_disk_at_once(tmp_path):
    log = MetricsLog(tmp_path / "m.jsonl")
    log.write({"x": float("nan")})
    assert (tmp_path / "m.jsonl").read_text() == '{"x":null,"crc32":"1f80b88b"}\n'
    log.close()
    log.close()


def test_resuming_drops_later_records_and_appends(tmp_path):
    path = tmp_path / "m.jsonl"
    with MetricsLog(path) as log:
        log.write({"note": "no step"})
        for step in (10, 20, 30):
            log.write({"step": step})
    with MetricsLog(path, resume_step=20) as log:
        log.write({"step": 25})
    assert read_metrics(path) == [{"note": "no step"}, {"step": 10}, {"step": 20}, {"step": 25}]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("resume_step", [None, 2])
def test_a_line_cut_off_by_a_crash_is_dropped(tmp_path, resume_step):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step":1}\n{"step":2,"x":[1.0,\xe2')
    assert read_metrics(path) == [{"step": 1}]
    with MetricsLog(path, resume_step) as log:
        log.write({"step": 2})
    assert read_metrics(path) == [{"step": 1}, {"step": 2}]


def test_a_whole_last_record_without_its_newline_stays(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"step":1}')
    with MetricsLog(path) as log:
        log.write({"step": 2})
    assert [line.split(',"crc32"')[0] for line in path.read_text().splitlines()] == ['{"step":1', '{"step":2']
    assert read_metrics(path) == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize("line", ['{"step":', "[1]", "7"])
def test_a_corrupt_line_in_the_middle_is_an_error_with_its_number(tmp_path, line):
    path = tmp_path / "m.jsonl"
    path.write_text(f'{{"step":1}}\n{line}\n{{"step":3}}\n')
    with pytest.raises(InputError, match=r"m\.jsonl, line 2 "):
        read_metrics(path)
    with pytest.raises(InputError, match="line 2 "):
        MetricsLog(path)


def test_missing_metrics_are_an_error(tmp_path):
    with pytest.raises(InputError, match="no metrics at"):
        read_metrics(tmp_path / "m.jsonl")


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ([{"kind": "score", "step": 1, "fool": [["a"]]}, {"step": 2}], "line 1 is not a JSON object, or not what"),
        (
            [{"kind": "score", "step": 1, "fool": [[0.5]]}, {"kind": "score", "fool": [[0.5, 1.0]]}],
            "line 2 is of a game",
        ),
    ],
)
def test_records_that_would_break_a_reader_are_named(tmp_path, records, text):
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    with pytest.raises(InputError, match=text):
        read_metrics(tmp_path / "m.jsonl")


def test_what_cannot_be_written_is_kept_and_comes_before_the_next(tmp_path):
    path = tmp_path / "run" / "m.jsonl"
    with MetricsLog(path) as log:
        log.write({"step": 1})
        path.parent.rename(tmp_path / "away")
        for step in (2, 3):
            with pytest.raises(FileNotFoundError):
                log.write({"step": step})
        (tmp_path / "away").rename(path.parent)
        log.write({"step": 4})
        path.write_bytes(path.read_bytes())  # the same file
        path.rename(tmp_path / "old")
        path.write_bytes((tmp_path / "old").read_bytes())  # another one in its place
        log.write({"step": 5})
        assert [record["step"] for record in read_metrics(path)] == [1, 2, 3, 4, 5]
        path.unlink()
        log.write({"step": 6})  # whoever removes a log gets a new one
    assert [record["step"] for record in read_metrics(path)] == [6]


def test_a_disk_that_fills_up_within_a_record_leaves_no_half(tmp_path):
    class Full:
        """Takes some bytes, and then no more."""

        def __init__(self, file, left):
            self.file, self.left = file, left

        def write(self, data):
            if not self.left:
                raise OSError(28, "No space left on device")
            count = self.file.write(data[: self.left])
            self.left -= count
            return count

        def __getattr__(self, name):
            return getattr(self.file, name)

    with MetricsLog(tmp_path / "m.jsonl") as log:
        log._file = Full(log._file, 7)
        with pytest.raises(OSError, match="No space"):
            log.write({"step": 1})
        log._file.left = 10_000
        log.write({"step": 2})
    assert [record["step"] for record in read_metrics(tmp_path / "m.jsonl")] == [1, 2]
