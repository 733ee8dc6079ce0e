"""Samples that two splits of the data share, exactly or nearly, so that held-out scores are too good."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ensgan.data.source import SPLITS, Source

NEAR = 0.005  # root mean square difference of pixel means, as a share of the range: a grey level or so
MOST = 5_000  # held-out samples that are looked at
BLOCK = 500  # samples at a time
BLOCK_NUMBERS = 2**24  # pixels at a time
SIDE = 8


class Leaks(NamedTuple):
    """Held-out samples that are also in the train split.

    Attributes:
        looked: number of held-out samples that were looked at.
        equal: how many of them are in the train split, to the last bit.
        near: how many others have a neighbour there nearer than 0.5 % of the range, in the root mean square over pixel
            means of at most 8×8; None for points.
        within: how many samples of the train split are copies of another one in it.
    """

    looked: int
    equal: int
    near: int | None
    within: int


def leaks(source: Source) -> Leaks | None:
    """Compares held-out samples with those to train with; None where the data are not in memory."""
    tables = {split: np.asarray(source.arrays[split]["x"]) for split in SPLITS if _has(source, split)}
    if len(tables) < len(SPLITS):
        return None
    train = tables["train"]
    held = np.concatenate([tables[split] for split in SPLITS[1:]])[:MOST]
    rows = lambda x: [each.tobytes() for each in np.ascontiguousarray(x)]
    every = rows(train)
    there = set(every)
    equal = np.array([row in there for row in rows(held)])
    near = None
    if train.ndim == 4:
        black, white = (source.facts and source.facts.full) or ((0, 255) if train.dtype == np.uint8 else (-1, 1))
        far = _nearest(_means(held[~equal]), _means(train)) / (white - black)
        near = int((far < NEAR).sum())
    return Leaks(len(held), int(equal.sum()), near, len(every) - len(there))


def _has(source: Source, split: str) -> bool:
    return isinstance(source.arrays.get(split), dict) and "x" in source.arrays[split]


def _means(x: np.ndarray) -> np.ndarray:
    """Means of at most 8×8 parts of each image, as rows."""
    count, H, W, C = x.shape
    rows, columns = _parts(H), _parts(W)
    out = np.zeros((count, len(rows), len(columns), C), np.float32)
    size = max(1, BLOCK_NUMBERS // (H * W * C))
    for begin in range(0, count, size):
        some = x[begin : begin + size].astype(np.float32).reshape(-1, H, W * C)
        out[begin : begin + size] = columns @ (rows @ some).reshape(-1, len(rows), W, C)
    return out.reshape(count, math.prod(out.shape[1:]))


def _parts(length: int) -> np.ndarray:
    """The matrix that takes the means of at most 8 parts of so many numbers."""
    part = np.arange(length) * min(length, SIDE) // length
    member = np.arange(part[-1] + 1)[:, None] == part
    return (member / member.sum(axis=1, keepdims=True)).astype(np.float32)


def _nearest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The root mean square difference of each row of `a` to the nearest row of `b`."""
    out, norm = [], (b**2).sum(axis=1)
    for begin in range(0, len(a), BLOCK):
        rows = a[begin : begin + BLOCK]
        square = (rows**2).sum(axis=1)[:, None] + norm[None] - 2 * rows @ b.T
        out.append(np.sqrt(np.maximum(square.min(axis=1), 0) / a.shape[1]))
    return np.concatenate(out) if out else np.zeros(0)
