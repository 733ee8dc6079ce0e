"""Spectral normalisation of a linear layer (Miyato et al. 2018)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from ensgan.types import Array

WARM_UP = 15  # power iterations at initialisation, so that σ is nearly right from the first step


class SingularVector(nnx.Variable):
    """State of a SpectralNorm: the current estimate of a singular vector, from power iteration."""


class SpectralNorm(nnx.Module):
    """`layer(x) / σ + bias`, with σ the largest singular value of the layer's kernel as `[-1, features]`.

    There is one power iteration per call in training mode, and none in evaluation mode. The vectors are constants for
    the gradient, which flows through `σ = vᵀ K u`. The estimate depends on the kernel only, so samples stay
    independent.

    The output is divided instead of the kernel. This is the same function and never writes to a parameter, but the
    layer must not have a bias of its own. In an embedding, the table is the kernel, and there is no bias at all.
    (`nnx.SpectralNorm` writes to the kernel, and stores its vector as BatchStat, as if it depended on the batch.)

    Args:
        layer: an `nnx.Linear`, `nnx.Conv` or `nnx.ConvTranspose` made with `use_bias=False`, or an `nnx.Embed`.
        rngs: for the first vector.

    Raises:
        ValueError: a layer with a bias.
    """

    def __init__(self, layer: nnx.Linear | nnx.Conv | nnx.ConvTranspose | nnx.Embed, *, rngs: nnx.Rngs):
        """Wraps the layer, and makes its vector."""
        table = isinstance(layer, nnx.Embed)
        if not table and layer.bias is not None:
            raise ValueError("SpectralNorm got a layer with a bias; make the layer with use_bias=False")
        kernel = _matrix(layer)
        u = jax.random.normal(rngs.params(), kernel.shape[1:], kernel.dtype)
        self.layer = layer
        self.bias = None if table else nnx.Param(jnp.zeros(kernel.shape[1:], kernel.dtype))
        self.u = SingularVector(jax.lax.fori_loop(0, WARM_UP, lambda _, u: _iterate(kernel, u)[1], _unit(u)))
        self.use_running_average = False  # the name that `.train()` and `.eval()` set

    def __call__(self, x: Array) -> Array:
        """Maps `x` `[B, ..., in]` to `[B, ..., features]`."""
        kernel = _matrix(self.layer)
        v, u = _iterate(jax.lax.stop_gradient(kernel), self.u[...])
        u = self.u[...] if self.use_running_average else u
        if not self.use_running_average:
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
    """The vector with norm 1, however small it is; zeros stay zeros."""
    norm, most = jnp.linalg.norm(vector), jnp.max(jnp.abs(vector))
    enlarged = vector / jnp.where(most > 0.0, most, 1.0)  # whose squares do not underflow
    return jnp.where(norm > 1e-12, vector / norm, enlarged / jnp.maximum(jnp.linalg.norm(enlarged), 1.0))


def _iterate(kernel: Array, u: Array) -> tuple[Array, Array]:
    """The next singular vectors v and u.

    A kernel of zeros has none and keeps u; with a vector of zeros, σ would stay 0 for good.
    """
    v = _unit(kernel @ u)
    new = _unit(v @ kernel)
    return v, jnp.where(jnp.any(new != 0.0), new, u)
