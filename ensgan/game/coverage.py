"""Coverage: which samples each discriminator sees, and how their gradients find the way back to the generators.

`full`: all of them, at a cost ∝ M·N·B. `split`: samples are dealt out, B/N of every generator for each discriminator,
at a cost ∝ M·B. `neighbours`: the samples of the k generators that the pairing names, at a cost ∝ N·k·B.

On a mesh, fakes come from the devices that hold their generators, and gradients go back there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from ensgan.devices.mesh import Place
from ensgan.game import population, scoring
from ensgan.game.game import Game
from ensgan.types import Array


class View(NamedTuple):
    """What the discriminators of this device see. Each has K places for generators: all M of them, or its opponents."""

    fake: Array  # [K, B, ...] if all see the same, or [N, K, b, ...]
    own: bool  # whether each discriminator has fakes of its own
    size: int  # samples of a pair, on all devices
    rows_KN: Array  # the number of the generator in each place; [M, 1] where it is the same for all
    mask_KN: Array | None  # the places that are played, None where all are
    mask_MN: Array  # the same as a matrix of all pairs
    pick: Callable[[Array], Array]  # a matrix of all pairs [M, N] as this device's places [K, N]
    matrix: Callable[[Array], Array]  # places [..., K, N] of all devices as matrices of all pairs [..., M, N]
    collect: scoring.Collect


def as_mask(pairs: Array | None, M: int, N: int) -> Array:
    """What a pairing's `before` gave as a matrix of pairs that are played, bool `[M, N]`."""
    if pairs is None:
        return jnp.ones((M, N), bool)
    if pairs.dtype == bool:
        return pairs
    return (jnp.arange(M)[:, None, None] == pairs[None]).any(axis=-1)


def see(game: Game, fake_MB: Array, pairs: Array | None, place: Place) -> View:
    """What discriminators see of the fakes of this device's generators, `[M, B, ...]`."""
    counts_g, counts_d = population.counts(game.groups_g), population.counts(game.groups_d)
    M, N, size = game.M, game.N, game.batch_size
    columns = population.numbers(game.groups_d, place)
    mask_MN = as_mask(pairs, M, N)

    def gathered(places: Array) -> Array:
        """`[..., M, here]` of every device, side by side."""
        return jnp.moveaxis(place.gather(jnp.moveaxis(places, -1, 0), counts_d), 0, -1)

    def by_column(matrix_MN: Array) -> Array:
        return matrix_MN if place.sizes.member == 1 else matrix_MN[:, columns]

    if game.coverage == "neighbours":
        assert pairs is not None  # a game without opponents was refused
        opponents_NK = pairs[columns]
        there = (opponents_NK >= 0) & (opponents_NK < M)
        row_NK = jnp.where(there, opponents_NK, 0)
        column = jnp.arange(len(columns))[:, None]

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
            size=size,
            rows_KN=row_NK.T,
            mask_KN=there.T,
            mask_MN=mask_MN,
            pick=lambda matrix_MN: jnp.where(
                there.T, matrix_MN[row_NK.T, columns[None]], jnp.zeros((), matrix_MN.dtype)
            ),
            matrix=matrix,
            collect=collect,
        )

    split = game.coverage == "split"

    def collect_dealt(factor_KNB: Array, dx_NKB: Array) -> Array:
        terms = jnp.stack(scoring.weighted(factor_KNB, dx_NKB))
        return gather_hands(place.swap(terms.swapaxes(0, 1), counts_g, counts_d).swapaxes(0, 1))

    def collect_all(factor_KNB: Array, dx_NKB: Array) -> Array:
        return place.scatter_sum(scoring.weighted_sum(factor_KNB, dx_NKB), counts_g)

    dealt = lambda: place.swap(deal(fake_MB, N, axis=1), counts_d, counts_g)
    return View(
        fake=dealt() if split else place.gather(fake_MB, counts_g),
        own=split,
        size=size // N if split else size,
        rows_KN=jnp.arange(M)[:, None],
        mask_KN=None if pairs is None else by_column(mask_MN),
        mask_MN=mask_MN,
        pick=by_column,
        matrix=gathered,
        collect=collect_dealt if split else collect_all,
    )


def own_reals(
    game: Game, columns: Array, real: Array, label: Array | None, weight: Array | None
) -> tuple[Array, Array | None, Array | None]:
    """Reals, their labels and weights as the discriminators of these numbers see them.

    What comes in has an axis of discriminators where each has reals, or weights, of its own; what goes out has one
    there, and with `split` coverage everywhere.
    """
    dealt = game.coverage == "split"

    def one(x: Array, own: bool) -> Array:
        if dealt:
            return deal(x, game.N, axis=1)[columns, columns] if own else deal(x, game.N)[columns]
        return x[columns] if own else x

    return (
        one(real, real.ndim == len(game.sample_shape) + 2),
        None if label is None else one(label, own=False),
        None if weight is None else one(weight, weight.ndim == 2),
    )


def deal(x: Array, N: int, axis: int = 0) -> Array:
    """A batch dealt out among N discriminators: `[..., B, ...]` becomes `[N, ..., B/N, ...]`.

    Sample b goes to discriminator b modulo N, so that each part of a batch is dealt like the whole.
    """
    hands = x.reshape(*x.shape[:axis], x.shape[axis] // N, N, *x.shape[axis + 1 :])
    return jnp.moveaxis(hands, axis + 1, 0)


def gather_hands(x_NMB: Array) -> Array:
    """`[N, M, b, ...]`, as it was dealt, back as `[M, N·b, ...]`."""
    x = jnp.moveaxis(x_NMB, 0, 2)  # [M, b, N, ...]
    return x.reshape(x.shape[0], -1, *x.shape[3:])
