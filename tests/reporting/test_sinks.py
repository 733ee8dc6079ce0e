"""Sinks: what TensorBoard and Weights & Biases get."""

import sys
import types

import numpy as np
import pytest

from ensgan.reporting import (
    TensorBoardSink,
    WandbSink,
    flatten,
)
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


def test_tensorboard_gets_scalars_and_pictures(tmp_path):
    pytest.importorskip("tensorboardX")
    sink = TensorBoardSink(tmp_path)
    sink.scalars(3, {"score_g/0": 0.5})
    sink.images(3, "samples", np.zeros((4, 6, 3), np.uint8))
    sink.close()
    (events,) = tmp_path.glob("events.out.tfevents*")
    content = events.read_bytes()
    assert b"score_g/0" in content
    assert b"samples" in content


def test_wandb_gets_scalars_and_pictures(monkeypatch):
    calls = []
    run = types.SimpleNamespace(
        log=lambda values, step: calls.append((step, values)), finish=lambda: calls.append("finished")
    )
    fake = types.SimpleNamespace(init=lambda **s: calls.append(s) or run, Image=lambda array: ("image", array.shape))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    sink = WandbSink("rings", name="first", mode="offline")
    sink.scalars(3, {"a": 1.0, "b": 2.0})
    sink.images(3, "samples", np.zeros((4, 6, 3), np.uint8))
    sink.close()
    assert calls == [
        {"project": "rings", "name": "first", "mode": "offline"},
        (3, {"a": 1.0, "b": 2.0}),
        (3, {"samples": ("image", (4, 6, 3))}),
        "finished",
    ]


@pytest.mark.parametrize(("module", "sink"), [("tensorboardX", TensorBoardSink), ("wandb", WandbSink)])
def test_a_missing_sink_names_the_command_that_installs_it(monkeypatch, module, sink):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match="pip install"):
        sink("somewhere")
