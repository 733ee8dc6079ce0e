"""What a run says: a bar on a terminal, plain lines elsewhere."""

import io
from types import SimpleNamespace

import numpy as np
import pytest

from ensgan.reporting import Console
from ensgan.reporting.console import rates, strain
from ensgan.types import InputError

RECORD = {"weight_g": [[0.5, 0.5]], "loss_g": [[1.0, 3.0]], "weight_d": [[1.0, 1.0]], "loss_d": [[0.25, 0.75]]}
SCORES = SimpleNamespace(score_g=SimpleNamespace(value=np.array([0.25, 0.5])), rank_g=np.array([1, 0]), left_out=None)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def drive(stream, pause=0.0):
    console = Console(stream, pause)
    console.note("compiling")
    console.start(0, 20)
    console.progress(10, {**RECORD, "seconds": 1.0})
    console.scoring()
    console.scored(10, SCORES)
    console.progress(20, {**RECORD, "seconds": 3.0})
    console.finish()
    return stream.getvalue()


def test_plain_lines_where_there_is_no_terminal():
    assert drive(io.StringIO()).splitlines() == [
        "compiling",
        "step 10/20  loss G 2.000  D 0.500",
        "step 10: held-out S(G), ideal 0.5: G0 0.25  G1 0.50; best by S(G) and MMD: G1",
        "step 20/20  loss G 2.000  D 0.500  5.0 steps/s",
    ]


def test_parts_are_ranked_by_what_leaving_them_out_costs():
    stream = io.StringIO()
    Console(stream, 0.0).scored(10, SimpleNamespace(**{**vars(SCORES), "left_out": np.array([0.0, 0.1])}))
    assert stream.getvalue().endswith("G1 0.50; most needed in the mixture: G1\n")


def test_rates_are_differences_of_counts():
    before = {"step": 10, "seconds": 1.0, "samples": 640, "flops": 2e9}
    now = {"step": 20, "seconds": 3.0, "samples": 1280, "flops": 5e9}
    assert rates(before, now) == "  5.0 steps/s, 320 samples/s, 1.5 GFLOP/s"
    assert rates(before, {**now, "seconds": 1.0}) == rates(None, now) == ""
    assert rates({"step": 1, "seconds": 0.0}, now) == "  6.3 steps/s"


def test_a_line_tells_what_of_the_device_is_used():
    assert (
        strain({"share_of_product": 0.254, "peak_bytes": 2_345_000_000})
        == ", 25% of the speed of a matrix product, 2.35 GB at most"
    )
    assert strain({"peak_bytes": 512_000_000}) == ", 512 MB at most"
    assert strain({}) == ""


def test_lines_are_rare_but_the_last_one_always_comes():
    text = drive(io.StringIO(), pause=1e9)
    assert "step 20/20" in text


def test_a_bar_on_a_terminal():
    text = drive(Terminal())
    assert "\x1b[" in text
    assert "20/20" in text
    assert "held-out S(G)" in text


def test_the_bar_counts_the_steps_of_all_runs_and_its_clock_goes_on():
    console, bars = Console(Terminal(), 0.0), []
    for number, name in enumerate(("seed-3", "seed-4"), 1):
        console.run(name, number, 2)
        console.start(0, 20)
        console.progress(10, {**RECORD, "seconds": 1.0})
        bars.append(console._bar)
        console.finish()
    first, second = (bar.tasks[0] for bar in bars)
    assert [(task.completed, task.total) for task in (first, second)] == [(10, 40), (30, 40)]
    assert second.start_time == first.start_time
    assert "seed-4 (2 of 2)" in console.stream.getvalue()


def test_a_negative_pause_is_refused():
    with pytest.raises(InputError, match="pause is -1"):
        Console(io.StringIO(), -1.0)
