"""Convolutions as matrix products are convolutions: values, gradients, and gradients of gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from ensgan import networks
from ensgan.networks.convolution import with_products

IMAGES = ("NHWC", "HWIO", "NHWC")
TWICE = {"lhs_dilation": (2, 2)}
CASES = {
    "4x4 stride 2": ((2, 8, 8, 3), (4, 4, 3, 5), {"window_strides": (2, 2)}),
    "4x4 stride 2, odd": ((2, 7, 9, 3), (4, 4, 3, 5), {"window_strides": (2, 2)}),
    "transposed 4x4 stride 2": ((2, 5, 5, 3), (4, 4, 3, 5), TWICE | {"padding": ((2, 2), (2, 2))}),
    "transposed 5x3 stride 2, odd": ((2, 3, 4, 3), (5, 3, 3, 2), TWICE | {"padding": ((2, 3), (1, 2))}),
    "transposed, in groups": ((2, 4, 4, 4), (4, 4, 2, 6), TWICE | {"padding": ((2, 2), (2, 2))}, 2),
    "3x3": ((2, 6, 6, 3), (3, 3, 3, 5), {}),
    "3x3 to many channels": ((2, 4, 5, 1), (3, 3, 1, 5), {}),
    "3x3 stride 2, odd": ((2, 7, 6, 3), (3, 3, 3, 5), {"window_strides": (2, 2)}),
    "3x3 in groups": ((2, 5, 5, 6), (3, 3, 2, 9), {}, 3),
    "depthwise": ((2, 5, 5, 4), (3, 3, 1, 4), {}, 4),
    "1x1": ((2, 5, 5, 3), (1, 1, 3, 5), {}),
    "1x1 stride 2": ((2, 5, 5, 3), (1, 1, 3, 5), {"window_strides": (2, 2)}),
    "dilated": ((2, 9, 9, 3), (3, 3, 3, 4), {"rhs_dilation": (2, 2), "window_strides": (2, 2)}),
    "negative padding": ((2, 5, 5, 3), (3, 3, 3, 4), {"padding": ((-1, 2), (0, -1))}),
    "strided and dilated": (
        (2, 4, 5, 3),
        (3, 3, 3, 4),
        {"window_strides": (1, 3), "lhs_dilation": (2, 1), "padding": ((2, 2), (1, 1))},
    ),
    "one axis": ((2, 9, 3), (4, 3, 2), {"window_strides": (2,), "dimension_numbers": ("NHC", "HIO", "NHC")}),
    "channels first": ((2, 3, 5, 5), (4, 3, 3, 3), {"dimension_numbers": ("NCHW", "OIHW", "NCHW")}),
}


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def programs(name):
    x, kernel, options, *groups = CASES[name]
    options = {"window_strides": (1, 1), "padding": "SAME", "dimension_numbers": IMAGES} | options
    if groups:
        options["feature_group_count"] = groups[0]
    draw = np.random.default_rng(0)
    args = jnp.asarray(draw.standard_normal(x)), jnp.asarray(draw.standard_normal(kernel))
    plain = lambda kernel, _, x, **kw: (jax.lax.conv_general_dilated(x, kernel, **options), {})
    products = with_products(plain)
    return args, lambda x, kernel: plain(kernel, {}, x)[0], lambda x, kernel: products(kernel, {}, x)[0]


def everything(convolve):
    """Values, both gradients, and what a penalty of gradients differentiates."""
    total = lambda x, kernel: jnp.sum(jnp.sin(convolve(x, kernel)))
    squared = lambda x, kernel: jnp.sum(jnp.square(jax.grad(total)(x, kernel)))
    return jax.jit(lambda *args: (convolve(*args), jax.grad(total, (0, 1))(*args), jax.grad(squared, (0, 1))(*args)))


@pytest.mark.parametrize("name", CASES)
def test_products_are_convolutions(name, float64):
    args, plain, products = programs(name)
    assert "conv_general_dilated" not in str(jax.make_jaxpr(everything(products))(*args))
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    jax.tree.map(close, everything(products)(*args), everything(plain)(*args))


class Nested(nnx.Module):
    """Convolutions in a jitted function, in a rematerialised one, in a branch and in a loop."""

    def __init__(self, rngs):
        self.down = nnx.Conv(2, 3, (3, 3), rngs=rngs)
        self.up = nnx.ConvTranspose(3, 2, (4, 4), (2, 2), rngs=rngs)

    def __call__(self, x):
        down = lambda x: jax.nn.relu(self.down(x))
        kernel = self.down.kernel[...]
        convolve = lambda y: jax.lax.conv_general_dilated(y, kernel[..., :2], (1, 1), "SAME", dimension_numbers=IMAGES)
        x = jax.lax.fori_loop(0, 2, lambda _, y: convolve(y), x)
        x = jax.lax.cond(x.sum() > 0, convolve, lambda y: y, x)
        return self.up(jax.jit(jax.checkpoint(down))(x))


class Linen(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.ConvTranspose(2, (4, 4), (2, 2))(linen.relu(linen.Conv(3, (3, 3))(x)))


@pytest.mark.parametrize("module", ["nnx", "linen"])
def test_convolutions_are_found_wherever_they_are(module, key):
    shapes = (4, 4, 2), (8, 8, 2)
    network = networks.from_nnx(Nested, *shapes) if module == "nnx" else networks.from_linen(Linen(), *shapes)
    params, state = jax.jit(network.init)(key)
    x = jax.random.normal(key, (2, 4, 4, 2))
    run = lambda apply: lambda params, x: apply(params, state, x, train=True, rng=key)[0]
    plain, products = run(network.apply), run(with_products(network.apply))
    assert "conv_general_dilated" in str(jax.make_jaxpr(plain)(params, x))
    assert "conv_general_dilated" not in str(jax.make_jaxpr(products)(params, x))
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    close(jax.jit(products)(params, x), jax.jit(plain)(params, x))
    if module == "linen":  # a loop of unknown length has no gradient
        grad = lambda run: jax.jit(jax.grad(lambda params: jnp.sum(run(params, x) ** 2)))(params)
        jax.tree.map(close, grad(products), grad(plain))


def test_what_is_no_convolution_stays_as_it_is(key):
    """State, random numbers, options and derivatives of its own."""
    seen = []

    def apply(params, state, x, *, label=None, train=False, rng=None):
        seen.append((label is None, train, rng is None))
        y = x + params["a"] + (0 if label is None else label[:, None])
        return jax.nn.relu(y), state if not train else {"n": state["n"] + jax.random.normal(rng)}

    params, state, x = {"a": jnp.ones((1, 2))}, {"n": jnp.zeros(())}, -jnp.ones((3, 2))
    products = with_products(apply)
    for options in ({}, {"label": jnp.arange(3)}, {"train": True, "rng": key}):
        got, want = products(params, state, x, **options), apply(params, state, x, **options)
        jax.tree.map(np.testing.assert_array_equal, got, want)
    assert seen[::2] == seen[1::2]
    compiled = jax.jit(lambda params, x: products(params, state, x)[0])
    seen.clear()
    compiled(params, x), compiled(params, 2 * x)
    assert len(seen) == 1
    # At 0 the derivative of relu is its own: 0, and not that of a maximum.
    np.testing.assert_array_equal(jax.grad(lambda x: products(params, state, x)[0].sum())(x), jnp.zeros((3, 2)))


def test_members_batch(key):
    """Kernels of every member on inputs of every member, or on shared ones."""
    (x, kernel), plain, products = programs("3x3 in groups")
    kernels = jnp.stack([kernel, 2 * kernel, -kernel])
    for axes, args in (((0, 0), (jnp.stack([x, x, 3 * x]), kernels)), ((None, 0), (x, kernels))):
        run = lambda f, axes=axes: jax.jit(jax.vmap(f, axes))
        np.testing.assert_allclose(run(products)(*args), run(plain)(*args), rtol=1e-4, atol=1e-4)
