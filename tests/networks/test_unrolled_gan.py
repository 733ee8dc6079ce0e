"""The pair of Unrolled GAN."""

import jax

from ensgan import networks


def test_the_pair_of_unrolled_gan_has_the_published_sizes():
    count = lambda network: [leaf.shape for leaf in jax.tree.leaves(jax.eval_shape(network.init, jax.random.key(0))[0])]
    kernels = lambda network: sorted(shape for shape in count(network) if len(shape) > 1)
    generator = networks.unrolled_gan_generator((28, 28, 3))
    assert generator.in_shape == (256,)
    up = [(3, 3, 64, 32), (3, 3, 32, 16), (3, 3, 16, 8), (3, 3, 8, 3)]
    assert kernels(generator) == sorted([(256, 4 * 4 * 64), *up])
    quarter = networks.unrolled_gan_discriminator((28, 28, 3), width=2)
    assert kernels(quarter) == sorted([(3, 3, 3, 2), (3, 3, 2, 4), (3, 3, 4, 8), (4 * 4 * 8, 1)])
    assert quarter.batch_coupled
    assert generator.batch_coupled
    # Batch norm after every layer but the last: a scale and a shift for each channel.
    assert sorted(leaf.shape for leaf in jax.tree.leaves(jax.eval_shape(quarter.init, jax.random.key(0))[1])) == sorted(
        2 * [(2,), (4,), (8,)]
    )
