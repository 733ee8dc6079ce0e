"""Pairings that do not depend on losses: all pairs, own pairs, a blend, neighbours, or random pairs."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.pairing.weights import check_share, discriminator_weights, driven, normalize, own_MN
from ensgan.types import Array, Evidence, InputError, Pairing, Tree


def mean() -> Pairing:
    """Uniform W and P: all pairs play, and each discriminator sees the mixture of all generators.

    Only the mixture is driven to the data, so members are parts (Durugkar et al. 2016, arXiv 1611.01673, λ = 0).
    """
    return own_and_mean(own=0.0)


def own_and_mean(own: float = 0.5) -> Pairing:
    """The share `own` of each member's weight is on its own opponent, the rest is spread over all.

    With any weight on the own opponent, and at least as many whole discriminators as generators, each generator has a
    discriminator that can tell it from the mixture. This makes it a complete model of the data. Discriminators that are
    heads on one trunk leave it a part, except with a share of 1. 1 is `diagonal` without its mask, 0 is `mean`.

    Args:
        own: share in [0, 1].

    Raises:
        InputError: `own` is outside [0, 1].
    """

    def after(state: Tree, evidence: Evidence, key: Array) -> tuple[Array, Array, Tree]:
        del key
        M, N = evidence.mask.shape
        everybody = normalize(jnp.ones((M, N)), evidence.mask, axis=1)
        opponent = normalize(own_MN(M, N), evidence.mask, axis=1)
        W = normalize(own * opponent + (1.0 - own) * everybody, evidence.mask, axis=1)
        return W, discriminator_weights(evidence.mask, own), state

    return Pairing(lambda M, N: (), after, members=driven(own), even=True, blind=True)


def diagonal() -> Pairing:
    """G_i plays only D_i: M independent games in one program, the plain ensemble (Wang et al. 2016, arXiv 1612.00991).

    The other pairs are masked: they cannot affect the members.

    Raises:
        InputError: M and N differ.
    """

    def init(M: int, N: int) -> Tree:
        if M != N:
            raise InputError(
                f"the diagonal pairing has {M} generators and {N} discriminators; it needs as many of both"
            )
        return ()

    return own_and_mean(own=1.0)._replace(init=init, before=lambda state, key, M, N: own_MN(M, N) > 0)


def dropout(rate: float = 0.5, own: float = 0.0) -> Pairing:
    """Each generator learns from each discriminator with probability 1 − `rate`, and always from at least one.

    Discriminators learn from all generators in every step (Mordido et al. 2018, arXiv 1807.11346).

    Args:
        rate: probability in [0, 1] that a discriminator is dropped.
        own: share of each discriminator's weight on its own generator, in [0, 1].

    Raises:
        InputError: `rate` or `own` is outside [0, 1].
    """
    check_share("rate", rate)

    def after(state: Tree, evidence: Evidence, key: Array) -> tuple[Array, Array, Tree]:
        M, N = evidence.mask.shape

        def row(i: Array) -> tuple[Array, Array]:
            key_keep, key_one = jax.random.split(jax.random.fold_in(key, i))
            return jax.random.bernoulli(key_keep, 1.0 - rate, (N,)), jax.random.uniform(key_one, (N,))

        keep, order = jax.vmap(row)(jnp.arange(M))
        keep = keep & evidence.mask
        # If all were dropped, keep one, drawn uniformly from the opponents that are played.
        order = jnp.where(evidence.mask, order, -1.0)
        one = order == order.max(axis=1, keepdims=True)
        keep = jnp.where(keep.any(axis=1, keepdims=True), keep, one)
        W = normalize(keep.astype(jnp.float32), evidence.mask, axis=1)
        return W, discriminator_weights(evidence.mask, own), state

    return Pairing(lambda M, N: (), after, members=driven(own), even=True, blind=True)


def random() -> Pairing:
    """A new random matching every step in which every member meets at least one other; with M = N, one to one.

    With more discriminators than generators, each discriminator has one opponent, and the numbers of opponents of two
    generators differ by at most one; with more generators it is the other way round. Lipizzaner draws the opponents of
    an update from a neighbourhood (Schmiedlechner et al. 2018), this pairing from all. Over many steps each
    discriminator sees the mixture. The pairing names opponents, so `neighbours` coverage computes only these pairs.
    """

    def before(state: Tree, key: Array, M: int, N: int) -> Array:
        del state
        key_g, key_d = jax.random.split(key)
        k = -(-M // N)
        turn = jnp.arange(k * N)
        dealt = jax.random.permutation(key_g, M)[turn % M]
        opponents = jnp.where(turn < max(M, N), dealt, -1).reshape(k, N).T
        return jax.random.permutation(key_d, opponents).astype(jnp.int32)

    return own_and_mean(own=0.0)._replace(before=before)


def ring(radius: int = 1, own: float = 0.0) -> Pairing:
    """Members in a ring: D_j plays the generators within `radius` of its own place.

    The topology of Lipi-Ring (Toutouh & O'Reilly 2021). The pairing names opponents, so `neighbours` coverage computes
    only these pairs. On a small ring, a neighbour on both sides counts once.

    Args:
        radius: number of neighbours on each side, at least 1; half of the ring reaches all members.
        own: share of a member's weight on its own opponent, in [0, 1]; the rest is spread over the neighbourhood.

    Raises:
        InputError: `own` or `radius` is out of range, M and N differ, or `radius` is more than half of the ring.
    """
    if not isinstance(radius, int) or radius < 1:
        raise InputError(f"radius is {radius}; give the number of neighbours on each side, a whole number, at least 1")

    def places(M: int) -> np.ndarray:
        if radius > (half := max(M // 2, 1)):
            raise InputError(f"radius is {radius} in a ring of {M}; {half} reaches every member, so give at most that")
        steps = [0, *(sign * k for k in range(1, radius + 1) for sign in (-1, 1))]
        return (np.arange(M)[:, None] + np.array(steps)[None]) % M

    return _neighbourhood("ring", places, own)


def grid(rows: int = 0, own: float = 0.0) -> Pairing:
    """Members on a torus: D_j plays the generators at its own place and at the four places next to it.

    The topology of Lipizzaner (Schmiedlechner et al. 2018). The pairing names opponents, so `neighbours` coverage
    computes only these pairs. If a side has one or two places, a neighbour in two directions counts once.

    Args:
        rows: number of rows; 0 chooses the most square grid that M fills. Members are numbered row by row.
        own: share of a member's weight on its own opponent, in [0, 1]; the rest is spread over the neighbourhood.

    Raises:
        InputError: `own` or `rows` is out of range, M and N differ, or M does not fill the rows.
    """
    if not isinstance(rows, int) or rows < 0:
        raise InputError(f"rows is {rows}; give the number of rows of the grid, or 0 for the most square grid")

    def places(M: int) -> np.ndarray:
        height = rows or squarest(M)
        if M % height:
            below = M // height * height
            near = f"{below} or {below + height}" if below else str(height)
            raise InputError(
                f"{M} members do not fill a grid of {height} rows; give {near} members, or another number of rows"
            )
        width = M // height
        row, column = np.divmod(np.arange(M), width)
        at = lambda down, right: (row + down) % height * width + (column + right) % width
        return np.stack([at(0, 0), at(-1, 0), at(1, 0), at(0, -1), at(0, 1)], axis=1)

    squarest = lambda M: [r for r in range(1, math.isqrt(M) + 1) if M % r == 0][-1]
    return _neighbourhood("grid", places, own)


def _neighbourhood(name: str, places: Callable[[int], np.ndarray], own: float) -> Pairing:
    """Plays the own opponent and neighbours; `places(M)` gives their numbers `[M, k]`, with repetitions.

    All members have the same number of opponents, since rings and tori look the same from every place.
    """

    def init(M: int, N: int) -> Tree:
        if M != N:
            raise InputError(f"the {name} pairing has {M} generators and {N} discriminators; it needs as many of both")
        places(M)
        return ()

    def before(state: Tree, key: Array, M: int, N: int) -> Array:
        del state, key, N
        return jnp.array([list(dict.fromkeys(row)) for row in places(M).tolist()], jnp.int32)

    return own_and_mean(own)._replace(init=init, before=before)


def local_and_global() -> Pairing:
    """L local pairs that play alone, and a global pair that learns from all of them but does not affect them.

    Generators 0 to L − 1 and discriminators 0 to L − 1 are the local pairs. Generator L plays the messengers:
    discriminators L to 2L − 1, which are copies of the local discriminators (schedule `messengers`) and learn only from
    generator L. Discriminator 2L learns from all local generators (SGAN; Chavdarova & Fleuret 2018, arXiv 1712.02330).

    Raises:
        InputError: M and N are not L + 1 and 2L + 1.
    """

    def init(M: int, N: int) -> Tree:
        if M < 2 or N != 2 * M - 1:
            L = max(M - 1, 1)
            raise InputError(
                f"{M} generators and {N} discriminators do not make local pairs with messengers and a global pair; for "
                f"{L} local pairs give {L + 1} generators and {2 * L + 1} discriminators"
            )
        return ()

    def listens(M: int, N: int) -> np.ndarray:
        table, L = np.zeros((M, N), bool), M - 1
        table[np.arange(L), np.arange(L)] = True
        table[L, L : 2 * L] = True
        return table

    def learns(M: int, N: int) -> np.ndarray:
        table = listens(M, N)
        table[: M - 1, N - 1] = True
        return table

    def after(state: Tree, evidence: Evidence, key: Array) -> tuple[Array, Array, Tree]:
        del key
        M, N = evidence.mask.shape
        weigh = lambda table, axis: normalize(jnp.asarray(table, jnp.float32), evidence.mask, axis=axis)
        return weigh(listens(M, N), 1), weigh(learns(M, N), 0), state

    return Pairing(init, after, before=lambda state, key, M, N: jnp.asarray(learns(M, N)), members="alone")
