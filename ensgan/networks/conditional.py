"""Conditional networks: an embedding of the class beside the latent, and the projection discriminator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx

from ensgan.networks.spectral import SpectralNorm
from ensgan.types import Array, InputError

# The result of a module's `parts()`: the names of the variables of each stage, and the stage as a function.
Stages = list[tuple[tuple[str, ...], Callable[..., Array]]]


def one_logit(heads: int, classes: int) -> None:
    """Raises InputError for a conditional discriminator with several logits."""
    if classes and heads != 1:
        raise InputError(
            f"heads is {heads} and classes is {classes}, but a projection discriminator has one logit; set heads to 1"
        )


class Embedded(nnx.Module):
    """`net([z, embed(label)])`: a conditional generator, with an embedding of the class beside its latent.

    The conditional input of Mirza & Osindero 2014 (arXiv 1411.1784), with a learned embedding.

    Args:
        net: maps `[B, 2 · size]` to samples.
        classes: number of classes.
        size: size of the latent, and of the embedding of a class, which has the latent's scale at first.
        dtype: dtype of the embedding.
        rngs: for the initial embedding.
    """

    def __init__(self, net: nnx.Module, classes: int, size: int, *, dtype: Any, rngs: nnx.Rngs):
        """Makes the embedding."""
        self.net = net
        start = nnx.initializers.normal(1.0)
        self.embed = nnx.Embed(classes, size, dtype=dtype, param_dtype=dtype, embedding_init=start, rngs=rngs)

    def parts(self) -> Stages:
        """The stages of `net`, with the embedding in the first."""
        (names, first), *rest = _inside(self.net)
        begin = lambda z, label: first(self.joined(z, label))
        return [((*names, "embed"), begin), *((names, _unlabelled(fn)) for names, fn in rest)]

    def joined(self, z: Array, label: Array) -> Array:
        """The latent and the embedding, concatenated: `[B, 2 · size]`."""
        return jnp.concatenate([z.reshape(z.shape[0], -1), self.embed(label)], axis=1)

    def __call__(self, z: Array, label: Array) -> Array:
        """Maps latents `[B, ...]` and labels int32 `[B]` to samples."""
        return self.net(self.joined(z, label))


class Projection(nnx.Module):
    """`ψ(φ(x)) + ⟨embed(label), φ(x)⟩`, one logit per sample (Miyato & Koyama 2018, arXiv 1802.05637, eq. 3).

    Args:
        net: has two parts: `features` (φ), `[B, ...]` to `[B, features]`, and `head` (ψ), from features to one logit.
        classes: number of classes.
        features: number of features of φ.
        spectral_norm: whether the table of embeddings is divided by its largest singular value.
        dtype: dtype of the embedding and of the logit.
        rngs: for the initial embedding.
    """

    def __init__(
        self, net: Any, classes: int, features: int, *, spectral_norm: bool = False, dtype: Any, rngs: nnx.Rngs
    ):
        """Makes the embedding."""
        self.net = net
        start = nnx.initializers.normal(features**-0.5)  # as large as the other term of the logit
        embed = nnx.Embed(classes, features, dtype=dtype, param_dtype=dtype, embedding_init=start, rngs=rngs)
        self.embed = SpectralNorm(embed, rngs=rngs) if spectral_norm else embed

    def parts(self) -> Stages:
        """The stages of `net`, with the embedding in the last."""
        *rest, (names, _) = _inside(self.net)
        return [*((names, _unlabelled(fn)) for names, fn in rest), ((*names, "embed"), self.logit)]

    def logit(self, h: Array, label: Array) -> Array:
        """Maps features `[B, features]` and labels int32 `[B]` to logits `[B]`."""
        return self.net.head(h).reshape(-1) + (self.embed(label) * h).sum(axis=-1)

    def __call__(self, x: Array, label: Array) -> Array:
        """Maps samples `[B, ...]` and labels int32 `[B]` to logits `[B]`."""
        return self.logit(self.net.features(x), label)


def _inside(net: Any) -> Stages:
    """The stages of the module that a wrapper holds as `net`."""
    return [(tuple(f"net.{name}" for name in names), fn) for names, fn in net.parts()]


def _unlabelled(fn: Callable[[Array], Array]) -> Callable[..., Array]:
    return lambda x, label: fn(x)
