"""The cache of compiled programs: the same results from it, and no failure because of it."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from ensgan.cli import compiled
from ensgan.cli import main as cli
from ensgan.runs.restore import load_run, restore

TINY = """
steps = 4
batch_size = 8
eval_every = 4
held_out = 32
distances = []
data = "ring"
generators = {count = 2, network = {name = "mlp", latent = 2, widths = [8]}}
discriminators = {count = 2, network = {name = "mlp", widths = [8]}}
"""


@pytest.fixture
def config(monkeypatch, tmp_path):
    """What `use` sets, in place of JAX's own settings."""
    found = {}
    for name in compiled.OWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(jax.config, "update", found.__setitem__)
    monkeypatch.setattr(compiled.warnings, "showwarning", compiled.warnings.showwarning)
    return found


def folder_of(config):
    return Path(config["jax_compilation_cache_dir"])


def test_programs_are_kept_in_the_users_folder_by_kind_of_machine(config, tmp_path):
    assert compiled.use(["train", "--steps", "3"]) == ["train", "--steps", "3"]
    assert folder_of(config).is_dir()
    assert folder_of(config).parent == tmp_path / "home" / "ensgan" / "compiled"


@pytest.mark.parametrize("name", compiled.OWN)
def test_settings_of_jax_win(name, config, monkeypatch):
    monkeypatch.setenv(name, "false")
    assert compiled.use(["train"]) == ["train"]
    assert config == {}


def test_it_can_be_turned_off(config, capsys):
    assert compiled.use(["sample", "--no-compile-cache", "RUN"]) == ["sample", "RUN"]
    assert config == {}
    assert cli.main(["sample", "nowhere", "--no-compile-cache"]) == 2
    assert "no run at nowhere" in capsys.readouterr().err
    cli.main(["--help"])
    assert "--no-compile-cache compiles everything again" in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["file", "closed"])
def test_a_folder_that_cannot_be_used_is_noted(fault, config, tmp_path, monkeypatch, capsys):
    if fault == "file":
        (tmp_path / "home").write_text("")
    else:
        monkeypatch.setattr(compiled.os, "access", lambda path, mode: False)
    assert compiled.use(["train"]) == ["train"]
    assert config == {}
    assert "note: programs are compiled again each time, since" in capsys.readouterr().err


def test_broken_entries_are_noted_once(config, capsys, monkeypatch):
    others = []
    monkeypatch.setattr(compiled.warnings, "showwarning", lambda message, *where: others.append(message))
    compiled.use([])
    for name in ("jit_f-1-cache", "jit_f-1-atime", "jit_g-1-cache"):
        (folder_of(config) / name).write_text("")
    for text in ("Error reading persistent compilation cache entry for 'jit_f'",) * 2 + ("another matter",):
        compiled.warnings.showwarning(text, UserWarning, "a.py", 1)
    assert capsys.readouterr().err.count("cannot be read or written, and is compiled again") == 1
    assert others == ["another matter"]
    assert [file.name for file in folder_of(config).iterdir()] == ["jit_g-1-cache"]


def test_what_was_not_used_for_longest_goes(config, monkeypatch):
    compiled.use([])
    for k in range(4):
        file = folder_of(config) / f"{k}-cache"
        file.write_bytes(b"0" * 100)
        os.utime(file, (1000 + k, 1000 + k))
    os.utime(folder_of(config) / "0-cache", (5000, 1000))  # it was read
    monkeypatch.setattr(compiled, "MOST", 250)
    compiled.use([])
    assert sorted(file.name for file in folder_of(config).iterdir()) == ["0-cache", "3-cache"]


@pytest.mark.slow
def test_results_are_the_same_with_and_without_it_and_from_a_broken_one(tmp_path):
    """The same program as a user gets: in processes of its own, without the settings of tests."""
    (tmp_path / "tiny.toml").write_text(TINY)
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_"))}
    plain |= {"JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(tmp_path / "home")}

    def ran(*argv):
        command = [sys.executable, "-m", "ensgan.cli", *argv]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=plain)
        assert done.returncode == 0, done.stderr
        return done.stderr

    kept = lambda: sorted((tmp_path / "home").rglob("*-cache"))
    ran("train", "tiny.toml", "--run-dir", "off", "--no-compile-cache")
    assert not kept()
    ran("train", "tiny.toml", "--run-dir", "cold")
    entries = kept()
    assert entries
    ran("train", "tiny.toml", "--run-dir", "warm")
    assert kept() == entries  # all were found
    for entry in entries:
        entry.write_bytes(entry.read_bytes()[:20])
    assert ran("train", "tiny.toml", "--run-dir", "broken").count("is compiled again") == 1
    ran("resume", "warm", "--steps", "6")
    ran("resume", "off", "--steps", "6", "--no-compile-cache")
    states = {name: final(tmp_path / name) for name in ("off", "cold", "warm", "broken")}
    for one, other in (("cold", "broken"), ("off", "warm")):
        jax.tree.map(np.testing.assert_array_equal, states[one], states[other])


def final(directory):
    state = restore(directory, load_run(directory))[2]
    return jax.tree.map(np.asarray, state._replace(key=jax.random.key_data(state.key)))
