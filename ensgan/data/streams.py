"""Data that does not fit in memory: records that grain reads by step, and iterators that a user passes in."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, lru_cache
from typing import Any, Protocol, Unpack

import numpy as np

from ensgan.data.batches import Batch, check_alike, kind_of, plain
from ensgan.data.checks import check_seed
from ensgan.data.labels import Classes
from ensgan.data.pixels import Part, Pixels, Randoms, Reading, reading
from ensgan.data.source import FRACTIONS, SPLITS, Source, check_held_out, dequantized, split_indices
from ensgan.types import InputError, Shape

WORKERS = min(32, max(8, os.cpu_count() or 1))  # threads that read a batch: records may be far away, or take decoding
_HERE = threading.local()  # says that a thread is one of those
LOOK = 256  # records that are looked at before training


class Records(Protocol):
    """Anything with a length and random access to dicts of `x` and, optionally, `label`."""

    def __len__(self) -> int:
        """The number of records."""
        ...

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        """Record `index`; called from several threads at a time."""
        ...


def stream(
    records: Records,
    *,
    name: str = "stream",
    classes: Classes = None,
    seed: int = 0,
    fractions: tuple[float, ...] = FRACTIONS,
    prefetch: int = 2,
    **pixels: Unpack[Pixels],
) -> Source:
    """Records that are read in batches when they are needed, and reshuffled in each epoch.

    Args:
        records: random access to dicts: `x` is a uint8 image `[H, W]` or `[H, W, C]`, a float image in `range`, or a
            float point `[D]`; `label`, if known, is an integer or a string. Several threads read at a time.
        name: the name of the source in reports.
        classes: number of classes in `label`, or their names in order, if there are labels. Where labels are not
            0..K-1 and only their number is given, all of them must occur in the 256 records looked at first.
        seed: seed of the splits, the order and the noise.
        fractions: shares of train, select, calibrate and report.
        prefetch: number of batches that are read ahead of the last one; 0 reads nothing ahead.
        pixels: `levels`, `dequantize`, `range` and `flip`; see `Pixels`.

    Returns:
        A streamed source, in which `read(step, size)` is a pure function of (seed, step, size).

    Raises:
        InputError: grain is missing, `prefetch` is no number of batches, there are too few records, or, once it is
            read, a record is of another kind than these or than the first one.
    """
    grain, splits, how = _grain(), split_indices(len(records), seed, fractions), reading(**pixels)
    looked = np.unique(np.linspace(0, len(records) - 1, min(LOOK, len(records))).astype(int)).tolist()
    seen = [plain(records[i], f"record {i} of {name!r}", how, single=True) for i in looked]
    kind = kind_of(seen, name, how, classes)

    def record(index: int) -> Batch:
        what = f"record {index} of {name!r}"
        return kind.settled(plain(records[index], what, how, single=True), what)

    first = record(0)

    def alike(index: int) -> Batch:
        one = record(index)
        for key in ("x", "label"):
            check_alike(one.get(key), first.get(key), f"{key} of record {index} of {name!r}")
        return one

    def batch(indices: np.ndarray, noise: list[int], flip: bool = False, rows: range | None = None) -> Batch:
        rows = rows or range(len(indices))
        found = _side_by_side(alike, indices[rows.start : rows.stop])
        joined = {key: np.concatenate([one[key] for one in found]) for key in first}
        rng = Part(np.random.default_rng(noise), rows, len(indices))
        return joined | {"x": noisy(joined["x"], rng, how, flip)}

    @lru_cache
    def order(size: int) -> Any:
        train = grain.MapDataset.range(len(splits["train"])).seed(seed)
        return train.shuffle().repeat().batch(size, drop_remainder=True)

    def compute(step: int, size: int, rows: range | None = None) -> Batch:
        return batch(splits["train"][order(size)[step]], [seed, 1, step], how.flip, rows)

    def held_out(split: str, num: int) -> Batch:
        place = check_held_out(split, num)
        return batch(splits[split][:num], [seed, 0, place])

    read = _ahead(compute, prefetch)
    return Source(
        name=name,
        shape=first["x"].shape[1:],
        arrays={},
        draw=None,
        read=read,
        read_part=read,
        held_out=held_out,
        num={split: len(where) for split, where in splits.items()},
        classes=kind.classes,
        class_names=kind.names,
        facts=kind.facts._replace(num=len(records), treated=how.treated(), named=lambda i: f"number {looked[i]}"),
    )


def from_iterator(
    iterator: Iterable[Any],
    *,
    shape: Shape | None = None,
    held_out: int = 256,
    name: str = "iterator",
    classes: Classes = None,
    seed: int = 0,
    **pixels: Unpack[Pixels],
) -> Source:
    """Batches from any iterator: its first samples are held out, and the rest are trained on, in its order.

    Such a run cannot be resumed exactly: after a restart, the iterator decides which batch comes next. An iterator that
    starts over gives the held-out samples again, now as training data. If that matters, leave them out of it yourself.

    Args:
        iterator: gives batches: an array, alone or in a sequence, a pair (x, label) as a PyTorch loader does, or a
            dict of `x` and optionally `label` `[n]`. Samples are uint8 images `[n, H, W]` or `[n, H, W, C]`, float
            images in `range`, or float points `[n, D]`; labels are integers or strings. It should never end.
        shape: shape of one sample; by default that of the first batch.
        held_out: number of samples for each of select, calibrate and report. The rest of the last batch taken for them
            is dropped.
        name: the name of the source in reports.
        classes: number of classes in `label`, or their names in order, if there are labels. Where labels are not
            0..K-1 and only their number is given, all of them must occur among the held-out samples.
        seed: seed of the noise.
        pixels: `levels`, `dequantize`, `range` and `flip`; see `Pixels`.

    Returns:
        A streamed source. Its `read` ignores the step.

    Raises:
        InputError: an object that cannot be iterated, an iterator that ends, or batches of another kind than these, of
            different kinds, or of another size than `read` expects.
    """
    check_seed(seed)
    if held_out < 1:
        raise InputError(f"held_out is {held_out}; expected at least 1 sample for each of {', '.join(SPLITS[1:])}")
    how, noise = reading(**pixels), np.random.default_rng([seed, 1])
    take = _Batches(name, iterator, how)
    seen = take.first["x"].shape[1:]
    if shape is not None and seen != tuple(shape):
        raise InputError(f"{name!r} gives samples of shape {seen}, but shape is {tuple(shape)}; make them equal")
    taken = take.at_least(3 * held_out)
    kind = kind_of(taken, name, how, classes)

    def settled(batch: Batch, flip: bool = False) -> Batch:
        batch = kind.settled(batch, f"a batch of {name!r}")
        return batch | {"x": noisy(batch["x"], noise, how, flip)}

    parts = [settled(batch) for batch in taken]
    kept = {key: np.concatenate([batch[key] for batch in parts])[: 3 * held_out] for key in parts[0]}

    def read(step: int, size: int) -> Batch:
        batch = take(f"at step {step}")
        if len(batch["x"]) != size:
            raise InputError(f"{name!r} gave a batch of {len(batch['x'])}, but batch_size is {size}; make them equal")
        return settled(batch, how.flip)

    def held(split: str, num: int) -> Batch:
        place = check_held_out(split, num) - 1
        if place < 0:
            raise InputError(f"{name!r} keeps no training samples; give one of the splits {', '.join(SPLITS[1:])}")
        start = place * held_out
        return {key: column[start : start + min(num, held_out)] for key, column in kept.items()}

    return Source(
        name=name,
        shape=seen,
        arrays={},
        draw=None,
        read=read,
        held_out=held,
        num={split: None if split == "train" else held_out for split in SPLITS},
        classes=kind.classes,
        class_names=kind.names,
        facts=kind.facts._replace(num=None, treated=how.treated()),
        resumable=False,
    )


def noisy(x: np.ndarray, rng: Randoms, how: Reading, flip: bool) -> np.ndarray:
    """A batch as networks see it; of images `[n, H, W, C]`, half are mirrored at random where `flip` says so."""
    x = dequantized(x, rng, how.levels, how.dequantize)
    if not flip:
        return x
    return np.where(rng.random((len(x),))[:, None, None, None] < 0.5, x[:, :, ::-1], x)


@cache
def workers() -> ThreadPoolExecutor:
    """The threads that read the records of a batch; decoding an image needs no lock of Python's."""
    mark = lambda: setattr(_HERE, "reads", True)
    return ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="ensgan-records", initializer=mark)


def _side_by_side(read: Callable[[int], Batch], indices: np.ndarray) -> list[Batch]:
    """The records of these numbers, in their order, read by several threads."""
    if getattr(_HERE, "reads", False):  # a record that reads another stream must not wait for a thread like its own
        return [read(int(i)) for i in indices]
    parts = np.array_split(indices, min(WORKERS, len(indices)))
    return [one for part in workers().map(lambda part: [read(int(i)) for i in part], parts) for one in part]


def _grain() -> Any:
    try:
        import grain
    except ImportError as error:
        raise InputError("streamed data need grain, which is not installed: pip install 'ensgan[data]'") from error
    return grain


def _ahead(compute: Callable[[int, int, range | None], Batch], depth: int) -> Any:
    """A `read` that is `depth` batches ahead."""
    if not isinstance(depth, int) or depth < 0:
        raise InputError(f"prefetch is {depth!r}; it counts batches, so give a whole number of at least 0")
    return _Ahead(compute, depth) if depth else compute


class _Ahead:
    """A `read` whose next `depth` steps are computed by threads. It keeps no other steps, so steps may jump."""

    def __init__(self, compute: Callable[[int, int, range | None], Batch], depth: int) -> None:
        self.compute = compute
        self.depth = depth
        self.pool = ThreadPoolExecutor(max_workers=min(depth, 2), thread_name_prefix="ensgan-data")
        self.lock = threading.Lock()
        self.waiting: dict[tuple[int, int, range | None], Future[Batch]] = {}

    def __call__(self, step: int, size: int, rows: range | None = None) -> Batch:
        with self.lock:
            wanted = [(step + ahead, size, rows) for ahead in range(self.depth + 1)]
            for key in set(self.waiting) - set(wanted):
                self.waiting.pop(key).cancel()
            for key in wanted:
                if key not in self.waiting:
                    self.waiting[key] = self.pool.submit(self.compute, *key)
            now = self.waiting.pop(wanted[0])
        return now.result()


class _Batches:
    """The batches of an iterator, checked: each of the kind of the first."""

    def __init__(self, name: str, batches: Iterable[Any], how: Reading) -> None:
        try:
            self.batches = iter(batches)
        except TypeError as error:
            raise InputError(f"{name!r} is a {type(batches).__name__}; give an iterator of batches") from error
        self.name, self.how = name, how
        self.first = self._next("before its first batch")

    def __call__(self, when: str) -> Batch:
        batch = self._next(when)
        for key in ("x", "label"):
            check_alike(batch.get(key), self.first.get(key), f"{key} of a batch of {self.name!r}")
        return batch

    def at_least(self, needed: int) -> list[Batch]:
        """The first batches, with so many samples or more."""
        taken = [self.first]
        while (got := sum(len(batch["x"]) for batch in taken)) < needed:
            taken.append(self(f"after {got} samples, but {needed} are held out"))
        return taken

    def _next(self, when: str) -> Batch:
        try:
            batch = next(self.batches)
        except StopIteration:
            raise InputError(
                f"{self.name!r} ended {when}; give an iterator that does not end, such as one that repeats"
            ) from None
        return plain(batch, f"a batch of {self.name!r}", self.how)
