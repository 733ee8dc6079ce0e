"""Every configuration that ships runs: a few real steps of the real networks, smaller only in what is scored."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from ensgan.cli.configurations import shipped
from ensgan.game.program import Program
from ensgan.reporting import read_metrics
from ensgan.runs import config
from ensgan.runs import run as run_module
from ensgan.runs.build import TABLES, build
from ensgan.runs.parsing import parse

CONFIGS = shipped()
# Where the IDX files of MNIST are, if they are anywhere.
MNIST = Path(os.environ.get("ENSGAN_MNIST", Path(__file__).parents[2] / "shared" / "data" / "mnist"))
QUICK = ["--steps", "2", "--log_every", "1", "--eval_every", "2", "--checkpoint_every", "2", "--held_out", "16"]


def test_the_expected_configurations_ship():
    assert {"digits_heads", "digits_4x4", "ring8", "grid25", "mnist_heads", "mixed_archs", "stacked_mnist"} <= set(
        CONFIGS
    )


def pictures(folder, size, num=256):
    """A folder of random pictures in colour."""
    folder.mkdir()
    for k, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (num, size, size, 3), np.uint8)):
        Image.fromarray(pixels).save(folder / f"{k}.png")
    return folder


# The networks of `stacked_mnist` take a minute to compile; `test_stacked` takes a step of them at tiny sizes.
@pytest.mark.parametrize(
    "name",
    [
        name if name in ("digits_heads", "mnist_heads") else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted(set(CONFIGS) - {"stacked_mnist"})
    ],
)
def test_a_configuration_runs_for_a_few_steps(name, tmp_path):
    tree = config.read(CONFIGS[name])
    needs_files = tree["data"] == "mnist"
    if needs_files and not MNIST.is_dir():
        pytest.skip(f"{name} reads the MNIST files; set ENSGAN_MNIST to their folder")
    files = ["--data.path", str(MNIST)] if needs_files else []
    if isinstance(tree["data"], dict) and tree["data"]["name"] == "folder":
        files = ["--data.path", str(pictures(tmp_path / "pictures", tree["data"]["size"]))]
    settings, _ = parse({"name": name, **tree}, TABLES, [*QUICK, *files])
    outcome = run_module.run(settings, tmp_path / "run")
    assert outcome.step == 2
    game, _ = build(settings)
    last = read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]
    assert np.shape(last["fool"]) == (game.M, game.N)
    assert np.isfinite(last["score_g"]).all()


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_a_header_says_the_command_the_time_and_the_score(name):
    lines = CONFIGS[name].read_text().splitlines()
    header = "\n".join(line for line in lines[: lines.index("seed = 0")])
    assert f"ensgan train {name}".removesuffix(" digits_heads") in header
    assert "Time: " in header
    assert "Score: " in header


def test_the_classic_recipe_has_the_classic_sizes():
    settings, _ = parse(config.read(CONFIGS["mnist_mlp"]), TABLES, ["--data.path", "x"])
    (g,), (d,) = settings.generators, settings.discriminators
    assert (g.count, d.count, settings.batch_size) == (8, 8, 64)
    assert (g.network.options["latent"], *g.network.options["widths"], 784) == (100, 128, 256, 512, 1024, 784)
    assert (784, *d.network.options["widths"], 1) == (784, 512, 256, 128, 1)
    assert settings.loss.name == "relativistic_least_squares"
    assert {g.network.options["activation"], d.network.options["activation"]} == {"leaky_relu"}


def test_the_shared_optimiser_clips_discriminators_only():
    tree = {"data": "ring", "optimizer": {"name": "rmsprop", "learning_rate": 0.1, "weight_clip": 0.01}}
    game, source = build(parse({**tree, "batch_size": 4}, TABLES)[0])
    state, _ = Program(game, source)(game.init(jax.random.key(0)), 1)
    largest = lambda members: max(float(abs(leaf).max()) for leaf in jax.tree.leaves(members[0].params))
    assert largest(state.discriminators) <= 0.0101
    assert largest(state.generators) > 0.1
