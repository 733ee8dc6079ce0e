"""Flags come from signatures; help is short; and every flag that a text of the project names exists."""

import dataclasses
import inspect
import itertools
import re
import typing
from pathlib import Path

import pytest

import ensgan
from ensgan.cli import compiled
from ensgan.cli import main as cli
from ensgan.cli.distributed import Processes
from ensgan.runs.build import TABLES
from ensgan.runs.config import Config, GroupConfig

ROOT = Path(__file__).parents[2]
FILES = [*Path(ensgan.__file__).parent.rglob("*.py"), *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
# Flags of other programs that the documents show.
OTHERS = re.findall(
    r"\S+",
    """--nodes --time --signal --requeue --kill-on-bad-exit --job-name --zone --accelerator-type --version --worker
    --command --cpus-per-task --gpus-per-node --gpus-per-task --ntasks-per-node --check --xla-cpu-use-fusion-emitters
    --case --members --table --array --wrap""",
)
FILES = [path for path in FILES if path.parent.name != "reporting"]  # pages have properties of style with two hyphens


def bundled(factory):
    """The options of a factory that stand in a dictionary type behind `**`."""
    hints = [getattr(hint, "__args__", ()) for hint in typing.get_type_hints(factory).values()]
    return [
        name for (kind,) in (each for each in hints if len(each) == 1) for name in getattr(kind, "__annotations__", ())
    ]


def flags():
    """Every flag of every command, with hyphens; options of plugs by their last word."""
    found = {"--help", "--help-all", "--data-dir", "--key", "--flag", compiled.OFF}
    for name in (*cli.COMMANDS, *(form for forms in cli.FORMS.values() for form in forms)):
        function = getattr(__import__(f"ensgan.cli.{name}", fromlist=[name]), name)
        found |= {f"--{parameter.rstrip('_')}" for parameter in inspect.signature(function).parameters}
    fields = [field.name for kind in (Config, GroupConfig, Processes) for field in dataclasses.fields(kind)]
    found |= {f"--{field}" for field in fields}
    options = {
        option
        for table in TABLES.values()
        for factory in table.values()
        for option in [*inspect.signature(factory).parameters, *bundled(factory)]
    }
    return {flag.replace("_", "-") for flag in found}, {name.replace("_", "-") for name in [*options, *fields]}


def test_every_flag_that_a_text_names_exists():
    known, options = flags()
    wrong = []
    for path in FILES:
        for flag in re.findall(r"(?<![\w-])--[a-z][\w.-]*\w", path.read_text()):
            first, *rest = flag.replace("_", "-").split(".")
            inner = [word for word in rest if not word.isdecimal()]
            if first not in known | set(OTHERS) or not all(word in options or word == "network" for word in inner):
                wrong.append(f"{path.name}: {flag}")
    assert not wrong


@pytest.mark.parametrize("command", ["train", "plan"])
def test_help_is_what_a_beginner_needs_and_help_all_the_rest(command, capsys):
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    short = capsys.readouterr().out
    assert short.count("\n  --") <= 20
    assert "_" not in "".join(re.findall(r"--[\w.-]+", short))
    for text in ("--steps VALUE", "(default 6000)", "--data-dir DIR", f"ensgan {command} ring8", "--help-all"):
        assert text in short
    with pytest.raises(SystemExit):
        cli.main([command, "ring8", "--pairing", "softmax", "--help-all"])
    whole = capsys.readouterr().out
    assert whole.count("\n  --") > 50
    for text in (
        "--pairing.lam",
        "--optimizer.learning-rate",
        "--log-every",
        "decay of the exponential average",
        "ring8",
    ):
        assert text in whole


@pytest.mark.parametrize(("plug", "name"), [(plug, name) for plug in TABLES for name in TABLES[plug]])
def test_every_setting_of_every_plug_is_explained(plug, name, capsys):
    flag = f"--{plug}.0.network.name" if plug in ("generators", "discriminators") else f"--{plug}"
    with pytest.raises(SystemExit):
        cli.main(["train", "digits_heads", flag, name, "--help-all"])
    lines = capsys.readouterr().out.splitlines()
    for line, below in itertools.pairwise([*lines, ""]):
        if line.startswith("  --"):
            assert re.search(r"\S {2,}\S", line.strip()) or below.startswith(30 * " "), line
