"""Configurations: what they accept, and the one line that they refuse the rest with."""

import json

import pytest

from ensgan.runs import config
from ensgan.runs.build import TABLES, build
from ensgan.runs.config import Config, GroupConfig, Plug, to_dict
from ensgan.runs.parsing import parse
from ensgan.types import InputError


def get(tree=None, argv=()):
    return parse(tree or {}, TABLES, argv)[0]


def refused(tree=None, argv=()):
    with pytest.raises(InputError) as caught:
        get(tree, argv)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", sorted(TABLES["pairing"]))
def test_every_pairing_may_be_asked_for_with_its_defaults(name):
    plug = get({"pairing": name}).pairing
    assert TABLES["pairing"][name](**plug.options).members in ("alone", "complete", "parts")
    if "own" in plug.options:
        assert get(argv=["--pairing", name, "--pairing.own", "0.25"]).pairing.options["own"] == 0.25


def test_nothing_given_is_the_defaults():
    got, want = get(), Config()
    for name in ("name", "seed", "steps", "batch_size", "loss", "ema", "update", "n_critic", "tensorboard", "wandb"):
        assert getattr(got, name) == getattr(want, name)
    assert got.pairing == Plug("own_and_mean", {"own": 0.5})
    assert got.penalty == Plug("none")
    assert got.generators[0].network.name == "mlp"
    assert got.generators[0].optimizer == Plug("shared")
    assert len(got.generators) == len(got.discriminators) == 1
    assert got.optimizer.options["b1"] == 0.0  # options are resolved, defaults as well


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"stepz": 3}, ["unknown configuration key 'stepz'", "did you mean steps?"]),
        ({"nonsense": {"a": 3}}, ["unknown configuration key 'nonsense.a'"]),
        ({"pairing": {"name": "softmax", "lambda": 2}}, ["'pairing.lambda'", "pairing.lam, pairing.own"]),
        ({"pairing": {"name": "max", "lam": 2}}, ["'pairing.lam'", "known here: pairing.own"]),
        ({"optimizer": {"lr": 1.0}}, ["'optimizer.lr'; did you mean optimizer.learning_rate?"]),
        ({"penalty": {"name": "none", "strength": 1.0}}, ["'penalty.strength'"]),
        ({"data": {"name": "ring", "seed": 3}}, ["'data.seed'", "data.modes, data.points, data.radius, data.std"]),
        ({"generators": [{"cnt": 2}]}, ["'generators.0.cnt'", "known here: generators.0.count"]),
        ({"generators": [{"counts": 2}]}, ["'generators.0.counts'", "did you mean generators.0.count?"]),
        ({"discriminators": [{}, {"network": {"depth": 2}}]}, ["'discriminators.1.network.depth'", "network.widths"]),
        ({"pairing": "softmaxx"}, ["unknown pairing 'softmaxx' (did you mean softmax?); known: bandit, diagonal"]),
        ({"data": "imagenet"}, ["unknown data 'imagenet'; known:", "digits"]),
        ({"generators": {"network": "vit"}}, ["unknown network 'vit'; known: dcgan, mlp, r3gan"]),
        ({"generators": {"optimizer": "lion"}}, ["unknown optimizer 'lion'; known: adam, rmsprop, sgd, shared"]),
        ({"optimizer": "shared"}, ["unknown optimizer 'shared'; known: adam, rmsprop, sgd"]),
        ({"steps": "many"}, ["steps", "int", "many"]),
        ({"steps": 1.5}, ["steps", "int", "1.5"]),
        ({"steps": True}, ["steps", "int", "True"]),
        ({"update": "sometimes"}, ["update", "simultaneous", "alternating", "sometimes"]),
        ({"pairing": {"name": "softmax", "lam": "x"}}, ["pairing.lam", "finite number", "x"]),
        ({"generators": {"execute": "pmap"}}, ["generators.0.execute", "unroll", "pmap"]),
        ({"generators": {"latent_scale": "wide"}}, ["generators.0.latent_scale", "wide"]),
        ({"pairing": 3}, ["pairing is 3; give a name, or a table with a name"]),
        ({"data": {"name": ["ring"]}}, ["data.name is ['ring']; give one of: "]),
        ({"name": ""}, ["name is ''"]),
        ({"generators": 3}, ["generators must be one table or a list of tables"]),
        ({"discriminators": []}, ["discriminators must be", "at least one"]),
        ({"steps": 0}, ["steps is 0; it must be at least 1"]),
        ({"keep": -1}, ["keep is -1"]),
        ({"seed": -1}, ["seed is -1"]),
        ({"discriminators": [{}, {"latent": "uniform"}]}, ["discriminators.1.latent is 'uniform'"]),
        ({"discriminators": {"latent_scale": [1.0, 2.0]}}, ["discriminators.0.latent_scale is (1.0, 2.0)"]),
    ],
)
def test_a_wrong_tree_is_refused_in_one_line(tree, words):
    text = refused(tree)
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--stepz", "3"], ["unknown argument --stepz", "did you mean --steps?"]),
        (["--step", "3"], ["unknown argument --step"]),  # no abbreviations
        (["--steps", "x"], ["steps", "int", "x"]),
        (["--pairing.lamm", "3", "--pairing", "softmax"], ["--pairing.lamm", "--pairing.lam, --pairing.own"]),
        (["--pairing.lam", "3"], ["--pairing.lam", "known here: --pairing.own"]),  # of the default pairing
        (["--pairing"], ["--pairing needs a name; known: bandit"]),
        (["--pairing", "--steps", "3"], ["--pairing needs a name"]),
        (["--pairing", "elo"], ["unknown pairing 'elo'; known:"]),
        (["--generators.1.count", "3"], ["--generators.1.count"]),
        (["--generators.0.network", "vit"], ["unknown network 'vit'; known: dcgan, mlp, r3gan"]),
        (["stray"], ["unknown argument stray"]),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(argv, words):
    text = refused(argv=argv)
    for word in words:
        assert word in text


def test_a_plug_is_a_name_or_a_table():
    assert get({"pairing": "softmax"}).pairing == Plug("softmax", {"lam": 1.0, "own": 0.0})
    assert get({"pairing": {"name": "softmax", "lam": 3}}).pairing == Plug("softmax", {"lam": 3.0, "own": 0.0})
    assert get({"pairing": {"own": 0.25}}).pairing == Plug("own_and_mean", {"own": 0.25})  # of the default


def test_overrides_come_in_any_order_and_form():
    want = Plug("softmax", {"lam": 2.0, "own": 0.0})
    for argv in (
        ["--pairing", "softmax", "--pairing.lam", "2"],
        ["--pairing.lam", "2", "--pairing", "softmax"],
        ["--pairing.lam=2", "--seed", "4", "--pairing=softmax"],
    ):
        assert get(argv=argv).pairing == want
        assert get({"pairing": {"name": "max", "own": 0.5}}, argv).pairing == want
    got = get({"steps": 5, "seed": 1}, ["--steps", "7", "--generators.0.network.latent", "3", "--ema=0.5"])
    assert (got.steps, got.seed, got.ema) == (7, 1, 0.5)
    assert got.generators[0].network.options["latent"] == 3


def test_a_folder_behind_the_name_of_data_is_their_path(tmp_path, monkeypatch):
    """So it is found again from elsewhere; a name stays a name, also where a folder is called alike."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "breastmnist").mkdir()
    of = lambda name: {k: v for k, v in get(argv=["--data", name]).data.options.items() if k in ("path", "which")}
    assert of("hf:mine") == {"path": "mine", "which": ""}
    assert of("hf:mine:test") == {"path": "mine", "which": "test"}
    assert of("hf:someone/thing:test") == {"path": None, "which": "someone/thing:test"}
    assert of("medmnist:breastmnist") == {"path": None, "which": "breastmnist"}


def test_a_flag_of_yes_or_no_needs_no_value_and_a_value_may_begin_with_a_minus():
    plug = get(argv=["--data", "folder", "--data.skip_broken", "--data.path", "p", "--data.dequantize", "false"]).data
    assert (plug.options["skip_broken"], plug.options["dequantize"]) == (True, False)
    assert get(argv=["--data", "folder", "--data.path=p", "--data.skip_broken"]).data.options["skip_broken"] is True
    for argv in (["--data.range", "-1,1"], ["--data.range=-1,1"]):
        assert get(argv=["--data", "npz", "--data.path", "p", *argv]).data.options["range"] == "-1,1"


def test_the_last_of_several_names_counts():
    assert get(argv=["--pairing", "softmax", "--pairing", "max"]).pairing.name == "max"
    assert get(argv=["--pairing=max", "--pairing", "softmax"]).pairing.name == "softmax"
    assert get(argv=["--steps", "3", "--steps", "4"]).steps == 4


def test_another_name_drops_the_options_of_the_file():
    tree = {"pairing": {"name": "softmax", "lam": 3.0, "own": 0.5}}
    assert get(tree, ["--pairing", "max"]).pairing == Plug("max", {"own": 0.0})
    assert get(tree, ["--pairing", "softmax"]).pairing == Plug("softmax", {"lam": 3.0, "own": 0.5})  # the same one
    assert get(tree, ["--pairing.own", "0.1"]).pairing == Plug("softmax", {"lam": 3.0, "own": 0.1})


def test_groups_are_one_table_or_a_list_of_them():
    one = get({"generators": {"count": 2, "network": "dcgan"}})
    assert one.generators == get({"generators": [{"count": 2, "network": "dcgan"}]}).generators
    two = get({"discriminators": [{"count": 1}, {"count": 3, "optimizer": {"name": "sgd", "learning_rate": 0.5}}]})
    assert [group.count for group in two.discriminators] == [1, 3]
    assert [group.optimizer.name for group in two.discriminators] == ["shared", "sgd"]
    assert two.discriminators[1].optimizer.options["learning_rate"] == 0.5
    assert isinstance(two.generators[0], GroupConfig)
    over = get({"generators": [{}, {}]}, ["--generators.1.network=dcgan", "--generators.0.count", "7"])
    assert [group.network.name for group in over.generators] == ["mlp", "dcgan"]
    assert [group.count for group in over.generators] == [7, 4]


TREE = {
    "name": "all",
    "penalty": {"name": "r1", "strength": 0.5, "interval": 4},
    "augment": {"name": "diff_augment", "policy": ["color"]},
    "optimizer": {"name": "sgd", "learning_rate": [0.1, 0.2]},
    "data": {"name": "ring", "modes": 5},
    "generators": [
        {"count": 2, "latent_scale": [1.0, 2.0], "network": {"name": "mlp", "widths": [8, 8]}},
        {"count": 1, "latent": "uniform"},
    ],
    "discriminators": {
        "count": 2,
        "optimizer": {"name": "adam", "schedule": "cosine", "horizon": 9},
    },
}


@pytest.mark.parametrize("tree", [{}, TREE])
def test_a_configuration_survives_the_round_trip_through_a_file(tree, tmp_path):
    settings = get(tree)
    assert get(to_dict(settings)) == settings
    file = tmp_path / "config.json"
    file.write_text(json.dumps(to_dict(settings)))
    assert get(config.read(file)) == settings


def test_lists_become_what_the_functions_take():
    settings = get(TREE)
    assert settings.generators[0].latent_scale == (1.0, 2.0)
    assert tuple(settings.optimizer.options["learning_rate"]) == (0.1, 0.2)
    assert tuple(settings.generators[0].network.options["widths"]) == (8, 8)


def test_the_tree_that_was_given_is_left_alone():
    tree, argv = {"pairing": {"name": "softmax", "lam": 3.0}, "generators": {"count": 2}}, ["--pairing", "max"]
    before = json.dumps(tree)
    get(tree, argv)
    assert json.dumps(tree) == before
    assert argv == ["--pairing", "max"]


def test_a_command_may_add_arguments_of_its_own():
    def extra(parser):
        parser.add_argument("--run-dir", type=str, default=None)

    settings, mine = parse({}, TABLES, ["--run-dir", "there", "--steps", "3"], extra=extra)
    assert mine["run_dir"] == "there"
    assert settings.steps == 3


def test_averages_and_moments_of_a_preset_are_built(capsys):
    """The courses of R3GAN's presets: learning rate, β₂, penalty, augmentation and average."""
    tree = {
        "reals": 32,
        "data": "ring",
        "ema_half_life": 500.0,
        "ema_horizon": 10,
        "optimizer": {
            "name": "adam",
            "b2_start": 0.9,
            "b2_horizon": 10,
            "schedule": "cosine",
            "horizon": 10,
            "final": 0.25,
        },
        "penalty": {"name": "r1_r2", "strength": 2.0, "final": 0.2, "schedule": "cosine", "horizon": 10},
        "augment": {"name": "noise", "start": 0.0, "strength": 0.3, "horizon": 10},
    }
    settings = get(tree)
    game, _ = build(settings)
    assert float(game.ema(0)) == 0.0
    assert float(game.ema(10)) == pytest.approx(0.5 ** (32 / 500))
    assert float(game.augment.course(5)) == pytest.approx(0.15)
    assert get(to_dict(settings)) == settings
    with pytest.raises(InputError, match="ema_start and ema_horizon are given without ema_half_life"):
        build(get({"data": "ring", "ema_horizon": 10}))
