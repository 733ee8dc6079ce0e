"""Malformed input of some hundred kinds: nothing but `InputError` comes out of what reads it, and never a traceback.

A *kind* is a name and a call. Kinds that are certainly wrong must be refused; damaged files may be read where the
damage does not matter.
"""

import warnings
from dataclasses import fields
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wrong_files import FORMATS, POINTS, X, array_kinds, damage_kinds, folder_kinds, numbered, table_kinds, written
from wrong_settings import (
    CONFIG_JSON,
    SMALL,
    TEXTS,
    WRONG_COMMANDS,
    WRONG_IN_GROUP,
    WRONG_KEYS,
    built,
    config_kinds,
    flag_kinds,
    text_kinds,
)

from ensgan import data, metrics, networks, optim, penalties
from ensgan.cli import main as cli
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.runs import config
from ensgan.runs.config import Config, GroupConfig
from ensgan.types import InputError


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
    group = {"count": 0, "execute": "quickly", "shared": ("nothing",), "accumulate": 0}
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
    """Each of these once ended in a traceback, or ended the process."""
    good = written(np.save, X)
    file = partial(numbered, tmp_path)
    kinds = {
        "the head of an array is no Python": partial(data.npz, file("a.npy", good.replace(b"{'descr'", b"(('descr'"))),
        "labels of 1e30 in a table": partial(data.table, file("a.csv", b"a,label\n" + b"1,1e30\n" * 20)),
        "lists in lists": partial(config.read, file("a.json", CONFIG_JSON["lists in lists"])),
        "a long number": partial(config.read, file("a.json", CONFIG_JSON["a number of 5000 digits"])),
        "a file without a name in a zip": partial(data.folder, file("a.zip", FORMATS["zip"][0].replace(b"0/", b"\0/"))),
        "texts that begin beyond the end of their column": partial(
            FORMATS["arrow"][1],
            tmp_path,
            FORMATS["arrow"][0].replace(np.arange(8, dtype="<i4").tobytes(), np.full(8, 2**30, "<i4").tobytes()),
        ),
        "a column whose name is no UTF-8": partial(
            data.table, file("a.parquet", FORMATS["parquet"][0].replace(b"label", b"\xddabel"))
        ),
        "too many classes": partial(networks.mlp, 2, (4,), 2, classes=10**30),
        "a width of 0": partial(networks.GENERATORS["r3gan"], (32, 32, 3), width=0),
        "no channels": partial(networks.GENERATORS["dcgan"], (32, 32, 3), width=0),
        "rows of different lengths": partial(data.from_arrays, "a", [[1, 2], [3]]),
        "distances as texts": partial(metrics.copying, np.array(["a"] * 30), np.arange(30.0)),
    }
    assert_proper(kinds, must=True)
