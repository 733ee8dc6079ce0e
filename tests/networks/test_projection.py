"""Fixed random projections in front of a discriminator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from ensgan import networks, testing
from ensgan.networks import projection_of
from ensgan.types import InputError, Network


def unravelled(network, members=2):
    params, state = jax.vmap(network.init)(jax.random.split(jax.random.key(0), members))
    return params, state, projection_of(state)


@pytest.mark.parametrize("orthonormal", [False, True])
def test_a_projected_network_sees_nothing_but_the_projection(orthonormal):
    network = networks.projected(toys.dense(2, 5, ()), (5,), orthonormal=orthonormal)
    if orthonormal:
        testing.check_network(network)
    params, state, matrix = unravelled(network)
    assert matrix.shape == (2, 5, 2)
    assert float(jnp.abs(matrix[0] - matrix[1]).min()) > 0  # each member has its own
    unseen = np.linalg.svd(np.asarray(matrix[0]).T)[2][2:]  # directions that it maps to 0
    x = jax.random.normal(jax.random.key(1), (4, 5))
    logit = jax.jit(lambda j, x: network.apply(*jax.tree.map(lambda a: a[j], (params, state)), x, train=True)[0])
    far = x + jax.random.normal(jax.random.key(2), (4, 3)) @ unseen
    np.testing.assert_allclose(logit(0, far), logit(0, x), atol=1e-5)
    assert float(jnp.abs(logit(1, far) - logit(1, x)).max()) > 1e-2
    if orthonormal:
        gram = np.asarray(jnp.einsum("jdf,jdg->jfg", matrix, matrix))
        np.testing.assert_allclose(gram, np.stack([2.5 * np.eye(2)] * 2), atol=1e-5)


def glass(shape):
    """A network that puts out what it sees."""
    return Network(lambda key: ({}, {}), lambda params, state, x, **_: (x, state), shape, shape)


@pytest.mark.parametrize(("seen", "shape", "low"), [((4,), (10,), 0.85), ((16, 16, 2), (32, 32, 3), 0.75)])
def test_a_projection_keeps_the_mean_square_of_a_sample(seen, shape, low):
    network = networks.projected(glass(seen), shape)
    params, state, _ = unravelled(network, 200)
    x = jax.random.normal(jax.random.key(1), (1, *shape))
    squares = jax.vmap(lambda p, s: jnp.sum(network.apply(p, s, x)[0] ** 2))(params, state)
    # The windows of a convolution hang over the rim, where they lose up to a fifth of an image of this size.
    assert low < float(squares.mean() / jnp.sum(x**2)) < 1.15


def test_projections_of_images_are_convolutions():
    network = networks.dcgan_discriminator((28, 28, 1), width=2, projection=3)
    assert (network.in_shape, network.out_shape, network.convolutional) == ((28, 28, 1), (), True)
    made = lambda network: jax.eval_shape(network.init, jax.random.key(0))
    whole = networks.dcgan_discriminator((28, 28, 1), width=2)
    assert (len(made(network)[0]["down"]), len(made(whole)[0]["down"])) == (1, 2)  # in the place of the first
    assert made(network)[1]["projection"].shape == (8, 8, 1, 3)
    flat = networks.mlp_discriminator((28, 28, 1), widths=(4,), projection=16)
    assert made(flat)[1]["projection"].shape == (784, 16)
    # By hand, where the window of one output lies inside: rows 3 to 10 of 16, for the third output.
    looked = networks.projected(glass((8, 8, 2)), (16, 16, 1))
    params, state = looked.init(jax.random.key(3))
    x = jax.random.normal(jax.random.key(1), (1, 16, 16, 1))
    want = jnp.einsum("hwc,hwcf->f", x[0, 3:11, 5:13], projection_of(state))
    np.testing.assert_allclose(looked.apply(params, state, x)[0][0, 3, 4], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: networks.mlp_discriminator((2,), projection=3), "hides nothing; give at most 2"),
        (lambda: networks.mlp_discriminator((2,), projection=-1), "projection is -1; it must be"),
        (lambda: networks.projected(toys.dense(2, 5, ()), 4, stride=0), "stride is 0; give a number of pixels"),
        (lambda: networks.projected(networks.mlp((4, 4), (2,), ()), (8, 8, 1)), r"the network takes \(4, 4\)"),
        (lambda: networks.projected(networks.mlp((9, 9, 1), (2,), ()), (16, 16, 1)), r"takes images \(9, 9, 1\)"),
        (lambda: networks.dcgan_discriminator((30, 30, 1), projection=1), "size one of 28, 32, 64"),
    ],
)
def test_a_projection_that_cannot_be_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
