"""Conditional networks: embeddings and projections by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from labelled import LABEL

from ensgan import networks, testing


def test_the_logit_of_a_perceptron_is_the_formula_by_hand(key):
    network = networks.mlp_discriminator((2,), widths=(3,), classes=4)
    params, state = toys.filled(network)
    x = np.asarray(jax.random.normal(key, (4, 2)))
    first, last = params["net"]["hidden"]["0"], params["net"]["last"]
    h = x @ first["kernel"] + first["bias"][None]
    phi = np.where(h > 0, h, 0.2 * h)
    psi = phi @ last["kernel"] + last["bias"][None]
    want = psi[:, 0] + np.einsum("bf,bf->b", params["embed"]["embedding"][LABEL], phi)
    np.testing.assert_allclose(network.apply(params, state, x, label=LABEL)[0], want, rtol=1e-5)


def test_a_generator_gets_the_embedding_beside_its_latent(key):
    told = networks.mlp_generator((2,), latent=3, widths=(4,), classes=4)
    params, state = toys.filled(told)
    plain = networks.mlp(6, (4,), (2,))
    z = jax.random.normal(key, (4, 3))
    want = plain.apply(params["net"], {}, jnp.concatenate([z, params["embed"]["embedding"][LABEL]], 1))[0]
    np.testing.assert_allclose(told.apply(params, state, z, label=LABEL)[0], want, rtol=1e-6)
    assert told.in_shape == (3,)


DISCRIMINATORS = {
    "mlp": lambda **more: networks.mlp_discriminator((2,), widths=(3,), **more),
    "dcgan": lambda **more: networks.dcgan_discriminator((28, 28, 1), width=2, **more),
    "r3gan": lambda **more: networks.r3gan_discriminator((8, 8, 1), width=2, group_width=2, **more),
}


@pytest.mark.parametrize("name", sorted(DISCRIMINATORS))
def test_every_projection_uses_the_features_that_its_logit_is_made_of(name, key):
    """The gradient of a row of the table is φ; the plain network's last layer makes its logit from the same φ."""
    told, plain = DISCRIMINATORS[name](classes=4), DISCRIMINATORS[name]()
    params, state = toys.filled(told)
    x = jax.random.normal(key, (1, *told.in_shape))

    def logit(table, label):
        return told.apply({**params, "embed": {"embedding": table}}, state, x, label=label)[0].sum()

    table = params["embed"]["embedding"]
    value, grad = jax.jit(jax.value_and_grad(logit))(table, jnp.array([2]))
    last = params["net"]["last" if name == "mlp" else "logit"]
    psi = grad[2] @ last["kernel"][:, 0] + last["bias"][0]
    np.testing.assert_allclose(plain.apply(params["net"], state, x)[0][0], psi, rtol=1e-4)
    np.testing.assert_allclose(value, psi + table[2] @ grad[2], rtol=1e-4)
    assert not np.asarray(grad)[[0, 1, 3]].any()


GENERATORS = {
    "mlp": lambda: networks.mlp_generator((2,), latent=3, widths=(4,), classes=4),
    "dcgan": lambda: networks.dcgan_generator((28, 28, 1), latent=3, width=2, classes=4),
    "r3gan": lambda: networks.r3gan_generator((8, 8, 1), latent=3, width=2, group_width=2, classes=4),
}


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_a_gradient_reaches_the_classes_of_the_batch_and_no_others(name, key):
    network = GENERATORS[name]()
    params, state = toys.filled(network)
    state = jax.tree.map(jnp.abs, state)  # variances among them
    z = jax.random.normal(key, (4, 3))
    apply = lambda p: network.apply(p, state, z, label=LABEL)[0]
    grad = np.asarray(jax.jit(jax.grad(lambda p: (apply(p) ** 2).sum()))(params)["embed"]["embedding"])
    assert grad.any(axis=1).tolist() == [True, False, True, True]


def test_a_conditional_network_keeps_the_contract():
    network = networks.mlp(2, (4,), (), classes=3, spectral_norm=True)
    assert network.classes == 3
    testing.check_network(network, classes=2)  # labels of fewer classes are labels too
