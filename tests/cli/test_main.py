"""The command itself: its help, and what it says when the machine gives out."""

import jax
import pytest

from ensgan.cli import main as cli


def test_too_little_memory_is_one_line(monkeypatch, capsys):
    def full(argv):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 68719476736 bytes")

    monkeypatch.setitem(cli.COMMANDS, "methods", full)
    assert cli.main(["methods"]) == 2
    assert capsys.readouterr().err == "ensgan: out of memory; lower --batch-size or the number of members, or --num\n"
    monkeypatch.setitem(cli.COMMANDS, "methods", lambda argv: 1 // 0)
    with pytest.raises(ZeroDivisionError):  # what is our fault is not hidden
        cli.main(["methods"])


COMMANDS = ["train", "resume", "select", "evaluate", "sample", "judge", "export", "report", "plan"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([command, "--help"])
    assert stopped.value.code == 0
    assert f"ensgan {command}" in capsys.readouterr().out


def test_version_and_usage(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("ensgan ")
    assert cli.main(["--help"]) == 0
    assert "digits_4x4" in capsys.readouterr().out
