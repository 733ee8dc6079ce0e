"""Labels in networks: an embedding beside the latent of a generator, and the projection discriminator."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import nnx

from ensgan.networks.spectral import SpectralNorm
from ensgan.types import Array, InputError


def one_logit(heads: int, classes: int) -> None:
    """Raises InputError for a conditional discriminator with several logits."""
    if classes and heads != 1:
        raise InputError(f"heads is {heads} and classes {classes}; a projection discriminator has one logit: heads=1")


class Embedded(nnx.Module):
    """`net([z, embed(label)])`: a conditional generator, with an embedding of the class beside its latent.

    The conditional input of Mirza & Osindero 2014 (arXiv 1411.1784), with a learned embedding.

    Args:
        net: maps `[B, 2 · size]` to samples.
        classes: how many.
        size: size of the latent, and of the embedding of a class, which starts at the latent's scale.
        dtype: dtype of the embedding.
        rngs: where it starts.
    """

    def __init__(self, net: nnx.Module, classes: int, size: int, *, dtype: Any, rngs: nnx.Rngs):
        """Start the embedding."""
        self.net = net
        start = nnx.initializers.normal(1.0)
        self.embed = nnx.Embed(classes, size, dtype=dtype, param_dtype=dtype, embedding_init=start, rngs=rngs)

    def __call__(self, z: Array, label: Array) -> Array:
        """Map latents `[B, ...]` and labels int32 `[B]` to samples."""
        return self.net(jnp.concatenate([z.reshape(z.shape[0], -1), self.embed(label)], axis=1))


class Projection(nnx.Module):
    """`ψ(φ(x)) + ⟨embed(label), φ(x)⟩`, one logit per sample (Miyato & Koyama 2018, arXiv 1802.05637, eq. 3).

    Args:
        net: has two halves, `features` (φ), `[B, ...]` to `[B, features]`, and `head` (ψ), from there to one logit.
        classes: how many.
        features: how many features φ has.
        spectral_norm: whether the table of embeddings is divided by its largest singular value.
        dtype: dtype of the embedding, and of the logit.
        rngs: where the embedding starts.
    """

    def __init__(
        self, net: Any, classes: int, features: int, *, spectral_norm: bool = False, dtype: Any, rngs: nnx.Rngs
    ):
        """Start the embedding."""
        self.net = net
        start = nnx.initializers.normal(features**-0.5)  # as large as the other half of the logit
        embed = nnx.Embed(classes, features, dtype=dtype, param_dtype=dtype, embedding_init=start, rngs=rngs)
        self.embed = SpectralNorm(embed, rngs=rngs) if spectral_norm else embed

    def __call__(self, x: Array, label: Array) -> Array:
        """Map samples `[B, ...]` and labels int32 `[B]` to logits `[B]`."""
        h = self.net.features(x)
        return self.net.head(h).reshape(-1) + (self.embed(label) * h).sum(axis=-1)
