"""Help texts and complaints about flags: hyphens, the flag that is meant, and one line for a beginner."""

import argparse
import re

import pytest

from ensgan.runs.help import (
    closest,
    command_help,
    hyphened,
    nearest,
    plain_type_error,
    short_help,
    unknown_flag,
    whole_help,
)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("--lr", "use --optimizer.learning-rate"),
        ("--resume", "use `ensgan resume RUN`"),
        ("--epochs=3", "use --steps"),
        ("--batch_sise", "did you mean --batch-size?"),
        ("--nonsense", "see --help"),
        ("--epoch", "use --steps"),
        ("--wandb-project", "did you mean --wandb?"),
        ("--gpus", "see --help"),  # the flag that is meant is none of this command
        ("--n", "see --help"),
        ("--num", "see --help"),
        ("--bs", "see --help"),
        ("--save", "see --help"),
        ("--workers", "see --help"),
        ("--losss", "did you mean --loss?"),
    ],
)
def test_an_unknown_flag_is_answered_by_the_one_that_is_meant(wrong, right):
    known = ["--steps", "--batch_size", "--loss", "--ema", "--optimizer.learning_rate", "--name", "--seed", "--wandb"]
    text = unknown_flag(wrong, [*known, "--view"])
    assert text.startswith(f"unknown argument {wrong.partition('=')[0].replace('_', '-')}")
    assert right in text


def test_hyphens_are_for_flags_alone():
    assert hyphened("--batch_size is own_and_mean; --from_ x") == "--batch-size is own_and_mean; --from x"


def test_words_that_are_alike_are_suggested_and_others_are_not():
    known = ["--steps", "--batch_size", "--mesh", "--wandb"]
    assert closest("stepz", known) == "--steps"
    assert closest("batch-size", known) == "--batch_size"
    assert closest("epochs", known) == "--steps"  # as other tools call it
    assert closest("wandb_project", known) == "--wandb"
    assert closest("epoch_length", known) is None
    assert closest("", known) is None


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("pairing.lamb", "; did you mean pairing.lam? Known here: pairing.lam, pairing.own"),
        ("pairing.nonsense", "; known here: pairing.lam, pairing.own"),
        ("stepz", "; did you mean steps?"),
        ("nonsense", "; see --help"),
        ("elsewhere.lam", "; see --help"),
    ],
)
def test_unknown_keys_are_answered_with_those_beside_them(key, text):
    assert nearest(key, ["steps", "pairing.own", "pairing.lam", "h", "-h"]) == text


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("Parser key \"steps\": Expected a <class 'int'>. Got value: x", "--steps: expected an int. Got value: x"),
        (
            'Parser key "a.b": Does not validate against any of the Union subtypes: [float, tuple[float, ...]] more '
            "Given value: x",
            "--a.b: expected a finite number, or a list of them. Got value: x",
        ),
        ("\"loss\": NestedArg(key='beta', val=1)", "unknown argument --loss.beta: the chosen loss has no such option"),
        ("\"steps\": NestedArg(key='a', val=1)", "unknown argument --steps.a: steps has no such option"),
        ('"x": Expected a float. Got value: nan', "--x: expected a finite number. Got value: nan"),
        ("\"x\": Expected a Literal['auto', 'no']. Got value: a", "--x: expected one of auto, no. Got value: a"),
        (
            '"x": Does not validate against any of the Union subtypes Subtypes: [int, NoneType] Errors: - Expected a '
            "int - Expected a NoneType Given value type: str Given value:",
            "--x: expected int. Got value:",
        ),
        (
            '"x": Expected a str or NoneType. Got value: ' + "y" * 100,
            "--x: expected a str. Got value: " + "y" * 80 + "...",
        ),
        (
            '"x": Expected a list. Got value: 1',
            """--x: expected a list, such as '[1, 2]' or '["a", "b"]'. Got value: 1""",
        ),
    ],
)
def test_complaints_of_the_parser_lose_its_own_words(said, plain):
    assert plain_type_error(said).startswith(plain)


@pytest.fixture
def parser():
    """A command with a flag of every kind."""
    made = argparse.ArgumentParser("ensgan thing")
    made.add_argument("run", help="the run's folder")
    made.add_argument("--steps", type=int, default=7, help="updates of every generator; more text. And more")
    made.add_argument("--batch_size", type=int, default=3, metavar="NAME", help="how many (here: 12)")
    made.add_argument("--set_", default="", help="a 100%% long text " + "word " * 40)
    group = made.add_argument_group("others:")
    group.add_argument("--seed", default=0, help="a seed (default: 5)")
    group.add_argument("--hidden", default=argparse.SUPPRESS, help="stands for others")
    return made


def test_the_help_of_a_command_has_each_flag_with_its_default(parser):
    text = command_help(parser, "Do a thing.")
    assert text.splitlines()[:3] == ["usage: ensgan thing RUN [--flag value ...]", "", "Do a thing."]
    assert re.search(r"\n  --steps VALUE +updates of every generator; more text\. And more \(default 7\)\n", text)
    assert re.search(r"\n  --batch-size NAME +how many \(default 12\)\n", text)
    assert re.search(r"\n  --seed VALUE +a seed \(default: 5\)", text)  # which the text says itself
    assert "hidden" not in text
    assert "100% long" in text
    assert max(map(len, text.splitlines())) <= 118
    whole = whole_help(parser)
    assert "\nothers\n" in whole
    assert "  --seed VALUE" in whole


def test_the_short_help_has_one_line_for_each_flag_that_a_beginner_needs(parser):
    text = short_help(parser)
    (steps,) = (line for line in text.splitlines() if line.startswith("  --steps "))
    assert re.fullmatch(r"  --steps VALUE +updates of every generator \(default 7\)", steps)
    (varied,) = (line for line in text.splitlines() if line.startswith("  --set "))
    assert varied.endswith("…")
    assert "--batch-size" not in text
    assert "--set pairing.lam=1,2 --seeds 0-4" in text  # the example of a command that takes several settings
    assert "`ensgan thing --help-all` lists all flags" in text


def test_columns_are_aligned_for_names_that_python_reserves():
    """A parameter `from_` is the flag `--from`."""
    plain = argparse.ArgumentParser(prog="x")
    plain.add_argument("--from_", help="one")
    plain.add_argument("--long_", help="two")
    lines = [line for line in command_help(plain, "Words.").splitlines() if line.startswith("  --")]
    assert [line.index(word) for line, word in zip(lines, ("one", "two"), strict=True)] == [36, 36]
