"""ONNX files: onnxruntime draws the samples that `ensgan.sample` draws, and a file that does not is not written."""

import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from onnx_runs import session

import ensgan
from ensgan import losses, networks
from ensgan.game.game import Game
from ensgan.game.latents import normal, uniform
from ensgan.game.population import Group
from ensgan.runs import export, onnx_file
from ensgan.sampling import draws, inference
from ensgan.types import InputError

KEY = jax.random.key(7)
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def written(portable, folder, **more):
    about = export.write(portable, folder, format="onnx", **more)
    (file,) = folder.glob("*.onnx")
    assert json.loads((folder / "config.json").read_text())["function"] == about["function"]
    return session(file.read_bytes()), about


@pytest.mark.parametrize("name", sorted(networks.GENERATORS))
def test_every_network_is_exported_for_any_number_of_samples(name, tmp_path):
    shape = (8, 8, 1) if name in ("mlp", "r3gan") else (28, 28, 1)
    options = {"mlp": {"widths": (8,)}, "r3gan": {"width": 4, "group_width": 2}}.get(name, {"width": 2})
    g = networks.GENERATORS[name](shape, latent=3, **options)
    d = networks.DISCRIMINATORS[name](shape, **options)
    game = Game([Group(g, 1, latent=uniform(0.5))], [Group(d, 1)])
    state = toys.different(game)
    run, about = written(export.sampler(game, state), tmp_path / "g")
    assert about["function"]["inputs"] == {"z": "float32[b,3]"}
    assert about["function"]["output"] == f"float32[b,{','.join(map(str, shape))}]"
    assert about["function"]["noise"] == {"z": "independent uniforms on [-1, 1]"}
    assert about["function"]["checked"]["max_difference"] < 1e-4
    z = inference.latents(uniform(), (3,), KEY, jnp.arange(5))
    (x,) = run.run(None, {"z": np.asarray(z)})
    np.testing.assert_allclose(x, ensgan.sample(game, state, KEY, 5), rtol=1e-4, atol=1e-5)
    run, about = written(export.judge(game, state, 0), tmp_path / "d")
    member = ensgan.member(game, state, 0, side="discriminators")
    want = member.network.apply(member.params, member.state, x, label=None, train=False, rng=None)[0]
    np.testing.assert_allclose(run.run(None, {"x": x})[0], want, rtol=1e-4, atol=1e-4)
    assert about["function"]["output"] == "float32[b]"


def test_a_conditional_mixture_is_told_members_and_classes(tmp_path):
    g, d = networks.mlp(2, (4,), 2, classes=3), networks.mlp(2, (4,), 1, classes=3)
    game = Game([Group(g, 2, latent=normal(np.float32([1.0, 0.5])))], [Group(d, 1)])
    state = toys.different(game)
    run, about = written(export.sampler(game, state, [0.3, 0.7]), tmp_path / "g")
    assert list(about["function"]["inputs"]) == ["z", "which", "label"]
    number = jnp.arange(20)
    z = inference.latents(normal(), (2,), KEY, number)
    which = draws.components(KEY, jnp.float32([0.3, 0.7]), number)
    label = draws.classes(KEY, jnp.ones(3) / 3, number)
    (x,) = run.run(None, {"z": np.asarray(z), "which": np.asarray(which, np.int32), "label": np.asarray(label)})
    np.testing.assert_allclose(x, ensgan.sample(game, state, KEY, 20, weights=[0.3, 0.7]), **CLOSE)
    assert {0, 1} == set(np.asarray(which).tolist())


def test_a_judge_of_several_logits_and_a_fixed_number(tmp_path):
    game = Game([Group(toys.dense(3, 4, (2,)), 2)], [Group(toys.dense(2, 4, (3,)), 1)], loss=losses.mad())
    state = toys.different(game)
    run, about = written(export.judge(game, state, 0), tmp_path / "d", batch=4)
    assert about["function"]["inputs"] == {"x": "float32[4,2]"}
    x = np.random.default_rng(2).normal(size=(4, 2)).astype(np.float32)
    p = jax.tree.map(lambda leaf: np.asarray(leaf[0]), state.discriminators[0].params)
    s = np.tanh(x @ p["w1"] + p["b"][None]) @ p["w2"]
    np.testing.assert_allclose(run.run(None, {"x": x})[0], s[:, 0] - np.log(np.exp(s[:, 1:]).sum(axis=1)), **CLOSE)


def test_mixtures_of_different_latents_and_wrong_numbers_are_refused(tmp_path, monkeypatch):
    two = [Group(toys.dense(3, 4, (2,)), 1), Group(toys.dense(1, 4, (2,)), 1)]
    game = Game(two, [Group(toys.dense(2, 4, ()), 1)])
    state = toys.different(game)
    with pytest.raises(InputError, match="take different latents"):
        written(export.sampler(game, state), tmp_path / "g")
    monkeypatch.setattr(onnx_file, "CLOSE", -1.0)
    with pytest.raises(InputError, match="onnxruntime gives other numbers, up to"):
        written(export.sampler(game, state, [1, 0]), tmp_path / "g")
    narrow = Game([Group(networks.mlp(2, (4,), 2, dtype="bfloat16"), 1)], [Group(toys.dense(2, 4, ()), 1)])
    with pytest.raises(InputError, match=r"onnxruntime cannot run the network \(.*; export it with --format jax"):
        written(export.sampler(narrow, toys.different(narrow)), tmp_path / "g")
    assert not (tmp_path / "g").exists()


def test_the_program_of_the_document_draws_from_the_file(tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    _, program, _ = re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)
    game = Game([Group(networks.mlp(3, (4,), 2), 1)], [Group(toys.dense(2, 4, ()), 1)])
    state = toys.different(game)
    written(export.sampler(game, state), tmp_path / "best")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(program, names)
    member = ensgan.member(game, state, 0)
    want = member.network.apply(member.params, member.state, names["z"], label=None, train=False, rng=None)[0]
    np.testing.assert_allclose(names["x"], want, **CLOSE)
