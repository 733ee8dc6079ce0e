"""Views of the data: every discriminator draws its reals from a part of the train split that is its own.

A view wraps a resident source. Only what is trained with changes: held-out samples are those of the source, so that
scores of different views compare. Parts are drawn once, from the seed; D_j's sample b is a function of (key of b, j)
alone. On a mesh the data lie on every device; it is members that never see the parts of others.
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
        source: batches.
        N: how many discriminators there are.
        seed: not looked at.
    """
    del N, seed
    return source


def shards(source: Source, N: int, *, by: Literal["random", "class"] = "random", seed: int = 0) -> Source:
    """The train split dealt out: disjoint parts, one for each discriminator, that never leave it.

    The data of MD-GAN (Hardy et al. 2019, arXiv 1811.03850), whose discriminators sit where the data are. Classes are
    the hard case, parts that are not alike: only all discriminators together know the whole.

    Args:
        source: held in memory, or a Gaussian mixture.
        N: how many discriminators there are.
        by: `random`, parts of equal size, to one sample; or `class`, where D_j gets the classes k ≡ j modulo N, of a
            mixture its components.
        seed: decides which sample goes where.

    Raises:
        InputError: a source without end or without labels, or a discriminator that would be left without data.
    """
    _check(source, N)
    if by not in DEALS:
        raise unknown("way to deal out shards", by, DEALS)
    if by == "class":
        label = _classes(source)
        return _viewed(source, "shards by class", [np.flatnonzero(label % N == j) for j in range(N)])
    num = _num(source, "random shards", "by='class', which deals out its components")
    order = np.random.default_rng(seed).permutation(num)
    return _viewed(source, "shards", [np.sort(part) for part in np.array_split(order, N)])


def diet(source: Source, N: int, *, share: float = 0.5, seed: int = 0) -> Source:
    """A random subset of the train split for each discriminator (data dieting).

    As Lipizzaner's `sampling_ratio` has it for each cell of its grid (Toutouh, Hemberg & O'Reilly 2020, arXiv
    2004.04642). Subsets of different members are independent and overlap.

    Args:
        source: held in memory.
        N: how many discriminators there are.
        share: share of the train split that each one gets, in (0, 1]; rounded to whole samples.
        seed: decides the subsets.

    Raises:
        InputError: `share` is out of range or no sample at all, or a source without end.
    """
    _check(source, N)
    if not 0.0 < share <= 1.0:
        raise InputError(f"share is {share}; it is the part of the data that each discriminator gets, in (0, 1]")
    num = _num(source, "a share", "the view all")
    size = round(share * num)
    if not size:
        raise InputError(f"a share of {share:g} of {num} samples is not one sample; give more, such as {1 / num:.2g}")
    rngs = [np.random.default_rng([seed, j]) for j in range(N)]
    parts = [np.sort(rng.choice(num, size, replace=False)) for rng in rngs]
    return _viewed(source, f"{share:g} of it each", parts)


def bags(source: Source, N: int, *, seed: int = 0) -> Source:
    """A bootstrap of the train split for each discriminator: as many samples, drawn with replacement.

    Bagging (Breiman 1996). A bag holds about 63 % of the samples, some of them several times.

    Args:
        source: held in memory.
        N: how many discriminators there are.
        seed: decides the bags.

    Raises:
        InputError: a source without end.
    """
    _check(source, N)
    num = _num(source, "a bootstrap", "the view all")
    return _viewed(source, "bags", [np.random.default_rng([seed, j]).integers(num, size=num) for j in range(N)])


# What the command line calls by name, with the source, the number of discriminators and the seed of the run.
VIEWS: dict[str, Callable[..., Source]] = {"all": whole, "shards": shards, "diet": diet, "bags": bags}


def _check(source: Source, N: int) -> None:
    if N < 1:
        raise InputError(f"a view for {N} discriminators; there is at least 1")
    if source.views is not None:
        raise InputError(f"{source.name!r} already has a view; wrap the source that it was made of")
    if source.draw is None:
        raise InputError(
            f"{source.name!r} is streamed, and a view divides data that are held in memory; make it "
            "resident, or use the view all"
        )
    if source.pick is None:
        raise InputError(f"samples of {source.name!r} cannot be picked by number; give the source a `pick`")


def _num(source: Source, what: str, instead: str) -> int:
    """How many samples there are to train with."""
    num = source.num["train"]
    if num is None:
        raise InputError(f"{source.name!r} is unlimited, so {what} of it would be all of it; use {instead}")
    return num


def _classes(source: Source) -> np.ndarray:
    """The class of every number that `pick` takes."""
    if source.num["train"] is None and source.modes is not None:
        return np.arange(len(source.modes.centers))
    label = source.arrays["train"].get("label")
    if label is None or source.classes is None:
        raise InputError(f"{source.name!r} has no labels, so it has no shards by class; give labels, or by='random'")
    if isinstance(label, jax.ShapeDtypeStruct):  # an outline: of labels nobody has read, all are taken as frequent
        return np.arange(label.shape[0]) % source.classes
    return np.asarray(label)


def _viewed(source: Source, what: str, parts: Sequence[np.ndarray]) -> Source:
    """A source whose discriminator j draws from the numbers `parts[j]`."""
    sizes = np.array([len(part) for part in parts], np.int32)
    if not sizes.all():
        empty = np.flatnonzero(sizes == 0)
        raise InputError(
            f"dealing out {source.name!r} in {what} leaves {len(empty)} of {len(parts)} discriminators without data, "
            f"D{empty[0]} the first; use {len(parts) - len(empty)} or fewer, or another view"
        )
    # A part that is shorter than the longest is filled up with what is never drawn.
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
        num={**source.num, "train": smallest},  # of the smallest part
        classes=None,  # reals of different discriminators have different labels, but a fake has one
        pick=None,
        views=len(parts),
    )
