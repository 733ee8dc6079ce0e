"""Configurations from files and flags, parsed into settings."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import json
import os
import re
import typing
from argparse import ArgumentError
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jsonargparse import ArgumentParser

from ensgan.runs.config import SIDES, Config, GroupConfig, Plug, placed
from ensgan.runs.help import nearest, plain_type_error, short_help, unknown_flag, whole_help
from ensgan.types import InputError, unknown

Tables = Mapping[str, Mapping[str, Any]]
# Arguments of plugs that the run itself supplies and no configuration: the sample's shape, the seed, the source and how
# many samples it has, and numbers of members.
SUPPLIED: set[int | str] = {"sample_shape", "seed", "samples", "source", "M", "N"}


def parse(
    tree: Mapping[str, Any], tables: Tables, argv: Sequence[str] = (), prog: str = "ensgan train", extra: Any = None
) -> tuple[Config, Any]:
    """One typed configuration from a tree and the overrides on a command line.

    Args:
        tree: nested mappings as TOML gives them.
        tables: for `data`, `view`, `loss`, `pairing`, `penalty`, `augment`, `schedule`, `optimizer`, `generators` and
            `discriminators` (networks) the functions by name. Networks are called with the sample's shape before their
            options.
        argv: `--key value` with dotted keys; `--pairing softmax --pairing.lam 2` in any order.
        prog: name of the command in help texts.
        extra: `extra(parser)` may add arguments of the command itself; their values come back second.

    Returns:
        The configuration, and the namespace of the extra arguments.

    Raises:
        InputError: an unknown key or name, or a value of the wrong type.
    """
    argv = list(argv)
    tree = _counted(_normal(tree), argv)
    plugs: dict[str, Plug] = {}
    for path, kind, default in _plug_paths(tree):
        table = {**tables[kind], **({"shared": lambda: None} if path.endswith(".optimizer") else {})}
        plugs[path] = _chosen(tree, argv, path, kind, table, default)

    parser = ArgumentParser(prog=prog, exit_on_error=False, allow_abbrev=False, default_env=False, add_help=False)
    if extra is not None:
        extra(parser)
    mine = {action.dest for action in parser._actions}
    _add(parser, Config, None, skip={*_plug_fields(Config)})
    for side in SIDES:
        for k in range(len(tree[side])):
            _add(parser, GroupConfig, f"{side}.{k}", skip={*_plug_fields(GroupConfig)})
    for path, kind, _ in _plug_paths(tree):
        table = tables[kind]
        factory = table.get(plugs[path].name, lambda: None)
        _add(parser, factory, path, skip=SUPPLIED)
        _describe(parser, path, plugs[path].name, table)

    heads = set(plugs) | {f"{side}.{k}" for side in SIDES for k in range(len(tree[side]))}
    values = _parse(parser, _without_names(tree, plugs), argv, heads)
    return _build(values, plugs, len(tree["generators"]), len(tree["discriminators"])), {
        key: values.get(key) for key in mine
    }


def _normal(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of groups as they come from TOML, with one default group where a side is not named."""
    out: dict[str, Any] = json.loads(json.dumps(tree, default=str))
    for side in SIDES:
        groups = out.get(side, [{}])
        groups = [groups] if isinstance(groups, dict) else groups
        if not isinstance(groups, list) or not groups or not all(isinstance(group, dict) for group in groups):
            raise InputError(f"{side} must be one table or a list of tables, [[{side}]], with at least one in it")
        out[side] = groups
    return out


def _counted(tree: dict[str, Any], argv: Sequence[str]) -> dict[str, Any]:
    """The tree with `batch_size`, or with `reals` and `fakes`, if flags override the other way to give the counts."""
    flags = {flag.partition("=")[0].replace("_", "-") for flag in argv if flag.startswith("--")}
    if "--batch-size" in flags:
        return {key: value for key, value in tree.items() if key not in ("reals", "fakes")}
    if flags & {"--reals", "--fakes"} and "batch_size" in tree:
        both = tree.pop("batch_size")
        return {"reals": both, "fakes": both, **tree}
    return tree


def _plug_fields(cls: type) -> set[str]:
    return {f.name for f in dataclasses.fields(cls) if isinstance(f.default, Plug)} | set(SIDES)


def _plug_paths(tree: Mapping[str, Any]) -> list[tuple[str, str, Plug]]:
    """Every place where a name stands for a function: its dotted path, the table of names, and the default."""
    paths = [(f.name, f.name, f.default) for f in dataclasses.fields(Config) if isinstance(f.default, Plug)]
    for side in SIDES:
        for k in range(len(tree[side])):
            paths.append((f"{side}.{k}.network", side, GroupConfig.network))
            paths.append((f"{side}.{k}.optimizer", "optimizer", GroupConfig.optimizer))
    return paths  # type: ignore[return-value]


def _get(tree: Any, path: str) -> Any:
    for key in path.split("."):
        if isinstance(tree, list):
            tree = tree[int(key)]
        else:
            tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _chosen(
    tree: Mapping[str, Any], argv: list[str], path: str, kind: str, table: Mapping[str, Any], default: Plug
) -> Plug:
    """The plug at `path`, its name taken out of `argv` if it is there, else from the tree, else the default."""
    given = _get(tree, path)
    if given is not None and not isinstance(given, str | dict):
        raise InputError(f"{path} is {given!r}; give a name, or a table with a name")
    given = {"name": given} if isinstance(given, str) else dict(given or {})
    name = given.pop("name", default.name)
    if not isinstance(name, str):
        raise InputError(f"{path}.name is {name!r}; give one of: {', '.join(sorted(table))}")
    flag, k = f"--{path}", 0
    while k < len(argv):  # in the order given, so that the last one counts
        if argv[k] == flag:
            if k + 1 == len(argv) or argv[k + 1].startswith("--"):
                raise InputError(f"{flag} needs a name; known: {', '.join(sorted(table))}")
            override = argv[k + 1]
            del argv[k : k + 2]
        elif argv[k].startswith(f"{flag}="):
            override = argv.pop(k).removeprefix(f"{flag}=")
        else:
            k += 1
            continue
        given = given if override == name else {}
        name = override
    name, colon, which = name.partition(":")  # medmnist:bloodmnist, or hf:FOLDER:SPLIT
    taken = inspect.signature(table[name]).parameters.get("which") if colon and name in table else None
    if taken is not None:
        given = {**given, **({"which": which} if taken.default else placed(which))}
    elif colon or name not in table:
        raise unknown("network" if kind in SIDES else kind, name + colon + which, table)
    return Plug(name, given)


def _add(parser: ArgumentParser, what: Callable[..., Any], path: str | None, skip: set[int | str]) -> None:
    add = parser.add_class_arguments if isinstance(what, type) else parser.add_function_arguments
    add(what, path, skip=skip, fail_untyped=False)


def _describe(parser: ArgumentParser, path: str, name: str, table: Mapping[str, Any]) -> None:
    """Says in the help what the bare flag of a plug takes; the parser itself never sees that flag."""
    text = f"which {path.split('.')[-1]}: {', '.join(sorted(table))} (here: {name})"
    for action in parser._actions:
        if action.option_strings == [f"--{path}"]:
            action.help, action.metavar = text, "NAME"
            return
    parser.add_argument(f"--{path}", help=text, metavar="NAME", type=str)


def _without_names(tree: Mapping[str, Any], plugs: Mapping[str, Plug]) -> dict[str, Any]:
    """The tree as the parser expects it: groups keyed by number, plugs by their options alone."""
    out = {key: value for key, value in tree.items() if key not in plugs and key not in SIDES}
    for side in SIDES:
        out[side] = {
            str(k): {key: value for key, value in group.items() if f"{side}.{k}.{key}" not in plugs}
            for k, group in enumerate(tree[side])
        }
    for path, plug in plugs.items():
        *parents, last = path.split(".")
        place = out
        for key in parents:
            place = place[key]
        if plug.options:
            place[last] = plug.options
    return out


def _parse(parser: ArgumentParser, tree: dict[str, Any], argv: Sequence[str], heads: set[str]) -> dict[str, Any]:
    options = [option for action in parser._actions for option in action.option_strings]
    known = {option[2:] for option in options}
    for key, _ in _leaves(tree):
        if key not in known and not any(key.startswith(f"{other}.") for other in known - heads):
            raise InputError(f"unknown configuration key {key!r}{nearest(key, known)}")
    for key in sorted(heads):
        if found := [flag for flag in argv if flag == f"--{key}" or flag.startswith(f"--{key}=")]:
            below = sorted(other for other in known if other.startswith(f"{key}."))
            raise InputError(f"{found[0].partition('=')[0]} stands for several keys; set one of: {', '.join(below)}")
    for key in _flags(parser):
        if key in tree:
            raise InputError(f"{key!r} belongs on the command line, as --{key.replace('_', '-')}, and not in a file")
    # Files and command line go through one door, in order, so that both are checked alike.
    given = [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in _leaves(tree)]
    if {"-h", "--help", "--help-all"} & set(argv):
        parser.set_defaults(dict(_leaves(tree)))  # the help shows what this configuration has
        print(whole_help(parser) if "--help-all" in argv else short_help(parser))
        raise SystemExit(0)
    try:
        values = parser.parse_args([*given, *_listed(parser, _with_values(parser, argv))])
    except ArgumentError as error:
        text = " ".join(str(error).split())
        if text.startswith("unrecognized arguments: "):
            flag = text.removeprefix("unrecognized arguments: ").split()[0]
            raise InputError(unknown_flag(flag, options, nearest(flag.partition("=")[0], options))) from error
        if text.startswith("the following arguments are required: "):
            key = text.rpartition(" ")[2]
            raise InputError(
                f"--{key} is missing{' (or --data-dir)' if key == 'data.path' else ''}; it has no default"
            ) from error
        raise InputError(plain_type_error(text)) from error
    return values.as_dict()


def _with_values(parser: ArgumentParser, argv: Sequence[str]) -> list[str]:
    """Flags and values that the parser would not put together: `--data.skip_broken` alone, and `--data.range -1,1`."""
    yes = {
        option
        for action in parser._actions
        if getattr(action, "_typehint", None) is bool
        for option in action.option_strings
    }
    out: list[str] = []
    for k, each in enumerate(argv):
        if each in yes and (k + 1 == len(argv) or argv[k + 1].startswith("--")):
            out.append(f"{each}=true")
        elif re.match(r"-([0-9.]|(inf|nan)\b)", each) and out and re.fullmatch("--[^=]+", out[-1]):
            out[-1] += f"={each}"
        else:
            out.append(each)
    return out


def _listed(parser: ArgumentParser, argv: Sequence[str]) -> list[str]:
    """The words behind a flag that takes a list become one word, as `--flag a b` for `--flag '["a", "b"]'`."""
    lists = {
        option: typing.get_args(hint)[0]
        for action in parser._actions
        for option in action.option_strings
        if typing.get_origin(hint := getattr(action, "_typehint", None)) is tuple
    }
    out: list[str] = []
    words = list(argv)
    while words:
        out.append(words.pop(0))
        if (kind := lists.get(out[-1])) is None or not words or words[0].startswith("["):
            continue
        found = [words.pop(0) for _ in itertools.takewhile(lambda word: not word.startswith("--"), list(words))]
        quoted = kind in (str, "str") or typing.get_origin(kind) is typing.Literal
        items = [word for each in found for word in (each.split(",") if not quoted else [each])]
        out.append(f"[{', '.join(json.dumps(item) if quoted else item for item in items)}]")
    return out


def _flags(parser: ArgumentParser) -> set[str]:
    """Arguments of the command itself that take no value."""
    return {option[2:] for action in parser._actions if action.nargs == 0 for option in action.option_strings}


def _leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(tree, dict):
        return [(prefix, tree)]
    return [leaf for key, value in tree.items() for leaf in _leaves(value, f"{prefix}.{key}" if prefix else key)]


def _at_home(value: Any) -> Any:
    """A path that begins with ~ as one in the user's home."""
    return os.path.expanduser(value) if isinstance(value, str) else value


def _build(values: dict[str, Any], plugs: Mapping[str, Plug], M_groups: int, N_groups: int) -> Config:
    def plug(path: str) -> Plug:
        options = dict(_get(values, path) or {})
        return Plug(plugs[path].name, {key: _at_home(value) for key, value in options.items()})

    def build(cls: type, values: dict[str, Any], prefix: str, **more: Any) -> Any:
        plain = {f.name for f in dataclasses.fields(cls)} - _plug_fields(cls)
        named = {name: plug(f"{prefix}{name}") for name in _plug_fields(cls) - set(SIDES)}
        return cls(**{key: values[key] for key in plain}, **named, **more)

    groups = {
        side: tuple(build(GroupConfig, values[side][str(k)], f"{side}.{k}.") for k in range(count))
        for side, count in zip(SIDES, (M_groups, N_groups), strict=True)
    }
    return build(Config, values, "", **groups)
