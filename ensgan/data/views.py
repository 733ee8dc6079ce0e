"""Views of the data: every discriminator draws its reals from its own part of the train split.

A view wraps a source in memory and changes the training data only. Held-out samples stay those of the source, so scores
of different views can be compared. Parts are drawn once, from the seed. D_j's sample b is a function of (key of b, j)
alone. On a mesh every device holds all data, but no member sees the parts of others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.data.source import Source
from ensgan.types import Array, InputError, Tree, unknown

DEALS = ("random", "class")


def whole(source: Source, N: int, *, seed: int = 0) -> Source:
    """All discriminators share one batch of all the data: the source as it is.

    Args:
        source: any source.
        N: number of discriminators.
        seed: not used.
    """
    del N, seed
    return source


def shards(source: Source, N: int, *, by: Literal["random", "class"] = "random", seed: int = 0) -> Source:
    """Disjoint parts of the train split, one for each discriminator.

    This is the data layout of MD-GAN (Hardy et al. 2019, arXiv 1811.03850), whose discriminators stay with their data.
    Parts by class are the hard case, since they differ: only all discriminators together know the whole distribution.

    Args:
        source: a source in memory, or a Gaussian mixture.
        N: number of discriminators.
        by: `random`: parts whose sizes differ by at most one sample; `class`: D_j gets the classes k ≡ j modulo N, or
            those components of a mixture.
        seed: seed of the random parts.

    Raises:
        InputError: an unlimited source, one without labels, or a discriminator that would get no data.
    """
    _check(source, N)
    if by not in DEALS:
        raise unknown("rule for shards", by, DEALS)
    if by == "class":
        label = _classes(source)
        return _viewed(source, "shards by class", [np.flatnonzero(label % N == j) for j in range(N)])
    num = _num(source, "random shards", "by='class', which divides its components")
    order = np.random.default_rng(seed).permutation(num)
    return _viewed(source, "shards", [np.sort(part) for part in np.array_split(order, N)])


def diet(source: Source, N: int, *, share: float = 0.5, seed: int = 0) -> Source:
    """A random subset of the train split for each discriminator (data dieting).

    Lipizzaner's `sampling_ratio` does this for each cell of its grid (Toutouh, Hemberg & O'Reilly 2020, arXiv
    2004.04642). Subsets of different members are independent, so they overlap.

    Args:
        source: a source in memory.
        N: number of discriminators.
        share: share of the train split that each discriminator gets, in (0, 1], rounded to whole samples.
        seed: seed of the subsets.

    Raises:
        InputError: a share out of range or below one sample, or an unlimited source.
    """
    _check(source, N)
    if not 0.0 < share <= 1.0:
        raise InputError(f"share is {share}; give the share of the data for each discriminator, in (0, 1]")
    num = _num(source, "a share", "the view all")
    size = round(share * num)
    if not size:
        raise InputError(f"share is {share:g}, less than one of {num} samples; give more, such as {1 / num:.2g}")
    rngs = [np.random.default_rng([seed, j]) for j in range(N)]
    parts = [np.sort(rng.choice(num, size, replace=False)) for rng in rngs]
    return _viewed(source, f"{share:g} of it each", parts)


def bags(source: Source, N: int, *, seed: int = 0) -> Source:
    """A bootstrap of the train split for each discriminator: as many samples, drawn with replacement.

    Bagging (Breiman 1996). A bag holds about 63 % of the samples, some of them several times.

    Args:
        source: a source in memory.
        N: number of discriminators.
        seed: seed of the bags.

    Raises:
        InputError: an unlimited source.
    """
    _check(source, N)
    num = _num(source, "a bootstrap", "the view all")
    return _viewed(source, "bags", [np.random.default_rng([seed, j]).integers(num, size=num) for j in range(N)])


# The names on the command line. Each is called with the source, the number of discriminators and the seed of the run.
VIEWS: dict[str, Callable[..., Source]] = {"all": whole, "shards": shards, "diet": diet, "bags": bags}


def _check(source: Source, N: int) -> None:
    if N < 1:
        raise InputError(f"a view got N={N} discriminators; give at least 1")
    if source.views is not None:
        raise InputError(f"{source.name!r} already is a view; wrap the source that it was made from")
    if source.draw is None:
        raise InputError(
            f"{source.name!r} is streamed, and a view needs data in memory; hold them in memory (for a folder "
            "--data.resident true), or use the view all"
        )
    if source.pick is None:
        raise InputError(f"samples of {source.name!r} cannot be picked by number; give the source a `pick`")


def _num(source: Source, what: str, instead: str) -> int:
    """The number of training samples."""
    num = source.num["train"]
    if num is None:
        raise InputError(f"{source.name!r} is unlimited, so {what} of it would be all of it; use {instead}")
    return num


def _classes(source: Source) -> np.ndarray:
    """The class of every sample number that `pick` takes."""
    if source.num["train"] is None and source.modes is not None:
        return np.arange(len(source.modes.centers))
    label = source.arrays["train"].get("label")
    if label is None or source.classes is None:
        raise InputError(f"{source.name!r} has no labels for shards by class; give labels, or by='random'")
    if isinstance(label, jax.ShapeDtypeStruct):  # an outline, whose labels are not read: assume classes of equal size
        return np.arange(label.shape[0]) % source.classes
    return np.asarray(label)


def _viewed(source: Source, what: str, parts: Sequence[np.ndarray]) -> Source:
    """A source in which discriminator j draws from the sample numbers `parts[j]`."""
    sizes = np.array([len(part) for part in parts], np.int32)
    if not sizes.all():
        empty = np.flatnonzero(sizes == 0)
        raise InputError(
            f"{what} of {source.name!r} leave {len(empty)} of {len(parts)} discriminators without data, first "
            f"D{empty[0]}; use {len(parts) - len(empty)} discriminators or fewer, or another view"
        )
    # Shorter parts are padded to the length of the longest; the padding is never drawn.
    index = np.stack([np.resize(part, sizes.max()) for part in parts]).astype(np.int32)
    pick = source.pick
    assert pick is not None

    def draw(table: Tree, keys: Array) -> dict[str, Array]:
        def member(index: Array, size: Array, j: Array) -> Array:
            def one(key: Array) -> Array:
                which, noise = jax.random.split(jax.random.fold_in(key, j))
                i = index[jax.random.randint(which, (), 0, size, dtype=np.int32)]
                return pick(table["source"], i, noise)["x"]

            return jax.vmap(one)(keys)

        index, size = jnp.asarray(table["index"]), jnp.asarray(table["size"])
        return {"x": jax.vmap(member)(index, size, jnp.arange(len(parts)))}

    def held_out(split: str, num: int) -> dict[str, np.ndarray]:
        return {"x": source.held_out(split, num)["x"]}

    train = {"source": source.arrays["train"], "index": index, "size": sizes}
    smallest = None if source.num["train"] is None else int(sizes.min())
    return dataclasses.replace(
        source,
        name=f"{source.name}, {what}",
        arrays={**source.arrays, "train": train},
        draw=draw,
        held_out=held_out,
        num={**source.num, "train": smallest},  # the size of the smallest part
        class_names=None,
        classes=None,  # reals of different discriminators have different labels, but a fake has one label
        pick=None,
        views=len(parts),
    )
