"""Runs and data in emulated stores of Amazon and of Google, over HTTP; run with `pytest -m cloud`."""

import json
import os
import signal
import socket
import threading
import time

import numpy as np
import pytest
from small_runs import TREE, assert_same_bits, command, final
from store_proxy import Proxy, emulator

from ensgan.data.stores import store
from ensgan.reporting import read_metrics
from ensgan.runs.copies import copy_of

pytestmark = pytest.mark.cloud
pytest.importorskip("moto", reason="moto[server] emulates S3")
pytest.importorskip("gcp_storage_emulator", reason="gcp-storage-emulator emulates Google's storage")
pytest.importorskip("s3fs", reason="the backend for s3://")
pytest.importorskip("gcsfs", reason="the backend for gs://")
SECRET = "a-key-that-nobody-may-see"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(params=["s3", "gs"])
def cloud(request, monkeypatch, tmp_path):
    """A store behind a proxy: its kind, the proxy, and a function that makes this another machine."""
    process = emulator(request.param, port := free_port())
    proxy = Proxy(port)
    for name, value in (
        ("AWS_ENDPOINT_URL", proxy.url),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("STORAGE_EMULATOR_HOST", proxy.url),
        ("ENSGAN_DATA", str(tmp_path / "data")),
    ):
        monkeypatch.setenv(name, value)

    def machine(name):
        monkeypatch.setenv("ENSGAN_RUNS", str(tmp_path / name))

    machine("a")
    yield request.param, proxy, machine
    proxy.shutdown()
    proxy.server_close()
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A configuration of twenty steps."""
    lines = [f"{key} = {json.dumps(TREE[key])}" for key in TREE if not isinstance(TREE[key], dict)]
    lines += ['penalty = {name = "r1", strength = 0.1, interval = 3}']
    lines += ["[[generators]]", "count = 2", 'network = {name = "mlp", latent = 2, widths = [8]}']
    lines += ["[[discriminators]]", "count = 2", 'network = {name = "mlp", widths = [8], spectral_norm = true}']
    (file := tmp_path_factory.mktemp("config") / "small.toml").write_text("\n".join(lines))
    return file


def done(*arguments, code=0):
    out, err = (process := command(*arguments)).communicate(timeout=300)
    assert process.returncode == code, out + err
    return out + err


@pytest.fixture(scope="module")
def alone(config):
    """The last state of the run in a folder, which nothing disturbed."""
    done("train", config, "--run-dir", config.parent / "alone")
    return final(config.parent / "alone")


def ended(address):
    return final(copy_of(address))


def test_every_command(cloud, config, alone, tmp_path):
    kind, _, machine = cloud
    address = f"{kind}://bucket/runs/x"
    said = done("train", config, "--run-dir", address, "--steps", "10")
    assert f"report:   {address}/report.html" in said
    assert "already holds a run" in done("train", config, "--run-dir", address, code=2)
    machine("b")
    done("resume", address, "--steps", "20")
    assert_same_bits(ended(address), alone)
    machine("c")
    assert "9 samples" in done("sample", address, "--num", "9", "--out", tmp_path / "x.png")
    done("select", address)
    machine("d")
    assert "from selection.json" in done("evaluate", address)
    assert f"{address}/report.html" in done("report", address)
    done("export", address, "--to", tmp_path / "export")
    done("judge", address)
    done("compare", address)
    folder = copy_of(address)
    assert not [
        p for p in [*folder.rglob("*"), *folder.parent.glob("*")] if p.is_file() and SECRET.encode() in p.read_bytes()
    ]


def test_data_at_an_address(cloud, config, tmp_path):
    kind, _, machine = cloud
    x = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    np.savez(tmp_path / "points.npz", x=x)
    address = f"{kind}://bucket/data/points.npz"
    files, root = store(address)
    files.put_file(str(tmp_path / "points.npz"), root)
    run = f"{kind}://bucket/runs/x"
    flags = ["--data", "npz", "--data.path", address, "--steps", "4"]
    assert "fetching" in done("train", config, *flags, "--run-dir", run)
    machine("b")
    assert "fetching" not in done("resume", run, "--steps", "8")
    assert json.loads((copy_of(run) / "config.json").read_text())["data"]["path"] == address


def test_one_request_in_ten_fails(cloud, config, alone):
    kind, proxy, machine = cloud
    address, proxy.chance = f"{kind}://bucket/runs/x", 0.1
    done("train", config, "--run-dir", address, "--steps", "10")
    machine("b")
    done("resume", address, "--steps", "20")
    machine("c")
    done("report", address)
    assert_same_bits(ended(address), alone)
    assert proxy.failed > 5


def test_a_store_that_refuses_for_a_while(cloud, config, alone):
    kind, proxy, machine = cloud
    address = f"{kind}://bucket/runs/x"

    def first(method, path):
        if "config.json" in path and method in ("PUT", "POST"):  # training begins
            proxy.refuses, proxy.seen = True, lambda method, path: None
            threading.Timer(25, lambda: setattr(proxy, "refuses", False)).start()

    proxy.seen = first
    said = done("train", config, "--run-dir", address)
    assert proxy.failed
    machine("b")
    done("report", address)
    assert_same_bits(ended(address), alone), said


@pytest.mark.parametrize("after", [3, 9])
def test_killed_in_the_middle_of_saving(cloud, config, alone, after):
    kind, proxy, machine = cloud
    address = f"{kind}://bucket/runs/x"
    hit, count = threading.Event(), [0]

    def counting(method, path):
        if hit.is_set():
            time.sleep(1)
            return
        count[0] += method in ("PUT", "POST") and "checkpoints/10/" in path
        if count[0] == after:
            os.kill(process.pid, signal.SIGKILL)
            hit.set()

    proxy.seen = counting
    process = command("train", config, "--run-dir", address, "--steps", "10")
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
    proxy.seen = lambda method, path: None
    machine("b")
    done("resume", address, "--steps", "20")
    assert_same_bits(ended(address), alone)
    machine("a")  # the killed one has what was not saved, and is told so
    assert "was changed by another machine" in done("resume", address, "--steps", "20", code=2)


def test_stopped_by_a_signal(cloud, config):
    kind, _, machine = cloud
    address = f"{kind}://bucket/runs/x"
    process = command("train", config, "--run-dir", address, "--steps", "1000000")
    while not any(p.name.isdigit() for p in (copy_of(address) / "checkpoints").glob("*")) and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert f"ensgan resume {address}" in out
    step = int(final(copy_of(address)).step)
    machine("b")
    done("report", address)
    assert int(ended(address).step) == step
    assert read_metrics(copy_of(address) / "metrics.jsonl")


def test_two_processes(cloud, config, tmp_path):
    kind, _, machine = cloud
    address, port = f"{kind}://bucket/runs/x", free_port()
    mine = lambda k: ["--coordinator", f"127.0.0.1:{port}", "--num-processes", "2", "--process-id", str(k)]
    both = [command("train", config, "--run-dir", address, "--mesh", "member=2", *mine(k)) for k in (0, 1)]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    machine("b")
    assert "9 samples" in done("sample", address, "--num", "9", "--out", tmp_path / "x.png")
