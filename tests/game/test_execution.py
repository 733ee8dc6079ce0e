"""The ways to run the members of a group are one game."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import toys
from flax import nnx
from toys import run

from ensgan import penalties
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.networks import from_nnx


def test_the_unrolled_members_are_the_batched_ones():
    batch = toys.batch()
    results = []
    for how in ({"execute": "vmap"}, {"execute": "unroll"}, {"remat": True}):
        base = toys.game(3, 2)
        groups = [[Group(g.network, g.count, **how) for g in side] for side in (base.groups_g, base.groups_d)]
        game = Game(*groups, penalty=penalties.r1_r2(0.1), optimizer=optax.sgd(1.0), batch_size=8)
        results.append(run(game, game.init(jax.random.key(0)), batch)[0])
    for other in results[1:]:
        toys.assert_close(results[0].generators, other.generators)
        toys.assert_close(results[0].discriminators, other.discriminators)


class Convolutional(nnx.Module):
    """A generator or a discriminator of 4×4 images."""

    def __init__(self, rngs, out):
        self.down = nnx.Conv(1, 2, (4, 4), (2, 2), rngs=rngs)
        self.up = nnx.ConvTranspose(2, 1, (4, 4), (2, 2), rngs=rngs)
        self.out = out

    def __call__(self, x):
        x = self.up(jnp.tanh(self.down(x)))
        return x if self.out else x.sum((1, 2, 3))


def test_convolutions_as_products_are_the_same_game():
    """With penalties, which differentiate twice."""
    shape = (4, 4, 1)
    with jax.enable_x64(True):
        g = from_nnx(lambda rngs: Convolutional(rngs, True), shape, shape)
        d = from_nnx(lambda rngs: Convolutional(rngs, False), shape, ())
        batch = {"x": jax.random.normal(jax.random.key(2), (4, *shape))}
        results = []
        for how in ("vmap", "unroll", "matmul"):
            groups = [[Group(network, 2, execute=how)] for network in (g, d)]
            game = Game(*groups, penalty=penalties.r1_r2(0.1), optimizer=optax.sgd(1.0), batch_size=4)
            state = game.init(jax.random.key(0))
            wide = lambda leaf: leaf.astype(float) if leaf.dtype == jnp.float32 else leaf
            new, info = run(game, jax.tree.map(wide, state), batch)
            results.append((new.generators, new.discriminators, info))
    for other in results[1:]:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), results[0], other)
