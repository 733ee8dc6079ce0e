"""Malformed input of some hundred kinds: nothing but `InputError` comes out of what reads it, and never a traceback.

A *kind* is a name and a call. Kinds that are certainly wrong must be refused; damaged files may be read where the
damage does not matter.
"""

import gzip
import io
import itertools
import json
import random
import tarfile
import warnings
import zipfile
from dataclasses import fields
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ensgan import data, metrics, networks, optim, penalties
from ensgan.cli import main as cli
from ensgan.evaluation import inception
from ensgan.evaluation.files import read_samples
from ensgan.evaluation.torch_files import read_tensors
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.reporting import read_metrics
from ensgan.runs import config
from ensgan.runs.build import TABLES, build_game
from ensgan.runs.config import Config, GroupConfig
from ensgan.runs.export import check_target
from ensgan.runs.parsing import parse
from ensgan.types import InputError

SMALL = {
    "data": "ring",
    "generators": {"count": 2, "network": {"name": "mlp", "widths": [4], "latent": 2}},
    "discriminators": {"count": 2, "network": {"name": "mlp", "widths": [4]}},
}
X = np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8)
Y = (np.arange(40) % 3).astype(np.uint8)
POINTS = np.random.default_rng(1).normal(size=(30, 2)).astype(np.float32)
SEEDS = 3  # random damages of each file


def tried(call, *, must):
    """What is wrong with what a call does; empty if it is refused properly, or not wrong and read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            call()
    except InputError as error:
        return "" if str(error).strip() else "an empty message"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "nothing was refused" if must else ""


def assert_proper(kinds, *, must):
    wrong = {name: problem for name, call in kinds.items() if (problem := tried(call, must=must))}
    assert not wrong, "\n".join(f"{name}: {problem}" for name, problem in wrong.items())


# Configurations

WRONG_KEYS = {
    **dict.fromkeys(("steps", "seed", "reals", "fakes", "batch_size", "log_every", "held_out", "keep"), "many"),
    **dict.fromkeys(("eval_every", "checkpoint_every", "max_healings", "heal_collapsed", "patience", "profile"), -1),
    **dict.fromkeys(("compare", "update", "on_failure", "coverage", "features", "n_critic", "ema"), "sometimes"),
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
TEXTS = ("classes", "best", "wandb")  # any text will do here; other checks follow when a run begins
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


# Files of data


def idx_bytes(x):
    return bytes([0, 0, 8, x.ndim]) + b"".join(int(size).to_bytes(4, "big") for size in x.shape) + x.tobytes()


def written(save, *args, **more):
    file = io.BytesIO()
    save(file, *args, **more)
    return file.getvalue()


def picture(pixels, kind="PNG"):
    return written(Image.fromarray(pixels).save, kind)


PICTURES = {f"{k % 2}/{k:02}.png": picture(X[k]) for k in range(20)}


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(files, mode):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def parquet(**columns):
    import pyarrow as pa
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(pa.table(columns), out)
    return out.getvalue()


def numbered(folder, name, content):
    """A file of this name in a folder of its own."""
    place = folder / str(sum(1 for _ in folder.iterdir()))
    file = place / name
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return file


def in_folder(folder, files):
    place = folder / str(sum(1 for _ in folder.iterdir()))
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


FORMATS = {  # the content of a good file, and what reads a file with such content from a folder
    "idx images": (
        idx_bytes(X),
        lambda at, b: data.mnist(
            in_folder(at, {"train-images-idx3-ubyte": b, "train-labels-idx1-ubyte": idx_bytes(Y)})
        ),
    ),
    "idx labels": (
        idx_bytes(Y),
        lambda at, b: data.mnist(
            in_folder(at, {"train-images-idx3-ubyte": idx_bytes(X), "train-labels-idx1-ubyte": b})
        ),
    ),
    "idx gz": (
        gzip.compress(idx_bytes(X), mtime=0),
        lambda at, b: data.mnist(
            in_folder(at, {"train-images-idx3-ubyte.gz": b, "train-labels-idx1-ubyte.gz": gzip.compress(idx_bytes(Y))})
        ),
    ),
    "npz": (written(np.savez, x=X, y=Y), lambda at, b: data.npz(numbered(at, "a.npz", b))),
    "npy": (written(np.save, X), lambda at, b: data.npz(numbered(at, "a.npy", b))),
    "npz samples": (written(np.savez, x=X), lambda at, b: read_samples(numbered(at, "a.npz", b))),
    "npy samples": (written(np.save, X), lambda at, b: read_samples(numbered(at, "a.npy", b))),
    "zip": (zipped(PICTURES), lambda at, b: data.folder(numbered(at, "a.zip", b))),
    "tar": (tarred(PICTURES, "w"), lambda at, b: data.folder(numbered(at, "a.tar", b))),
    "tar.gz": (tarred(PICTURES, "w:gz"), lambda at, b: data.folder(numbered(at, "a.tar.gz", b))),
    "tar.xz": (tarred(PICTURES, "w:xz"), lambda at, b: data.folder(numbered(at, "a.tar.xz", b))),
    "csv": (b"a,b,label\n" + b"1,2,c\n2,3,d\n" * 20, lambda at, b: data.table(numbered(at, "a.csv", b))),
    "parquet": (
        parquet(a=[*range(40)], b=[1.5] * 40, label=["x", "y"] * 20),
        lambda at, b: data.table(numbered(at, "a.parquet", b)),
    ),
    "dataset.json": (
        json.dumps({"labels": [[name, int(name[0])] for name in PICTURES]}).encode(),
        lambda at, b: data.folder(in_folder(at, {**PICTURES, "dataset.json": b})),
    ),
    "torch": (
        zipped({"archive/data.pkl": b"\x80\x02}q\x00.", "archive/data/0": b"1234"}),
        lambda at, b: read_tensors(numbered(at, "w.pt", b)),
    ),
    "inception": (zipped({"archive/data.pkl": b"\x80\x02}q\x00."}), lambda at, b: inception.load(numbered(at, "w", b))),
    "metrics": (b'{"kind":"train","step":1}\n' * 3, lambda at, b: read_metrics(numbered(at, "m.jsonl", b))),
    "toml": (b"steps = 3\n[data]\nname = 'ring'\n", lambda at, b: config.read(numbered(at, "a.toml", b))),
    **{
        f"image {kind}": (
            picture(np.stack([X[0]] * 3, -1), kind),
            lambda at, b, end=end: data.folder(in_folder(at, {**PICTURES, f"0/zz.{end}": b}), size=4),
        )
        for kind, end in (("PNG", "png"), ("JPEG", "jpg"), ("BMP", "bmp"), ("WEBP", "webp"))
    },
}


def damaged(content, seed):
    """A few bytes of a file changed, more often near its beginning."""
    rng, found = random.Random(seed), bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        found[rng.randrange(min(len(found), rng.choice([16, 64, 10**9])))] = rng.randrange(256)
    return bytes(found)


def damage_kinds(folder):
    kinds = {}
    for name, (content, read) in FORMATS.items():
        variants = {
            "empty": b"",
            "of one byte": content[:1],
            "cut in the head": content[:12],
            "cut in the middle": content[: len(content) // 2],
            "without its last byte": content[:-1],
            "of zeros": bytes(len(content)),
            "of text": b"hello\n" * 20,
            **{f"damaged {seed}": damaged(content, seed) for seed in range(SEEDS)},
        }
        for what, wrong in variants.items():
            kinds[f"{name} {what}"] = partial(read, folder, wrong)
    return kinds


ARRAYS = {
    "scalars": np.zeros(40),
    "complex": np.zeros((40, 2), complex),
    "bools": np.zeros((40, 2), bool),
    "texts": np.array(["a"] * 40),
    "dates": np.zeros((40, 2), "M8[s]"),
    "no numbers": np.zeros((40, 0)),
    "no samples": np.zeros((0, 4)),
    "five axes": np.zeros((40, 1, 1, 1, 1)),
    "records": np.zeros((40, 2), [("a", "f4")]),
    "NaN": np.full((40, 2), np.nan),
    "too large": np.full((40, 2), 1e300),
    "integers": np.zeros((40, 2), np.int64),
    "seven channels": np.zeros((40, 4, 4, 7), np.uint8),
    "three samples": np.zeros((3, 2)),
    "one number": np.float32(3),
}
LABELS = {
    "halves": Y + 0.5,
    "two columns": np.zeros((40, 2)),
    "too few": Y[:5],
    "one number": np.float32(1),
    "complex": np.zeros(40, complex),
    "NaN": np.full(40, np.nan),
    "dates": np.zeros(40, "M8[s]"),
    "records": np.zeros(40, [("a", "f4")]),
}


def array_kinds(folder):
    kinds = {f"npz of {name}": partial(_npz, folder, x=x) for name, x in ARRAYS.items()}
    kinds |= {f"from_arrays of {name}": partial(data.from_arrays, "a", x) for name, x in ARRAYS.items()}
    kinds |= {f"npz with labels of {name}": partial(_npz, folder, x=X, y=y) for name, y in LABELS.items()}
    kinds |= {f"from_arrays with labels of {name}": partial(data.from_arrays, "a", X, y) for name, y in LABELS.items()}
    kinds["from_arrays of rows of different lengths"] = partial(data.from_arrays, "a", [[1, 2], [3]])
    kinds["from_arrays with labels of different lengths"] = partial(data.from_arrays, "a", X, [[1, 2], [3]])
    return kinds


def _npz(folder, **arrays):
    data.npz(numbered(folder, "a.npz", written(np.savez, **arrays)))


TABLE_TEXTS = {
    "names alone": b"a,b\n",
    "empty lines": b"\n\n",
    "two columns of one name": b"a,a\n" + b"1,2\n" * 20,
    "a short row": b"a,b\n1\n",
    "no text": b"\xff\xfe\x00",
    "missing cells": b"a,b\n" + b"1,\n1,2\n" * 20,
    "infinite cells": b"a,b\n" + b"nan,inf\n" * 20,
    "labels that are too large": b"a,label\n" + b"1,1e30\n" * 20,
    "labels that are halves": b"a,label\n" + b"1,1.5\n" * 20,
    "labels alone": b"label\n" + b"1\n" * 20,
    "three rows": b"a,b\n" + b"1,2\n" * 3,
    "texts alone": b"a,b\n" + b"x,y\n" * 20,
}
TABLE_OPTIONS = {"y": "zz", "columns": ("zz",)}


def table_kinds(folder):
    kinds = {f"table of {n}": partial(data.table, numbered(folder, "a.csv", text)) for n, text in TABLE_TEXTS.items()}
    good = numbered(folder, "a.csv", b"a,b\n" + b"1,2\n" * 20)
    for name, value in TABLE_OPTIONS.items():
        kinds[f"table with {name} = {value}"] = partial(data.table, good, **{name: value})
    columns = {
        "nothing": [None] * 40,
        "lists": [[1, 2]] * 40,
        "bytes": [b"xx"] * 40,
        "no images": [{"bytes": b"xx"}] * 40,
        "gaps": [1, None] * 20,
        "a broken image": [picture(X[0])] * 39 + [b"bad"],
        "images of two sizes": [picture(X[0])] * 20 + [picture(X[0][:3])] * 20,
    }
    for name, column in columns.items():
        file = numbered(folder, "a.parquet", parquet(a=column))
        kinds[f"parquet of {name}"] = partial(data.table, file)
    return kinds


def folder_kinds(folder):
    notes = [{"labels": {"a": 1}}, {"labels": [1]}, {"labels": [["a"]]}, {"labels": [["0/00.png", [1]]]}]
    kinds = {
        f"dataset.json {note}": partial(
            data.folder, in_folder(folder, {**PICTURES, "dataset.json": json.dumps(note).encode()})
        )
        for note in notes
    }
    stranger = in_folder(folder, {"thesis.txt": b"years of work"})
    broken = in_folder(folder, {"export.json": b"{"})
    return {
        **kinds,
        "no folder": partial(data.folder, folder / "missing"),
        "an empty folder": partial(data.folder, in_folder(folder, {"a.txt": b""})),
        "a file that is no image": partial(data.folder, in_folder(folder, {**PICTURES, "0/zz.png": b"text"})),
        "a size of 0": partial(data.folder, in_folder(folder, PICTURES), size=0),
        "a path out of a zip": partial(data.folder, numbered(folder, "a.zip", zipped({"../a.png": picture(X[0])}))),
        "an absolute path in a tar": partial(
            data.folder, numbered(folder, "a.tar", tarred({"/a.png": picture(X[0])}, "w"))
        ),
        "an export into a folder of others": partial(check_target, stranger, True),
        "an export over a broken one": partial(check_target, broken, False),
        "an export into a file": partial(check_target, stranger / "thesis.txt", True),
    }


# Public functions

SAMPLES = {
    "one axis": POINTS[:, 0],
    "no axis": np.float64(1),
    "none": POINTS[:0],
    "three axes": np.zeros((3, 2, 2)),
    "another width": np.zeros((30, 3)),
    "texts": np.array([["a", "b"]] * 30),
    "objects": np.array([[None, 1]] * 30),
    "complex": np.zeros((30, 2), complex),
}
PAIRS = ("neighbours", "kid", "sliced_wasserstein", "wasserstein", "sinkhorn")


def metric_kinds():
    kinds = {}
    for name, x in SAMPLES.items():
        for metric in PAIRS:
            kinds[f"{metric} of fakes: {name}"] = partial(getattr(metrics, metric), POINTS, x)
        if name != "another width":
            kinds[f"moments of {name}"] = partial(metrics.moments, x)
            kinds[f"duplicates of {name}"] = partial(metrics.duplicates, x, 0.1)
            kinds[f"inception_score of {name}"] = partial(metrics.inception_score, x)
            kinds[f"class_scores of {name}"] = partial(metrics.class_scores, x, np.ones(3) / 3)
        if name != "one axis":
            kinds[f"copying of {name}"] = partial(metrics.copying, x, np.arange(30.0))
        kinds[f"mode_scores of {name}"] = partial(metrics.mode_scores, x, POINTS[:3], 0.1)
    kinds["class_scores of labels below 0"] = partial(metrics.class_scores, np.array([-1, 2]), np.ones(3) / 3)
    kinds["class_scores of labels above K"] = partial(metrics.class_scores, np.array([0, 3]), np.ones(3) / 3)
    for name in ("one axis", "none", "another width"):
        kinds[f"coverage of {name}"] = partial(metrics.coverage, POINTS, SAMPLES[name])
    return kinds


def game_kinds():
    net, critic = networks.mlp(2, (4,), 2), networks.mlp(2, (4,), 1)
    sides = {"generators": [Group(net, 2)], "discriminators": [Group(critic, 2)]}
    wrong = {
        "generators": [],
        "discriminators": [Group(networks.mlp(3, (4,), 1), 1)],
        "ema": 1.5,
        "reals": -1,
        "fakes": -1,
        "compare": "most",
        "update": "never",
        "n_critic": 0,
        "coverage": "half",
        "batch_size": -2,
    }
    kinds = {f"Game({key}={value!r})": partial(Game, **{**sides, key: value}) for key, value in wrong.items()}
    group = {"count": 0, "execute": "quickly", "shared": ("nothing",)}
    for key, value in group.items():
        kinds[f"Group({key}={value!r})"] = partial(Group, **{"network": net, "count": 2, key: value})
    return {
        **kinds,
        "adam(-1)": partial(optim.adam, -1.0),
        "adam(nan)": partial(optim.adam, float("nan")),
        "r1(-1)": partial(penalties.r1, -1.0),
        "mlp of no numbers": partial(networks.mlp, 0, (4,), 1),
        "mlp with too many classes": partial(networks.mlp, 2, (4,), 2, classes=2**31),
        "ring of no modes": partial(data.gaussian_ring, modes=0),
        "split of 3": partial(data.split_indices, 3),
        "fractions": partial(data.split_indices, 100, 0, (1, 0, 0, 0)),
        "seed": partial(data.split_indices, 100, -1),
        "an unknown split": partial(data.gaussian_ring().held_out, "test", 8),
        "no held-out samples": partial(data.gaussian_ring().held_out, "report", 0),
    }


def test_there_are_kinds_enough(tmp_path):
    families = [
        config_kinds(),
        text_kinds(tmp_path),
        flag_kinds(),
        damage_kinds(tmp_path),
        array_kinds(tmp_path),
        table_kinds(tmp_path),
        folder_kinds(tmp_path),
        metric_kinds(),
        game_kinds(),
    ]
    assert sum(map(len, families)) + len(WRONG_COMMANDS) > 500
    assert {f.name for f in fields(Config)} <= {*WRONG_KEYS, *TEXTS}
    assert {f.name for f in fields(GroupConfig)} <= set(WRONG_IN_GROUP)


@pytest.mark.parametrize("family", [text_kinds, array_kinds, table_kinds, folder_kinds])
def test_wrong_files_are_refused(tmp_path, family):
    assert_proper(family(tmp_path), must=True)


def test_damaged_files_are_read_or_refused(tmp_path):
    assert_proper(damage_kinds(tmp_path), must=False)


@pytest.mark.parametrize("family", [flag_kinds, metric_kinds, game_kinds])
def test_wrong_values_are_refused(family):
    assert_proper(family(), must=True)


def test_wrong_configurations_are_refused():
    assert_proper(config_kinds(), must=True)


def test_wrong_commands_end_in_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    wrong = {}
    for argv in WRONG_COMMANDS:
        code, err = cli.main(argv), capsys.readouterr().err
        if code != 2 or not err.startswith("ensgan: ") or len(err.splitlines()) > 3:
            wrong[" ".join(argv)] = (code, err)
    assert not wrong
    assert not any(tmp_path.iterdir())


# What nobody thought of

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10),
    st.sampled_from([10**30, -(10**30), 2**31, 2**63]),
    st.floats(width=32),
    st.text(max_size=6),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)
PATHS = st.one_of(
    st.sampled_from([f.name for f in fields(Config)]).map(lambda name: (name,)),
    st.tuples(
        st.sampled_from(["generators", "discriminators"]),
        st.sampled_from([f.name for f in fields(GroupConfig) if f.name != "count"]),
    ),
    st.tuples(st.sampled_from(["pairing", "loss", "penalty", "augment", "optimizer"]), st.sampled_from(["name", "x"])),
)
CALM = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


def changed(tree, path, value):
    if len(path) == 1:
        return {**tree, path[0]: value}
    inside = tree.get(path[0], {})
    return {**tree, path[0]: {**(inside if isinstance(inside, dict) else {}), path[1]: value}}


def check_configuration(path, value):
    assert not tried(lambda: built(changed(SMALL, path, value)), must=False)


def check_damage(folder, name, begin, cut, more):
    content, read = FORMATS[name]
    at = begin % len(content)
    assert not tried(lambda: read(folder, content[:at] + more + content[at + cut :]), must=False)


DAMAGE = (st.sampled_from(sorted(FORMATS)), st.integers(0, 2**16), st.integers(0, 8), st.binary(max_size=8))


@settings(max_examples=25, **CALM)
@given(PATHS, VALUES)
def test_any_value_of_a_setting_is_taken_or_refused(path, value):
    check_configuration(path, value)


@pytest.mark.slow
@settings(max_examples=400, **CALM)
@given(PATHS, VALUES)
def test_many_values_of_settings_are_taken_or_refused(path, value):
    check_configuration(path, value)


@settings(max_examples=100, **CALM)
@given(*DAMAGE)
def test_any_damage_is_read_or_refused(tmp_path_factory, name, begin, cut, more):
    check_damage(tmp_path_factory.mktemp("any"), name, begin, cut, more)


@pytest.mark.slow
@settings(max_examples=1500, **CALM)
@given(*DAMAGE)
def test_much_damage_is_read_or_refused(tmp_path_factory, name, begin, cut, more):
    check_damage(tmp_path_factory.mktemp("much"), name, begin, cut, more)


def test_what_was_found_stays_refused(tmp_path):
    """Each of these once ended in a traceback."""
    good = written(np.save, X)
    file = partial(numbered, tmp_path)
    kinds = {
        "the head of an array is no Python": partial(data.npz, file("a.npy", good.replace(b"{'descr'", b"(('descr'"))),
        "labels of 1e30 in a table": partial(data.table, file("a.csv", b"a,label\n" + b"1,1e30\n" * 20)),
        "lists in lists": partial(config.read, file("a.json", CONFIG_JSON["lists in lists"])),
        "a long number": partial(config.read, file("a.json", CONFIG_JSON["a number of 5000 digits"])),
        "too many classes": partial(networks.mlp, 2, (4,), 2, classes=10**30),
        "a width of 0": partial(networks.GENERATORS["r3gan"], (32, 32, 3), width=0),
        "no channels": partial(networks.GENERATORS["dcgan"], (32, 32, 3), width=0),
        "rows of different lengths": partial(data.from_arrays, "a", [[1, 2], [3]]),
        "distances as texts": partial(metrics.copying, np.array(["a"] * 30), np.arange(30.0)),
    }
    assert_proper(kinds, must=True)
