"""The samples of a step in portions, so that the activations of one portion are in memory (gradient accumulation)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ensgan.types import Array, InputError, Network, Tree


def check_portions(network: Network, portions: int) -> None:
    """Raises InputError where `in_portions` does not fit a network."""
    if portions < 1:
        raise InputError(f"accumulate is {portions}; it counts portions of the samples, so give at least 1")
    if portions > 1 and network.batch_coupled:
        raise InputError(
            f"accumulate is {portions}, but a network has batch statistics or packs, so its outputs depend on other "
            "samples of the step; use a network without them, or accumulate = 1 (--accumulate 1)"
        )


def in_portions(apply: Callable[..., tuple[Array, Tree]], portions: int) -> Callable[..., tuple[Array, Tree]]:
    """The `apply` of a Network, or of a Stage, in which training samples pass in portions, one after the other.

    Only the inputs and outputs of all samples are held. A portion's activations are computed again in the backward
    pass, where the gradients of the portions add up. Outputs and gradients are those of all samples together, up to
    rounding, whatever loss, weights and penalty are made of the outputs. Dropout draws other numbers, one key for each
    portion. The last portion is filled up with copies of the first samples.

    Args:
        apply: of a network whose outputs depend on their own samples alone.
        portions: how many; 1 gives `apply` itself.
    """
    if portions == 1:
        return apply

    def divided(
        params: Tree,
        state: Tree,
        x: Array,
        *,
        label: Array | None = None,
        train: bool = False,
        rng: Array | None = None,
    ) -> tuple[Array, Tree]:
        num = len(x)
        if not train or num < 2:  # a portion has at least one sample
            return apply(params, state, x, label=label, train=train, rng=rng)
        size = -(-num // portions)
        count = -(-num // size)
        more = count * size - num
        split = lambda a: jnp.concatenate([a, a[:more]]).reshape(count, size, *a.shape[1:])
        keys = None if rng is None else jax.random.split(rng, count)

        @jax.checkpoint
        def one(given: tuple[Array, Array | None, Array | None]) -> tuple[Array, Tree]:
            mine, tags, key = given
            return apply(params, state, mine, label=tags, train=train, rng=key)

        outs, states = jax.lax.map(one, (split(x), None if label is None else split(label), keys))
        # Without batch statistics a state, such as that of a power iteration, is the same after each portion.
        return outs.reshape(-1, *outs.shape[2:])[:num], jax.tree.map(lambda leaf: leaf[-1], states)

    return divided
