"""Packs: one logit for several samples side by side, and the right gradients for both players."""

import definition
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys

from ensgan import losses, networks, pairing
from ensgan.devices.mesh import Sizes
from ensgan.game.game import Game
from ensgan.game.placement import check_mesh
from ensgan.game.population import Group
from ensgan.types import InputError

PACKED = networks.packed(toys.dense(4, 5, ()), 2)


def game(**settings):
    settings = {"loss": losses.relativistic, "reals": 8, "fakes": 4, "optimizer": optax.sgd(1.0), **settings}
    return Game([Group(toys.dense(3, 4, (2,)), 2)], [Group(PACKED, 2)], pairing=pairing.own_and_mean(0.3), **settings)


def test_every_sample_of_a_pack_gets_the_logit_of_the_pack():
    inner = toys.dense(4, 5, ())
    params, state = inner.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (6, 2))
    want = inner.apply(params, state, x.reshape(3, 4))[0]
    np.testing.assert_allclose(PACKED.apply(params, state, x)[0], np.repeat(want, 2), rtol=1e-6)
    odd = PACKED.apply(params, state, x[:5])[0]
    np.testing.assert_allclose(odd[:4], np.repeat(want[:2], 2), rtol=1e-6)
    last = inner.apply(params, state, jnp.concatenate([x[4], x[0]])[None])[0]
    np.testing.assert_allclose(odd[4], last[0], rtol=1e-6)


def test_images_are_packed_by_their_channels():
    shape = networks.packed_shape((4, 4, 3), 2)
    assert shape == (4, 4, 6)
    inner = toys.filled(networks.mlp_discriminator(shape, widths=(3,)))
    network = networks.packed(networks.mlp_discriminator(shape, widths=(3,)), 2)
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 3))
    both = jnp.concatenate([x[0], x[1]], axis=-1)[None]
    want = networks.mlp_discriminator(shape, widths=(3,)).apply(*inner, both)[0]
    np.testing.assert_allclose(network.apply(*inner, x)[0], np.repeat(want, 2), rtol=1e-6)


@pytest.mark.parametrize("coverage", ["full", "split"])
def test_gradients_are_those_of_the_definition(coverage):
    definition.check(game(coverage=coverage), toys.batch(8))


def test_counts_that_cannot_be_packed_are_refused():
    with pytest.raises(
        InputError, match="packs of 2, but fakes is 3; give a number that 2 divides, such as fakes=2 or 4"
    ):
        game(fakes=3)
    with pytest.raises(InputError, match=r"among 2 discriminators and .* packs of 2, but reals is 6"):
        game(reals=6, coverage="split")
    with pytest.raises(InputError, match=r"fakes is 4, which in packs of 2 a mesh with data=4 does not divide"):
        check_mesh(game(), Sizes(1, 4))
    with pytest.raises(InputError, match=r"inputs \(4,\) cannot take packs of 3"):
        networks.packed(toys.dense(4, 5, ()), 3)
    with pytest.raises(InputError, match="a pack has samples of several classes"):
        networks.packed(networks.mlp_discriminator((4,), widths=(3,), classes=2), 2)
    for pack in (0, 1.5):
        with pytest.raises(InputError, match=f"pack is {pack}"):
            networks.packed_shape((2,), pack)
