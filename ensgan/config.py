"""Configurations: TOML files and command-line overrides become one typed, strict, immutable tree.

A *plug* is named by a string or by a table with a `name`; its other keys are the arguments of the function behind the
name, so the function's signature and docstring are the schema and the help text. Nothing is ignored: unknown names list
the known ones, and unknown keys and wrong types are errors.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import tomllib
from argparse import ArgumentError
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser

from ensgan.types import InputError, unknown

Tables = Mapping[str, Mapping[str, Any]]
SIDES = ("generators", "discriminators")
# Arguments of plugs that the run itself supplies and no configuration: the sample's shape, the seed, the source and how
# many samples it has, and numbers of members.
SUPPLIED: set[int | str] = {"sample_shape", "seed", "samples", "source", "M", "N"}


@dataclass(frozen=True)
class Plug:
    """A function by its name, and its arguments."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GroupConfig:
    """Members of one network.

    Attributes:
        count: how many members.
        execute: how members run: batched, one after the other, convolutions as matrix products, or what is fast on this
            backend.
        remat: hold the activations of one member at a time, for a third more work; where memory is short.
        shared: parts of the network that all members have in common, by names of parameters, such as hidden.1 or last.
        latent: prior of the latents of generators.
        latent_scale: scale of the prior, one number or one per member.
    """

    count: int = 4
    execute: Literal["auto", "vmap", "unroll", "matmul"] = "auto"
    remat: bool = False
    shared: tuple[str, ...] = ()
    latent: Literal["normal", "uniform"] = "normal"
    latent_scale: float | tuple[float, ...] = 1.0
    network: Plug = Plug("mlp")
    optimizer: Plug = Plug("shared")


@dataclass(frozen=True)
class Config:
    """Settings of a run.

    Attributes:
        name: what the run is called; also the first part of its folder's name.
        seed: everything random follows from it: weights, noise, batches, and the four splits of the data.
        steps: updates of every generator.
        batch_size: samples per generator and step, and real samples per step.
        ema: decay of the exponential average of generators, in [0, 1).
        update: both sides at the same parameters, or discriminators first.
        n_critic: discriminator updates per step; more than 1 needs alternating updates.
        coverage: whether every discriminator sees every sample, samples are dealt out among discriminators, or each
            sees those of the opponents that the pairing names (ring, grid, random).
        log_every: steps between two records of the training metrics, which are means over them.
        eval_every: steps between two scores on held-out data, pictures and reports.
        checkpoint_every: steps between two checkpoints.
        keep: how many of the newest checkpoints are kept.
        held_out: largest number of held-out samples that scores and distances use.
        distances: distances of each generator and of their mixture to held-out reals (report split), taken with the
            scores: frechet, kid, mmd, precision, recall, density, coverage, sliced, wasserstein, sinkhorn, duplicates.
        features: what distances are taken in: the samples themselves, images at most 8 pixels wide and high; or the
            last hidden layer of a small classifier, which is trained on the data's labels before the run.
        tensorboard: also write TensorBoard events into the run folder (extra `tensorboard`).
        wandb: also log to Weights & Biases, under this project name (extra `wandb`); empty is off.
    """

    name: str = "run"
    seed: int = 0
    steps: int = 10_000
    batch_size: int = 64
    ema: float = 0.999
    update: Literal["simultaneous", "alternating"] = "simultaneous"
    n_critic: int = 1
    coverage: Literal["full", "split", "neighbours"] = "full"
    log_every: int = 100
    eval_every: int = 1000
    checkpoint_every: int = 1000
    keep: int = 3
    held_out: int = 1000
    distances: tuple[str, ...] = ("frechet", "kid", "mmd")
    features: Literal["identity", "classifier"] = "identity"
    tensorboard: bool = False
    wandb: str = ""
    data: Plug = Plug("digits")
    view: Plug = Plug("all")
    loss: Plug = Plug("relativistic")
    pairing: Plug = Plug("own_and_mean")
    penalty: Plug = Plug("none")
    augment: Plug = Plug("none")
    schedule: Plug = Plug("none")
    optimizer: Plug = Plug("adam")
    generators: tuple[GroupConfig, ...] = (GroupConfig(),)
    discriminators: tuple[GroupConfig, ...] = (GroupConfig(),)

    def __post_init__(self) -> None:
        """Refuses numbers that no run can have."""
        for key in ("steps", "log_every", "eval_every", "checkpoint_every", "keep", "held_out"):
            if getattr(self, key) < 1:
                raise InputError(f"{key} is {getattr(self, key)}; it must be at least 1")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed is {self.seed}; it must be at least 0 and below 2³²")
        if not self.name or self.name.startswith(".") or not self.name.isprintable() or {"/", "\\"} & set(self.name):
            raise InputError(f"name is {self.name!r}; it is part of a folder's name: use letters, digits, - and _")
        for k, group in enumerate(self.discriminators):
            for key in ("latent", "latent_scale"):
                if (value := getattr(group, key)) != getattr(GroupConfig, key):
                    where = f"discriminators.{k}.{key}"
                    raise InputError(f"{where} is {value!r}, but only generators have latents; leave it out")


def read(path: Path) -> dict[str, Any]:
    """The tree in a `.toml` or `.json` file.

    Raises:
        InputError: the file is missing, is not valid TOML or JSON, or holds no table.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the configuration {path}: {getattr(error, 'strerror', error)}") from error
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is not valid {path.suffix[1:].upper() or 'TOML'}: {error}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path} holds {json.dumps(tree)[:40]}; a configuration is an object of keys and values")
    return tree


def to_dict(config: Config) -> dict[str, Any]:
    """The configuration as plain data; `parse` of it gives the same configuration."""

    def plain(value: Any) -> Any:
        if isinstance(value, Plug):
            return {"name": value.name, **value.options}
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return [plain(item) for item in value] if isinstance(value, tuple | list) else value

    return plain(config)


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
    tree, argv = _normal(tree), list(argv)
    plugs: dict[str, Plug] = {}
    for path, kind, default in _plug_paths(tree):
        table = {**tables[kind], **({"shared": lambda: None} if path.endswith(".optimizer") else {})}
        plugs[path] = _chosen(tree, argv, path, kind, table, default)

    parser = ArgumentParser(prog=prog, exit_on_error=False, allow_abbrev=False, default_env=False, add_help=True)
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
    if name not in table:
        raise unknown("network" if kind in SIDES else kind, name, table)
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
            raise InputError(f"unknown configuration key {key!r}{_nearest(key, known)}")
    for key in sorted(heads):
        if found := [flag for flag in argv if flag == f"--{key}" or flag.startswith(f"--{key}=")]:
            below = sorted(other for other in known if other.startswith(f"{key}."))
            raise InputError(f"{found[0].partition('=')[0]} stands for several keys; set one of: {', '.join(below)}")
    for key in _flags(parser):
        if key in tree:
            raise InputError(f"{key!r} belongs on the command line, as --{key.replace('_', '-')}, and not in a file")
    # Files and command line go through one door, in order, so that both are checked alike.
    given = [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in _leaves(tree)]
    if {"-h", "--help"} & set(argv):
        parser.set_defaults(dict(_leaves(tree)))  # the help shows what this configuration has
    try:
        values = parser.parse_args([*given, *argv])
    except ArgumentError as error:
        text = " ".join(str(error).split())
        if text.startswith("unrecognized arguments: "):
            flag = text.removeprefix("unrecognized arguments: ").split()[0]
            raise InputError(f"unknown argument {flag}{_nearest(flag, options)}") from error
        if text.startswith("the following arguments are required: "):
            key = text.rpartition(" ")[2]
            raise InputError(
                f"--{key} is missing{' (or --data-dir)' if key == 'data.path' else ''}; it has no default"
            ) from error
        raise InputError(plain_type_error(text)) from error
    return values.as_dict()


def _flags(parser: ArgumentParser) -> set[str]:
    """Arguments of the command itself that take no value."""
    return {option[2:] for action in parser._actions if action.nargs == 0 for option in action.option_strings}


def plain_type_error(text: str) -> str:
    """The parser's complaint as `"steps": expected an int. Got value: x`, without its own words around it."""
    text = text.replace("Parser key ", "").replace("typing.", "").replace("<class '", "").replace("'>", "")
    union = re.match(r'(".*?"): Does not validate .* subtypes: \[(.*?)\] .*Given value: (.*)$', text, re.IGNORECASE)
    if union:
        text = f"{union[1]}: Expected {' or '.join(union[2].split(', ', 1))}. Got value: {union[3]}"
    nested = re.match(r'"(.*?)": .*NestedArg\(key=\'(.*?)\'', text)
    if nested:
        return f"unknown argument --{nested[1]}.{nested[2]}: what is chosen for {nested[1]} has no such option"
    text = text.replace(" or NoneType", "")
    text = text.replace('": Expected a int', '": expected an int').replace('": Expected', '": expected')
    return re.sub(r"expected an? (tuple|list)\b", """expected a list, such as '[1, 2]' or '["a", "b"]'""", text)


def _leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(tree, dict):
        return [(prefix, tree)]
    return [leaf for key, value in tree.items() for leaf in _leaves(value, f"{prefix}.{key}" if prefix else key)]


def _nearest(key: str, known: Any) -> str:
    parent, _, leaf = key.rpartition(".")
    siblings = sorted(k for k in known if k.rpartition(".")[0] == parent and k not in ("h", "-h"))
    if not parent or not siblings:
        close = difflib.get_close_matches(key, list(known), n=1, cutoff=0.6)
        return f"; did you mean {close[0]}?" if close else "; see --help"
    close = difflib.get_close_matches(leaf, [k.rpartition(".")[2] for k in siblings], n=1, cutoff=0.6)
    all_of_them = f"nown here: {', '.join(siblings)}"
    return f"; did you mean {parent}.{close[0]}? K{all_of_them}" if close else f"; k{all_of_them}"


def _build(values: dict[str, Any], plugs: Mapping[str, Plug], M_groups: int, N_groups: int) -> Config:
    def plug(path: str) -> Plug:
        return Plug(plugs[path].name, dict(_get(values, path) or {}))

    def build(cls: type, values: dict[str, Any], prefix: str, **more: Any) -> Any:
        plain = {f.name for f in dataclasses.fields(cls)} - _plug_fields(cls)
        named = {name: plug(f"{prefix}{name}") for name in _plug_fields(cls) - set(SIDES)}
        return cls(**{key: values[key] for key in plain}, **named, **more)

    groups = {
        side: tuple(build(GroupConfig, values[side][str(k)], f"{side}.{k}.") for k in range(count))
        for side, count in zip(SIDES, (M_groups, N_groups), strict=True)
    }
    return build(Config, values, "", **groups)
