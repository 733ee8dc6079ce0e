"""Coverage: which samples each discriminator sees, and how their gradients return to the generators.

`full`: all samples, at a cost ∝ M·N·B. `split`: samples are dealt out, B/N of every generator to each discriminator,
at a cost ∝ M·B. `neighbours`: the samples of the k generators that the pairing names, at a cost ∝ N·k·B.

On a mesh, fakes come from the devices that hold their generators, and gradients go back there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from ensgan.devices.mesh import Place
from ensgan.game import population, scoring
from ensgan.game.population import Groups
from ensgan.game.scoring import View
from ensgan.types import Array


class Coverage(NamedTuple):
    """A way to share samples among discriminators.

    Attributes:
        see: `see(groups_g, groups_d, fake_MB, pairs, place) -> View`, from this device's fakes `[M, B, ...]`.
        reals: `reals(x, own, N, columns)`: the part of reals, labels or weights `x` that the discriminators with the
            numbers `columns` see; `own` says whether `x` is `[N, B, ...]`, separate for each, or `[B, ...]`.
        dealt: whether each discriminator gets 1/N of every batch. Then N must divide B, no member can pause, and
            pairings see running means of the matrices.
        opponents: whether the pairing must name opponents.
        common: whether all discriminators see the same fakes.
    """

    see: Callable[[Groups, Groups, Array, Array | None, Place], View]
    reals: Callable[[Array, bool, int, Array], Array]
    dealt: bool = False
    opponents: bool = False
    common: bool = False


def as_mask(pairs: Array | None, M: int, N: int) -> Array:
    """The pairs that are played, bool `[M, N]`, from the result of a pairing's `before`."""
    if pairs is None:
        return jnp.ones((M, N), bool)
    if pairs.dtype == bool:
        return pairs
    return (jnp.arange(M)[:, None, None] == pairs[None]).any(axis=-1)


def _gathered(groups_d: Groups, place: Place) -> Callable[[Array], Array]:
    """A function that puts `[..., M, here]` of all devices side by side, `[..., M, N]`."""
    counts = population.counts(groups_d)
    return lambda places: jnp.moveaxis(place.gather(jnp.moveaxis(places, -1, 0), counts), 0, -1)


def _see_own(groups_g: Groups, groups_d: Groups, fake_MB: Array, pairs: Array | None, place: Place) -> View:
    """Heads, which every device has, see the fakes of its own generators: none are sent, and no gradients either."""
    counts_g, rows = population.counts(groups_g), population.numbers(groups_g, place)
    mask_MN = as_mask(pairs, sum(counts_g), population.size(groups_d))
    return View(
        fake=fake_MB,
        own=False,
        size=fake_MB.shape[1] * place.sizes.data,
        rows_KN=rows[:, None],
        mask_KN=None if pairs is None else mask_MN[rows],
        mask_MN=mask_MN,
        pick=lambda matrix_MN: matrix_MN[rows],
        matrix=lambda places: jnp.moveaxis(place.gather(jnp.moveaxis(places, -2, 0), counts_g), 0, -2),
        collect=scoring.weighted_sum,
    )


def _see_rows(
    groups_g: Groups, groups_d: Groups, fake_MB: Array, pairs: Array | None, place: Place, dealt: bool
) -> View:
    """Every discriminator has a place for every generator, with all of its samples or those dealt to it."""
    counts_g, counts_d = population.counts(groups_g), population.counts(groups_d)
    M, N, size = sum(counts_g), sum(counts_d), fake_MB.shape[1] * place.sizes.data
    columns, mask_MN = population.numbers(groups_d, place), as_mask(pairs, M, N)

    def pick(matrix_MN: Array) -> Array:
        return matrix_MN if place.sizes.member == 1 else matrix_MN[:, columns]

    def collect_dealt(factor_KNB: Array, dx_NKB: Array) -> Array:
        terms = jnp.stack(scoring.weighted(factor_KNB, dx_NKB))
        return gather_hands(place.swap(terms.swapaxes(0, 1), counts_g, counts_d).swapaxes(0, 1))

    def collect_all(factor_KNB: Array, dx_NKB: Array) -> Array:
        return place.scatter_sum(scoring.weighted_sum(factor_KNB, dx_NKB), counts_g)

    return View(
        fake=place.swap(deal(fake_MB, N, axis=1), counts_d, counts_g) if dealt else place.gather(fake_MB, counts_g),
        own=dealt,
        size=size // N if dealt else size,
        rows_KN=jnp.arange(M)[:, None],
        mask_KN=None if pairs is None else pick(mask_MN),
        mask_MN=mask_MN,
        pick=pick,
        matrix=_gathered(groups_d, place),
        collect=collect_dealt if dealt else collect_all,
    )


def _see_all(groups_g: Groups, groups_d: Groups, fake_MB: Array, pairs: Array | None, place: Place) -> View:
    if place.apart:
        return _see_own(groups_g, groups_d, fake_MB, pairs, place)
    return _see_rows(groups_g, groups_d, fake_MB, pairs, place, dealt=False)


def _see_hands(groups_g: Groups, groups_d: Groups, fake_MB: Array, pairs: Array | None, place: Place) -> View:
    return _see_rows(groups_g, groups_d, fake_MB, pairs, place, dealt=True)


def _see_opponents(groups_g: Groups, groups_d: Groups, fake_MB: Array, pairs: Array | None, place: Place) -> View:
    """Every discriminator has a place for each of its k opponents."""
    assert pairs is not None  # a game without opponents was refused
    counts_g, columns = population.counts(groups_g), population.numbers(groups_d, place)
    M, N = sum(counts_g), population.size(groups_d)
    opponents_NK = pairs[columns]
    there = (opponents_NK >= 0) & (opponents_NK < M)
    row_NK = jnp.where(there, opponents_NK, 0)
    column, gathered = jnp.arange(len(columns))[:, None], _gathered(groups_d, place)

    def pick(matrix_MN: Array) -> Array:
        return jnp.where(there.T, matrix_MN[row_NK.T, columns[None]], jnp.zeros((), matrix_MN.dtype))

    def matrix(places: Array) -> Array:
        empty = jnp.zeros((*places.shape[:-2], M, len(columns)), places.dtype)
        nowhere = jnp.where(there, row_NK, M)  # out of range, so that it is dropped
        return gathered(empty.at[..., nowhere, column].set(places.swapaxes(-1, -2), mode="drop"))

    def collect(factor_KNB: Array, dx_NKB: Array) -> Array:
        terms = jnp.stack(scoring.weighted(factor_KNB, dx_NKB))
        empty = jnp.zeros((M, *terms.shape[2:]), terms.dtype)
        return place.scatter_sum(empty.at[row_NK].add(terms), counts_g)

    return View(
        fake=place.gather(fake_MB, counts_g)[row_NK],
        own=True,
        size=fake_MB.shape[1] * place.sizes.data,
        rows_KN=row_NK.T,
        mask_KN=there.T,
        mask_MN=as_mask(pairs, M, N),
        pick=pick,
        matrix=matrix,
        collect=collect,
    )


def _picked(x: Array, own: bool, N: int, columns: Array) -> Array:
    return x[columns] if own else x


def _dealt(x: Array, own: bool, N: int, columns: Array) -> Array:
    return deal(x, N, axis=1)[columns, columns] if own else deal(x, N)[columns]


def deal(x: Array, N: int, axis: int = 0) -> Array:
    """Deals a batch out among N discriminators: `[..., B, ...]` becomes `[N, ..., B/N, ...]`.

    Sample b goes to discriminator b modulo N, so that each part of a batch is dealt like the whole.
    """
    hands = x.reshape(*x.shape[:axis], x.shape[axis] // N, N, *x.shape[axis + 1 :])
    return jnp.moveaxis(hands, axis + 1, 0)


def gather_hands(x_NMB: Array) -> Array:
    """Undoes `deal`: `[N, M, b, ...]` becomes `[M, N·b, ...]`."""
    x = jnp.moveaxis(x_NMB, 0, 2)  # [M, b, N, ...]
    return x.reshape(x.shape[0], -1, *x.shape[3:])


COVERAGES: dict[str, Coverage] = {
    "full": Coverage(_see_all, _picked, common=True),
    "split": Coverage(_see_hands, _dealt, dealt=True),
    "neighbours": Coverage(_see_opponents, _picked, opponents=True),
}
