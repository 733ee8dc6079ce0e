"""Malformed configurations, flags and commands, as names and calls that must be refused."""

import itertools
from functools import partial

from ensgan import data, networks
from ensgan.runs import config
from ensgan.runs.build import TABLES, build_game
from ensgan.runs.parsing import parse

SMALL = {
    "data": "ring",
    "generators": {"count": 2, "network": {"name": "mlp", "widths": [4], "latent": 2}},
    "discriminators": {"count": 2, "network": {"name": "mlp", "widths": [4]}},
}


WRONG_KEYS = {
    "dtype": "float8",
    **dict.fromkeys(("steps", "seed", "reals", "fakes", "batch_size", "log_every", "held_out", "keep"), "many"),
    **dict.fromkeys(("eval_every", "checkpoint_every", "max_healings", "heal_collapsed", "patience", "profile"), -1),
    **dict.fromkeys(("compare", "update", "on_failure", "coverage", "features", "n_critic", "ema"), "sometimes"),
    "accumulate": 0,
    **dict.fromkeys(("pairing", "loss", "penalty", "augment", "schedule", "optimizer", "view"), "nobody"),
    **{key: [[1]] for key in ("init_from", "tensorboard", "keep_every", "ema_half_life")},
    "ema_start": None,
    "ema_horizon": {"a": 1},
    "distances": 3,
    "name": "",
    "data": {"name": "idx"},
    "stepz": 3,
    "generators": [],
    "discriminators": "two",
}
TEXTS = ("classes", "best", "wandb", "trackio")  # any text will do here; other checks follow when a run begins
WRONG_IN_GROUP = {
    "count": 0,
    "execute": "quickly",
    "remat": "perhaps",
    "shared": ["nothing"],
    "pack": -1,
    "latent": "cauchy",
    "latent_scale": [1.0, 2.0, 3.0],
    "network": {"name": "mlp", "widths": "wide"},
    "optimizer": {"name": "adam", "learning_rate": -1.0},
    "size": 3,
}
WRONG_PLUGS = {
    "pairing": [{"name": "softmax", "lam": "a"}, {"name": "softmax", "lamb": 1}, {"name": "mgd", "iterations": 0}],
    "loss": [{"name": 3}, {"x": 1}, {"name": "hinge", "margin": 1}],
    "penalty": [{"name": "r1", "strength": -1}, {"name": "r1", "interval": 0}],
    "augment": [{"name": "noise", "std": -1}, {"name": "diff_augment", "policy": ["blur"]}],
    "optimizer": [{"name": "adam", "learning_rate": -1}, {"name": "adam", "b1": 2}, {"name": "sgd", "momentum": "a"}],
    "schedule": [{"name": "population_based", "every": 0}, {"name": "cascade", "share": 7}],
    "data": [{"name": "ring", "modes": 0}, {"name": "ring", "std": "wide"}, {"name": "grid", "side": 0}],
}
WRONG_NETWORKS = [
    {"name": "mlp", "classes": 10**30},
    {"name": "mlp", "widths": [0]},
    {"name": "mlp", "latent": -1},
    {"name": "dcgan", "width": 0},
    {"name": "r3gan", "width": 0},
    {"name": "r3gan", "width": -16},
    {"name": "r3gan", "group_width": 0},
    {"name": "r3gan", "classes": 10**30},
]


def built(tree, shape=(2,)):
    build_game(parse(tree, TABLES)[0], shape, None)


def in_group(side, **changes):
    return {**SMALL, side: {**SMALL[side], **changes}}


def config_kinds():
    kinds = {f"{key} = {value!r}": partial(built, {**SMALL, key: value}) for key, value in WRONG_KEYS.items()}
    for side, (key, value) in itertools.product(("generators", "discriminators"), WRONG_IN_GROUP.items()):
        kinds[f"{side}.{key} = {value!r}"] = partial(built, in_group(side, **{key: value}))
    for plug, options in WRONG_PLUGS.items():
        for value in options:
            reading = (lambda tree: built(tree)) if plug != "data" else (lambda tree: _source(tree))
            kinds[f"{plug} = {value!r}"] = partial(reading, {**SMALL, plug: value})
    for network in WRONG_NETWORKS:
        shape = (32, 32, 3) if network["name"] != "mlp" else (2,)
        make = networks.GENERATORS[network["name"]]
        options = {key: value for key, value in network.items() if key != "name"}
        kinds[f"network {network}"] = partial(make, shape, **options)
    return kinds


def _source(tree):
    plug = parse(tree, TABLES)[0].data
    data.SOURCES[plug.name](**plug.options)


CONFIG_TEXTS = {
    "no toml": b"steps = = 3",
    "no text": b"\xff\xfe\x00a",
    "lists in lists": b"a = " + b"[" * 3000 + b"]" * 3000,
    "a key twice": b"steps = 1\nsteps = 2",
    "a date for a number": b"steps = 2020-01-01",
}
CONFIG_JSON = {
    "no json": b'{"steps": 3',
    "a list": b"[1]",
    "null": b"null",
    "lists in lists": b"[" * 100_000,
    "objects in objects": b'{"a":' * 100_000,
    "a number of 5000 digits": b'{"steps": 1' + b"0" * 5000 + b"}",
    "empty": b"",
}


def text_kinds(folder):
    kinds = {}
    for ending, texts in ((".toml", CONFIG_TEXTS), (".json", CONFIG_JSON)):
        for name, text in texts.items():
            file = folder / f"{len(kinds)}{ending}"
            file.write_bytes(text)
            kinds[f"{ending} {name}"] = lambda file=file: parse(config.read(file), TABLES)
    for name in ("missing.toml", "missing.json"):
        kinds[name] = partial(config.read, folder / name)
    return kinds


# Flags

WRONG_FLAGS = [
    ["--steps"],
    ["--steps", ""],
    ["--steps", "1e400"],
    ["--steps", "{"],
    ["--steps=nan"],
    ["--steps.x", "1"],
    ["--", "x"],
    ["-x"],
    ["--generators.7.count", "2"],
    ["--generators.count", "2"],
    ["--generators.0.network.widths", "[1,"],
    ["--generators.0.network", "[1]"],
    ["--pairing", "softmax", "--pairing.lam", "[]"],
    ["--pairing="],
    ["--pairing.name", "mean"],
    ["--data.modes", "true"],
    ["--distances", '["a", 1]'],
    ["--ema", "null"],
    ["--seed", "9" * 5000],
    ["words"],
]
WRONG_COMMANDS = [
    *([name] for name in ("resume", "select", "evaluate", "sample", "judge", "export", "report", "compare")),
    *([name, "no/run"] for name in ("resume", "select", "evaluate", "sample", "judge", "export", "report", "compare")),
    *([name, "no/run", "--flagg", "3"] for name in ("resume", "select", "evaluate", "sample", "judge", "report")),
    ["sample", "no/run", "--num", "x"],
    ["sample", "no/run", "--num", ""],
    ["sample", "no/run", "--seed", "nan"],
    ["sample", "no/run", "--truncation", "0"],
    ["sample", "no/run", "--truncation", "much"],
    ["sample", "no/run", "--out", ""],
    ["sample", "no/run", "--out", "."],
    ["sample", "no/run", "--budget", ".5"],
    ["sample", "no/run", "--interpolate", "1"],
    ["sample", "no/run", "--nearest", "-1"],
    ["evaluate", "no/run", "--repeats", "-1"],
    ["evaluate", "no/run", "--inception", "no/file"],
    ["evaluate", "--real", "no/a", "--fake", "no/b"],
    ["evaluate", "--real", "", "--fake", ""],
    ["evaluate", "--real", "no/a"],
    ["evaluate", "--real", "no/a", "--fake", "no/b", "--range", "1,0"],
    ["evaluate", "--real", "no/a", "--fake", "no/b", "--features", "x"],
    ["judge", "no/run", "--rule", "x"],
    ["judge", "no/run", "--input", "no/file"],
    ["export", "no/run", "--to", ""],
    ["data", "cats"],
    ["data", "npz", "--data-dir", "no/file"],
    ["train", "no.toml"],
    ["train", "--seeds", "a-b"],
    ["sweep", "--set", "x"],
    ["compare", "no/a", "no/b", "--over", "money"],
    ["plan", "--mesh", "member=x"],
]


def flag_kinds():
    return {f"flags {flags}": partial(parse, SMALL, TABLES, flags) for flags in WRONG_FLAGS}
