"""Help texts and complaints about flags, with hyphens as a user types them."""

from __future__ import annotations

import argparse
import difflib
import re
import textwrap
import typing
from collections.abc import Iterable
from typing import Any

WIDTH = 118
# Settings whose value is a name, which has options of its own.
CHOSEN = {"data", "view", "loss", "pairing", "penalty", "augment", "schedule", "optimizer", "network"}
BEGINNER = {  # what `--help` shows of the many settings, by their destinations, under these headings
    "the run": (
        "steps",
        "seed",
        "seeds",
        "set_",
        "search",
        "trials",
        "goal",
        "run_dir",
        "overwrite",
        "mesh",
        "distributed",
        "topology",
        "json",
    ),
    "the data": ("data", "data.path", "reals", "fakes"),
    "the game": (
        "generators.0.count",
        "discriminators.0.count",
        "generators.0.network",
        "discriminators.0.network",
        "pairing",
        "loss",
        "penalty",
        "optimizer.learning_rate",
    ),
}
ELSEWHERE = {  # flags of other tools, and what they are called here; which of them depends on the command
    "lr": ("--optimizer.learning-rate",),
    "learning-rate": ("--optimizer.learning-rate",),
    "epoch": ("--steps",),
    "epochs": ("--steps",),
    "iterations": ("--steps",),
    "batch": ("--batch-size",),
    "out": ("--run-dir", "--to"),
    "outdir": ("--run-dir", "--out", "--to"),
    "output": ("--run-dir", "--out", "--to"),
    "output-dir": ("--run-dir", "--out", "--to"),
    "logdir": ("--run-dir",),
    "gpu": ("--mesh",),
    "gpus": ("--mesh",),
    "devices": ("--mesh",),
    "dataset": ("--data",),
    "size": ("--data.size",),
    "image-size": ("--data.size", "--size"),
    "model": ("--generators.0.network",),
    "num-samples": ("--num",),
    "resume": ("`ensgan resume RUN`",),
    "checkpoint": ("`ensgan resume RUN`",),
}
CLOSE = 0.8  # how alike a flag must be to be suggested: `stepz` is to `steps`, `epoch` is not to `mesh`


def hyphened(text: str) -> str:
    """The text with hyphens in its flags, and without the underscore that a word of Python has at its end."""
    one = lambda match: re.sub(r"-$", "", match[0].replace("_", "-"))
    return re.sub(r"(?<![\w-])--[a-z][\w.-]*", one, text)


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most likely meant, if one is close enough; hyphens and underscores are alike."""
    plain = {name.lstrip("-").replace("-", "_"): name for name in known}
    word = word.lstrip("-").replace("-", "_")
    meant = [other.rpartition(".")[2].lstrip("-").replace("-", "_") for other in ELSEWHERE.get(word, ())]
    begun = [name for name in plain if name in meant or word.startswith(f"{name}_")]  # wandb_project is wandb
    close = begun or difflib.get_close_matches(word, list(plain), n=1, cutoff=CLOSE)
    return plain[close[0]] if close else None


def nearest(key: str, known: Any) -> str:
    """What to say of an unknown key: the one that may be meant, and those beside it."""
    parent, _, leaf = key.rpartition(".")
    siblings = sorted(k for k in known if k.rpartition(".")[0] == parent and k not in ("h", "-h"))
    if not parent or not siblings:
        close = closest(key, known)
        return f"; did you mean {close}?" if close else "; see --help"
    close = closest(leaf, [k.rpartition(".")[2] for k in siblings])
    all_of_them = f"nown here: {', '.join(siblings)}"
    return f"; did you mean {parent}.{close}? K{all_of_them}" if close else f"; k{all_of_them}"


def unknown_flag(wrong: str, known: Iterable[str], nearest: str | None = None) -> str:
    """Says of a flag that there is no such one, and which is meant."""
    known = list(known)
    word = wrong.lstrip("-").partition("=")[0].replace("_", "-")
    shown = hyphened(wrong.partition("=")[0])
    there = {f"--{name.lstrip('-')}".replace("_", "-") for name in known}
    for other in ELSEWHERE.get(word, ()):
        if other in there or other.startswith("`"):
            return f"unknown argument {shown}; use {other}"
    if re.fullmatch("-[a-zA-Z]+", shown):
        return f"unknown argument {shown}; flags are whole words behind two hyphens, such as --seed 1; see --help"
    if nearest is None:
        close = closest(word, known)
        nearest = f"; did you mean --{close.lstrip('-')}?" if close else "; see --help"
    return hyphened(f"unknown argument {shown}{nearest}")


def short_help(parser: Any) -> str:
    """The flags that a beginner needs, a line or two each."""
    actions = {action.dest: action for action in parser._actions}
    command = parser.prog.rpartition(" ")[2]
    lines = [f"usage: {parser.prog} [CONFIG] [--flag value ...]", ""]
    lines += ["CONFIG is a .toml file or a name such as ring8; digits_heads is the default. Flags change its settings."]
    for heading, names in BEGINNER.items():
        rows = [_row(actions[name], brief=True) for name in names if name in actions]
        if heading == "the data":
            rows.insert(1, ("--data-dir DIR", "where the files are, for data that come as files"))
        lines += ["", heading, *(line for flag, text in rows for line in _wrapped(flag, _in_one_line(text)))]
    lines += ["", "for example"]
    varied = " --set pairing.lam=1,2 --seeds 0-4" if "set_" in actions else " --pairing.lam 2"
    lines += [f"  {parser.prog} ring8 --steps 2000 --pairing softmax{varied}"]
    if "set_" not in actions:
        lines += [f"  {parser.prog} mnist_4x4 --data-dir DIR --generators.0.count 8 --discriminators.0.count 8"]
    lines += ["", f"`ensgan {command} --help-all` lists all flags, with the options of what is chosen here."]
    return hyphened("\n".join(lines))


def whole_help(parser: Any) -> str:
    """All flags, by group."""
    return hyphened("\n".join([f"usage: {parser.prog} [CONFIG] [--flag value ...]", *_groups(parser)]))


def command_help(parser: Any, summary: str) -> str:
    """The help of a command with few flags."""
    wanted = [action.dest.upper() for action in parser._actions if not action.option_strings]
    usage = " ".join(["usage:", parser.prog, *wanted, "[--flag value ...]"])
    return hyphened("\n".join([usage, "", *textwrap.wrap(summary, WIDTH), *_groups(parser, titles=False)]))


def _groups(parser: Any, titles: bool = True) -> list[str]:
    lines = []
    for group in parser._action_groups:
        # A flag that stands for a group of others has no value of its own, and no type.
        own = lambda each: each.default is not argparse.SUPPRESS or getattr(each, "_typehint", None) is not None
        shown = [each for each in group._group_actions if each.dest != "help" and own(each)]
        rows = [_row(action) for action in shown]
        if rows:
            title = [(group.title or "").rstrip(":.")] if titles else []
            lines += ["", *title, *(line for row in rows for line in _wrapped(*row))]
    return lines


def _wrapped(flag: str, text: str) -> list[str]:
    first, *rest = textwrap.wrap(text, WIDTH - 36) or [""]
    head = [f"  {flag:<32}  {first}".rstrip()] if len(flag) <= 32 else [f"  {flag}", f"{'':36}{first}"]
    return [*head, *(f"{'':36}{line}" for line in rest)]


def _in_one_line(text: str) -> str:
    """A text cut to one line, with the default that it ends in."""
    default = match[0] if (match := re.search(r" \(default [^)]*\)$", text)) else ""
    room = WIDTH - 36 - len(default)
    text = text.removesuffix(default)
    if len(text) > room:
        text = text[: room - 2].rpartition(" ")[0].rstrip(",") + " …"
    return text + default


def _row(action: Any, brief: bool = False) -> tuple[str, str]:
    """A flag with its value, and what its help says, the default last."""
    if not action.option_strings:
        name = action.dest.upper()
    else:
        name = f"{action.option_strings[0].removesuffix('_')} {_value(action)}".rstrip()
    text = " ".join((action.help or "").replace("%%", "%").split()).rstrip(".")
    here = re.search(r" \(here: (.*?)\)", text)
    text = text.replace(here[0], "") if here else text
    text = re.split(r"; |\. ", text)[0] if brief else text
    default = here[1] if here else action.default
    plain = isinstance(default, str | int | float) and not isinstance(default, bool) and default != ""
    plain = plain and default != "==SUPPRESS=="  # of options without a default of their own
    if not plain or "default" in text or not action.option_strings:
        return name, text
    return name, f"{text} (default {default})"


def _value(action: Any) -> str:
    """The value of a flag as the help shows it: its choices, or a word for it; nothing where the flag says it all."""
    hint = getattr(action, "_typehint", None)
    if action.metavar == "" or hint is bool:
        return ""
    if typing.get_origin(hint) is typing.Literal:
        return "|".join(map(str, typing.get_args(hint)))
    return "NAME" if action.metavar == "NAME" else "VALUE"


def plain_type_error(text: str) -> str:
    """The parser's complaint as `--steps: expected an int. Got value: x`, without its own words around it."""
    text = text.replace("Parser key ", "").replace("typing.", "").replace("<class '", "").replace("'>", "")
    union = re.match(r'(".*?"): Does not validate .* subtypes: \[(.*?)\] .*Given value: ?(.*)$', text, re.IGNORECASE)
    if union:
        text = f"{union[1]}: Expected {' or '.join(union[2].split(', ', 1))}. Got value: {union[3]}"
    nested = re.match(r'"(.*?)": .*NestedArg\(key=\'(.*?)\'', text)
    if nested:
        what = f"{'the chosen ' * (nested[1].rpartition('.')[2] in CHOSEN)}{nested[1]}"
        return f"unknown argument --{nested[1]}.{nested[2]}: {what} has no such option"
    text = re.sub(r"Expected an? Literal\[(.*?)\]", lambda found: f"Expected one of {found[1]}".replace("'", ""), text)
    text = re.sub(r"(Got value: .{80}).+$", r"\1...", text)
    text = re.sub(r'^"([\w.]+)":', r"--\1:", text.replace(" or NoneType", ""))
    text = text.replace(": Expected a int", ": expected an int").replace(": Expected", ": expected")
    text = re.sub(r"expected a float\b|expected float\b(?! or)", "expected a finite number", text)
    text = text.replace("expected float or tuple[float, ...]", "expected a finite number, or a list of them")
    return re.sub(r"expected an? (tuple|list)\b", """expected a list, such as '[1, 2]' or '["a", "b"]'""", text)
