"""Configurations: TOML files and command-line overrides become one typed, strict, immutable tree.

A *plug* is named by a string or by a table with a `name`; its other keys are the arguments of the function behind the
name, so the function's signature and docstring are the schema and the help text. Nothing is ignored: unknown names list
the known ones, and unknown keys and wrong types are errors.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ensgan.data.checks import check_seed
from ensgan.reporting.files import believed
from ensgan.types import InputError

SIDES = ("generators", "discriminators")
DEEPEST = 50  # levels of a file


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
        remat: hold the activations of one member at a time; where memory is short. For a third more work, except for
            discriminators whose weights do not follow losses (mean, own_and_mean, ring, dropout and the like).
        shared: parts of the network that all members have in common, by names of parameters, such as hidden.1 or last;
            trunk stands for all stages but the last.
        pack: number of samples that a discriminator judges together, all of one generator (PacGAN).
        latent: prior of the latents of generators.
        latent_scale: scale of the prior, one number or one per member.
    """

    count: int = 4
    execute: Literal["auto", "vmap", "unroll", "matmul"] = "auto"
    remat: bool = False
    shared: tuple[str, ...] = ()
    pack: int = 1
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
        reals: real samples per discriminator and step.
        fakes: samples per generator and step; 0 chooses reals / M if members are parts of one mixture or heads of one
            trunk, and as many as reals otherwise.
        batch_size: short for reals and fakes of this number; 0 leaves these as they are.
        accumulate: number of portions in which the samples of a step pass through the networks, one after the other, so
            that the activations of one portion are in memory; for a third more work, or a half with penalties. Updates
            are those of all samples together, up to rounding.
        compare: the reals that each fake meets in relativistic losses: one, or all; auto chooses one if there are as
            many fakes of a generator as reals, and all otherwise.
        init_from: folders of runs whose members give their weights to those of this run, in order, and from the first
            again where there are fewer; RUN:member:I takes one pair, RUN:step:N a checkpoint that is not the newest.
        ema: decay of the exponential average of generators, in [0, 1).
        ema_half_life: in place of `ema`, the number of reals after which a weight counts half in the average; 0 is off.
        ema_start: the half-life at the first step, from where a cosine leads to `ema_half_life`.
        ema_horizon: number of steps until then.
        update: both sides at the same parameters, or discriminators first.
        n_critic: discriminator updates per step; more than 1 needs alternating updates.
        on_failure: what happens when a member stops being finite: heal gives it good weights (its own or a copy of the
            best), a new optimiser and smaller steps, and stop ends the run; auto heals on a side of four or more
            members, unless there is a schedule, which may replace members itself.
        max_healings: how often a member is healed before it rests as a copy of the best.
        dtype: of the computations of all networks whose own dtype is float32; bfloat16 is for accelerators. Weights,
            optimisers, losses and averages stay in float32.
        heal_collapsed: number of scores in a row after which a member that is finite and dead is healed as well:
            outputs that are all alike, an AUC of exactly 1/2 or 1 against all, or weights that do not change; 0 is off.
        coverage: whether every discriminator sees every sample, samples are dealt out among discriminators, or each
            sees those of the opponents that the pairing names (ring, grid, random).
        log_every: steps between two records of the training metrics, which are means over them.
        eval_every: steps between two scores on held-out data, pictures and reports.
        checkpoint_every: steps between two checkpoints.
        profile: number of steps after compiling, at most up to the next record, of which a trace for XProf or Perfetto
            is written into the run's folder `profile`; 0 is none.
        keep: how many of the newest checkpoints are kept.
        keep_every: also keep the checkpoints at multiples of this number of steps; 0 is off.
        best: also keep the checkpoint with the best score of the mixture by this metric, one of the distances or, of
            Gaussian mixtures, modes, hq or kl; commands find it by --from-step best.
        patience: end the run after so many scores without a better one by `best`; 0 is off.
        held_out: largest number of held-out samples that scores and distances use.
        distances: distances of each generator and of their mixture to held-out reals (report split), taken with the
            scores: frechet, kid, mmd, precision, recall, density, coverage, sliced, wasserstein, sinkhorn, duplicates.
        features: what distances are taken in: the samples themselves, images at most 8 pixels wide and high; or the
            last hidden layer of a small classifier, which is trained on the data's labels before the run.
        classes: law of the labels of conditional generators, wherever samples are drawn: training (the frequencies of
            the training data), uniform, or one weight per class, such as 0.2,0.8.
        tensorboard: also write TensorBoard events into the run folder (extra `tensorboard`).
        wandb: also log to Weights & Biases, under this project name (extra `wandb`); empty is off.
        trackio: also log to trackio on this machine, under this project name (extra `trackio`); empty is off.
    """

    name: str = "run"
    seed: int = 0
    steps: int = 10_000
    reals: int = 64
    fakes: int = 0
    batch_size: int = 0
    accumulate: int = 1
    compare: Literal["auto", "one", "all"] = "auto"
    init_from: tuple[str, ...] = ()
    ema: float = 0.999
    ema_half_life: float = 0.0
    ema_start: float = 0.0
    ema_horizon: int = 0
    update: Literal["simultaneous", "alternating"] = "simultaneous"
    n_critic: int = 1
    on_failure: Literal["auto", "heal", "stop"] = "auto"
    max_healings: int = 3
    dtype: Literal["float32", "bfloat16"] = "float32"
    heal_collapsed: int = 0
    coverage: Literal["full", "split", "neighbours"] = "full"
    log_every: int = 100
    eval_every: int = 1000
    checkpoint_every: int = 1000
    profile: int = 0
    keep: int = 3
    keep_every: int = 0
    best: str = ""
    patience: int = 0
    held_out: int = 1000
    distances: tuple[str, ...] = ("frechet", "kid", "mmd")
    features: Literal["identity", "classifier"] = "identity"
    classes: str = "training"
    tensorboard: bool = False
    wandb: str = ""
    trackio: str = ""
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
        if self.steps < (0 if self.init_from else 1):
            least = "at least 1, or 0 with init_from, to score what other runs trained"
            raise InputError(f"steps is {self.steps}; it must be {least if self.steps == 0 else 'at least 1'}")
        for key in ("log_every", "eval_every", "checkpoint_every", "keep", "held_out"):
            if getattr(self, key) < 1:
                raise InputError(f"{key} is {getattr(self, key)}; it must be at least 1")
        for key in ("max_healings", "heal_collapsed", "profile", "keep_every", "patience"):
            if getattr(self, key) < 0:
                raise InputError(f"{key} is {getattr(self, key)}; it must be at least 0")
        check_seed(self.seed)
        if not self.name or self.name.startswith(".") or not self.name.isprintable() or {"/", "\\"} & set(self.name):
            raise InputError(f"name is {self.name!r}; it is part of a folder's name: use letters, digits, - and _")
        for side, others, keys in (("discriminators", "generators", ("latent", "latent_scale")), (*SIDES, ("pack",))):
            for k, group in enumerate(getattr(self, side)):
                for key in keys:
                    if (value := getattr(group, key)) != getattr(GroupConfig, key):
                        raise InputError(f"{side}.{k}.{key} is {value!r}, but only {others} have it; leave it out")


def placed(which: str) -> dict[str, str]:
    """The options of data that `FOLDER:PART` names, with the folder as `path`, so that it is found again later.

    What is no folder or file is a name, `which`.
    """
    folder, _, part = which.rpartition(":")
    for place, rest in ((which, ""), (folder, part)):
        if place and Path(os.path.expanduser(place)).exists():
            return {"path": place, "which": rest}
    return {"which": which}


def read(path: Path) -> dict[str, Any]:
    """The tree in a `.toml` or `.json` file.

    Raises:
        InputError: the file is missing, is not valid TOML or JSON, or holds no table.
    """
    text = ""
    try:
        text = path.read_text(encoding="utf-8-sig")  # an editor may have put a mark before the text
        tree = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:  # of which the second is a ValueError too
        more = "; save it as UTF-8" if isinstance(error, UnicodeDecodeError) else ""
        raise InputError(f"cannot read the configuration {path}: {getattr(error, 'strerror', error)}{more}") from error
    except RecursionError as error:
        raise InputError(f"{path} nests its values too deeply; a configuration has a few levels") from error
    except ValueError as error:  # also numbers of thousands of digits
        more = "; it looks like JSON, so give it a name that ends in .json" if _is_json(text, path) else ""
        raise InputError(f"{path} is not valid {path.suffix[1:].upper() or 'TOML'}: {error}{more}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path} holds {json.dumps(tree)[:40]}; a configuration is an object of keys and values")
    if _depth(tree) > DEEPEST:
        raise InputError(f"{path} nests its values {_depth(tree)} levels deep; a configuration has a few")
    try:
        return believed(tree)
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error


def _is_json(text: str, path: Path) -> bool:
    """Whether a file of another name holds an object in JSON."""
    if path.suffix == ".json":
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _depth(tree: Any) -> int:
    """How many levels a tree has."""
    inside = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else None
    return 0 if inside is None else 1 + max(map(_depth, inside), default=0)


def to_dict(config: Config) -> dict[str, Any]:
    """The configuration as plain data; `parse` of it gives the same configuration."""

    def plain(value: Any) -> Any:
        if isinstance(value, Plug):
            return {"name": value.name, **value.options}
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return [plain(item) for item in value] if isinstance(value, tuple | list) else value

    return plain(config)
