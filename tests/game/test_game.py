"""The first state of a game."""

import jax
import numpy as np
import toys


def test_members_start_different_and_do_not_depend_on_how_many_there_are():
    small, large = toys.game(2, 2), toys.game(4, 3)
    a, b = (g.init(jax.random.key(0)) for g in (small, large))
    np.testing.assert_array_equal(a.generators[0].params["w1"], b.generators[0].params["w1"][:2])
    np.testing.assert_array_equal(a.discriminators[0].params["w1"], b.discriminators[0].params["w1"][:2])
    assert not np.allclose(b.generators[0].params["w1"][0], b.generators[0].params["w1"][1])
