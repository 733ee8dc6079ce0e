"""The form of the records in a log, which may be from a stranger: what readers compute with is what they expect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Size = tuple[int, ...]
LARGEST = 1e39

NUMBERS = ("step", "seconds", "samples", "flops", "augment", "num", "mmd_floor", "coverage_floor")
VECTORS = (
    *("score_g", "error_g", "grad_norm_g", "mmd", "mmd_error", "left_out", "left_out_error", "mixture"),
    *("score_d", "error_d", "grad_norm_d", "penalty", "coverage"),
)
MATRICES = ("fool", "probability", "log_odds", "accuracy", "loss_g", "loss_d", "weight_g", "weight_d")
# Sizes that are equal within a record: of what has an entry for each generator, and for each discriminator.
EACH_G = ("score_g", "error_g", "mmd", "mmd_error", "left_out", "left_out_error", "mixture")
EACH_D = ("score_d", "error_d")
RATINGS = ("elo", "glicko", "deviation", "volatility")


def is_sound(record: Mapping[str, Any]) -> bool:
    """Whether everything that a record has is of the form that readers expect; what it lacks is no fault."""
    try:
        shapes = {key: shape(record.get(key)) for key in (*VECTORS, *MATRICES)}
    except ValueError:
        return False
    sides = [{shapes[key] for key in keys} - {None} for keys in (EACH_G, EACH_D)]
    return (
        all(_number(record.get(key)) for key in NUMBERS)
        and record.get("step", 0) is not None
        and all(found is None or len(found) == 1 for found in map(shapes.get, VECTORS))
        and all(found is None or len(found) == 2 for found in map(shapes.get, MATRICES))
        and all(len(sizes) <= 1 for sizes in sides)
        and all(_ranks(record, kind) and _losses(record, kind) for kind in "gd")
        and _mapping(record.get("ratings"), _ratings)
        and _mapping(record.get("modes"), _modes)
        and _mapping(record.get("distances"), _distances)
    )


def of_one_game(records: Iterable[Mapping[str, Any]]) -> list[bool]:
    """Whether the arrays of each record have the sizes that they had in the sound records before it."""
    known: dict[tuple[Any, str], Size | None] = {}
    found = []
    for record in records:
        has = {(record.get("kind"), key): shape(record[key]) for key in (*VECTORS, *MATRICES) if record.get(key)}
        found.append(all(known.get(key, size) == size for key, size in has.items()))
        known |= has if found[-1] else {}
    return found


def shape(value: Any) -> Size | None:
    """The shape of nested lists of numbers and nulls; None where there is nothing. Raises ValueError for all else."""
    if value is None:
        return None
    if not isinstance(value, list):
        if _number(value):
            return ()
        raise ValueError("neither a number nor a list of numbers")
    inside = {shape(each) or () for each in value}
    if len(inside) > 1:
        raise ValueError("lists of several sizes")
    return (len(value), *next(iter(inside), ()))


def _number(value: Any) -> bool:
    # Values are of float32; a picture of much larger ones would overflow.
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < LARGEST)


def _ranks(record: Mapping[str, Any], kind: str) -> bool:
    """Ranks are numbers of members that have scores, each once; a member that rests has no rank."""
    order, scores = record.get(f"rank_{kind}"), record.get(f"score_{kind}")
    if f"rank_{kind}" not in record:
        return True
    known = range(len(scores)) if isinstance(scores, list) else ()
    return (
        isinstance(order, list) and all(each in known for each in map(_whole, order)) and len(set(order)) == len(order)
    )


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _losses(record: Mapping[str, Any], kind: str) -> bool:
    """Losses have the size of their weights."""
    loss, weight = record.get(f"loss_{kind}"), record.get(f"weight_{kind}")
    return not loss or not weight or shape(loss) == shape(weight)


def _mapping(value: Any, sound: Callable[[Mapping[str, Any]], bool]) -> bool:
    try:
        return not value or (isinstance(value, dict) and sound(value))
    except ValueError:
        return False


def _ratings(found: Mapping[str, Any]) -> bool:
    sizes = {shape(found.get(key)) for key in RATINGS}
    return len(sizes) == 1 and len(sizes.pop() or ()) == 1


def _modes(found: Mapping[str, Any]) -> bool:
    names = found.get("names")
    rows = [found[key] for key in ("modes", "hq", "kl", "spread") if key in found]
    return isinstance(names, list) and all(shape(row) == (len(names),) for row in rows)


def _distances(found: Mapping[str, Any]) -> bool:
    tables = [each for each in found.values() if isinstance(each, dict)]
    keys = {"title", "generators", "mixture", "floor"}
    return (not tables or {"num", "features"} <= set(found)) and all(
        keys <= set(each)
        and isinstance(each["title"], str)
        and len(shape(each["generators"]) or ()) == 1
        and _number(each["mixture"])
        and _number(each["floor"])
        for each in tables
    )
