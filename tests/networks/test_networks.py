"""All pairs in the tables of networks."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from ensgan import networks

SMALL = {
    "mlp": {"widths": (8, 8)},
    "dcgan": {"width": 4},
    "r3gan": {"width": 8, "group_width": 8},
    "unrolled_gan": {"width": 2, "norm": "none"},
}


def small(table, name, shape, **options):
    factory = table[name]
    known = inspect.signature(factory).parameters
    given = {k: v for k, v in (SMALL[name] | options).items() if k in known}
    return factory(shape, **given)


CASES = [
    ("mlp", (2,)),
    ("mlp", (4, 4, 1)),
    ("dcgan", (64, 64, 3)),
    ("dcgan", (32, 32, 3)),
    ("dcgan", (28, 28, 1)),
]


CASES += [("r3gan", (size, size, 1)) for size in (8, 28, 64)]


CASES += [("unrolled_gan", (size, size, 3)) for size in (8, 28, 32)]


@pytest.mark.parametrize(("name", "shape"), CASES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_pair_in_the_tables_fits_its_samples(name, shape, dtype):
    assert list(networks.GENERATORS) == list(networks.DISCRIMINATORS) == sorted(SMALL)
    generator = small(networks.GENERATORS, name, shape, latent=6, dtype=dtype)
    discriminator = small(networks.DISCRIMINATORS, name, shape, dtype=dtype)
    assert (generator.in_shape, generator.out_shape) == ((6,), shape)
    assert (discriminator.in_shape, discriminator.out_shape) == (shape, ())
    assert not discriminator.batch_coupled
    assert generator.convolutional == discriminator.convolutional == (name != "mlp")
    for network in (generator, discriminator):
        params, state = jax.eval_shape(lambda n=network: n.init(jax.random.key(0)))
        assert {leaf.dtype for leaf in jax.tree.leaves((params, state))} == {jnp.dtype("float32")}
        x = jax.ShapeDtypeStruct((3, *network.in_shape), jnp.float32)
        y, _ = jax.eval_shape(lambda p, s, x, n=network: n.apply(p, s, x), params, state, x)
        assert (y.shape, y.dtype) == ((3, *network.out_shape), jnp.float32)


@pytest.mark.parametrize(
    ("name", "shape"), [("dcgan", (28, 28, 1)), ("r3gan", (8, 8, 2)), ("unrolled_gan", (28, 28, 3))]
)
def test_convolutional_pairs_learn_from_every_parameter(name, shape, key):
    generator = small(networks.GENERATORS, name, shape, latent=6)
    discriminator = small(networks.DISCRIMINATORS, name, shape)
    (p, s), (q, t) = toys.filled(generator, 2), toys.filled(discriminator)
    z = jax.random.normal(key, (2, 6))

    @jax.jit
    def grads(p, q):
        def loss(p, q):
            x, _ = jax.vmap(lambda p, s: generator.apply(p, s, z, train=True))(p, s)
            y, _ = discriminator.apply(q, t, x.reshape(4, *shape), train=True)
            return jnp.sum(y)

        return jax.grad(loss, (0, 1))(p, q)

    for path, leaf in jax.tree.leaves_with_path(grads(p, q)):
        assert np.isfinite(leaf).all(), path
        assert jnp.any(leaf != 0), path
