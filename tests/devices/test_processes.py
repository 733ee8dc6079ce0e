"""Several real processes on this machine are one run: the same numbers, one voice, and one end."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import toys
from PIL import Image

from ensgan.devices import mesh, processes
from ensgan.reporting import read_metrics
from ensgan.runs import run as run_module
from ensgan.runs.restore import load_run, restore
from ensgan.types import InputError

TREE = {
    "steps": 30,
    "batch_size": 8,
    "log_every": 10,
    "eval_every": 20,
    "checkpoint_every": 10,
    "held_out": 64,
    "loss": "relativistic",
    "data": "ring",
    "pairing": "softmax",
    "penalty": {"name": "r1_r2", "strength": 0.1},
    "generators": {"count": 4, "network": {"name": "mlp", "latent": 2, "widths": [8]}},
    "discriminators": {"count": 4, "network": {"name": "mlp", "widths": [8]}},
}


def start(arguments, num, devices=2, own=lambda k: (), which=None):
    """The command in `num` processes, or in those of `which` alone; `own(k)` are arguments of process k."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices), "PYTHONUNBUFFERED": "1"}

    def one(k):
        place = ["--coordinator", f"127.0.0.1:{port}", "--num-processes", num, "--process-id", k]
        command = [sys.executable, "-m", "ensgan.cli", *arguments, *own(k), *place]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([str(part) for part in command], env=env, **pipes)

    return [one(k) for k in (range(num) if which is None else which)]


def finish(group, timeout=180):
    """What each process prints, and its exit code."""
    try:
        out = [process.communicate(timeout=timeout) for process in group]
    finally:
        for process in group:
            with contextlib.suppress(OSError):
                process.kill()
    return [(process.returncode, *texts) for process, texts in zip(group, out, strict=True)]


def said(err):
    """The lines of this library on stderr, without those of its libraries."""
    return [line for line in err.splitlines() if line.startswith("ensgan:")]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    file = tmp_path_factory.mktemp("processes") / "small.json"
    file.write_text(json.dumps(TREE))
    return file


@pytest.fixture(scope="module")
def two(tree):
    """A run of two processes with two devices each."""
    done = finish(start(["train", tree, "--run-dir", tree.parent / "two", "--mesh", "member=2,data=2"], 2))
    assert [code for code, _, _ in done] == [0, 0], done
    return tree.parent / "two", done


def final(directory):
    state = restore(directory, load_run(directory))[2]
    return jax.tree.map(np.asarray, state._replace(key=jax.random.key_data(state.key)))


def test_two_processes_are_one_run(two, tree):
    directory, _ = two
    alone = tree.parent / "alone"
    run_module.run(load_run(directory), alone, sizes=mesh.Sizes(2, 2))  # four devices of one process
    # XLA may sum in another order between processes; thirty steps do not amplify that much.
    toys.assert_close(final(directory).generators, final(alone).generators, 1e-4)
    pairs = zip(read_metrics(directory / "metrics.jsonl"), read_metrics(alone / "metrics.jsonl"), strict=True)
    for got, want in pairs:
        assert (got["kind"], got["step"]) == (want["kind"], want["step"])
        if got["kind"] == "train":
            np.testing.assert_allclose(got["loss_g"], want["loss_g"], rtol=1e-3)
        else:
            for name in ("frechet", "kid", "mmd"):
                a, b = got["distances"][name], want["distances"][name]
                for key in ("generators", "mixture", "floor"):
                    np.testing.assert_allclose(a[key], b[key], rtol=1e-2, atol=1e-3)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3)
    jax.tree.map(close, final(directory).ratings, final(alone).ratings)


def test_one_process_speaks_and_writes(two):
    directory, ((_, out, err), (_, silent, other)) = two
    assert "score matrix" in out
    assert "compiling 4×4" in err
    # Gloo's threads write over each other, so its lines may be torn anywhere between two words.
    gloo = "Gloo Rank is connected to peer ranks Expected number of connected peer ranks is"
    assert set(re.findall("[A-Za-z]+", silent)) <= set(gloo.split())
    assert "compiling" not in other
    assert {path.name for path in directory.iterdir()} == {
        "config.json",
        "checkpoints",
        "metrics.jsonl",
        "clock.json",
        "versions.json",
        "data.json",
        "samples.npz",
        "samples.png",
        "progress",
        "progress.gif",
        "report.html",
    }
    assert json.loads((directory / "versions.json").read_text())["device"] == "cpu: cpu × 4"


@pytest.mark.slow
def test_processes_read_their_own_part_of_streamed_data(tree, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 4, 4), np.uint8)
    (tmp_path / "images").mkdir()
    for k, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "images" / f"{k}.png")
    file = tmp_path / "stream.json"
    data = {"name": "folder", "path": str(tmp_path / "images"), "resident": False, "fractions": [0.4, 0.2, 0.2, 0.2]}
    file.write_text(json.dumps({**TREE, "data": data, "held_out": 8, "distances": []}))
    done = finish(start(["train", file, "--run-dir", tmp_path / "two", "--mesh", "data=2"], 2, devices=1))
    assert [code for code, _, _ in done] == [0, 0], done
    run_module.run(load_run(tmp_path / "two"), tmp_path / "one")
    toys.assert_close(final(tmp_path / "two").generators, final(tmp_path / "one").generators, 1e-4)


@pytest.mark.parametrize("four", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_checkpoint_moves_between_meshes_and_processes(four, two, tree, tmp_path):
    # 2×2 in two processes → 4×1, in one process or in four → one device; against all steps on one device.
    directory, alone = shutil.copytree(two[0], tmp_path / "moved"), tmp_path / "one"
    if four:
        moved = finish(start(["resume", directory, "--steps", "40", "--mesh", "member=4"], 4, devices=1))
        assert [code for code, _, _ in moved] == [0, 0, 0, 0], moved
    else:
        run_module.run(load_run(directory, {"steps": 40}), directory, resume=True, sizes=mesh.Sizes(4, 1))
    run_module.run(load_run(directory, {"steps": 50}), directory, resume=True)
    run_module.run(load_run(directory, {"steps": 50}), alone)
    toys.assert_close(final(directory).generators, final(alone).generators, 1e-3)
    records = read_metrics(directory / "metrics.jsonl")
    assert [r["step"] for r in records if r["kind"] == "train"] == [10, 20, 30, 40, 50]


def wait_for_checkpoint(directory, group):
    deadline = time.monotonic() + 120
    while not any((directory / "checkpoints").glob("[0-9]*/commit_success.txt")):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in group), finish(group)
        time.sleep(0.1)


def long(tree, directory):
    options = ["--steps", "1000000", "--eval_every", "1000000", "--log_every", "100", "--checkpoint_every", "500"]
    return ["train", tree, "--run-dir", directory, *options, "--mesh", "member=2"]


def test_a_signal_to_one_ends_all_at_the_same_step(tree, tmp_path):
    group = start(long(tree, tmp_path / "run"), 2, devices=1)
    wait_for_checkpoint(tmp_path / "run", group)
    group[1].send_signal(signal.SIGTERM)
    done = finish(group)
    assert [code for code, _, _ in done] == [128 + signal.SIGTERM] * 2, done
    step = int(done[0][1].split("at step ")[1].split(";")[0])
    assert f"continue with: ensgan resume {tmp_path / 'run'}" in done[0][1]
    assert int(final(tmp_path / "run").step) == step
    assert [err for _, _, err in done if said(err)] == []


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_others_with_a_message(tree, tmp_path):
    group = start(long(tree, tmp_path / "run"), 2, devices=1)
    wait_for_checkpoint(tmp_path / "run", group)
    group[1].kill()
    (code, _, err), _ = finish(group, timeout=3 * processes.SILENCE)
    assert code != 0
    assert len(said(err)) == 1
    assert "another process of" in said(err)[0]
    assert "complete checkpoints" in said(err)[0].lower()
    assert int(final(tmp_path / "run").step) >= 500


@pytest.mark.slow
def test_of_four_processes_one_dies_and_three_then_four_go_on(tree, tmp_path):
    run = tmp_path / "run"
    counts = ["--generators.0.count", "12", "--discriminators.0.count", "12", "--batch_size", "12"]
    group = start([*long(tree, run)[:-2], *counts], 4, devices=1)
    wait_for_checkpoint(run, group)
    group[2].kill()
    ended = finish(group, timeout=3 * processes.SILENCE)
    assert all(code != 0 for code, _, _ in ended)
    newest = int(final(run).step)
    for num, steps in ((3, newest + 10), (4, newest + 20)):
        done = finish(start(["resume", run, "--steps", steps, "--mesh", f"member={num}"], num, devices=1))
        assert [code for code, _, _ in done] == [0] * num, done
        assert int(final(run).step) == steps
    steps = [r["step"] for r in read_metrics(run / "metrics.jsonl") if r["kind"] == "train"]
    assert steps == sorted(set(steps))
    assert steps[-1] == newest + 20


def test_processes_with_other_settings_are_refused_before_anything_is_written(tree, tmp_path):
    options = lambda k: ["--optimizer.learning_rate", "0.1"] if k else []
    done = finish(start(["train", tree, "--run-dir", tmp_path / "run", "--mesh", "member=2"], 2, 1, options))
    assert [code for code, _, _ in done] == [2, 2]
    assert said(done[0][2]) == [
        "ensgan: optimizer.learning_rate is 0.001 in process 0 and 0.1 in process 1; all processes of a run need the "
        "same configuration, data and versions"
    ]
    assert not (tmp_path / "run").exists()


def test_one_that_resumes_and_one_that_starts_anew_are_told(two, tree, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(two[0], run)
    before = sorted(path.name for path in (run / "checkpoints").iterdir())
    group = start(["resume", run, "--steps", "60"], 2, 1, which=[0])
    port = group[0].args[group[0].args.index("--coordinator") + 1]
    other = [sys.executable, "-m", "ensgan.cli", "train", tree, "--run-dir", run, "--overwrite", "--steps", "60"]
    place = ["--coordinator", port, "--num-processes", "2", "--process-id", "1"]
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    done = finish([*group, subprocess.Popen([str(part) for part in (*other, *place)], env=env, **pipes)])
    assert [code for code, _, _ in done] == [2, 2]
    assert "the command is resume in process 0 and train --overwrite --run-dir in process 1" in said(done[0][2])[0]
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == before


def test_what_is_wrong_in_one_process_ends_all(tree, tmp_path):
    data = tmp_path / "points.npz"
    np.savez(data, x=np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32))
    paths = lambda k: ["--data", "npz", "--data.path", data if k == 0 else tmp_path / "missing.npz"]
    done = finish(start(["train", tree, "--run-dir", tmp_path / "run", "--mesh", "member=2"], 2, 1, paths))
    assert [code for code, _, _ in done] == [2, 2]
    assert "process 1: " in said(done[0][2])[0]
    assert "missing.npz" in said(done[0][2])[0]


def test_a_coordinator_that_does_not_answer_is_not_waited_for_for_ever(tree, tmp_path):
    begin = time.monotonic()
    group = start(["train", tree, "--run-dir", tmp_path / "run", "--join-timeout", "3"], 2, which=[1])
    ((code, _, err),) = finish(group)
    assert code == 2
    assert "waited 3 s for the others of its run; start all of them with the same coordinator" in said(err)[0]
    assert time.monotonic() - begin < 60


def alone(*arguments):
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "2"}
    command = [sys.executable, "-m", "ensgan.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--distributed"], "no cluster was found (coordinator_address should be defined.)"),
        (["--local-devices", "0"], "--local-devices is given to a process alone"),
        (["--coordinator", "127.0.0.1:1"], "--num-processes and --process-id missing"),
        (["--mesh", "4"], "give auto, or sizes of its two axes"),
        (["--mesh", "member=3"], "the mesh member=3,data=1 takes 3 devices, but there are 2 devices"),
        (
            ["--mesh", "data=2", "--batch_size", "9"],
            "batch_size is 9, which a mesh with data=2 does not divide; give batch_size=8 or",
        ),
    ],
)
def test_wrong_places_are_one_line(arguments, message, tree, tmp_path):
    done = alone("train", tree, "--run-dir", tmp_path / "run", *arguments)
    assert done.returncode == 2
    (line,) = said(done.stderr)
    assert message in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", 2, 0), "the coordinator is 'nowhere'; give host:port of process 0"),
        (("host:99999", 2, 0), "give host:port"),
        (("host:1", 2, 2), "process 2 of 2; processes are numbered from 0"),
        ((None, 2, 0), "--coordinator missing"),
        (("no-such-host.invalid:1234", 2, 1), "the coordinator's host no-such-host.invalid is not known here"),
    ],
)
def test_a_group_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        processes.join(*arguments, timeout=2)


def test_a_name_that_is_not_known_yet_is_waited_for(monkeypatch, capsys):
    answers = [OSError("no"), OSError("no"), None]

    def look_up(host, port):
        assert host == "pod-0.run"
        if (answer := answers.pop(0)) is not None:
            raise answer

    monkeypatch.setattr(processes.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(processes, "RETRY", 0.01)
    processes._check_host("pod-0.run", 5)
    assert not answers
    assert capsys.readouterr().err.count("trying for 5 s") == 1  # told once


def test_a_port_in_use_is_told():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        with pytest.raises(InputError, match="process 0 cannot listen on port"):
            processes.join(f"127.0.0.1:{taken.getsockname()[1]}", 2, 0)


def test_a_process_alone_agrees_with_itself():
    assert processes.exchange("é") == ["é"]
    assert processes.from_first("x") == "x"
    assert processes.any_of(True)
    assert not processes.any_of(False)
    processes.check_same({"a": 1})
    with pytest.raises(InputError, match="here"), processes.together():
        raise InputError("here")


LAUNCHERS = {
    "slurm": lambda k: {
        "SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_NUM_NODES": "1",
        "SLURM_NTASKS": "2", "SLURM_PROCID": str(k), "SLURM_LOCALID": str(k),
    },
    "open mpi": lambda k: {
        "OMPI_MCA_orte_hnp_uri": f"{4096 * (os.getpid() % 4096)}.0;tcp://127.0.0.1:34911",
        "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": str(k), "OMPI_COMM_WORLD_LOCAL_RANK": str(k),
    },
}  # fmt: skip


@pytest.mark.parametrize("launcher", sorted(LAUNCHERS))
@pytest.mark.slow
def test_launchers_are_found_by_what_they_set(launcher, tree, tmp_path):
    command = [sys.executable, "-m", "ensgan.cli", "train", str(tree), "--steps", "10", "--distributed"]
    group = [
        subprocess.Popen(
            [*command, "--run-dir", str(tmp_path / "run")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "JAX_NUM_CPU_DEVICES": "1", **LAUNCHERS[launcher](k)},
        )
        for k in range(2)
    ]
    done = finish(group)
    assert [code for code, _, _ in done] == [0, 0], done
    assert "on cpu × 2 (member=2,data=1)" in done[0][2]
