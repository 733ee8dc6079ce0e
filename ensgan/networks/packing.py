"""Packing: a discriminator that judges several samples of one generator together (PacGAN, arXiv 1712.04086)."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from ensgan.types import Array, InputError, Network, Shape, Tree


def packed_shape(sample_shape: Shape, pack: int) -> Shape:
    """The input of a network that takes `pack` samples of this shape, side by side on the last axis.

    Raises:
        InputError: `pack` is below 1, or samples have no axis.
    """
    if not isinstance(pack, int) or pack < 1:
        raise InputError(f"pack is {pack}; it counts the samples that are judged together, so give at least 1")
    if not sample_shape:
        raise InputError("samples are single numbers, which cannot be packed; give them an axis")
    return (*sample_shape[:-1], sample_shape[-1] * pack)


def packed(network: Network, pack: int) -> Network:
    """A discriminator of single samples from one that takes `pack` of them, side by side on the last axis.

    Neighbours in a batch make a pack, so a pack holds samples of one generator, or reals. Every sample of a pack gets
    its logit, so a loss is the mean over packs; a penalty counts `pack` times. If a batch is no multiple of `pack`, as
    can be when samples are scored, its first samples fill the last pack.

    Args:
        network: takes `packed_shape(sample_shape, pack)`; not conditional.
        pack: number of samples that are judged together.

    Raises:
        InputError: a number that the network's input cannot be divided by, or a conditional network.
    """
    if not network.in_shape or pack < 1 or network.in_shape[-1] % pack:
        raise InputError(f"a network of inputs {network.in_shape} cannot take packs of {pack}; give packed_shape(...)")
    if network.classes is not None:
        raise InputError("a pack has samples of several classes; use a network without classes, or no packs")
    shape = (*network.in_shape[:-1], network.in_shape[-1] // pack)

    def apply(params: Tree, state: Tree, x: Array, *, label: Any = None, train: bool = False, rng: Any = None):
        num = x.shape[0]
        x = jnp.concatenate([x, x[jnp.arange(-num % pack) % num]]) if num % pack else x
        packs = jnp.moveaxis(x.reshape(-1, pack, *shape), 1, -2)  # the samples of a pack before their channels
        y, new = network.apply(params, state, packs.reshape(-1, *network.in_shape), label=label, train=train, rng=rng)
        return jnp.repeat(y, pack, axis=0)[:num], new

    # The samples of a pack are on one device, so only batch statistics can couple devices.
    synced = network.synced or not network.batch_coupled
    return network._replace(
        apply=apply, in_shape=shape, batch_coupled=True, synced=synced, stages=(), pack=pack * network.pack
    )
