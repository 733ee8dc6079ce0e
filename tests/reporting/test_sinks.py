"""Sinks: what TensorBoard, Weights & Biases and trackio get."""

import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from ensgan.reporting import Tracked, flatten, sinks
from ensgan.types import InputError


def test_flatten_names_members_and_pairs():
    record = {
        "kind": "score",
        "step": 5,
        "fool": [[0.1, None], [0.3, 0.4]],
        "score_g": np.array([1.0, 2.0]),
        "mmd_floor": 0.5,
        "members": "parts",
        "modes": {"names": ["a", "b"], "hq": [0.5, 0.6], "total": 8},
        "nothing": None,
    }
    assert flatten(record) == {
        "fool/0_0": 0.1,
        "fool/1_0": 0.3,
        "fool/1_1": 0.4,
        "score_g/0": 1.0,
        "score_g/1": 2.0,
        "mmd_floor": 0.5,
        "modes/hq/0": 0.5,
        "modes/hq/1": 0.6,
        "modes/total": 8.0,
    }
    assert flatten({"kind": "train", "step": 1, "fool": [[0.2]]}) == {"fool_batch/0_0": 0.2}


def tracked(folder):
    return Tracked("rings", "0123456789ab", folder, {"steps": 4})


def test_tensorboard_gets_scalars_and_pictures(tmp_path):
    pytest.importorskip("tensorboardX")
    with sinks.tensorboard(tracked(tmp_path)) as sink:
        sink(3, {"score_g/0": 0.5})
        sink(3, {"samples": np.zeros((4, 6, 3), np.uint8)})
    (events,) = (tmp_path / "tensorboard").glob("events.out.tfevents*")
    content = events.read_bytes()
    assert b"score_g/0" in content
    assert b"samples" in content


@pytest.mark.parametrize(
    ("package", "given"),
    [
        ("wandb", {"name": "rings", "id": "0123456789ab", "dir": "here"}),
        ("trackio", {"name": "rings-0123456789ab", "embed": False, "auto_log_cpu": False, "auto_log_gpu": False}),
    ],
)
def test_hosts_get_scalars_and_pictures(monkeypatch, capsys, package, given):
    calls = []
    run = types.SimpleNamespace(log=lambda values, step: calls.append((step, values)))
    init = lambda **given: print("a greeting") or calls.append(given) or run
    finish = lambda: calls.append("finished")
    fake = types.SimpleNamespace(init=init, finish=finish, Image=lambda array: ("image", array.shape))
    monkeypatch.setitem(sys.modules, package, fake)
    with getattr(sinks, package)("circles")(tracked(Path("here"))) as sink:
        sink(3, {"a": 1.0, "b": 2.0})
        sink(3, {"samples": np.zeros((4, 6, 3), np.uint8)})
    assert calls == [
        {"project": "circles", "resume": "allow", **given},
        (3, {"a": 1.0, "b": 2.0}),
        (3, {"samples": ("image", (4, 6, 3))}),
        "finished",
    ]
    assert capsys.readouterr().out == ""


def test_trackio_keeps_numbers_and_pictures_on_this_machine(tmp_path):
    """In a process of its own, since trackio reads its folder from the environment when it is imported."""
    pytest.importorskip("trackio")
    code = """
import pathlib, sys
import numpy as np
from ensgan.reporting import Tracked, sinks
run = Tracked("rings", "0123456789ab", pathlib.Path("."), {})
for step in (3, 4):
    with sinks.trackio("circles")(run) as sink:
        sink(step, {"score": 0.5})
        sink(step, {"samples": np.zeros((4, 6, 3), np.uint8)})
from trackio.sqlite_storage import SQLiteStorage
(name,) = SQLiteStorage.get_runs("circles")
rows = SQLiteStorage.get_logs("circles", name)
print(name, [(row["step"], row["score"]) for row in rows if "score" in row], ["samples" in row for row in rows])
"""
    env = {key: value for key, value in os.environ.items() if not key.startswith("TRACKIO_")}
    env |= {"TRACKIO_DIR": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["rings-0123456789ab [(3, 0.5), (4, 0.5)] [False, True, False, True]"]


@pytest.mark.parametrize("name", ["tensorboardX", "wandb", "trackio"])
def test_a_missing_package_names_the_command_that_installs_it(monkeypatch, tmp_path, name):
    monkeypatch.setitem(sys.modules, name, None)
    tracker = sinks.tensorboard if name == "tensorboardX" else getattr(sinks, name)("somewhere")
    with pytest.raises(InputError, match=r"pip install 'ensgan\["), tracker(tracked(tmp_path)):
        pass
