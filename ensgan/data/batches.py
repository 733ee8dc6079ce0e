"""Batches that a user passes in: checked, of one kind, with pixels and labels as a source keeps them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ensgan.data.facts import Facts, facts_of
from ensgan.data.labels import Classes, map_labels, plain_labels
from ensgan.data.pixels import Reading, bounded, eight_bits, rescaled, stored
from ensgan.types import InputError, Shape

Batch = dict[str, np.ndarray]
UNUSED = "there are labels, but they are not used, since their number is not known: give classes=10, or their names"


class Kind(NamedTuple):
    """The kind of all samples, from those that were looked at."""

    how: Reading
    eight: bool  # whether float images are pixels of 8 bits
    classes: int | None
    names: tuple[str, ...] | None
    facts: Facts

    def settled(self, batch: Batch, what: str) -> Batch:
        """A batch with its pixels as a source keeps them, and labels 0..K-1."""
        batch = batch | {"x": rescaled(batch["x"], self.how, self.eight)}
        if "label" not in batch:
            return batch
        if self.names is not None:
            label = map_labels(batch["label"], len(batch["x"]), f"label of {what}", self.names)[0]
        elif batch["label"].dtype.kind == "U":  # no number of classes is known, so no network needs the strings
            return {"x": batch["x"]}
        else:
            label = batch["label"].astype(np.int32)
        return batch | {"label": label}


def kind_of(batches: list[Batch], name: str, how: Reading, classes: Classes) -> Kind:
    """The kind of batches, all like the first. Raises InputError for labels that are not those of `classes`."""
    first = batches[0]
    alike = [
        batch for batch in batches if _form(batch["x"]) == _form(first["x"])
    ]  # others are named once they are read
    raw = np.concatenate([batch["x"] for batch in alike])
    x = stored(raw, f"x of {name!r}", how)
    label, names = None, None
    if "label" in first and classes is not None:
        known = [batch for batch in alike if "label" in batch]
        label = np.concatenate([batch["label"] for batch in known])
        label, names = map_labels(label, len(label), f"label of {name!r}", classes)
    count = None if classes is None else classes if isinstance(classes, int) else len(classes)
    facts = facts_of(x, label, names, how.levels)
    if "label" in first and classes is None:
        facts = facts._replace(hints=(UNUSED,))
    return Kind(how, eight_bits(raw, how), count, names, facts)


def plain(batch: Any, what: str, how: Reading, single: bool = False) -> Batch:
    """A batch, or a single record as a batch of one, with checked values, before labels and pixels are settled."""
    if isinstance(batch, tuple | list) and len(batch) == 1 and (isinstance(batch, tuple) or np.ndim(batch[0]) > 1):
        batch = batch[0]  # as of a PyTorch loader of samples without labels
    if isinstance(batch, tuple | list) and len(batch) == 2 and not np.isscalar(batch[0]):
        batch = dict(zip(("x", "label"), batch, strict=True))
    if not isinstance(batch, dict):
        batch = {"x": batch}
    if "x" not in batch:
        raise InputError(f"{what} has keys {sorted(map(str, batch))}; give 'x' and optionally 'label'")
    try:
        x, label = (
            None if batch.get(key) is None else np.asarray(batch[key])[None if single else ...]
            for key in ("x", "label")
        )
    except ValueError as error:
        raise InputError(
            f"{what} has parts of different lengths; expected an array, a pair (x, label) or a dict of these"
        ) from error
    x = bounded(x, f"x of {what}", how)
    return {"x": x} if label is None else {"x": x, "label": plain_labels(label, len(x), f"label of {what}")}


def check_alike(one: np.ndarray | None, first: np.ndarray | None, what: str) -> None:
    """Raises InputError if a batch differs from the first in more than its length."""
    seen, expected = (None if a is None else _form(a) for a in (one, first))
    if seen != expected:
        raise InputError(f"{what} is {_kind(seen)}, but the first was {_kind(expected)}; make all of one kind")


def _form(a: np.ndarray) -> tuple[str, Shape]:
    kinds = {"i": "integers", "u": "integers", "U": "strings"}  # of labels; pixels are told apart
    return str(a.dtype) if a.ndim > 1 else kinds.get(a.dtype.kind, str(a.dtype)), a.shape[1:]


def _kind(seen: tuple[str, Shape] | None) -> str:
    return "missing" if seen is None else f"{seen[0]} {list(seen[1])}"
