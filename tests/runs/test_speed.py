"""What a run tells about its speed: rates between records, and the device's own measure."""

import jax
import numpy as np
import toys
from small_runs import settings

from ensgan import data
from ensgan.game.program import Program
from ensgan.reporting import read_metrics
from ensgan.reporting.files import RunFiles, read_json
from ensgan.runs import run as run_module
from ensgan.runs import speed


def test_rates_are_those_since_the_last_call(monkeypatch):
    monkeypatch.setattr(speed, "product_rate", lambda device: 1000.0)
    monkeypatch.setattr(speed, "peak_memory", lambda device: 7)
    meter = speed.Meter(None, seconds=1.0, step=10)
    found = meter.read(seconds=3.0, step=20, samples=8, flops=100.0)
    assert found == {
        "samples_per_second": 40.0,
        "flops_per_second": 500.0,
        "share_of_product": 0.5,
        "peak_bytes": 7,
    }
    assert meter.read(seconds=3.0, step=20, samples=8, flops=100.0) == {"peak_bytes": 7}  # no time has passed
    assert meter.read(seconds=4.0, step=21, samples=8, flops=0.0) == {"samples_per_second": 8.0, "peak_bytes": 7}


def test_simulated_devices_have_no_share():
    mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2])
    assert speed.Meter(mesh, 0.0, 0).product is None
    assert speed.Meter(None, 0.0, 0).product == speed.product_rate(jax.local_devices()[0]) > 1e6  # measured once


def test_the_memory_is_that_of_the_device_or_of_this_process():
    class Device:
        platform = "gpu"

        def memory_stats(self):
            return self.stats

    device = Device()
    for device.stats, peak in (({"peak_bytes_in_use": 5}, 5), ({"bytes_in_use": 5}, None), (None, None)):
        assert speed.peak_memory(device) == peak
    assert speed.peak_memory(jax.local_devices()[0]) > 1e7


def test_reading_of_streamed_batches_is_timed():
    game = toys.game(2, 2)
    points = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    streamed = Program(game, data.stream([{"x": x} for x in points]))
    resident = Program(game, data.gaussian_ring())
    for program in (streamed, resident):
        program.tally(game.init(jax.random.key(0)), 2)
    assert streamed.reading > 0.0
    assert resident.reading == 0.0


def test_the_log_and_the_clock_tell_where_time_goes(tmp_path, monkeypatch):
    tally = Program.tally

    def reading(self, state, num):
        self.reading += 0.001
        return tally(self, state, num)

    monkeypatch.setattr(Program, "tally", reading)
    run_module.run(settings(steps=8, distances=[]), tmp_path / "run")
    records = [r for r in read_metrics(RunFiles(tmp_path / "run").metrics) if r["kind"] == "train"]
    assert len(records) == 2
    for record in records:
        found = record["speed"]
        assert min(found[key] for key in ("samples_per_second", "flops_per_second", "share_of_product")) > 0
        assert found["peak_bytes"] > 1e7
    clock = read_json(RunFiles(tmp_path / "run").clock)
    assert clock["read"] == 0.003  # stretches end at 4, 5 and 8
    assert clock["report"] > 0.0
    parts = sum(clock[key] for key in ("compile", "train", "evaluate", "report", "checkpoint"))
    assert parts <= clock["total"] + 0.01
