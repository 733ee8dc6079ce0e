"""Data as a run's folder remembers them, for commands that look at no sample, and to see whether they are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ensgan.data.columns import Columns
from ensgan.data.facts import as_dict
from ensgan.data.labels import some
from ensgan.data.law import training_law
from ensgan.data.source import SPLITS, Source


def record(source: Source) -> dict[str, Any]:
    """What is worth remembering of a source, as plain data for JSON."""
    known, law = source.facts if source.single is None else source.single.facts, training_law(source)
    names = source.class_names or ()
    classes = {} if law is None else {"training_law": law.tolist(), "class_names": list(names)}
    found = {} if known is None else as_dict(known)
    if source.columns is not None:
        found["columns"] = {key: list(values) for key, values in source.columns._asdict().items()}
    return {"name": source.name, "shape": list(source.shape), "splits": source.num, **classes, **found}


def remembered(found: dict[str, Any], held_out: Callable[[str, int], dict[str, np.ndarray]]) -> Source | None:
    """A source without samples to train with, from its `record`; None where an earlier version wrote that.

    Args:
        found: the record.
        held_out: gives held-out samples when they are asked for, as in `Source`.
    """
    if "splits" not in found or not is_record(found):
        return None
    law, names = found.get("training_law"), found.get("class_names")
    return Source(
        name=found["name"],
        shape=tuple(found["shape"]),
        arrays={},
        draw=None,
        read=None,
        held_out=held_out,
        num=found["splits"],
        classes=None if law is None else len(law),
        class_names=tuple(names) if names else None,
        law=None if law is None else np.array(law, np.float64),
        columns=_columns(found),
    )


def _columns(found: dict[str, Any]) -> Columns | None:
    given = found.get("columns")
    return given and Columns(tuple(given["names"]), *(np.array(given[key], np.float64) for key in ("mean", "std")))


def is_record(found: dict[str, Any]) -> bool:
    """Whether a dictionary has what `record` writes, and nothing of another kind."""
    try:
        fits = [
            isinstance(found["name"], str) and all(isinstance(size, int) and size > 0 for size in found["shape"]),
            set(found.get("splits", SPLITS)) == set(SPLITS),
            all(n is None or isinstance(n, int) for n in found.get("splits", {}).values()),
            all(isinstance(share, float | int) for share in found.get("training_law") or ()),
            all(isinstance(name, str) for name in found.get("class_names") or ()),
            _are_columns(found.get("columns"), found["shape"]),
            len(found.get("class_names") or ()) in (0, len(found.get("training_law") or ())),
            all(isinstance(each["count"], int) and "name" in each for each in found.get("classes", ())),
            all(isinstance(place, str) for place in found.get("relative_to", {}).values()),
            set(found.get("relative_to", {})) in (set(), {"folder", "from_run"}),
            all(isinstance(each["step"], int) and each["what"] for each in found.get("changes", ())),
            all(isinstance(found.get(key), float | int | None) for key in ("num", "low", "high")),
        ]
    except (KeyError, TypeError, AttributeError):
        return False
    return all(fits)


def _are_columns(given: Any, shape: Any) -> bool:
    return given is None or (
        all(isinstance(name, str) for name in given["names"])
        and all(isinstance(number, float | int) for key in ("mean", "std") for number in given[key])
        and [len(given[key]) for key in ("names", "mean", "std")] == [*shape] * 3
    )


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What two records say otherwise, in words; empty where they agree, though samples may differ."""
    found = []
    for key, words in {"shape": "the shape of a sample", "num": "the number of samples"}.items():
        if before.get(key) != now.get(key):
            found.append(f"{words} was {_text(before.get(key))} and is {_text(now.get(key))}")
    was, are = ({each["name"]: each["count"] for each in one.get("classes", ())} for one in (before, now))
    if lost := [name for name in was if name not in are]:
        found.append(f"classes are gone: {some(lost)}" if are else "there are no labels any more")
    if new := [name for name in are if name not in was]:
        found.append(f"classes are new: {some(new)}" if was else "there are labels now")
    for key, words in {"low": "the smallest value", "high": "the largest value"}.items():
        if before.get(key) != now.get(key):
            found.append(f"{words} was {_text(before.get(key))} and is {_text(now.get(key))}")
    return found


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "×".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
