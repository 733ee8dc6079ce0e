"""`judge.npz`: a fitted judge of a run, so that it judges and refines without the data."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote
from typing import Any
from zipfile import BadZipFile

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.game.game import Game
from ensgan.game.state import State
from ensgan.reporting.files import RunFiles, written
from ensgan.runs.identity import checksum
from ensgan.sampling.calibration import Quality
from ensgan.sampling.combine import assembled
from ensgan.sampling.judge import Judge, Parts
from ensgan.sampling.truncation import scales
from ensgan.types import InputError


def save(directory: Path, judge: Judge, state: State) -> None:
    """Writes a fitted judge of a state."""
    tree = {
        **{key: getattr(judge, key) for key in ("rule", "calibrate", "law", "average", "scales", "classes")},
        "step": int(state.step),
        "members_crc32": checksum(state),
        "parts": judge.parts._asdict() if judge.parts else {},
        "before": judge.before._asdict() if judge.before else {},
        "after": judge.after._asdict() if judge.after else {},
    }
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    arrays = {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}
    with written(RunFiles(directory).judge_arrays) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load(directory: Path, game: Game, state: State) -> Judge | None:
    """The judge that a run's folder holds; None where there is none, or where it is of another state.

    Raises:
        InputError: the file is damaged, or of other members.
    """
    file = RunFiles(directory).judge_arrays
    if not os.path.lexists(file):
        return None
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as content:
            tree = _nested({name: content[name] for name in content.files})
        if int(tree["step"]) != int(state.step):
            return None
        if "members_crc32" in tree and int(tree["members_crc32"]) != checksum(state):  # earlier versions wrote none
            return None
        given = {name: tree["parts"].get(name) for name in Parts._fields}
        parts = Parts(**{name: _arrays(value) for name, value in given.items()})
        parts = parts._replace(head=parts.head or ())  # of a rule that nothing is fitted for
        quality = lambda key: Quality(*(_number(tree[key][name]) for name in Quality._fields))
        before, after = quality("before"), quality("after")
        law = tree["law"]
        found = assembled(game, state, str(tree["rule"]), str(tree["calibrate"]), parts)
        _, head, calibrator = found.score.args
        tried = np.asarray(calibrator(head(jnp.zeros((len(parts.who), 2)))))
        if tried.shape != (2,) or not np.isfinite(tried).all():
            raise ValueError("it gives no scores")
        own = tree.get("scales", scales(game))  # earlier versions knew no others
        fits = (
            len(law) == len(own) == game.M
            and len(parts.scale) == len(parts.shift) == len(parts.who)
            and max(parts.who) < game.N
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BadZipFile, EOFError, InputError) as error:
        raise InputError(
            f"{file} cannot be read; write it again with `ensgan judge {quote(str(directory))}`"
        ) from error
    if not fits:
        raise InputError(f"{file} is of other members; write it again with `ensgan judge {quote(str(directory))}`")
    return found._replace(
        law=law,
        average=bool(tree["average"]),
        scales=own,
        classes=tree.get("classes"),
        before=before,
        after=after,
    )


def _nested(flat: dict[str, np.ndarray]) -> dict[str, Any]:
    """Names such as `parts.head.0` as dicts of dicts, and numbers as lists."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *folders, last = name.split(".")
        inside = tree
        for folder in folders:
            inside = inside.setdefault(folder, {})
        inside[last] = value
    return tree


def _arrays(value: Any) -> Any:
    """Arrays of a nested part; a dict with keys 0, 1, … was a tuple."""
    if not isinstance(value, dict):
        return None if value is None else jnp.asarray(value)
    if set(value) == {str(k) for k in range(len(value))}:
        return tuple(_arrays(value[str(k)]) for k in range(len(value)))
    return {name: _arrays(inside) for name, inside in value.items()}


def _number(value: np.ndarray) -> Any:
    return value.item() if value.ndim == 0 else value
