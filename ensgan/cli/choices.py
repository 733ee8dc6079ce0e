"""The values of `--from`, `--label` and `--sample-shape`: weights over generators, a member, classes, a shape."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ensgan.data.labels import class_number, some
from ensgan.data.law import describe_law, training_law
from ensgan.evaluation import selection
from ensgan.runs import directory as rundir
from ensgan.runs import records
from ensgan.runs.build import law_of
from ensgan.runs.identity import checksum
from ensgan.runs.origin import Elsewhere
from ensgan.runs.restore import Opened
from ensgan.sampling import draws
from ensgan.sampling.truncation import truncated
from ensgan.types import Array, InputError


def law(choice: str | None, run: Opened) -> np.ndarray | None:
    """The law of labels that `--classes` asks for, or that of the run; it is printed. None where there is none."""
    found = law_of(run.config, run.game, run.source, choice)
    if found is not None:
        print(describe_law(choice or run.config.classes, found, run.source.class_names))
    return found


def weights(choice: str | None, run: Opened, more: str = "", classes: np.ndarray | None = None) -> tuple[Any, str]:
    """Weights over generators for `--from`, and what they are called; `more` is what else it may be.

    The best one is chosen with labels of the law `classes`.
    """
    game, state, directory = run.game, run.state, run.directory
    choice = choice or ("mixture" if game.members == "parts" else "best")
    if choice == "mixture":
        stored = records.load_selection(directory, game.M)
        if stored is not None:
            elsewhere = ""
            if stored.step != int(state.step):
                elsewhere = f"of step {stored.step} and the run at step {int(state.step)}"
            elif stored.members is not None and stored.members != checksum(state):
                elsewhere = f"of other members than those of {directory}"
            if not elsewhere:
                if stored.law is not None:
                    _note_law(stored.law, law_of(run.config, game, run.source) if classes is None else classes)
                return stored.weights, f"the mixture {stored.method} of {game.M} generators (selection.json)"
            text = f"selection.json is {elsewhere}, so that mixture is not used; choose again with: ensgan select"
            print(f"{text} {directory}", file=sys.stderr)
        found = game.mixture(state)
        among = np.flatnonzero(found)
        kind = "uniform" if np.allclose(found[among], 1.0 / len(among)) else "learned"
        some = "" if len(among) == game.M else f"{len(among)} of "
        return found, f"the {kind} mixture of {some}{game.M} generators"
    if choice == "best":
        best, coverage = _best(run, classes)
        if game.members == "parts":
            text = f"generator {best} covers {coverage[best]:.0%} of held-out reals, the mixture {coverage[-1]:.0%}"
            print(text, file=sys.stderr)
        return np.eye(game.M)[best], f"generator {best} (the best)"
    kind, _, index = choice.partition(":")
    if kind != "member":
        raise InputError(f"--from is {choice!r}; give best, mixture, or member:I with I from 0 to {game.M - 1}{more}")
    i = member(kind, index, game.M)
    return np.eye(game.M)[i], f"generator {i}"


def _note_law(fitted: np.ndarray, now: np.ndarray | None) -> None:
    """Says that a mixture was fitted for another law of labels than that of the samples."""
    if now is not None and not (fitted.shape == now.shape and np.allclose(fitted, now, atol=1e-5)):
        print(
            "note: the mixture in selection.json was fitted with another law of labels; `ensgan select` with the same "
            "--classes fits one for this law",
            file=sys.stderr,
        )


def shrunk(run: Opened, truncation: float | None) -> Opened:
    """The run with the priors that `--truncation` asks for."""
    return run if truncation is None else run._replace(game=truncated(run.game, truncation))


def drawn(run: Opened, key: Array, num: int, choice: str | None, label: str | None) -> tuple[Any, str, Any]:
    """Weights over generators for `--from`, what they are called, and the classes of samples for `--label`."""
    asked = classes(label, class_names(run), training_law(run.source))
    its = law(None, run) if label is None else None
    found, text = weights(choice, run, classes=its)
    return found, text, draws.labels(run.game, key, num, None if asked is None else np.resize(asked, num), its)


def _best(run: Opened, classes: np.ndarray | None) -> tuple[int, Any]:
    """The generator that ranks first, and how much of the reals each member and the mixture cover.

    They are those of the log where it has them for this state and the same law of labels; else they are made.
    """
    usual = law_of(run.config, run.game, run.source)
    same = classes is None or (usual is not None and np.array_equal(classes, usual))
    logged = rundir.scores_at(run.directory, int(run.state.step))
    if logged is None or not same:
        try:
            scores = selection.select(run.game, run.state, run.source, num=run.config.held_out, classes=classes)
            return scores.best, scores.coverage
        except Elsewhere:
            if logged is None:
                raise
            text = "the best generator is that for the run's own law of labels, since its data are elsewhere"
            print(text, file=sys.stderr)
    return int(logged["rank_g"][0]), logged["coverage"]


def member(kind: str, index: str, count: int) -> int:
    """The number of a member in `--from KIND:NUMBER`."""
    if not re.fullmatch("[0-9]{1,9}", index):
        raise InputError(f"--from is '{kind}:{index}'; give {kind}:I with I from 0 to {count - 1}")
    if int(index) >= count:
        name = "discriminators" if kind == "discriminator" else "generators"
        raise InputError(f"--from asks for {kind} {index}; the run has {name} 0 to {count - 1}")
    return int(index)


def class_names(run: Opened) -> Sequence[str] | None:
    """The names of the classes that the generators of a run know; None if they know none."""
    count = run.game.classes
    return None if count is None else run.source.class_names or tuple(map(str, range(count)))


def classes(choice: str | None, names: Sequence[str] | None, learnt: np.ndarray | None = None) -> list[int] | None:
    """The classes that `--label` asks for, by name or number; `learnt` is above 0 for those with training samples."""
    if choice is None:
        return None
    if names is None:
        raise InputError("--label is given, but the generators of this run are not conditional; leave it out")
    parts = [choice] if choice in names else [part.strip() for part in choice.split(",")]
    found = [class_number(part, names) for part in parts]
    if None in found:
        raise InputError(
            f"--label is {choice!r}, and {parts[found.index(None)]!r} is no class; give one class or several, such as "
            f"{','.join(names[:2])}; the classes are: {some(names, 20)}"
        )
    numbers = [number for number in found if number is not None]
    if learnt is not None and (new := [names[number] for number in numbers if not learnt[number]]):
        raise InputError(f"--label asks for class {new[0]}, which has no training samples; leave it out")
    return numbers


def shape(text: str | None) -> tuple[int, ...] | None:
    """The shape that `--sample-shape` gives."""
    if text is None:
        return None
    sizes = text.replace("x", ",").replace("×", ",").split(",")
    if not all(size.strip().isascii() and size.strip().isdecimal() for size in sizes):
        raise InputError(f"--sample-shape is {text!r}; give H,W,C of images, such as 64,64,3, or D of points")
    return tuple(int(size) for size in sizes)
