"""Spectral normalisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from flax import nnx
from labelled import LABEL

from ensgan import networks


def spectral_convolution(rngs):
    return networks.SpectralNorm(nnx.Conv(3, 4, (2, 2), use_bias=False, rngs=rngs), rngs=rngs)


def spectral_dense(rngs):
    return networks.SpectralNorm(nnx.Linear(12, 4, use_bias=False, rngs=rngs), rngs=rngs)


@pytest.mark.parametrize("factory", [spectral_dense, spectral_convolution])
def test_spectral_norm_divides_by_the_largest_singular_value(factory, key):
    shape = (12,) if factory is spectral_dense else (5, 5, 3)
    network = networks.from_nnx(factory, shape, (*shape[:-1], 4))
    assert not network.batch_coupled
    params, state = jax.jit(network.init)(key)
    x = jax.random.normal(key, (2, *shape))
    kernel = params["layer"]["kernel"]
    scaled = jax.tree.map(lambda a: 7 * a, params)  # σ is exactly linear, whatever the vectors are
    evaluate = jax.jit(network.apply)
    np.testing.assert_allclose(evaluate(scaled, state, x)[0], evaluate(params, state, x)[0], rtol=1e-5, atol=1e-6)
    other = state
    train = jax.jit(lambda state, x: network.apply(params, state, x, train=True))
    for i in range(60):
        y, state = train(state, x)
        _, other = train(other, x + i)
    np.testing.assert_array_equal(state["u"], other["u"])
    sigma = np.linalg.svd(np.asarray(kernel).reshape(-1, 4), compute_uv=False)[0]
    plain = (
        x @ kernel
        if kernel.ndim == 2
        else jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    )
    np.testing.assert_allclose(y, plain / sigma, rtol=1e-4, atol=1e-5)
    evaluated, same = evaluate(params, state, x)
    np.testing.assert_array_equal(same["u"], state["u"])
    np.testing.assert_allclose(evaluated, y, rtol=1e-4, atol=1e-5)


def test_gradient_flows_through_the_singular_value_with_constant_vectors(key):
    network = networks.from_nnx(spectral_dense, 12, 4)
    params, state = toys.filled(network)
    train = lambda _, state: network.apply(params, state, jnp.ones((1, 12)), train=True)[1]
    state = jax.lax.fori_loop(0, 200, train, state)
    x = jax.random.normal(key, (3, 12))
    kernel = params["layer"]["kernel"]
    got = jax.grad(lambda p: jnp.sum(jnp.sin(network.apply(p, state, x, train=True)[0])))(params)
    u, _, vt = np.linalg.svd(np.asarray(kernel), full_matrices=False)
    sigma = lambda k: u[:, 0] @ k @ vt[0]
    bias = params["bias"][None]
    want = jax.grad(lambda k: jnp.sum(jnp.sin(x @ k / sigma(k) + bias)))(kernel)
    np.testing.assert_allclose(got["layer"]["kernel"], want, rtol=1e-3, atol=1e-4)


def test_spectral_networks_under_vmap_and_grad(key):
    network = networks.mlp_discriminator((2,), widths=(4,), spectral_norm=True)
    params, state = toys.filled(network, 3)
    x = jax.random.normal(key, (5, 2))
    run = jax.jit(lambda p, s: jax.vmap(jax.grad(lambda p, s: network.apply(p, s, x, train=True)[0].sum()))(p, s))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run(params, state)))
    with pytest.raises(ValueError, match="use_bias=False"):
        networks.SpectralNorm(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))


def test_a_kernel_of_zeros_keeps_its_vector(key):
    network = networks.from_nnx(spectral_dense, (12,), (4,))
    params, state = network.init(key)
    zero = jax.tree.map(jnp.zeros_like, params)
    x = jax.random.normal(key, (2, 12))
    y, after = network.apply(zero, state, x, train=True)
    np.testing.assert_array_equal(y, 0.0)
    np.testing.assert_array_equal(after["u"], state["u"])
    z, _ = network.apply(params, after, x, train=True)  # it learns again
    np.testing.assert_allclose(z, network.apply(params, state, x, train=True)[0], rtol=1e-6)


@pytest.mark.parametrize("factor", [0.0, 1e-13, 1e-20, 1e-30])
def test_a_kernel_that_begins_as_nothing_learns(factor, key):
    """The vector keeps its length, so that a kernel that grows is divided by its singular value at once."""
    layer = nnx.Linear(5, 4, use_bias=False, rngs=nnx.Rngs(0))
    kernel, x = layer.kernel[...], jax.random.normal(key, (3, 5))
    layer.kernel[...] = factor * kernel
    norm = networks.SpectralNorm(layer, rngs=nnx.Rngs(1))
    for _ in range(5):
        assert bool(jnp.isfinite(norm(x)).all())
        np.testing.assert_allclose(jnp.linalg.norm(norm.u[...]), 1.0, rtol=1e-5)
    layer.kernel[...] = kernel
    for _ in range(20):
        y = norm(x)
    np.testing.assert_allclose(y, x @ kernel / np.linalg.norm(np.asarray(kernel), 2), rtol=1e-3, atol=1e-5)


def test_the_table_of_a_spectral_network_is_divided_by_its_largest_singular_value():
    norm = networks.SpectralNorm(nnx.Embed(4, 3, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
    assert norm.bias is None
    table = np.asarray(norm.layer.embedding[...])
    for _ in range(5):
        y = norm(LABEL)
    np.testing.assert_allclose(y, table[LABEL] / np.linalg.norm(table, 2), rtol=1e-4)
    params, _ = toys.filled(networks.mlp_discriminator((2,), widths=(3,), classes=4, spectral_norm=True))
    assert jax.tree.map(jnp.shape, params["embed"]) == {"layer": {"embedding": (4, 3)}}
