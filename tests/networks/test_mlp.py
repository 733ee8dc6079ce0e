"""Perceptrons."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from ensgan import networks
from ensgan.types import InputError


def test_unknown_names_list_the_known_ones():
    for options, known in (
        ({"activation": "sine"}, "leaky_relu"),
        ({"output": "sigmoid"}, "linear, tanh"),
        ({"norm": "group"}, "batch, layer, none"),
        ({"init": "zeros"}, "he, lecun"),
        ({"dtype": "float16"}, "bfloat16, float32, float64"),
    ):
        with pytest.raises(InputError, match=f"unknown .* known: .*{known}"):
            networks.mlp(2, (4,), 1, **options)
    with pytest.raises(InputError, match="set JAX_ENABLE_X64=1"):
        networks.mlp(2, (4,), 1, dtype="float64")


def test_mlp_computes_what_it_says(key):
    network = networks.mlp((1, 2), (5,), (3, 1), activation="leaky_relu", negative_slope=0.1, output="tanh")
    params, state = toys.filled(network)
    params["hidden"]["0"]["bias"] -= 0.4
    x = jax.random.normal(key, (4, 1, 2))
    hidden, last = params["hidden"]["0"], params["last"]
    h = x.reshape(4, 2) @ hidden["kernel"] + hidden["bias"][None]
    y = jnp.tanh(jnp.where(h > 0, h, 0.1 * h) @ last["kernel"] + last["bias"][None])
    np.testing.assert_allclose(network.apply(params, state, x)[0], y.reshape(4, 3, 1), atol=1e-6)


def test_mlp_generator_ends_in_tanh_for_images_only(key):
    for shape, bounded in (((2,), False), ((1,), False), ((2, 2, 1), True)):
        network = networks.mlp_generator(shape, latent=4, widths=(8,))
        params, state = toys.filled(network)
        y, _ = network.apply(params, state, 1e3 * jax.random.normal(key, (8, 4)))
        assert (float(jnp.abs(y).max()) <= 1) == bounded
        assert y.shape == (8, *shape)


def test_wrong_widths_are_named():
    with pytest.raises(InputError, match=r"^widths are \[8, -8\]; each must be a whole number, at least 1$"):
        networks.mlp(2, (8, -8), 2)
