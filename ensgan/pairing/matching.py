"""Pairings that look at nobody's losses: everybody, the own opponent, a blend of both, or a random subset."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ensgan.pairing.weights import discriminator_weights, normalize, own_MN
from ensgan.types import Array, Evidence, InputError, Pairing, Tree


def _fraction(name: str, value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise InputError(f"{name} is {value}; it is a share between 0 and 1")
    return value


def mean() -> Pairing:
    """W and P uniform: everybody plays everybody, each discriminator sees the mixture of all generators.

    Only the mixture is driven to the data, so members are parts of it (Durugkar et al. 2016, arXiv 1611.01673, λ = 0).
    """
    return own_and_mean(own=0.0)


def own_and_mean(own: float = 0.5) -> Pairing:
    """`own` of the weight on a member's own opponent, the rest spread over all.

    With any weight on the own opponent, each generator has a discriminator that sees it apart from the mixture, which
    is what makes it a complete model of the data; 1 is `diagonal` without its mask, 0 is `mean`.

    Args:
        own: share in [0, 1].

    Raises:
        InputError: `own` is outside [0, 1].
    """
    _fraction("own", own)

    def after(state: Tree, evidence: Evidence, key: Array) -> tuple[Array, Array, Tree]:
        del key
        M, N = evidence.mask.shape
        everybody = normalize(jnp.ones((M, N)), evidence.mask, axis=1)
        opponent = normalize(own_MN(M, N), evidence.mask, axis=1)
        W = normalize(own * opponent + (1.0 - own) * everybody, evidence.mask, axis=1)
        return W, discriminator_weights(evidence.mask, own), state

    return Pairing(lambda M, N: (), after, members="complete" if own > 0.0 else "parts")


def diagonal() -> Pairing:
    """G_i plays D_i alone: M independent games in one program, the plain ensemble (Wang et al. 2016, arXiv 1612.00991).

    The other pairs are masked: they have no influence whatever on the members.

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
    """Each generator hears each discriminator with probability 1 − `rate`, and always at least one of them.

    Discriminators are trained all the same (Mordido et al. 2018, arXiv 1807.11346, section 3).

    Args:
        rate: probability in [0, 1] that a discriminator is left out.
        own: share of each discriminator's weight on its own generator; the rest is spread over all.

    Raises:
        InputError: `rate` or `own` is outside [0, 1].
    """
    _fraction("rate", rate)
    _fraction("own", own)

    def after(state: Tree, evidence: Evidence, key: Array) -> tuple[Array, Array, Tree]:
        M, N = evidence.mask.shape

        def row(i: Array) -> tuple[Array, Array]:
            key_keep, key_one = jax.random.split(jax.random.fold_in(key, i))
            return jax.random.bernoulli(key_keep, 1.0 - rate, (N,)), jax.random.uniform(key_one, (N,))

        keep, order = jax.vmap(row)(jnp.arange(M))
        keep = keep & evidence.mask
        # The one that stays where chance left none: uniform over the opponents that are played.
        order = jnp.where(evidence.mask, order, -1.0)
        one = order == order.max(axis=1, keepdims=True)
        keep = jnp.where(keep.any(axis=1, keepdims=True), keep, one)
        W = normalize(keep.astype(jnp.float32), evidence.mask, axis=1)
        return W, discriminator_weights(evidence.mask, own), state

    return Pairing(lambda M, N: (), after, members="complete" if own > 0.0 else "parts")
