"""Mixtures and members inside of a compiled program."""

import jax
import jax.numpy as jnp
import numpy as np
from judges import line

from ensgan.game.game import Game
from ensgan.game.latents import normal
from ensgan.game.population import Group
from ensgan.sampling.adapters import Mixture


def test_a_mixture_inside_a_program_has_its_shares_and_the_laws_of_its_members(key):
    """Members are points: generators of scale 0 at −3, 0, 5 and, of another group, at 9."""
    group = Group(line((1,)), 3, latent=normal(np.zeros(3)))
    playing = Game([group, Group(line((1,)), 1, latent=normal(0.0))], [Group(line(()), 1)], batch_size=8)
    state = playing.init(jax.random.key(0))
    shift = lambda members, b: members._replace(average={"a": jnp.ones(len(b)), "b": jnp.array(b)})
    generators = (shift(state.generators[0], [-3.0, 0.0, 5.0]), shift(state.generators[1], [9.0]))
    weights, values = (0.5, 0.0, 0.173, 0.327), [-3.0, 0.0, 5.0, 9.0]
    draw = jax.jit(Mixture(playing, weights, True), static_argnums=3)
    p, counts = np.array(weights), []
    for k in range(200):
        x = np.asarray(draw(generators, None, jax.random.fold_in(key, k), 25))[:, 0]
        counts.append([(x == value).sum() for value in values])
        assert sum(counts[-1]) == 25
    # Binomial numbers, as of independent draws: their means and variances, within four standard errors.
    np.testing.assert_allclose(np.mean(counts, 0), 25 * p, atol=4 * 2.5 / np.sqrt(200))
    np.testing.assert_allclose(np.var(counts, 0), 25 * p * (1 - p), rtol=4 * np.sqrt(2 / 200))
    assert (
        len(
            {
                int(np.flatnonzero(np.asarray(draw(generators, None, k, 25))[:, 0] == 9.0)[0])
                for k in jax.random.split(key, 8)
            }
        )
        > 1
    )
