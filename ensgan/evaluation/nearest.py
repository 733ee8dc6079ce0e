"""The training samples that are nearest to given ones: does a generator copy?"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ensgan.data.source import Source
from ensgan.types import InputError

Seen = Callable[[np.ndarray], np.ndarray]  # stored samples as networks see them
BLOCK = 2_000  # training samples at a time
WIDE = 256  # numbers of a sample, up to which distances are taken in float64
MOST = 500  # held-out reals that are compared


class Nearest(NamedTuple):
    """The nearest training samples.

    Attributes:
        x: `[n, k, ...]`, nearest first, as networks see them.
        distance: root mean square difference of numbers, `[n, k]`.
        usual: the same from held-out reals to their nearest training sample, `[m]`.
    """

    x: np.ndarray
    distance: np.ndarray
    usual: np.ndarray


def nearest(source: Source, x: np.ndarray, k: int) -> Nearest:
    """The k training samples nearest to each of `x` `[n, ...]`, in the numbers themselves, without noise on reals.

    Raises:
        InputError: the data are not in memory, or there are fewer than k.
    """
    train, as_seen = training_samples(source)
    if not 1 <= k <= len(train):
        raise InputError(f"asked for {k} nearest samples; give 1 to {len(train)}, the number of training samples")
    distance, index = search(x, train, as_seen, k)
    usual, _ = search(as_seen(source.arrays["report"]["x"][:MOST]), train, as_seen, 1)
    return Nearest(as_seen(train[index]), distance, usual[:, 0])


def training_samples(source: Source) -> tuple[np.ndarray, Seen]:
    """The samples to train with as they are stored, `[n, ...]`, and how networks see them, without noise.

    Raises:
        InputError: the data are not in memory.
    """
    table = source.arrays.get("train")
    table = table.get("source", table) if isinstance(table, dict) else {}  # of a view, all that is shared out
    if "x" not in table:
        raise InputError(f"the nearest samples of {source.name!r} are not known, since it is not held in memory")
    levels = 1 + (source.facts.full[1] if source.facts is not None and source.facts.full else 255)
    as_seen = lambda part: (part.astype(np.float32) + 0.5) * (2 / levels) - 1 if part.dtype == np.uint8 else part
    return np.asarray(table["x"]), as_seen


def search(x: np.ndarray, train: np.ndarray, as_seen: Seen, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Root mean square differences and indices of the k nearest, `[n, k]` each, one block of `train` after another."""
    # The square of a difference is a difference of squares here, which in float32 is too coarse for near points.
    exact = np.float64 if np.prod(x.shape[1:]) <= WIDE else np.float32
    flat = np.asarray(x, exact).reshape(len(x), -1)
    best = np.full((len(x), k), np.inf, exact)
    who = np.zeros((len(x), k), np.int64)
    own = (flat**2).sum(axis=1)[:, None]
    for begin in range(0, len(train), BLOCK):
        rows = as_seen(train[begin : begin + BLOCK]).reshape(-1, flat.shape[1]).astype(exact)
        square = np.maximum(own + (rows**2).sum(axis=1)[None] - 2 * flat @ rows.T, 0)
        both = np.concatenate([best, square], axis=1)
        names = np.concatenate([who, np.broadcast_to(np.arange(begin, begin + len(rows)), square.shape)], axis=1)
        order = both.argmin(axis=1)[:, None] if k == 1 else np.argsort(both, axis=1, kind="stable")[:, :k]
        best, who = np.take_along_axis(both, order, axis=1), np.take_along_axis(names, order, axis=1)
    return np.sqrt(best / flat.shape[1]), who
