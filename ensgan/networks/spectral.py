"""Spectral normalisation of a linear layer (Miyato et al. 2018)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from ensgan.types import Array

WARM_UP = 15  # power iterations at initialisation, so that σ is about right from the first step


class SingularVector(nnx.Variable):
    """State of a SpectralNorm: the left singular vector that the power iteration has found so far."""


class SpectralNorm(nnx.Module):
    """`layer(x) / σ + bias`, with σ the largest singular value of the layer's kernel as `[-1, features]`.

    One power iteration per call in training mode, none in evaluation mode. The vectors are constants for the
    gradient, which flows through `σ = vᵀ K u`. The estimate looks at the kernel only: samples stay apart.

    Dividing the output rather than the kernel is the same function and never writes to a parameter; it is why
    the layer must not have a bias of its own. An embedding is such a layer too: its kernel is the table, and it
    gets no bias. (`nnx.SpectralNorm` writes to the kernel, and keeps its vector as BatchStat, as if it depended
    on the batch.)

    Args:
        layer: an `nnx.Linear`, `nnx.Conv` or `nnx.ConvTranspose` made with `use_bias=False`, or an `nnx.Embed`.
        rngs: where the first vector comes from.

    Raises:
        ValueError: where the layer has a bias.
    """

    def __init__(self, layer: nnx.Linear | nnx.Conv | nnx.ConvTranspose | nnx.Embed, *, rngs: nnx.Rngs):
        """Wrap the layer and start its vector."""
        table = isinstance(layer, nnx.Embed)
        if not table and layer.bias is not None:
            raise ValueError("SpectralNorm got a layer with a bias; expected one made with use_bias=False")
        kernel = _matrix(layer)
        u = jax.random.normal(rngs.params(), kernel.shape[1:], kernel.dtype)
        self.layer = layer
        self.bias = None if table else nnx.Param(jnp.zeros(kernel.shape[1:], kernel.dtype))
        self.u = SingularVector(jax.lax.fori_loop(0, WARM_UP, lambda _, u: _iterate(kernel, u)[1], _unit(u)))
        self.use_running_average = False  # the name that `.train()` and `.eval()` set

    def __call__(self, x: Array) -> Array:
        """Map `x` `[B, ..., in]` to `[B, ..., features]`."""
        kernel = _matrix(self.layer)
        v, u = _iterate(jax.lax.stop_gradient(kernel), self.u[...])
        if self.use_running_average:
            u = self.u[...]
        else:
            self.u[...] = u
        sigma = v @ kernel @ jax.lax.stop_gradient(u)
        y = self.layer(x)
        y = y / jnp.maximum(sigma, 1e-12).astype(y.dtype)
        if self.bias is None:
            return y
        bias = self.bias[...].astype(y.dtype).reshape((1,) * (y.ndim - 1) + (-1,))
        return y + bias


def _matrix(layer: nnx.Linear | nnx.Conv | nnx.ConvTranspose | nnx.Embed) -> Array:
    kernel = layer.embedding[...] if isinstance(layer, nnx.Embed) else layer.kernel[...]
    return kernel.reshape(-1, kernel.shape[-1])


def _unit(vector: Array) -> Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-12)


def _iterate(kernel: Array, u: Array) -> tuple[Array, Array]:
    v = _unit(kernel @ u)
    return v, _unit(v @ kernel)
