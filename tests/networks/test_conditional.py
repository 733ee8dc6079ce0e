"""Labels from end to end: networks by hand, one step by its definition, samples, runs, meshes, and what is refused."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from flax import linen, nnx
from PIL import Image

from ensgan import data, losses, metrics, networks, pairing, testing
from ensgan.cli import main as cli
from ensgan.data import from_arrays, from_iterator, gaussian_ring
from ensgan.devices import mesh
from ensgan.evaluation import tables
from ensgan.evaluation.selection import select
from ensgan.game import coverage
from ensgan.game.game import Game
from ensgan.game.placement import start
from ensgan.game.population import Group
from ensgan.game.program import Program
from ensgan.game.step import step
from ensgan.reporting import sample_picture
from ensgan.reporting.pictures import load_samples
from ensgan.runs import gallery
from ensgan.runs import run as run_module
from ensgan.runs.build import TABLES, build
from ensgan.runs.parsing import parse
from ensgan.sampling.draws import labels
from ensgan.sampling.inference import every_member, held_out_logits, payoff
from ensgan.sampling.sampler import sample
from ensgan.types import InputError

LABEL = jnp.array([2, 0, 2, 3])
POINTS = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
SOURCE = from_arrays("points", POINTS, np.arange(200) % 5)


def conditional(M=2, N=2, classes=5, **settings):
    g = networks.mlp(3, (6,), (2,), classes=classes)
    d = networks.mlp((2,), (6,), (), classes=classes)
    settings = {"optimizer": optax.sgd(0.1), "batch_size": 8, "pairing": pairing.softmax(1.0), **settings}
    return Game([Group(g, M, execute="vmap")], [Group(d, N, execute="vmap")], **settings)


# ---------------------------------------------------------------------------------------------------- networks


def test_the_logit_of_a_perceptron_is_the_formula_by_hand(key):
    network = networks.mlp_discriminator((2,), widths=(3,), classes=4)
    params, state = toys.filled(network)
    x = np.asarray(jax.random.normal(key, (4, 2)))
    first, last = params["net"]["hidden"]["0"], params["net"]["last"]
    h = x @ first["kernel"] + first["bias"][None]
    phi = np.where(h > 0, h, 0.2 * h)
    psi = phi @ last["kernel"] + last["bias"][None]
    want = psi[:, 0] + np.einsum("bf,bf->b", params["embed"]["embedding"][LABEL], phi)
    np.testing.assert_allclose(network.apply(params, state, x, label=LABEL)[0], want, rtol=1e-5)


def test_a_generator_gets_the_embedding_beside_its_latent(key):
    told = networks.mlp_generator((2,), latent=3, widths=(4,), classes=4)
    params, state = toys.filled(told)
    plain = networks.mlp(6, (4,), (2,))
    z = jax.random.normal(key, (4, 3))
    want = plain.apply(params["net"], {}, jnp.concatenate([z, params["embed"]["embedding"][LABEL]], 1))[0]
    np.testing.assert_allclose(told.apply(params, state, z, label=LABEL)[0], want, rtol=1e-6)
    assert told.in_shape == (3,)


DISCRIMINATORS = {
    "mlp": lambda **more: networks.mlp_discriminator((2,), widths=(3,), **more),
    "dcgan": lambda **more: networks.dcgan_discriminator((28, 28, 1), width=2, **more),
    "r3gan": lambda **more: networks.r3gan_discriminator((8, 8, 1), width=2, group_width=2, **more),
}


@pytest.mark.parametrize("name", sorted(DISCRIMINATORS))
def test_every_projection_uses_the_features_that_its_logit_is_made_of(name, key):
    """The gradient of a row of the table is φ; the plain network's last layer makes its logit from the same φ."""
    told, plain = DISCRIMINATORS[name](classes=4), DISCRIMINATORS[name]()
    params, state = toys.filled(told)
    x = jax.random.normal(key, (1, *told.in_shape))

    def logit(table, label):
        return told.apply({**params, "embed": {"embedding": table}}, state, x, label=label)[0].sum()

    table = params["embed"]["embedding"]
    value, grad = jax.jit(jax.value_and_grad(logit))(table, jnp.array([2]))
    last = params["net"]["last" if name == "mlp" else "logit"]
    psi = grad[2] @ last["kernel"][:, 0] + last["bias"][0]
    np.testing.assert_allclose(plain.apply(params["net"], state, x)[0][0], psi, rtol=1e-4)
    np.testing.assert_allclose(value, psi + table[2] @ grad[2], rtol=1e-4)
    assert not np.asarray(grad)[[0, 1, 3]].any()


GENERATORS = {
    "mlp": lambda: networks.mlp_generator((2,), latent=3, widths=(4,), classes=4),
    "dcgan": lambda: networks.dcgan_generator((28, 28, 1), latent=3, width=2, classes=4),
    "r3gan": lambda: networks.r3gan_generator((8, 8, 1), latent=3, width=2, group_width=2, classes=4),
}


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_a_gradient_reaches_the_classes_of_the_batch_and_no_others(name, key):
    network = GENERATORS[name]()
    params, state = toys.filled(network)
    state = jax.tree.map(jnp.abs, state)  # variances among them
    z = jax.random.normal(key, (4, 3))
    apply = lambda p: network.apply(p, state, z, label=LABEL)[0]
    grad = np.asarray(jax.jit(jax.grad(lambda p: (apply(p) ** 2).sum()))(params)["embed"]["embedding"])
    assert grad.any(axis=1).tolist() == [True, False, True, True]


@pytest.mark.slow
def test_other_numbers_for_the_classes_are_the_same_game(key):
    """Rows of every table and the labels, permuted alike."""
    order = np.array([3, 0, 4, 1, 2])  # class k is now called order[k]
    game = conditional()
    state = game.init(key)

    def renamed(tree):
        there = lambda path, leaf: leaf.at[:, order].set(leaf) if "embedding" in str(path) else leaf
        return jax.tree_util.tree_map_with_path(there, tree)

    run = jax.jit(lambda s, b: step(game, s, b))
    batch = toys.batch() | {"label": jnp.arange(8) % 5}
    new, info = run(state, batch)
    changed = state._replace(generators=renamed(state.generators), discriminators=renamed(state.discriminators))
    other, report = run(changed, batch | {"label": jnp.asarray(order)[batch["label"]]})
    toys.assert_close(renamed(new.generators), other.generators)
    toys.assert_close(renamed(new.discriminators), other.discriminators)
    toys.assert_close(info, report)
    _, untold = run(state, batch | {"label": batch["label"][::-1]})
    assert not np.allclose(untold.loss_g, info.loss_g)  # labels matter


def test_the_table_of_a_spectral_network_is_divided_by_its_largest_singular_value():
    norm = networks.SpectralNorm(nnx.Embed(4, 3, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    assert norm.bias is None
    table = np.asarray(norm.layer.embedding[...])
    for _ in range(5):
        y = norm(LABEL)
    np.testing.assert_allclose(y, table[LABEL] / np.linalg.norm(table, 2), rtol=1e-4)
    params, _ = toys.filled(networks.mlp_discriminator((2,), widths=(3,), classes=4, spectral_norm=True))
    assert jax.tree.map(jnp.shape, params["embed"]) == {"layer": {"embedding": (4, 3)}}


def test_a_conditional_network_keeps_the_contract():
    network = networks.mlp(2, (4,), (), classes=3, spectral_norm=True)
    assert network.classes == 3
    testing.check_network(network, classes=2)  # labels of fewer classes are labels too


def test_the_check_of_networks_finds_labels_that_nobody_looks_at():
    network = toys.dense(2, 5, ())._replace(classes=3)
    with pytest.raises(AssertionError, match="other labels change neither outputs nor gradients"):
        testing.check_network(network)


class Told(nnx.Module):
    """A first layer that takes a label."""

    def __init__(self, rngs):
        self.embed = nnx.Embed(4, 2, rngs=rngs)

    def __call__(self, x, label):
        return x + self.embed(label)


class LinenTold(linen.Module):
    """The same in linen."""

    @linen.compact
    def __call__(self, x, label):
        return x + linen.Embed(4, 2)(label)


def test_a_chain_hands_keywords_to_layers_that_take_them(key):
    x = jax.random.normal(key, (4, 2))
    chain = lambda *first: lambda rngs: nnx.Sequential(*(f(rngs) for f in first), jnp.tanh, nnx.Dropout(0.5, rngs=rngs))
    plain = networks.from_nnx(chain(lambda rngs: nnx.Linear(2, 2, rngs=rngs)), 2, 2)
    params, state = plain.init(key)
    want = jnp.tanh(x @ params["layers"]["0"]["kernel"])
    np.testing.assert_allclose(plain.apply(params, state, x, label=LABEL)[0], want, rtol=1e-5)
    dropped = plain.apply(params, state, x, label=LABEL, train=True, rng=key)[0]
    assert set(np.unique(np.asarray(dropped == 0))) == {True, False}
    told = networks.from_nnx(chain(Told), 2, 2, classes=4)
    params, state = told.init(key)
    want = jnp.tanh(x + params["layers"]["0"]["embed"]["embedding"][LABEL])
    np.testing.assert_allclose(told.apply(params, state, x, label=LABEL)[0], want, rtol=1e-5)
    for first in (linen.Dense(2), LinenTold()):
        network = networks.from_linen(linen.Sequential([first, linen.tanh]), 2, 2)
        assert network.apply(*network.init(key), x, label=LABEL)[0].shape == (4, 2)


# ---------------------------------------------------------------------------------------------------- training


def test_one_step_is_its_definition_with_labels():
    with jax.enable_x64(True):
        net = lambda *sizes, classes: networks.mlp(*sizes, classes=classes, dtype="float64")
        game = Game(
            [Group(net(3, (5,), (2,), classes=4), 1), Group(net(3, (5,), (2,), classes=0), 1)],
            [Group(net(2, (5,), (), classes=4), 1), Group(net(2, (5,), (), classes=0), 1)],
            loss=losses.relativistic,
            pairing=pairing.own_and_mean(0.3),
            optimizer=optax.sgd(1.0),
            batch_size=8,
        )
        batch = {"x": toys.batch()["x"].astype(float), "label": jnp.array([0, 3, 1, 1, 2, 0, 3, 3], jnp.int32)}
        state = game.init(jax.random.key(0))
        new, info = jax.jit(lambda s, b: step(game, s, b))(state, batch)
        z = toys.latents(game, state)
        want = toys.reference(game, state, batch["x"], info.weight_g, info.weight_d, z, label=batch["label"])
        for side, groups, wanted in (
            ("generators", game.groups_g, want[0]),
            ("discriminators", game.groups_d, want[1]),
        ):
            got = toys.taken(getattr(state, side), getattr(new, side), groups)
            toys.assert_close(got, wanted, 1e-9)


def test_labels_are_dealt_like_fakes_and_reals():
    game = conditional(2, 4, coverage="split")
    label = jnp.arange(8)
    real = jnp.stack([label, label], axis=1).astype(float)
    split = coverage.COVERAGES["split"]
    x, tags = (split.reals(each, False, 4, jnp.arange(4)) for each in (real, label))
    np.testing.assert_array_equal(x[..., 0], tags)
    view = split.see(game.groups_g, game.groups_d, jnp.stack([real, real]), None, mesh.ALONE)
    np.testing.assert_array_equal(view.fake[:, :, :, 0], np.broadcast_to(tags[:, None], (4, 2, 2)))


@pytest.mark.slow
def test_labels_are_spread_like_samples():
    game, there = conditional(2, 2), mesh.make(1, 2)
    alone, report = Program(game, SOURCE)(start(game), 3)
    state, info = Program(game, SOURCE, there)(start(game, 0, there), 3)
    assert state.generators[0].params["embed"]["embedding"].sharding.num_devices == 2
    plain = lambda state: jax.tree.map(np.asarray, state._replace(key=jax.random.key_data(state.key)))
    toys.assert_close(plain(state), plain(alone), 1e-5)
    toys.assert_close(info, report, 1e-5)


# ---------------------------------------------------------------------------------------------------- samples


@pytest.fixture(scope="module")
def played():
    game = conditional(2, 3)
    return game, game.init(jax.random.key(0))


def test_held_out_fakes_have_the_labels_of_the_reals(played):
    game, state = played
    reals = SOURCE.held_out("select", 20)
    fake, real, x = held_out_logits(game, state, reals)
    nets_d = toys.members(game.groups_d, state.discriminators)
    for j, (network, params, _) in enumerate(nets_d):
        logit = lambda x, network=network, params=params: network.apply(params, {}, x, label=reals["label"])[0]
        np.testing.assert_allclose(real[j], logit(reals["x"]), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(fake[1, j], logit(x[1]), rtol=1e-4, atol=1e-5)
    found = select(game, state, SOURCE, num=20)
    np.testing.assert_allclose(payoff(game, state, reals), found.fool, atol=1e-6)
    mixed = np.concatenate([x[0, :10], x[1, 10:]])  # with the labels of all reals
    assert found.coverage[-1] == metrics.coverage(reals["x"], mixed)
    other = payoff(game, state, {**reals, "label": (reals["label"] + 1) % 5})
    assert not np.allclose(other, found.fool)


def test_samples_have_the_classes_that_are_asked_for(played, key):
    game, state = played
    each = np.arange(12) % 5
    x = np.asarray(sample(game, state, key, 12, label=each))
    for k in range(5):
        np.testing.assert_allclose(
            x[each == k], np.asarray(sample(game, state, key, 12, label=k))[each == k], rtol=1e-5
        )
    assert not np.allclose(sample(game, state, key, 12, label=0), sample(game, state, key, 12, label=1))


def test_without_labels_every_class_is_as_likely(played, key):
    game, state = played
    drawn = labels(game, key, 1000)
    assert drawn.dtype == np.int32
    assert np.bincount(drawn, minlength=5).min() > 150  # 200 expected, with a standard deviation of 13
    np.testing.assert_array_equal(labels(game, key, 7), drawn[:7])
    np.testing.assert_array_equal(sample(game, state, key, 7), sample(game, state, key, 7, label=drawn[:7]))
    np.testing.assert_array_equal(every_member(game, state, key, 7), every_member(game, state, key, 7, drawn[:7]))
    assert labels(toys.game(), key, 7) is None


# ---------------------------------------------------------------------------------------------------- runs

TREE = {
    "steps": 2,
    "batch_size": 8,
    "log_every": 2,
    "eval_every": 2,
    "checkpoint_every": 2,
    "held_out": 40,
    "data": "digits",
    "generators": {"count": 2, "network": {"name": "mlp", "latent": 2, "widths": [8], "classes": 10}},
    "discriminators": {"count": 2, "network": {"name": "mlp", "widths": [8], "classes": 10}},
}


def parsed(changes):
    return parse({**TREE, **changes}, TABLES)[0]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    directory = tmp_path_factory.mktemp("conditional") / "run"
    run_module.run(parsed({}), directory)
    return directory


@pytest.mark.slow
def test_a_run_shows_classes_in_columns(digits):
    found = load_samples(digits)
    assert found.classes == 10
    assert found.generators.shape == (2, 40, 8, 8, 1)
    assert len(found.real) == 40
    with Image.open(digits / "samples.png") as picture:
        assert picture.size == (112 + 10 * 68 - 4 + 8, 8 + 20 + 3 * (4 * 68 - 4) + 16 + 48 + 8)
    assert "Columns are classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9." in (digits / "report.html").read_text()


def test_reals_are_picked_by_class():
    x = np.arange(6.0).reshape(6, 1, 1, 1)
    reals, label = gallery.by_class({"x": x + 1, "label": np.array([1, 0, 1, 1, 0, 1])}, 3, 3)
    np.testing.assert_array_equal(label.reshape(3, 3), [[0, 1, 2]] * 3)
    # Class 0 has two, so the first comes again; class 2 has none.
    np.testing.assert_array_equal(reals["x"].reshape(3, 3), [[2, 1, 0], [5, 3, 0], [2, 4, 0]])


def test_a_picture_without_classes_has_no_header():
    images = np.zeros((1, 6, 64, 64, 1), np.uint8)
    tall, flat = (
        sample_picture(images, images[0], classes=["cat", "2", "a long name"]),
        sample_picture(images, images[0]),
    )
    assert tall.size == (112 + 3 * 68 - 4 + 8, 8 + 20 + 2 * (2 * 68 - 4) + 48 + 8)
    assert flat.size == (112 + 6 * 68 - 4 + 8, 8 + 2 * 64 + 48 + 8)


@pytest.mark.slow
def test_the_command_draws_the_classes_it_is_told(digits, tmp_path, capsys):
    def draw(name, *more):
        out = tmp_path / name
        assert cli.main(["sample", str(digits), "--num", "6", "--from", "member:1", "--out", str(out), *more]) == 0
        return out

    with np.load(draw("x.npz", "--label", "3")) as threes, np.load(draw("y.npz", "--label", "3,0")) as turns:
        assert threes["label"].tolist() == [3] * 6
        assert turns["label"].tolist() == [3, 0] * 3
        np.testing.assert_allclose(turns["x"][::2], threes["x"][::2], rtol=1e-5)
        assert not np.allclose(turns["x"][1::2], threes["x"][1::2])
    with Image.open(draw("x.png", "--label", "0,1,2")) as shown:
        assert shown.size == (3 * 68 - 4, 2 * 68 - 4)
    capsys.readouterr()
    for wrong, part in (("10", "10"), ("-1", "-1"), ("3,", ""), ("3,three", "three")):
        assert cli.main(["sample", str(digits), f"--label={wrong}"]) == 2
        text = f"{part!r} is no class; give one class or several, such as 0,1; the classes are: 0, 1, 2"
        assert text in capsys.readouterr().err


def test_classes_go_by_their_names(tmp_path, capsys):
    x = np.random.default_rng(0).integers(0, 256, (60, 4, 4), np.uint8)
    np.savez(tmp_path / "x.npz", x=x, y=np.array(["10 dogs", "2 cats"])[np.arange(60) % 2])
    sides = {
        side: {**TREE[side], "network": {**TREE[side]["network"], "classes": 2}}
        for side in ("generators", "discriminators")
    }
    run, out = tmp_path / "run", tmp_path / "out.npz"
    config = parsed(
        {"data": {"name": "npz", "path": str(tmp_path / "x.npz"), "fractions": [0.4, 0.2, 0.2, 0.2]}, **sides}
    )
    run_module.run(config, run)
    assert load_samples(run).class_names == ("2 cats", "10 dogs")
    assert "Columns are classes: 2 cats, 10 dogs." in (run / "report.html").read_text()
    for asked, expected in (("10 dogs", [1, 1, 1, 1]), ("1", [1, 1, 1, 1]), ("10 dogs,2 cats", [1, 0, 1, 0])):
        command = ["sample", str(run), "--num", "4", "--from", "member:0", "--out", str(out), "--label", asked]
        assert cli.main(command) == 0
        assert np.load(out)["label"].tolist() == expected
        assert np.load(out)["class_names"].tolist() == ["2 cats", "10 dogs"]
    assert capsys.readouterr().out.endswith(", class 10 dogs, 2 cats in turn\n")
    assert data.npz(out, fractions=(0.25,) * 4, x="images").class_names == ("2 cats", "10 dogs")


def test_one_law_of_labels_everywhere(tmp_path, capsys, monkeypatch):
    """Classes 9 : 1. What is sampled, measured, judged, refined and exported has that law, or the one asked for."""
    x = np.random.default_rng(0).integers(0, 256, (400, 4, 4), np.uint8)
    np.savez(tmp_path / "x.npz", x=x, y=np.array(["common", "rare"])[(np.arange(400) % 10 == 0).astype(int)])
    sides = {
        side: {**TREE[side], "network": {**TREE[side]["network"], "classes": 2}}
        for side in ("generators", "discriminators")
    }
    config, run, out = (
        parsed({"data": {"name": "npz", "path": str(tmp_path / "x.npz")}, **sides}),
        tmp_path / "run",
        tmp_path / "o.npz",
    )
    run_module.run(config, run)
    _, source = build(config)
    trained = np.bincount(source.arrays["train"]["label"]) / 280
    found = json.loads((run / "data.json").read_text())["class_law"]
    np.testing.assert_allclose(found["weights"], trained)
    assert found["text"] == f"law of labels (training): common {trained[0]:.3g}, rare {trained[1]:.3g}"
    assert found["text"] in (run / "report.html").read_text()

    def rare(*more):
        assert cli.main(["sample", str(run), "--num", "800", "--from", "member:0", "--out", str(out), *more]) == 0
        return np.load(out)["label"].mean()

    assert abs(rare() - trained[1]) < 0.04
    assert found["text"] in capsys.readouterr().out
    assert abs(rare("--classes", "uniform") - 0.5) < 0.06
    assert rare("--classes", "1,0") == 0
    assert abs(rare("--refine", "obrs") - trained[1]) < 0.04
    assert abs(rare("--refine", "obrs", "--classes", "0.3,0.7") - 0.7) < 0.06
    drawn = []
    real = tables.labels
    monkeypatch.setattr(tables, "labels", lambda *a, **k: drawn.append(real(*a, **k)) or drawn[-1])
    for more, share in (([], trained[1]), (["--classes", "uniform"], 0.5)):
        drawn.clear()
        assert cli.main(["evaluate", str(run), "--classifier-steps", "1", "--repeats", "0", *more]) == 0
        assert len(drawn) == 3
        assert abs(np.concatenate(drawn).mean() - share) < 0.05
    assert cli.main(["select", str(run), "--classes", "uniform"]) == 0
    assert json.loads((run / "selection.json").read_text())["class_law"] == [0.5, 0.5]
    assert cli.main(["judge", str(run), "--classes", "0.25,0.75"]) == 0
    assert json.loads((run / "judge.json").read_text())["class_law"] == [0.25, 0.75]
    assert cli.main(["export", str(run), "--to", str(tmp_path / "e"), "--classes", "1,3"]) == 0
    told = json.loads((tmp_path / "e" / "config.json").read_text())
    assert (told["class_law"], told["class_names"]) == ([0.25, 0.75], ["common", "rare"])
    capsys.readouterr()
    assert cli.main(["sample", str(run), "--classes", "uniform", "--label", "rare"]) == 2
    assert "--label says the classes of all samples" in capsys.readouterr().err
    with pytest.raises(InputError, match="--classes is 'uniform', but the generators are not conditional"):
        build(
            parsed(
                {
                    "data": "digits",
                    "classes": "uniform",
                    "generators": {"network": "mlp"},
                    "discriminators": {"network": "mlp"},
                }
            )
        )


# ---------------------------------------------------------------------------------------------------- refusals


def test_labels_that_cannot_be_are_refused(played, key):
    game, state = played
    for label, message in (
        (5, r"label holds labels 5\.\.5; expected 0\.\.4"),
        (-1, r"expected 0\.\.4"),
        ([0, 1], r"label is int64 \[2\]; expected integers \[3\], one per sample"),
        (0.5, "expected integers"),
    ):
        with pytest.raises(InputError, match=message):
            sample(game, state, key, 3, label=label)
    with pytest.raises(InputError, match="label is None, but the network is conditional on 5 classes"):
        step(game, state, toys.batch())


def test_data_without_these_classes_are_refused(played):
    game, state = played
    plain = from_arrays("points", POINTS)
    batches = ({"x": POINTS[:8], "label": np.arange(8) % 5} for _ in range(100))
    unsaid = from_iterator(batches, held_out=8)
    for source, message in (
        (plain, "conditional on 5 classes, but the data 'points' have no labels; give data with labels"),
        (unsaid, r"'iterator' have no labels; .* say classes=5"),
        (gaussian_ring(), "but the data 'ring' have 8; give every conditional network classes=8"),
    ):
        for use in (lambda source: Program(game, source), lambda source: select(game, state, source)):
            with pytest.raises(InputError, match=message):
                use(source)
    with pytest.raises(InputError, match="conditional on 10 classes, but the data 'ring' have 8"):
        build(parsed({"data": "ring"}))


def test_games_in_which_classes_mean_nothing_are_refused():
    g, d = (
        (lambda classes: networks.mlp(3, (4,), (2,), classes=classes)),
        (lambda c: networks.mlp(2, (4,), (), classes=c)),
    )
    for classes_g, classes_d, message in (
        (3, 4, r"conditional on \[3, 4\] classes; they must agree"),
        (3, 0, "generators are conditional on 3 .* none of the discriminators .* give discriminators classes=3"),
        (0, 3, "discriminators are conditional on 3 .* none of the generators"),
    ):
        with pytest.raises(InputError, match=message):
            Game([Group(g(classes_g), 1)], [Group(d(classes_d), 1)])


def test_networks_that_count_wrong_are_refused():
    linear = lambda rngs: nnx.Linear(2, 2, rngs=rngs)
    with pytest.raises(InputError, match="the module takes no labels; let its __call__ take the keyword `label`"):
        networks.from_nnx(linear, 2, 2, classes=3)
    with pytest.raises(InputError, match="the module takes no labels"):
        networks.from_linen(linen.Dense(2), 2, 2, classes=3)
    with pytest.raises(InputError, match="classes is -1; give a whole number, at least 1"):
        networks.mlp(2, (4,), (2,), classes=-1)
