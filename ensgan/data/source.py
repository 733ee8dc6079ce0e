"""Data sources: four disjoint splits, how batches are drawn, and how pixels become numbers.

A pixel is an integer `v` in 0..levels-1. Networks see `(v + u) / levels * 2 - 1` with `u` uniform in [0, 1) (uniform
dequantisation; Theis et al. 2016, arXiv 1511.01844). Without this noise a discriminator could recognise reals by their
last bits. Images are therefore stored as uint8 and become float32 when they are drawn.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.data.checks import check_seed
from ensgan.data.columns import Columns
from ensgan.data.facts import Facts, facts_of, lines, merged
from ensgan.data.labels import Classes, map_labels
from ensgan.data.pixels import Pixels, Randoms, reading, stored
from ensgan.types import Array, InputError, Shape, Tree, unknown

SPLITS = ("train", "select", "calibrate", "report")
FRACTIONS = (0.7, 0.1, 0.1, 0.1)


class Modes(NamedTuple):
    """The components of a Gaussian mixture: `centers` `[K, D]` and their common standard deviation."""

    centers: np.ndarray
    std: float


@dataclass(frozen=True, eq=False)
class Source:
    """A data set as training sees it: held in memory (`arrays`, `draw`) or streamed (`read`).

    A batch is a dict: `x` float32 `[size, *shape]`, and `label` int32 `[size]` if labels are known. If each
    discriminator has its own samples (`data.views`), `x` is `[views, size, *shape]`, and there are no labels.

    Attributes:
        name: its name in reports.
        shape: shape of one sample as networks see it: points `(D,)`, images `(H, W, C)` in [-1, 1].
        arrays: split -> pytree of arrays, the first argument of `draw`. Empty if streamed.
        draw: `draw(arrays[split], keys) -> batch`: one sample for each of `keys` `[size]`, i.i.d. with replacement,
            pure, traceable under jit and vmap. A sample depends on its own key alone, so it is the same in every batch
            or shard that holds it. None if streamed.
        pick: `pick(arrays[split], i, key) -> sample`: sample i of a split with the noise of a key; for a Gaussian
            mixture, a sample of component i. None if samples have no numbers.
        read: `read(step, size) -> batch` of numpy arrays of the train split, a pure function of (seed, step, size)
            unless `resumable` is False. None if held in memory.
        read_part: `read_part(step, size, rows) -> batch`: of the batch that `read` gives, the samples with numbers in
            the `range` alone, for processes that need no others. None if batches are read whole.
        held_out: `held_out(split, num) -> batch` of numpy arrays: at most `num` samples, always the same ones; a
            smaller `num` gives the first samples of a larger one.
        num: split -> number of samples, or None if unlimited.
        classes: number of classes in `label`, or None.
        class_names: the names of the classes in order, as the data had them: labels, or folders.
        facts: what was read, to be said before training; None if nothing was.
        resumable: whether `read` gives the same batch for the same step after a restart.
        modes: the true components of a Gaussian mixture.
        views: number of discriminators that have their own samples to train with; None if all share a batch.
        single: if every channel is a sample of another source, that source; a label is then a number in base
            `single.classes` with one digit per channel, the first channel's in front.
        law: shares of the classes in the train split, `[classes]`, where `arrays` do not show them.
        columns: names of the numbers of a point, and how to come back to the numbers of its table.
    """

    name: str
    shape: Shape
    arrays: dict[str, Tree]
    draw: Callable[[Tree, Array], dict[str, Array]] | None
    read: Callable[[int, int], dict[str, np.ndarray]] | None
    held_out: Callable[[str, int], dict[str, np.ndarray]]
    num: dict[str, int | None]
    classes: int | None = None
    class_names: tuple[str, ...] | None = None
    facts: Facts | None = None
    resumable: bool = True
    modes: Modes | None = None
    pick: Callable[[Tree, Array, Array], dict[str, Array]] | None = None
    views: int | None = None
    single: Source | None = None
    law: np.ndarray | None = None
    read_part: Callable[[int, int, range], dict[str, np.ndarray]] | None = None
    columns: Columns | None = None

    def check_batch(self, size: int) -> None:
        """Raises InputError if a batch of `size` is larger than the train split."""
        num = self.num["train"]
        if num is not None and size > num:
            raise InputError(
                f"a batch of {size} is larger than the train split of {self.name!r}, which has {num} "
                "samples; lower --batch-size (batch_size in Python), or give more data"
            )

    def checksum(self) -> str:
        """A checksum of the arrays in memory, the sizes of the splits, and the first 8 samples of the select split."""
        total = zlib.crc32(repr(self.num).encode())
        for leaf in jax.tree.leaves([self.arrays, self.held_out("select", 8)]):
            total = zlib.crc32(np.asarray(leaf).tobytes(), total)
        return f"{total:#010x}"

    def summary(self) -> list[str]:
        """Two lines about what was read, and one more for each thing that may be a mistake; none where nothing was."""
        if self.single is not None:
            return self.single.summary()
        return [] if self.facts is None else lines(self.name, self.facts)


def check_held_out(split: str, num: int) -> int:
    """The index of `split`. Raises InputError for an unknown split or `num` below 1."""
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if num < 1:
        raise InputError(f"held_out got num={num}; expected at least 1 sample")
    return SPLITS.index(split)


def split_sizes(num: int, fractions: tuple[float, ...] = FRACTIONS) -> list[int]:
    """How many of `num` samples each split gets, under the rules of `split_indices`."""
    if len(fractions) != 4 or not min(fractions) > 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(
            f"fractions are {tuple(fractions)}; expected 4 positive numbers ({', '.join(SPLITS)}) whose sum is 1"
        )
    needed = math.ceil(1 / min(fractions) - 1e-9)
    if num < needed:
        empty = SPLITS[fractions.index(min(fractions))]
        what = f"{num} sample{'s' * (num != 1)} cannot be divided into four splits {tuple(fractions)}"
        larger = f", or a larger share to {empty} by --data.fractions" if num >= len(SPLITS) else ""
        raise InputError(f"{what}, because {empty} would be empty; give at least {needed}{larger}")
    others = [int(num * f + 1e-9) for f in fractions[1:]]
    return [num - sum(others), *others]


def split_indices(num: int, seed: int = 0, fractions: tuple[float, ...] = FRACTIONS) -> dict[str, np.ndarray]:
    """Divides `num` samples into four disjoint splits, which follow from `num`, `seed` and `fractions` alone.

    Args:
        num: number of samples.
        seed: seed of the permutation.
        fractions: shares of train, select, calibrate and report: positive numbers whose sum is 1.

    Returns:
        split -> indices in permuted order. The last three splits are rounded down, and train gets the rest.

    Raises:
        InputError: fractions that are not such shares, or a split that would be empty.
    """
    check_seed(seed)
    cuts = np.cumsum(split_sizes(num, fractions))[:-1]
    order = np.random.default_rng(seed).permutation(num)
    return dict(zip(SPLITS, np.split(order, cuts), strict=True))


def to_float(v: Any, u: Any, levels: int) -> Any:
    """Pixels `v` in 0..levels-1 with noise `u` in [0, 1), both float32 and of one shape, as float32 in [-1, 1]."""
    return (v + u) * (2 / levels) - 1


def to_uint8(x: Any) -> np.ndarray:
    """Images in [-1, 1] as pixels 0..255 for pictures; values outside are clipped, and NaN becomes 0.

    It undoes dequantisation: 256 cells of equal width, where the upper end belongs to the last.
    """
    x = np.nan_to_num(np.asarray(x, np.float32), nan=-1.0)
    return np.clip(np.floor((x + 1) * 128), 0, 255).astype(np.uint8)


def dequantized(x: np.ndarray, rng: Randoms, levels: int, dequantize: bool = True) -> np.ndarray:
    """A numpy batch as networks see it: uint8 gets noise from `rng`, or ½; float stays as it is."""
    if x.dtype != np.uint8:
        return x
    u = rng.random(x.shape, np.float32) if dequantize else np.full(x.shape, 0.5, np.float32)
    return to_float(x.astype(np.float32), u, levels)


def sample_keys(key: Array, size: int) -> Array:
    """One key per sample, `[size]`: `fold_in(key, b)`."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(size, dtype=np.uint32))


@cache  # the same functions for sources of the same kind, so that programs are compiled once
def drawing(
    levels: int, dequantize: bool, flip: bool = False
) -> tuple[Callable[[Tree, Array], dict[str, Array]], Callable[[Tree, Array, Array], dict[str, Array]]]:
    """`draw` and `pick` of a source in memory: its samples, with pixels as networks see them."""

    def pick(table: Tree, i: Array, noise: Array) -> dict[str, Array]:
        sample = {name: jnp.asarray(column)[i] for name, column in table.items()}
        if sample["x"].dtype == np.uint8:
            v = sample["x"].astype(np.float32)
            u = jax.random.uniform(noise, v.shape, np.float32) if dequantize else jnp.full_like(v, 0.5)
            sample["x"] = to_float(v, u, levels)
        if flip:
            x, mirror = sample["x"], jax.random.bernoulli(jax.random.fold_in(noise, 1))
            sample["x"] = jnp.where(mirror, x[:, ::-1], x)
        return sample

    def one(table: Tree, key: Array) -> dict[str, Array]:
        which, noise = jax.random.split(key)
        return pick(table, jax.random.randint(which, (), 0, len(table["x"]), dtype=np.int32), noise)

    return jax.vmap(one, (None, 0)), pick


def from_arrays(
    name: str,
    x: np.ndarray,
    label: Any = None,
    *,
    classes: Classes = None,
    seed: int = 0,
    fractions: tuple[float, ...] = FRACTIONS,
    **pixels: Unpack[Pixels],
) -> Source:
    """A source that holds its samples in memory.

    Args:
        name: its name in reports.
        x: uint8 images `[n, H, W]` or `[n, H, W, C]` with values below `levels`; or float points `[n, D]`; or float
            images in `range`.
        label: integers or strings `[n]`, or None.
        classes: number of classes, or their names in order; by default one for each label that occurs, integers in the
            order of their values, strings in natural order.
        seed: seed of the splits and of the noise of held-out samples.
        fractions: shares of the four splits.
        pixels: `levels`, `dequantize`, `range` and `flip`; see `Pixels`.

    Raises:
        InputError: samples or labels of another kind, or too few for four splits.
    """
    how = reading(**pixels)
    levels, dequantize = how.levels, how.dequantize
    x, given = stored(x, f"x of {name!r}", how), np.asarray(x)
    names = None
    if label is not None:
        label, names = map_labels(label, len(x), f"label of {name!r}", classes)
    columns = {"x": x} if label is None else {"x": x, "label": label}
    arrays = {
        split: {name: column[where] for name, column in columns.items()}
        for split, where in split_indices(len(x), seed, fractions).items()
    }

    def held_out(split: str, num: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([seed, 0, check_held_out(split, num)])
        first = {name: column[:num] for name, column in arrays[split].items()}
        return first | {"x": dequantized(first["x"], rng, levels, dequantize)}

    draw, pick = drawing(levels, dequantize, how.flip)
    return Source(
        name=name,
        shape=x.shape[1:],
        arrays=arrays,
        draw=draw,
        read=None,
        held_out=held_out,
        num={split: len(table["x"]) for split, table in arrays.items()},
        classes=None if names is None else len(names),
        class_names=names,
        facts=facts_of(x, label, names, levels)._replace(merged=merged(given, x), treated=how.treated()),
        pick=pick,
    )


resident = from_arrays  # its former name

LEAST = 8  # with fewer samples, ranks are noise


def check_split(source: Source, split: str) -> None:
    """Raises InputError if a split is too small for scores: ranks would be noise."""
    found = len(source.held_out(split, LEAST)["x"])
    if found < LEAST:
        raise InputError(
            f"the {split} split of {source.name!r} has {found} sample{'s' * (found != 1)}, and scores need at least "
            f"{LEAST}; {_more(source, split)}"
        )


def _more(source: Source, split: str) -> str:
    """How a split gets enough samples."""
    num = None if source.facts is None else source.facts.num
    if source.modes is not None:
        return "give more by --data.points"
    if num is None:
        return "hold out more (held_out in Python)"
    least = [LEAST] * 3 if num >= 4 * LEAST else [LEAST if name == split else 1 for name in SPLITS[1:]]
    if num < sum(least) + 2:
        return f"give more data: at least {sum(least) + 2} samples"
    held = [math.ceil(1e4 * count / num) / 1e4 for count in least]  # rounded up, since splits are rounded down
    shares = ",".join(f"{share:g}" for share in (round(1 - sum(held), 4), *held))
    train = split_sizes(num, (1 - sum(held), *held))[0]
    return f"give more data, or --data.fractions {shares} with --batch-size {train} or less"
