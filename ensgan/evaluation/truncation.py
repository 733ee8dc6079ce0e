"""What truncation costs: samples as they come and truncated, each against as many held-out reals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ensgan.game.game import Game
from ensgan.game.state import State
from ensgan.metrics import Neighbours, neighbours
from ensgan.sampling.sampler import sample
from ensgan.sampling.truncation import truncated

FEWEST = 8  # samples, below which nothing is said


class TruncationTable(NamedTuple):
    """How samples cover held-out reals before and after truncation."""

    truncation: float
    num: int  # reals, and samples of both kinds
    plain: Neighbours
    truncated: Neighbours


def evaluate_truncation(
    game: Game,
    state: State,
    reals: Any,
    key: Any,
    truncation: float,
    *,
    weights: Any = None,
    classes: Sequence[int] | None = None,
) -> TruncationTable | None:
    """Precision, recall, density and coverage of samples with whole and with truncated latents; in the samples
    themselves. None where there are fewer than 8 reals.

    Args:
        game: what was played.
        state: where it stands; averaged generators are used.
        reals: held-out `x`, and `label` in a conditional game; as many samples of each kind are drawn, of their labels.
        key: a key.
        truncation: as in `sampling.truncation.truncated`.
        weights: as in `sample`.
        classes: reals of these classes alone.

    Raises:
        InputError: samples that are not finite.
    """
    x, label = np.asarray(reals["x"], np.float32), np.asarray(reals["label"]) if game.classes is not None else None
    if classes is not None and label is not None:
        keep = np.isin(label, classes)
        x, label = x[keep], label[keep]
    if len(x) < FEWEST:
        return None
    flat = lambda part: np.asarray(part, np.float32).reshape(len(x), -1)
    found = []
    for k, each in enumerate((game, truncated(game, truncation))):
        drawn = sample(each, state, jax.random.fold_in(key, k), len(x), weights=weights, label=label)
        found.append(neighbours(flat(x), flat(drawn)))
    return TruncationTable(truncation, len(x), *found)


def describe_truncation(table: TruncationTable) -> str:
    """The cost in a line."""
    value = lambda name: f"{name} {getattr(table.plain, name):.3f} {getattr(table.truncated, name):.3f}"
    lost = table.plain.recall - table.truncated.recall
    change = f"costs {lost:.3f} of recall" if lost > 0 else "costs no recall here"
    return (
        f"truncation {table.truncation:g} {change}: against {table.num} held-out reals, {table.num} samples as they "
        f"come and as many truncated: {', '.join(map(value, ('recall', 'coverage', 'precision', 'density')))}"
    )
