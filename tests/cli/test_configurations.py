"""Configurations by name, and the user's own files."""

from pathlib import Path

import pytest

from ensgan.cli.configurations import DEFAULT, file_of, shipped
from ensgan.types import InputError


def test_what_ships_is_found_by_name():
    assert DEFAULT in shipped()
    assert file_of(None) == shipped()[DEFAULT] == file_of(DEFAULT)
    assert all(
        path.is_file() and path.suffix == ".toml" for path in [*shipped().values(), *shipped("methods").values()]
    )
    name = next(iter(shipped("methods")))
    assert name.startswith("methods/")
    assert file_of(name) == shipped("methods")[name]
    assert not set(shipped()) & set(shipped("methods"))


def test_a_file_of_the_user_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / DEFAULT).write_text("steps = 1")  # without an ending, and called as one that ships
    assert file_of(DEFAULT) == Path(DEFAULT)
    (tmp_path / "a.toml").write_text("")
    assert file_of("a.toml") == Path("a.toml")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert file_of("~/a.toml") == tmp_path / "a.toml"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("none.toml", "there is no configuration none.toml; give a .toml file, or one of: .*digits_heads"),
        ("none", "unknown configuration 'none'; known: .*digits_heads.*methods/NAME of `ensgan methods`"),
        ("methods/none", "unknown configuration 'methods/none'; known: methods/"),
        ("", "unknown configuration ''"),
    ],
)
def test_what_is_not_there_names_what_is(name, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=text):
        file_of(name)
