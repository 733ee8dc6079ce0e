"""Stacked images: how they are drawn, and how their classes are counted, from the source to the command."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import quadrants

from ensgan import Game, Group, data, networks
from ensgan.cli import main as cli
from ensgan.cli.configurations import shipped
from ensgan.data.source import sample_keys
from ensgan.evaluation.classifier import classify, train_classifier
from ensgan.evaluation.tables import evaluate_classes
from ensgan.game.program import Program
from ensgan.reporting.files import write_json
from ensgan.runs import config
from ensgan.runs.build import TABLES, build
from ensgan.runs.checkpoint import Checkpoints
from ensgan.runs.parsing import parse
from ensgan.types import InputError, Network

# Where the IDX files of MNIST are, if they are anywhere.
MNIST = Path(os.environ.get("ENSGAN_MNIST", Path(__file__).parents[3] / "shared" / "data" / "mnist"))


def numbered(**options):
    """40 images of 2×2 pixels in which each pixel is the index of its image, in three classes."""
    x = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None], (40, 2, 2))
    return data.from_arrays("numbered", x, np.arange(40) % 3, dequantize=False, **options)


def indices(x):
    """The index of the single image in each channel, `[n, 3]`."""
    pixel = data.to_uint8(x)
    assert (pixel == pixel[:, :1, :1]).all()
    return pixel[:, 0, 0]


# Draws


def test_labels_match_the_channels_and_splits_draw_from_their_own(key):
    single = numbered()
    source = data.stacked(single)
    assert (source.name, source.shape, source.classes) == ("stacked_numbered", (2, 2, 3), 27)
    draw, seen = jax.jit(source.draw), {}
    for split in data.SPLITS:
        batch = draw(source.arrays[split], sample_keys(key, 400))
        at = indices(batch["x"])
        np.testing.assert_array_equal(batch["label"], (at % 3) @ [9, 3, 1])
        assert batch["label"].dtype == np.int32
        seen[split] = set(at.ravel().tolist())
        assert seen[split] == set(single.arrays[split]["x"][:, 0, 0, 0].tolist())
        own = np.unique(indices(source.held_out(split, 50)["x"]))
        assert set(own.tolist()) <= seen[split]
    assert sum(map(len, seen.values())) == 40


def test_channels_are_independent(key):
    source = data.stacked(numbered())
    at = indices(jax.jit(source.draw)(source.arrays["select"], sample_keys(key, 4000))["x"])
    first = sorted(set(at.ravel().tolist()))
    counts = np.zeros((4, 4, 4))
    np.add.at(counts, tuple(np.searchsorted(first, at).T), 1)
    assert counts.min() > 30  # 62.5 are expected of each triple, with a deviation of 7.8
    assert counts.max() < 100


def test_a_sample_depends_on_its_key_alone_and_draws_can_be_batched(key):
    source = data.stacked(numbered())
    table, keys = source.arrays["train"], sample_keys(key, 6)
    draw = jax.jit(source.draw)
    whole, part = draw(table, keys), draw(table, keys[2:5])
    batched = jax.jit(jax.vmap(source.draw, (None, 0)))(table, keys.reshape(2, 3))
    for name in ("x", "label"):
        np.testing.assert_array_equal(part[name], whole[name][2:5])
        np.testing.assert_array_equal(batched[name].reshape(whole[name].shape), whole[name])


def test_held_out_is_the_start_of_a_longer_one_across_chunks(monkeypatch):
    source = data.stacked(numbered(), seed=3)
    monkeypatch.setattr("ensgan.data.stacks.CHUNK", 16)
    long = source.held_out("report", 37)
    assert long["x"].shape == (37, 2, 2, 3)
    for num in (1, 5, 16, 20):
        short = source.held_out("report", num)
        np.testing.assert_array_equal(short["x"], long["x"][:num])
        np.testing.assert_array_equal(short["label"], long["label"][:num])
    assert (data.stacked(numbered(), seed=4).held_out("report", 37)["label"] != long["label"]).any()


def test_noise_of_the_single_images_stays(key):
    noisy = data.stacked(data.from_arrays("noisy", np.full((20, 2, 2), 7, np.uint8), np.arange(20) % 2))
    x = jax.jit(noisy.draw)(noisy.arrays["train"], sample_keys(key, 100))["x"]
    assert (data.to_uint8(x) == 7).all()
    assert len(np.unique(x)) > 1000  # of 1200 pixels


def test_what_cannot_be_stacked(tmp_path):
    images = np.zeros((20, 4, 4), np.uint8)
    colour = data.from_arrays("colour", np.zeros((20, 4, 4, 3), np.uint8), np.arange(20) % 2)
    for source in (data.from_arrays("bare", images), data.gaussian_ring(), colour):
        with pytest.raises(InputError, match=r"expected labelled grey images \[H, W, 1\] in memory"):
            data.stacked(source)
    with pytest.raises(InputError, match="use at most 1290"):
        data.stacked(data.from_arrays("many", images, np.arange(20), classes=1300))
    with pytest.raises(InputError, match="is missing; give the folder"):
        data.stacked_mnist(tmp_path / "nowhere")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(InputError, match="pad is -1"):
        data.stacked_mnist(tmp_path, pad=-1)


# Scores


def painter(firsts):
    """A generator without weights that matter: stacks of quadrants, those of the first channel below `firsts`."""

    def init(key):
        return {"unused": jnp.zeros(())}, {}

    def apply(params, state, z, *, label=None, train=False, rng=None):
        which = jnp.floor(4 * jax.scipy.stats.norm.cdf(z)).astype(jnp.int32).clip(0, 3)
        which = which.at[:, 0].set(which[:, 0] % firsts)
        pixel = jnp.arange(8) // 4
        place = (2 * pixel[:, None] + pixel[None])[None, :, :, None]
        return jnp.where(place == which[:, None, None, :], 0.6, -0.7) + params["unused"], state

    return Network(init, apply, (3,), (8, 8, 3))


@pytest.fixture(scope="module")
def gallery():
    """A game of which one generator draws all 64 classes and the other those of two first channels."""
    source = data.stacked(quadrants())
    game = Game(
        [Group(painter(4), 1), Group(painter(2), 1)], [Group(networks.mlp((8, 8, 3), (4,), ()), 1)], batch_size=4
    )
    judge = train_classifier(source.single, steps=40, batch_size=32)
    return game, game.init(jax.random.key(0)), source, judge


def test_classes_of_known_generators(gallery):
    game, state, source, judge = gallery
    table = evaluate_classes(game, state, source, judge, num=2000)
    assert table.names == ["generator 0", "generator 1", "mixture", "2000 reals", "perfect sampler"]
    assert (table.total, table.num) == (64, 2000)
    whole, half, mixture, reals, perfect = table.scores
    floor = 63 / 4000
    assert [s.modes for s in table.scores] == pytest.approx([64, 32, 64, 64, 64], abs=1e-6)
    assert perfect.kl_law == pytest.approx(floor)
    assert whole.kl == pytest.approx(floor, abs=0.006)
    assert half.kl == pytest.approx(np.log(2.0) + 31 / 4000, abs=0.01)
    # Channels are drawn apart, so three times the distance between single images of the two splits.
    report, train = (np.bincount(source.arrays[split]["label"]) for split in ("report", "train"))
    report, train = report / report.sum(), train / train.sum()
    apart = 3 * (report * np.log(report / train)).sum()
    assert reals.kl_law == pytest.approx(apart + floor, abs=0.05)
    assert apart > 0.2
    # The mixture draws ¾ of its samples from one half of the classes.
    assert mixture.kl == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5) + floor, abs=0.03)
    assert min(table.certainty[:4]) > 0.6


def test_classes_of_bare_images_are_not_counted(gallery):
    game, state, _, judge = gallery
    bare = data.from_arrays("bare", np.zeros((20, 8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="classes are counted for labelled images in memory"):
        evaluate_classes(game, state, bare, judge)


# The command, and the configuration at tiny sizes


@pytest.mark.slow
def test_evaluate_prints_the_classes_of_a_run(tmp_path, capsys):
    side = {"count": 1, "network": {"name": "mlp", "widths": [4]}}
    tree = {"data": "stacked_digits", "held_out": 16, "generators": side, "discriminators": side}
    settings, _ = parse(tree, TABLES)
    write_json(tmp_path / "config.json", config.to_dict(settings))
    with Checkpoints(tmp_path / "checkpoints", 1) as checkpoints:
        checkpoints.save(0, build(settings)[0].init(jax.random.key(0)))
    run = str(tmp_path)
    assert cli.main(["evaluate", run, "--num", "16", "--classifier-steps", "2"]) == 0
    out = capsys.readouterr().out
    for text in (
        "16 samples each",
        "conv16-128-10",
        "of 179 held-out images",
        "classes of 1000",
        "mixture",
        "16 reals",
    ):
        assert text in out, text
    assert cli.main(["evaluate", run, "--num", "16", "--classifier-steps", "0"]) == 0
    assert "classes of" not in capsys.readouterr().out
    assert cli.main(["evaluate", run, "--classifier-steps", "-1"]) == 2
    assert "give 0 or more" in capsys.readouterr().err


@pytest.mark.slow
def test_a_step_of_the_configuration_without_files():
    tree = config.read(shipped()["stacked_mnist"])
    tiny = [f"--{side}.0.{key}" for side in ("generators", "discriminators") for key in ("count=2", "execute=vmap")]
    tiny += ["--generators.0.network.width=1", "--generators.0.network.latent=4", "--reals=4"]
    settings, _ = parse(tree, TABLES, [*tiny, "--data", "stacked_digits"])
    game, source = build(settings)
    assert game.groups_d[0].has_trunk
    state, info = Program(game, source)(game.init(jax.random.key(0)), 1)
    assert (int(state.step), int(state.fault[0])) == (1, -1)
    assert np.isfinite(info.loss_g).all()
    whole, _ = parse(tree, TABLES, ["--data.path", "x"])
    (g,), (d,) = whole.generators, whole.discriminators
    assert (g.count, d.count, whole.reals, whole.loss.name, whole.penalty.name) == (4, 4, 128, "relativistic", "r1_r2")
    assert g.network.options["width"] == 4 * d.network.options["width"]


@pytest.mark.slow
def test_the_digits_of_mnist_are_told_apart():
    if not MNIST.is_dir():
        pytest.skip("reads the MNIST files; set ENSGAN_MNIST to their folder")
    source = data.stacked_mnist(MNIST)
    judge = train_classifier(source.single)
    assert judge.accuracy >= 0.975
    held = source.held_out("report", 2000)
    found, certainty = classify(judge, held["x"])
    assert (found == held["label"]).mean() >= 0.93  # three digits are right at once
    assert certainty.mean() >= 0.97
