"""Ways between latents: their ends are samples, and on a circle every point has the law of the prior."""

import jax.numpy as jnp
import numpy as np
import pytest
from toys import game as toy

from ensgan.sampling.inference import draw, member
from ensgan.sampling.walks import walk
from ensgan.types import InputError


def test_the_ends_are_samples_of_one_generator(key):
    game = toy()
    state = game.init(key)
    x, who = walk(game, state, key, 5, 4, weights=[0.2, 0.5, 0.3])
    assert x.shape == (5, 4, 2)
    for n, i in enumerate(who):
        ends = draw(member(game, state, int(i)), key, jnp.asarray([2 * n, 2 * n + 1]))
        np.testing.assert_allclose(x[n, [0, -1]], ends, rtol=1e-5, atol=1e-6)
    more, same = walk(game, state, key, 7, 4, weights=[0.2, 0.5, 0.3])
    np.testing.assert_array_equal(more[:5], x)
    np.testing.assert_array_equal(same[:5], who)


@pytest.mark.parametrize(("paths", "steps"), [(0, 3), (2, 1)])
def test_a_way_has_two_ends(key, paths, steps):
    game = toy()
    with pytest.raises(InputError, match="give at least 1 of 2"):
        walk(game, game.init(key), key, paths, steps)
