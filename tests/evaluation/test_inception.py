"""Inception-v3: the graph against torch-fidelity's, its weights, and what its features are used for."""

import hashlib
import importlib.util
import re
import sys
import types
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from image_files import pictures as noise
from image_files import save
from toys import quadrants
from weight_files import torch_made

from ensgan import losses, metrics, networks, optim, pairing
from ensgan.cli import main as cli
from ensgan.evaluation import features, inception
from ensgan.evaluation.tables import evaluate_distances
from ensgan.evaluation.torch_files import read_tensors
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.types import InputError


def made_up(seed=0):
    """Weights under which signals neither vanish nor grow."""
    rng, tensors = np.random.default_rng(seed), {}
    for name, shape in inception.shapes().items():
        u = rng.random(shape, np.float32)
        if name.endswith((".conv.weight", "fc.weight")):
            tensors[name] = (u - 0.5) * np.sqrt(24 / np.prod(shape[1:]), dtype=np.float32)
        else:
            tensors[name] = u + 0.5 if name.endswith(("bn.weight", "running_var")) else u - 0.5
    return tensors


def pictures(num, size, seed=1):
    """Images in [-1, 1] of a few waves each, so that their features differ."""
    rng, at = np.random.default_rng(seed), np.linspace(0, 6, size)
    waves = np.sin(at[None, :, None, None] * (rng.random((num, 1, 1, 3)) * 4) + rng.random((num, 1, 1, 3)) * 6)
    return (waves * np.cos(at[None, None, :, None] * rng.random((num, 1, 1, 3)) * 4)).astype(np.float32)


def test_the_tensors_are_those_of_the_port():
    shapes = inception.shapes()
    # 94 convolutions of five tensors each, and the last layer. torchvision counts 23,834,568 weights without the
    # auxiliary head and with 1000 classes.
    assert len(shapes) == 94 * 5 + 2
    num = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    running = sum(n for name, n in num.items() if ".running_" in name)
    assert sum(num.values()) - running == 23_834_568 + 8 * 2049
    assert shapes["Conv2d_1a_3x3.conv.weight"] == (32, 3, 3, 3)
    assert shapes["Mixed_5b.branch5x5_2.conv.weight"] == (64, 48, 5, 5)
    assert shapes["Mixed_6c.branch7x7dbl_2.conv.weight"] == (160, 160, 7, 1)
    assert shapes["Mixed_7c.branch3x3dbl_3b.conv.weight"] == (384, 384, 3, 1)
    assert shapes["Mixed_7b.branch_pool.bn.running_var"] == (192,)
    assert (shapes["fc.weight"], shapes["fc.bias"]) == ((1008, 2048), (1008,))


def test_the_graph_gives_the_numbers_of_torch_fidelity():
    """Recorded from torch-fidelity 0.4 in float64; `test_torch_fidelity_agrees` compares all of them where it is."""
    features, logits = map(np.asarray, jax.jit(inception.network)(inception.parameters(made_up()), pictures(3, 75)))
    branches = [part.mean(axis=1) for part in np.split(features, [320, 1088, 1856], axis=1)]
    want = [
        [1.439824, 0.924869, 0.406553, 1.231524],
        [1.417711, 0.911771, 0.403459, 1.219775],
        [1.503558, 0.956696, 0.415654, 1.288723],
    ]
    np.testing.assert_allclose(np.stack(branches, 1), want, atol=3e-6)
    want = [
        [-1.3045, -0.232775, -0.871117, 0.674769],
        [-1.439177, 0.066302, -0.778222, 0.878962],
        [-1.204115, -0.007326, -0.894689, 0.758145],
    ]
    np.testing.assert_allclose(logits[:, [0, 300, 600, 1007]], want, atol=1e-5)


@pytest.mark.slow
def test_torch_fidelity_agrees(tmp_path, monkeypatch):
    """Its extractor, from a file of the same made-up weights, in float64: features, logits and resizing."""
    torch = pytest.importorskip("torch")
    spec = importlib.util.find_spec("torch_fidelity")
    if spec is None:
        pytest.skip("torch-fidelity is not installed")
    # The package imports torchvision, but its extractor does without.
    bare = types.ModuleType("torch_fidelity")
    bare.__path__ = list(spec.submodule_search_locations)
    monkeypatch.setitem(sys.modules, "torch_fidelity", bare)
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    weights, file = made_up(), tmp_path / "weights.pth"
    torch.save({name: torch.from_numpy(x) for name, x in weights.items()}, file)
    theirs = FeatureExtractorInceptionV3("theirs", ["2048", "logits_unbiased"], str(file)).double()
    theirs.feature_extractor_internal_dtype = torch.float64
    x = np.round(pictures(2, 40) * 127 + 128)[:, :32].astype(np.uint8)
    turned = torch.from_numpy(x.transpose(0, 3, 1, 2))
    wide = interpolate_bilinear_2d_like_tensorflow1x(turned.float(), size=(299, 299), align_corners=False)
    mine = inception.resized(jnp.asarray(x, jnp.float32))
    np.testing.assert_array_equal(mine, wide.numpy().transpose(0, 2, 3, 1))
    found = jax.jit(inception.network)(inception.parameters(read_tensors(file)), mine / 128 - 1)
    for ours, want in zip(found, theirs(turned), strict=True):
        spread = want.std(dim=0).mean().item()  # how much the two images differ
        assert spread > 0.01
        np.testing.assert_allclose(ours, want.numpy(), atol=1e-3 * spread)


def test_images_are_resized_as_tensorflow_1_did():
    x = jnp.asarray([[0.0, 1.0], [4.0, 5.0]])[None, :, :, None]
    rows = np.array([0.0, 0.5, 1.0, 1.0])  # pixel i at i/2; nothing beyond the last
    np.testing.assert_array_equal(inception.resized(x, 4)[0, :, :, 0], 4 * rows[:, None] + rows[None])
    np.testing.assert_array_equal(inception.resized(x, 2), x)
    np.testing.assert_array_equal(inception.resized(x, 1)[0, :, :, 0], [[0.0]])  # no antialiasing
    np.testing.assert_array_equal(inception.resized(jnp.full((2, 1, 7, 3), 5.0), 9), np.full((2, 9, 9, 3), 5.0))


def test_only_the_published_file_is_taken(tmp_path, monkeypatch):
    file = tmp_path / "weights.pth"
    with pytest.raises(
        InputError, match=r"weights.pth is missing; expected the weights of Inception-v3, weights-incep"
    ):
        inception.load(file)
    file.write_bytes(b"something else")
    with pytest.raises(
        InputError, match=r"has 14 bytes and SHA-256 [0-9a-f]{64}; expected .* 95,628,359 bytes, SHA-256 "
    ):
        inception.load(file)
    few = {"Conv2d_1a_3x3.conv.weight": np.zeros((32, 3, 3, 3), np.float32)}
    file.write_bytes(torch_made(monkeypatch, few, row=True))
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    with pytest.raises(InputError, match=r"Conv2d_1a_3x3.bn.weight is missing; expected \[32\]"):
        inception.load(file)
    with pytest.raises(InputError, match=r"fc.bias has the shape \[1000\]; expected \[1008\]"):
        inception.parameters(
            {name: np.zeros(1000 if name == "fc.bias" else shape) for name, shape in inception.shapes().items()}
        )


def small_network(params, x):
    """Means of a coarse picture as 27 features, and logits of three classes."""
    features = jnp.concatenate([part.mean((1, 2)) for part in jnp.array_split(x, 9, axis=1)], axis=1)
    return features, 9 * features[:, :3]


@pytest.fixture
def small(monkeypatch):
    """The network and its file replaced; what surrounds them stays."""
    monkeypatch.setattr(inception, "load", lambda file: None)
    monkeypatch.setattr(inception, "network", small_network)
    monkeypatch.setattr(inception, "CLASSES", 3)


def test_features_are_of_pixels_in_three_channels(small):
    of = features.of_inception("file")
    assert (of.name[:12], of.classes, of.splits, of.version) == ("inception-v3", 3, 10, inception.SHA256)
    x = np.random.default_rng(0).uniform(-1, 1, (40, 5, 6, 1)).astype(np.float32)
    rows = of.of(x)
    assert rows.shape == (40, 30)
    np.testing.assert_array_equal(of.of(x[35:]), rows[35:])  # the last chunk is not full
    np.testing.assert_array_equal(of.of(np.repeat(x, 3, axis=-1)), rows)
    pixels = np.floor((x + 1) * 128)  # as in a file
    want = small_network(None, inception.resized(jnp.repeat(pixels, 3, axis=-1)) / 128 - 1)
    np.testing.assert_allclose(rows, np.concatenate(want, axis=1), atol=1e-6)
    with pytest.raises(InputError, match=r"with 1 or 3 channels; samples are \[2\]"):
        of.of(np.zeros((4, 2)))
    with pytest.raises(InputError, match=r"with 1 or 3 channels; samples are \[5, 6, 2\]"):
        of.of(np.zeros((4, 5, 6, 2)))
    with pytest.raises(InputError, match="images hold NaN"):
        of.of(np.full((4, 5, 6, 1), np.nan))


def test_two_folders_by_inception(small, tmp_path, capsys, monkeypatch):
    real, fake = noise(120, 0, (6, 6, 3)), noise(60, 1, (6, 6, 3), low=100)
    folders = ["--real", str(save(tmp_path / "real", real)), "--fake", str(save(tmp_path / "fake", fake))]
    assert cli.main(["evaluate", *folders, "--inception", "file"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "60 fakes against 120 reals in the features: inception-v3 2015-12-05 (Fréchet distance = FID,"
    )
    of = features.of_inception("file")
    rows = [of.of((x.astype(np.float32) + 0.5) / 128 - 1).astype(np.float64) for x in (real, fake)]
    parts = [row[:, :27] for row in rows]
    want = metrics.frechet_distance(*map(metrics.moments, parts))
    value = lambda name: float(re.search(rf"^{name} +(\S+)", out, re.M)[1])
    assert value("Fréchet distance") == pytest.approx(want, rel=1e-3)
    assert value("recall") == pytest.approx(metrics.neighbours(parts[0][:60], parts[1]).recall, abs=0.2)
    chances = np.exp(rows[1][:, 27:])
    chances /= chances.sum(axis=1, keepdims=True)
    orders = np.array([np.random.default_rng(k).permutation(60) for k in range(50)])
    ten, one = ([metrics.inception_score(chances[order], splits).value for order in orders] for splits in (10, 1))
    assert min(ten) - 0.01 < value("classifier score") < max(ten) + 0.01
    assert min(one) > max(ten)  # fewer classes are seen in few samples than in many

    argv = ["evaluate", *folders, "--inception", "file", "--moments", "--cache", str(tmp_path / "kept")]
    assert cli.main(argv) == 0
    first = capsys.readouterr().out
    assert first.startswith("60 fakes against 120 reals in the features: inception-v3")
    assert float(first.split()[-1]) == pytest.approx(want, rel=1e-5)
    with monkeypatch.context() as patch:
        patch.setattr(inception, "network", None)  # nobody calls it again
        assert cli.main(argv) == 0
    assert capsys.readouterr().out == first
    for options, message in (
        (["--features", "classifier"], "--features classifier goes neither with --inception nor with --moments"),
        (["--pixels", "4"], "--pixels is given, but the features are no pixels; leave it out"),
    ):
        assert cli.main(["evaluate", *folders, "--inception", "file", *options]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_by_inception(small, tmp_path, capsys):
    config = 'steps = 4\nbatch_size = 16\nheld_out = 60\ndata = "digits"\n'
    config += '[[generators]]\nnetwork = "mlp"\ncount = 2\n[[discriminators]]\nnetwork = "mlp"\n'
    (tmp_path / "small.toml").write_text(config)
    run = str(tmp_path / "run")
    assert cli.main(["train", str(tmp_path / "small.toml"), "--run-dir", run]) == 0
    capsys.readouterr()
    assert cli.main(["evaluate", run, "--inception", "file", "--classifier-steps", "0"]) == 0
    out = capsys.readouterr().out
    assert "distances to 60 held-out reals (report split) in the features: inception-v3 2015-12-05" in out
    assert re.search(r"\nclassifier score +\d", out)
    each = re.search(r"Fréchet distance of each generator: (.*), (.*)\n", out)
    best = int(re.search(r"generator (\d), the best", out)[1])
    value = re.search(r"\nFréchet distance +(\S+)", out)[1]
    assert float(each[best + 1]) == pytest.approx(float(value), rel=1e-3)


def test_generators_are_compared_in_any_features():
    source = quadrants(400)
    sides = (
        [Group(networks.mlp_generator((8, 8, 1), widths=(4,)), 2)],
        [Group(networks.mlp_discriminator((8, 8, 1), widths=(4,)), 2)],
    )
    game = Game(*sides, loss=losses.hinge, pairing=pairing.mean(), optimizer=optim.adam(1e-3))
    state = game.init(jax.random.key(0))
    calls = []

    def corners(x):
        calls.append(len(x))
        return np.asarray(x)[:, ::7, ::7].reshape(len(x), -1)

    own = features.Features("corners", corners, classes=2)  # two features, and two logits
    measured = partial(evaluate_distances, game, state, source, names=None, repeats=0)
    table = measured(features=own, num=40)
    assert calls == [40] * 5  # held-out and training reals, both generators and the mixture, each once
    assert table.mixture.features == "corners"
    assert {"classifier score", "TV of classes"} <= set(table.mixture.rows)
    first, second = (table.generators[i].rows["Fréchet distance"].value for i in (0, 1))
    assert first != second
    few = measured(features=own._replace(classes=0), num=4, among=[])
    assert "Fréchet distance" in few.mixture.refused


def test_wrong_weights_are_one_line_and_code_2(tmp_path, capsys):
    (tmp_path / "weights.pth").write_bytes(b"something else")
    for command in ([str(tmp_path / "run")], ["--real", str(tmp_path), "--fake", str(tmp_path)]):
        for name, message in (("weights.pth", "14 bytes and SHA-256"), ("none.pth", "is missing")):
            assert cli.main(["evaluate", *command, "--inception", str(tmp_path / name)]) == 2
            out, err = capsys.readouterr()
            assert out == ""
            assert err.startswith("ensgan: ")
            assert err.count("\n") == 1
            assert message in err
