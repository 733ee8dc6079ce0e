"""What a search chooses from: ranges of numbers, and lists of values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ensgan.runs import run as training
from ensgan.runs import series
from ensgan.runs.build import TABLES
from ensgan.runs.config import Config, to_dict
from ensgan.runs.parsing import parse
from ensgan.types import InputError

FORM = "give a setting and its bounds, such as pairing.lam=.5..4, or optimizer.learning_rate=1e-4..1e-2,log"


class Range(NamedTuple):
    """Numbers from `low` to `high`, both included; on a logarithmic scale with `log`, whole ones with `whole`."""

    low: int | float
    high: int | float
    log: bool
    whole: bool


Space = Mapping[str, Range | tuple[str, ...]]  # by settings; texts are the values of a list


def ends(of: Range | tuple[str, ...]) -> list[Any]:
    """The bounds of a range, or all values of a list."""
    return [of.low, of.high] if isinstance(of, Range) else list(of)


def as_dict(space: Space) -> dict[str, Any]:
    """The space in JSON's types."""
    return {key: each._asdict() if isinstance(each, Range) else list(each) for key, each in space.items()}


def from_dict(tree: Mapping[str, Any]) -> Space:
    """The space from `as_dict`. Raises AttributeError, KeyError or TypeError for anything else."""
    return {key: Range(**each) if isinstance(each, dict) else tuple(map(str, each)) for key, each in tree.items()}


def ranges(texts: Sequence[str], settings: Config) -> dict[str, Range]:
    """The ranges of settings such as `optimizer.learning_rate=1e-4..1e-2,log`, by their keys.

    Raises:
        InputError: another form, a setting that is named twice or is no number, or bounds that no search can have.
    """
    found: dict[str, Range] = {}
    for text in texts:
        key, rest = series.key_of("--search", text, FORM)
        bounds, comma, scale = rest.partition(",")
        low, dots, high = bounds.partition("..")
        log = comma and scale.strip() == "log"
        numbers = [_number(each) for each in (low, high)]
        if not dots or (comma and not log) or None in numbers:
            raise InputError(f"--search is {text!r}; {FORM}")
        if key in found:
            raise InputError(f"--search {text} names the setting twice; name it once")
        before = training.flatten_settings(to_dict(settings))
        if isinstance(before.get(key), str | bool | list | tuple) or any(each.startswith(f"{key}.") for each in before):
            raise InputError(f"--search is {text!r}, but {key} is no number; give its values by --set {key}=A,B")
        ends = [_typed(settings, key, each.strip(), text) for each in (low, high)]
        if not ends[0] < ends[1]:
            raise InputError(f"--search is {text!r}; the first bound must be below the second")
        if log and ends[0] <= 0:
            raise InputError(f"--search is {text!r}; a logarithmic scale needs bounds above 0, or leave out ,log")
        whole = all(isinstance(each, int) for each in ends)
        found[key] = Range(*((int if whole else float)(each) for each in ends), log=bool(log), whole=whole)
    return found


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) and "_" not in text else None


def _typed(settings: Config, key: str, value: str, text: str) -> int | float:
    """A bound as the setting's own type has it."""
    config = parse(to_dict(settings), TABLES, [f"--{key}={value}"], "ensgan sweep")[0]
    found = training.flatten_settings(to_dict(config)).get(key)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise InputError(f"--search is {text!r}, but {key} is no number; give its values by --set {key}=A,B")
    return found
