"""The values of `--from`, `--label` and `--sample-shape`: weights over generators, a member, classes, a shape."""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np

from ensgan.evaluation import selection
from ensgan.runs import records
from ensgan.runs.restore import Opened
from ensgan.types import InputError


def weights(choice: str | None, run: Opened, more: str = "") -> tuple[Any, str]:
    """Weights over generators for `--from`, and what they are called; `more` is what else it may be."""
    game, state, directory = run.game, run.state, run.directory
    choice = choice or ("mixture" if game.members == "parts" else "best")
    if choice == "mixture":
        stored = records.load_selection(directory, game.M)
        if stored is not None and stored.step == int(state.step):
            return stored.weights, f"the mixture {stored.method} of {game.M} generators, from selection.json"
        if stored is not None:
            print(
                f"selection.json is of step {stored.step} and the run at step {int(state.step)}, so that mixture "
                f"is not used; choose again with: ensgan select {directory}",
                file=sys.stderr,
            )
        found = game.mixture(state)
        among = np.flatnonzero(found)
        kind = "uniform" if np.allclose(found[among], 1.0 / len(among)) else "learned"
        some = "" if len(among) == game.M else f"{len(among)} of "
        return found, f"the {kind} mixture of {some}{game.M} generators"
    if choice == "best":
        scores = selection.select(game, state, run.source, num=run.config.held_out)
        if scores.members == "parts":
            print(
                f"generator {scores.best} covers {scores.coverage[scores.best]:.0%} of held-out reals, "
                f"the mixture {scores.coverage[-1]:.0%}",
                file=sys.stderr,
            )
        return np.eye(game.M)[scores.best], f"generator {scores.best}, the best"
    kind, _, index = choice.partition(":")
    if kind != "member":
        raise InputError(f"--from is {choice!r}; give best, mixture, or member:I with I from 0 to {game.M - 1}{more}")
    i = member(kind, index, game.M)
    return np.eye(game.M)[i], f"generator {i}"


def member(kind: str, index: str, count: int) -> int:
    """The number of a member in `--from KIND:NUMBER`."""
    if not re.fullmatch("[0-9]{1,9}", index):
        raise InputError(f"--from is '{kind}:{index}'; give {kind}:I with I from 0 to {count - 1}")
    if int(index) >= count:
        name = "discriminators" if kind == "discriminator" else "generators"
        raise InputError(f"--from asks for {kind} {index}; the run has {name} 0 to {count - 1}")
    return int(index)


def classes(choice: str | None, classes: int | None) -> list[int] | None:
    """The classes that `--label` asks for."""
    if choice is None:
        return None
    if classes is None:
        raise InputError("--label is given, but the generators of this run are not conditional; leave it out")
    parts = [part.strip() for part in choice.split(",")]
    if not all(re.fullmatch("[0-9]{1,9}", part) and int(part) < classes for part in parts):
        raise InputError(f"--label is {choice!r}; give one class or several, such as 0,1, from 0 to {classes - 1}")
    return [int(part) for part in parts]


def shape(text: str | None) -> tuple[int, ...] | None:
    """The shape that `--sample-shape` gives."""
    if text is None:
        return None
    sizes = text.replace("x", ",").replace("×", ",").split(",")
    if not all(size.strip().isascii() and size.strip().isdecimal() for size in sizes):
        raise InputError(f"--sample-shape is {text!r}; give H,W,C of images, such as 64,64,3, or D of points")
    return tuple(int(size) for size in sizes)
