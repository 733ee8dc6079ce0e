"""One-dimensional games whose density ratio is known: linear discriminators of shifted normal data."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ensgan import losses
from ensgan.data import from_arrays
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.types import Network

# Data are N(1, 1) and generators N(shift, 1): the log density ratio of the first is x − ½.
SOURCE = from_arrays("line", (1.0 + np.random.default_rng(1).normal(size=(16_000, 1))).astype(np.float32))
X = jnp.linspace(-1.0, 2.0, 31)[:, None]
RATIO = np.asarray(X)[:, 0] - 0.5


def line(out_shape):
    """x → a x + b: a generator, or a discriminator whose logit is linear."""

    def apply(params, state, x, *, label=None, train=False, rng=None):
        return (params["a"] * x + params["b"]).reshape(len(x), *out_shape), state

    return Network(lambda key: ({"a": jnp.float32(1), "b": jnp.float32(0)}, {}), apply, (1,), out_shape)


@functools.cache  # a game is itself: programs are compiled once for each
def started(M, N, loss):
    game = Game([Group(line((1,)), M)], [Group(line(()), N)], loss=loss, batch_size=8)
    return game, game.init(jax.random.key(0))


def game(a, b, shifts=(0.0,), loss=losses.non_saturating):
    """Discriminators with the logits a_j (x − ½) + b_j, and generators N(shift, 1)."""
    game, state = started(len(shifts), len(a), loss)
    a, b, shifts = (jnp.asarray(v, jnp.float32) for v in (a, b, shifts))
    generators = state.generators[0]._replace(average={"a": jnp.ones_like(shifts), "b": shifts})
    discriminators = state.discriminators[0]._replace(params={"a": a, "b": b - 0.5 * a})
    return game, state._replace(generators=(generators,), discriminators=(discriminators,))
