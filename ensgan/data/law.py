"""The law of labels: with which probability samples of a conditional generator get each class."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import jax
import numpy as np

from ensgan.data.labels import some
from ensgan.data.source import Source
from ensgan.types import InputError

TRAINING, UNIFORM = "training", "uniform"
LARGE = 1e300  # the sum of weights above would overflow
SHOWN = 12  # classes in a line


def training_law(source: Source) -> np.ndarray | None:
    """Shares of the classes among the training samples, float64 `[K]`; None where there are no classes.

    Those of stacked images follow from single ones, which are drawn apart. Of a stream they are those of the samples
    that were counted; where nothing was counted, as in an unlimited Gaussian mixture, all classes have equal shares.
    """
    if source.classes is None or source.law is not None:
        return source.law
    if source.single is not None:
        single = training_law(source.single)
        assert single is not None
        return reduce(np.kron, [single] * source.shape[-1])
    table = source.arrays.get("train")
    label = table.get("label") if isinstance(table, dict) else None
    if label is not None and not isinstance(label, jax.ShapeDtypeStruct):
        count = np.bincount(np.asarray(label), minlength=source.classes).astype(float)
    elif source.facts is not None and source.facts.classes:
        count = np.array([number for _, number in source.facts.classes], float)
    else:
        count = np.ones(source.classes)
    return count / count.sum()


def class_law(source: Source, choice: Any = None) -> np.ndarray | None:
    """The law of labels that is asked for, float64 `[K]`; None where there are no classes.

    Args:
        source: the data.
        choice: `training` or None for the frequencies in the training data; `uniform` for all classes with a training
            sample alike; or one weight per class, as numbers or as text: (0.2, 0.8) or "0.2,0.8".

    Raises:
        InputError: another choice, a choice where there are no classes, or weight for a class without training samples.
    """
    law = training_law(source)
    if law is None:
        if choice not in (None, TRAINING):
            raise InputError(f"--classes is {choice!r}, but {source.name!r} has no classes; leave it out")
        return None
    if choice in (None, TRAINING):
        return law
    if isinstance(choice, str) and choice == UNIFORM:
        return (law > 0) / (law > 0).sum()
    parts = choice.strip("[]() ").split(",") if isinstance(choice, str) else choice
    try:
        weights = np.array([float(part) for part in parts])
    except (TypeError, ValueError):
        weights = np.full(1, np.nan)
    if weights.shape != law.shape or not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise InputError(
            f"--classes is {choice!r}; expected {TRAINING}, {UNIFORM}, or {len(law)} weights ≥ 0, one per class, such "
            f"as {','.join(['1'] * len(law)) if len(law) <= SHOWN else '1,1,1,...'}"
        )
    if (empty := np.flatnonzero((weights > 0) & (law == 0))).size:
        name = str(empty[0]) if source.class_names is None else source.class_names[empty[0]]
        raise InputError(f"--classes gives weight to class {name}, which has no training samples; give it 0")
    return shares(weights)


def shares(weights: np.ndarray) -> np.ndarray:
    """Weights ≥ 0, not all 0, divided by their sum, even where that overflows."""
    weights = weights / weights.max() if weights.max() > LARGE else weights
    return weights / weights.sum()


def changed_law(source: Source, law: Any) -> np.ndarray | None:
    """The law `[K]`, if it is another one than that of the training data; else None."""
    if law is None or source.classes is None:
        return None
    law, trained = np.asarray(law, np.float64), training_law(source)
    return None if trained is not None and law.shape == trained.shape and np.allclose(law, trained) else law


def describe_law(choice: Any, law: np.ndarray, names: Sequence[str] | None = None) -> str:
    """The law in a line: shares of all classes, the first of them by name."""
    names = [str(k) for k in range(len(law))] if names is None else names
    shares = some((f"{name} {share:.3g}" for name, share in zip(names, law.tolist(), strict=True)), SHOWN)
    alike = f"all {len(law):,} classes alike"
    return f"law of labels ({choice}): {alike if np.allclose(law, law[0]) else shares}"
