"""Configurations as data: files that hold them, numbers that no run can have, and the way back to plain data."""

import json
import typing

import pytest

from ensgan.game import population
from ensgan.game.checks import UPDATES
from ensgan.game.coverage import COVERAGES
from ensgan.runs import config
from ensgan.runs.build import TABLES
from ensgan.runs.config import Config, GroupConfig, Plug, placed, to_dict
from ensgan.runs.parsing import parse
from ensgan.types import InputError


def test_a_mark_at_the_beginning_of_a_file_is_read_over(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfsteps = 20\n")
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"steps": 20}')
    assert config.read(tmp_path / "a.toml") == config.read(tmp_path / "a.json") == {"steps": 20}


def test_files(tmp_path):
    toml = tmp_path / "a.toml"
    toml.write_text('steps = 7\n[pairing]\nname = "softmax"\nlam = 2\n[[generators]]\ncount = 3\n')
    settings = parse(config.read(toml), TABLES)[0]
    assert (settings.steps, settings.pairing.options["lam"], settings.generators[0].count) == (7, 2.0, 3)
    toml.write_text("steps = \n")
    with pytest.raises(InputError, match="is not valid TOML"):
        config.read(toml)
    bad = tmp_path / "a.json"
    bad.write_text("{")
    with pytest.raises(InputError, match="is not valid JSON"):
        config.read(bad)
    with pytest.raises(InputError, match="cannot read the configuration"):
        config.read(tmp_path / "none.toml")


def test_what_a_configuration_may_say_is_what_the_library_knows():
    allowed = lambda cls, key: set(typing.get_args(typing.get_type_hints(cls)[key]))
    assert allowed(config.Config, "coverage") == set(COVERAGES)
    assert allowed(config.Config, "update") == set(UPDATES)
    assert allowed(config.GroupConfig, "execute") == set(population.EXECUTE)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"steps": 0}, r"^steps is 0; it must be at least 1, or 0 with init_from"),
        ({"steps": -1}, r"^steps is -1; it must be at least 1$"),
        ({"steps": -1, "init_from": ("a",)}, "steps is -1"),
        *(({key: 0}, f"{key} is 0; it must be at least 1") for key in ("log_every", "eval_every", "checkpoint_every")),
        *(({key: 0}, f"{key} is 0; it must be at least 1") for key in ("keep", "held_out")),
        *(({key: -1}, f"{key} is -1; it must be at least 0") for key in ("max_healings", "heal_collapsed", "profile")),
        *(({key: -1}, f"{key} is -1; it must be at least 0") for key in ("keep_every", "patience")),
        ({"seed": -1}, "seed is -1"),
        *(({"name": name}, "it is part of a folder's name") for name in ("", ".x", "a/b", "a\\b", "a\nb")),
        (
            {"discriminators": (GroupConfig(latent="uniform"),)},
            "discriminators.0.latent is 'uniform', but only generators",
        ),
        (
            {"generators": (GroupConfig(), GroupConfig(pack=2))},
            "generators.1.pack is 2, but only discriminators have it",
        ),
    ],
    ids=str,
)
def test_numbers_that_no_run_can_have_are_refused(change, text):
    with pytest.raises(InputError, match=text):
        Config(**change)


def test_a_run_of_other_runs_members_may_have_no_steps():
    assert Config(steps=0, init_from=("a",)).steps == 0


def test_what_stands_behind_the_name_of_data_is_a_place_if_it_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:b").mkdir()
    (tmp_path / "file.zip").write_bytes(b"")
    assert placed("a:b") == {"path": "a:b", "which": ""}
    assert placed("a:b:part") == {"path": "a:b", "which": "part"}
    assert placed("file.zip:part") == {"path": "file.zip", "which": "part"}
    assert placed("other:part") == {"which": "other:part"}
    monkeypatch.setenv("HOME", str(tmp_path))
    assert placed("~/file.zip") == {"path": "~/file.zip", "which": ""}


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.json", "[1, 2]", r"a\.json holds \[1, 2\]; a configuration is an object of keys and values"),
        ("a.json", '{"a": ' * 60 + "1" + "}" * 60, "nests its values 60 levels deep"),
        ("a.json", "[" * 10**5, "nests its values too deeply"),
        ("a.toml", b"a = \xff", "cannot read the configuration"),
        ("a.toml", "a = " + "1" * 5000, r"a\.toml is not valid TOML"),
        ("a", "=", "is not valid TOML"),
        ("a.toml", '{"steps": 20}', "it looks like JSON, so give it a name that ends in .json"),
        ("a.json", '{"a": 1, "crc32": "00000000"}', r"a\.json is damaged: it is not what was written"),
    ],
)
def test_files_that_are_no_configuration_are_named(tmp_path, name, content, text):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=text):
        config.read(tmp_path / name)
    (tmp_path / "deep.json").write_text('{"a": ' * 50 + "1" + "}" * 50)
    assert len(config.read(tmp_path / "deep.json")) == 1


def test_plain_data_hold_names_beside_options():
    tree = to_dict(Config(loss=Plug("mgan", {"alpha": 0.5, "more": [1, 2]}), init_from=("a", "b")))
    assert tree["loss"] == {"name": "mgan", "alpha": 0.5, "more": [1, 2]}
    assert tree["init_from"] == ["a", "b"]
    assert tree["generators"][0]["network"] == {"name": "mlp"}
    assert json.loads(json.dumps(tree)) == tree


def test_a_configuration_in_another_encoding(tmp_path):
    (tmp_path / "a.toml").write_bytes("steps = 3".encode("utf-16"))
    with pytest.raises(InputError, match=r"cannot read the configuration .*; save it as UTF-8$"):
        config.read(tmp_path / "a.toml")
