"""R3GAN."""

import jax
import jax.numpy as jnp
import pytest

from ensgan import networks
from ensgan.types import InputError


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="size, size, channels"):
        networks.r3gan_discriminator((32, 28, 1))
    with pytest.raises(InputError, match="multiple of group_width 16"):
        networks.r3gan_generator((8, 8, 1), width=12)


def test_r3gan_starts_with_residual_branches_that_do_nothing(key):
    network = networks.r3gan_discriminator((8, 8, 1), width=8, group_width=8)
    leave = jax.jit(lambda key: network.init(key)[0]["stages"]["1"]["0"]["leave"])(key)
    assert list(leave) == ["kernel"]
    assert not jnp.any(leave["kernel"])
