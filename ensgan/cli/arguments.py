"""Commands from typed functions: the signature and the docstring of a function are its flags and their help.

A parameter without a default is positional, every other one a flag. Flags have hyphens where parameters have
underscores, and both are understood. A parameter of type `Path` is the folder of a run, or of its copy where an address
is given. One of type `Config` stands for all settings of a run; one whose type is a dataclass stands for its fields.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import itertools
import json
import os
import re
from argparse import ArgumentError
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from jsonargparse import ArgumentParser

from ensgan.cli.places import place_of
from ensgan.data.stores import is_address
from ensgan.runs.build import TABLES
from ensgan.runs.config import Config, read
from ensgan.runs.help import command_help, hyphened, plain_type_error, unknown_flag
from ensgan.runs.parsing import Tables, parse
from ensgan.types import InputError

RENAMED = {
    "from": "from_",
    "input": "input_",
    "range": "range_",
    "set": "set_",
}  # words of Python
WRITTEN = ("out", "to")  # parameters that name files to write, which are always on this machine


def call(command: str, function: Callable[..., Any], argv: Sequence[str], configured: Any = None) -> Any:
    """Calls a command's function with what a command line says.

    Args:
        command: the name, for messages.
        function: typed, with a docstring.
        argv: its arguments.
        configured: `configured(name) -> path` finds a configuration, for functions that take a `Config`.

    Raises:
        InputError: an unknown flag, or a value of the wrong type.
        SystemExit: after the help was printed.
    """
    kinds = get_type_hints(function)
    flags = [flag(each, Config in kinds.values()) for each in with_lists(with_values(argv, function), function)]
    if Config in kinds.values():
        tables: Tables = inspect.getmodule(function).__dict__.get("TABLES", TABLES)  # type: ignore[union-attr]
        named = flags.pop(0) if flags and not flags[0].startswith("-") else None
        path: Path = configured(named)
        tree = {"name": path.stem, **read(path)}
        with naming(command):
            settings, found = parse(tree, tables, flags, f"ensgan {command}", lambda parser: add(parser, function))
        values = found | {name: settings for name, kind in kinds.items() if kind is Config}
    else:
        values = _parsed(command, function, flags)
    for name in WRITTEN:
        for place in str(values.get(name) or "").split(","):
            if is_address(place.strip()):
                raise InputError(
                    f"--{name} is {place.strip()}, an address, and files are written on this machine alone; give a "
                    f"path, such as --{name} results, and copy what is there"
                )
    with contextlib.ExitStack() as stack:
        made = {name: _made(kinds[name], name, values) for name in inspect.signature(function).parameters}
        for name in [name for name in made if kinds[name] is Path]:
            made[name] = stack.enter_context(place_of(made[name]))
        return function(**made)


def _parsed(command: str, function: Callable[..., Any], flags: list[str]) -> dict[str, Any]:
    summary = " ".join((inspect.getdoc(function) or "").partition("\n\nArgs:")[0].split())
    parser = ArgumentParser(prog=f"ensgan {command}", exit_on_error=False, allow_abbrev=False)
    add(parser, function)
    if {"-h", "--help"} & set(flags):
        print(command_help(parser, summary))
        raise SystemExit(0)
    if flags and not flags[0].strip():
        raise InputError(f"the run's folder is empty; see `ensgan {command} --help`")
    with naming(command):
        try:
            values = parser.parse_args(flags).as_dict()
        except ArgumentError as error:
            text = " ".join(str(error).split())
            if text.startswith("unrecognized arguments: "):
                wrong = text.removeprefix("unrecognized arguments: ").split()[0]
                known = [option for action in parser._actions for option in action.option_strings]
                raise InputError(unknown_flag(wrong, known)) from error
            required = re.match(r'Key "(\w+)" is required|the following arguments are required: (\w+)', text)
            if required:
                raise InputError(f"{(required[1] or required[2]).upper()} is missing") from error
            raise InputError(plain_type_error(text)) from error
    return values


@contextlib.contextmanager
def naming(command: str) -> Any:
    """Adds to a complaint about flags where they are explained."""
    try:
        yield
    except InputError as error:
        text = str(error)
        more = "" if "--help" in text or "known" in text or "; " in text else f"; see `ensgan {command} --help`"
        raise InputError(hyphened(text) + more) from error


def add(parser: ArgumentParser, function: Callable[..., Any]) -> None:
    """The flags of a function, and those of its dataclasses."""
    kinds = get_type_hints(function)
    records = [kind for kind in kinds.values() if dataclasses.is_dataclass(kind) and kind is not Config]
    skip: set[int | str] = {name for name, kind in kinds.items() if dataclasses.is_dataclass(kind)}
    parser.add_function_arguments(_texts(function), skip=skip, as_positional=True, fail_untyped=False)
    for kind in records:
        parser.add_class_arguments(kind, fail_untyped=False)  # type: ignore[arg-type]
    for kind in records:
        kinds |= get_type_hints(kind)
    for action in parser._actions:
        if kinds.get(action.dest) is bool:
            action.metavar = ""


def _texts(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same parameters with paths as texts, since the parser cannot read paths that are not UTF-8."""
    named = functools.wraps(function)(lambda *values, **more: function(*values, **more))
    named.__name__ = f"{function.__name__} itself"  # a group of flags, beside those of settings of the same name
    of = inspect.signature(function, eval_str=True).parameters.values()
    texts = [p.replace(annotation=str if p.annotation is Path else p.annotation) for p in of]
    named.__signature__ = inspect.Signature(texts)  # type: ignore[attr-defined]
    named.__annotations__ = {p.name: p.annotation for p in texts}
    return named


def with_values(argv: Sequence[str], function: Callable[..., Any]) -> list[str]:
    """The arguments, with a value for flags that stand for themselves: `--overwrite` is `--overwrite=true`."""
    kinds = dict(get_type_hints(function))
    for kind in list(kinds.values()):
        if dataclasses.is_dataclass(kind) and kind is not Config:
            kinds |= get_type_hints(kind)
    bare = {f"--{name}" for name, kind in kinds.items() if kind is bool}
    return [f"{each}=true" if each.replace("-", "_").replace("__", "--", 1) in bare else each for each in argv]


def with_lists(argv: Sequence[str], function: Callable[..., Any]) -> list[str]:
    """The arguments as the parser takes lists: the first words as one, and each `--set` added to those before it."""
    parameters, kinds = inspect.signature(function).parameters, get_type_hints(function)
    listed = {name: parameters[name] for name, kind in kinds.items() if kind in (list[str], list[str] | None)}
    out, words = list(argv), list(itertools.takewhile(lambda each: not each.startswith("-"), argv))
    if words and any(each.default is inspect.Parameter.empty for each in listed.values()):
        out = [json.dumps(words), *out[len(words) :]]
    for name in listed:
        key = f"--{name.rstrip('_')}"
        out = [f"--{name}+{each[len(key) :]}" if each.partition("=")[0] == key else each for each in out]
    return out


def flag(argument: str, configures: bool) -> str:
    """`--batch-size` is `--batch_size`, and where a command `configures` a run, `--data-dir` is `--data.path`."""
    key, equals, value = argument.partition("=")
    if not key.startswith("--") or key == "--help-all":
        return argument
    name = key[2:].replace("-", "_")
    return f"--{'data.path' if name == 'data_dir' and configures else RENAMED.get(name, name)}{equals}{value}"


def _made(kind: Any, name: str, values: dict[str, Any]) -> Any:
    """The value of a parameter; a text that begins with ~ is a path in the user's home."""
    if dataclasses.is_dataclass(kind) and kind is not Config:
        return kind(**{field.name: values[field.name] for field in dataclasses.fields(kind)})  # type: ignore[operator]
    value = values[name]
    return os.path.expanduser(value) if isinstance(value, str) else value
