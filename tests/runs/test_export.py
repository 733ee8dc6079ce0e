"""Members by themselves, and exports: a process without this library draws the same samples from their files."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from mixed import mixed
from safetensors.numpy import load_file
from untrained import untrained

import ensgan
from ensgan import networks
from ensgan.cli import main as cli
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.reporting.files import read_json
from ensgan.runs import export
from ensgan.types import InputError

# Batches are of other sizes here and there, so a compiler may round otherwise.
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
BESIDE = ("README.md", "config.json")
WITHOUT = "import sys; sys.modules['ensgan'] = sys.modules['flax'] = None\n"


def loaded(folder):
    """The function of an export, and its weights."""
    (file,) = folder.glob("*.jaxexport")
    return jax.export.deserialize(file.read_bytes()).call, load_file(folder / "weights.safetensors")


def elsewhere(program, folder):
    """Runs a program in a folder, and where this library cannot be imported."""
    command = [sys.executable, "-c", WITHOUT + program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("export") / "run")


@pytest.fixture(scope="module")
def two():
    return mixed()


def test_a_member_is_one_row_of_its_group(two):
    game, state = two
    for i, g, k, scale in ((0, 0, 0, 1.0), (1, 0, 1, 0.5), (2, 1, 0, 1.0)):
        group = state.generators[g]
        for average, tree in ((True, group.average), (False, group.params)):
            found = ensgan.member(game, state, i, average)
            np.testing.assert_array_equal(found.params["w1"], tree["w1"][k])
            assert found.network is game.groups_g[g].network
            assert float(found.latent.scale) == scale
    judge = ensgan.member(game, state, 1, side="discriminators")
    np.testing.assert_array_equal(judge.params["b"], state.discriminators[0].params["b"][1])
    assert judge.latent is None


def test_draw_gives_the_samples_of_that_generator_alone(two, key):
    game, state = two
    found = ensgan.member(game, state, 1)
    fn = jax.jit(lambda params, number: ensgan.draw(found._replace(params=params), key, number))
    want = ensgan.sample(game, state, key, 12, weights=[0, 1, 0])
    np.testing.assert_allclose(fn(found.params, jnp.arange(5, 12)), want[5:], **CLOSE)


def test_the_program_of_the_document_draws_the_same_samples_without_this_library(two, tmp_path):
    game, state = two
    weights = [0.5, 0.3, 0.2]
    export.write(export.sampler(game, state, weights), tmp_path / "best")
    text = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    program, *_ = re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)
    assert len([line for line in program.splitlines() if line.strip()]) <= 10
    elsewhere(program + "jax.numpy.save('x.npy', x)", folder=tmp_path)
    x = np.load(tmp_path / "x.npy")
    np.testing.assert_allclose(x, ensgan.sample(game, state, jax.random.key(0), 64, weights=weights), **CLOSE)


def test_an_exported_discriminator_gives_the_logit_of_its_judge(two, tmp_path):
    game, state = two
    x = np.random.default_rng(2).normal(size=(6, 2)).astype(np.float32)
    p = jax.tree.map(lambda leaf: np.asarray(leaf[1]), state.discriminators[0].params)
    s = np.tanh(x @ p["w1"] + p["b"][None]) @ p["w2"]
    want = s[:, 0] - np.log(np.exp(s[:, 1:]).sum(axis=1))  # of `losses.mad`: data against any generator
    export.write(export.judge(game, state, 1), tmp_path / "judge")
    score, weights = loaded(tmp_path / "judge")
    np.testing.assert_allclose(score(weights, x), want, **CLOSE)


def test_a_conditional_discriminator_is_told_the_labels(run, tmp_path):
    _, game, _, state = run
    x, label = np.float32([[0.5, -1.0], [0.5, -1.0]]), np.int32([2, 7])
    export.write(export.judge(game, state, 0), tmp_path / "judge")
    score, weights = loaded(tmp_path / "judge")
    logit = score(weights, x, label)
    network, params, its, _ = ensgan.member(game, state, 0, side="discriminators")
    np.testing.assert_allclose(logit, network.apply(params, its, x, label=label, train=False, rng=None)[0], **CLOSE)
    assert abs(logit[0] - logit[1]) > 1e-3


NETWORKS = {
    "dcgan": ((28, 28, 1), {"width": 2}),
    "r3gan": ((8, 8, 1), {"width": 2, "group_width": 2}),
    "unrolled_gan": ((8, 8, 1), {"width": 2}),
}


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_convolutional_networks_take_any_number_of_samples(name, tmp_path, key):
    shape, options = NETWORKS[name]
    generator = networks.GENERATORS[name](shape, latent=3, **options)
    game = Game([Group(generator, 1)], [Group(networks.DISCRIMINATORS[name](shape, **options), 1)])
    state = toys.different(game)
    for portable in (export.judge(game, state, 0), export.sampler(game, state)):
        export.write(portable, tmp_path / portable.kind)
        about = json.loads((tmp_path / portable.kind / "config.json").read_text())
        size = "" if portable.kind == "score" else ",{},{},{}".format(*shape)
        assert about["function"]["output"] == f"float32[b{size}]"
    if name == "dcgan":  # compiled as it is exported, with plain convolutions; here they are matrix products
        generate, weights = loaded(tmp_path / "generate")
        x = generate(weights, jax.random.key_data(key), np.arange(3, dtype=np.int32))
        np.testing.assert_allclose(x, ensgan.sample(game, state, key, 3), **CLOSE)


def test_a_fixed_number_of_samples(two, tmp_path):
    game, state = two
    export.write(export.judge(game, state, 0), tmp_path / "judge", batch=4)
    score, weights = loaded(tmp_path / "judge")
    assert score(weights, np.zeros((4, 2), np.float32)).shape == (4,)
    with pytest.raises(ValueError, match="4"):
        score(weights, np.zeros((5, 2), np.float32))


def test_missing_packages_and_members_are_told(two, monkeypatch, tmp_path, key):
    game, state = two
    for i, message in ((3, "has generators 0 to 2"), (-1, "asked for number -1")):
        with pytest.raises(InputError, match=message):
            ensgan.member(game, state, i)
    with pytest.raises(InputError, match="unknown side 'judges'; known: discriminators, generators"):
        ensgan.member(game, state, 0, side="judges")
    with pytest.raises(InputError, match="a discriminator draws no samples"):
        ensgan.draw(ensgan.member(game, state, 0, side="discriminators"), key, jnp.arange(2))
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(InputError, match=r"exports need safetensors: pip install 'ensgan\[export\]'"):
        export.write(export.judge(game, state, 0), tmp_path / "judge")
    assert not (tmp_path / "judge").exists()


def test_the_command_exports_a_conditional_mixture(run, tmp_path, capsys, key):
    directory, game, _, state = run
    assert cli.main(["export", str(directory), "--from", "mixture", "--to", str(tmp_path / "one")]) == 0
    assert "one holds the uniform mixture of 2 generators: README.md, config.json" in capsys.readouterr().out
    generate, weights = loaded(tmp_path / "one")
    number = np.arange(20, dtype=np.int32)
    x = generate(weights, jax.random.key_data(key), number, np.where(number < 10, number % 8, -1).astype(np.int32))
    told, drawn = (ensgan.sample(game, state, key, 20, label=label) for label in (np.arange(20) % 8, None))
    np.testing.assert_allclose(x, np.concatenate([told[:10], drawn[10:]]), **CLOSE)
    assert not np.allclose(told[10:], drawn[10:])


def test_an_export_says_what_it_is(run, tmp_path, capsys):
    directory, game, _, state = run
    folder = tmp_path / "one"
    assert cli.main(["export", str(directory), "--from", "member:1", "--to", str(folder)]) == 0
    assert {path.name for path in folder.iterdir()} == {*BESIDE, "weights.safetensors", "generate.jaxexport"}
    about = json.loads((folder / "config.json").read_text())
    law = "independent standard normals"
    assert about["generators"] == [{"number": 1, "weight": 1.0, "latent": {"shape": [2], "scale": 0.5, "law": law}}]
    assert about["function"]["inputs"] == {
        "weights": "weights.safetensors", "key": "uint32[2]", "number": "int32[b]", "label": "int32[b]"
    }  # fmt: skip
    assert about["function"]["output"] == "float32[b,2]"
    assert about["function"]["platforms"] == ["cpu", "cuda", "rocm", "tpu"]
    assert about["run"] == read_json(directory / "config.json")
    assert (about["what"], about["sample_shape"], about["classes"]) == ("generator 1", [2], 8)
    assert about["versions"]["jax"] == jax.__version__
    want = ensgan.member(game, state, 1).params["net"]["last"]["kernel"]
    np.testing.assert_array_equal(load_file(folder / "weights.safetensors")["generator.1.params.net.last.kernel"], want)

    # Another export takes its place, whole.
    capsys.readouterr()
    again = ["export", str(directory), "--from", "discriminator:1", "--to", str(folder)]
    assert cli.main(again) == 2
    assert f"{folder} already exists; choose another folder, or add --overwrite" in capsys.readouterr().err
    assert cli.main([*again, "--overwrite"]) == 0
    assert {path.name for path in folder.iterdir()} == {*BESIDE, "weights.safetensors", "score.jaxexport"}
    assert json.loads((folder / "config.json").read_text())["logit"] == game.loss.logit
