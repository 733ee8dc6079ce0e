"""A member that failed starts again, and nobody else is changed."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from toys import played

from ensgan import optim
from ensgan.game.healing import eased, revived
from ensgan.game.step import step
from ensgan.pace import Pace, pace_of, paced

ADAM = optim.adam(1e-2, b1=0.5)


@pytest.mark.parametrize("side", ["generators", "discriminators"])
@pytest.mark.parametrize("donor", [1, 2])
def test_a_member_that_starts_again_has_good_weights_new_moments_and_smaller_steps(side, donor):
    game, state = played(paced(ADAM))
    new = revived(game, state, side, 0, jnp.int32(2), jnp.int32(donor), Pace(jnp.float32(0.25), jnp.int32(3)))
    old, mine = getattr(state, side)[0], getattr(new, side)[0]
    for name in ("params", "average"):
        for before, after in zip(
            jax.tree.leaves(getattr(old, name)), jax.tree.leaves(getattr(mine, name)), strict=True
        ):
            np.testing.assert_array_equal(after[2], before[donor])
            np.testing.assert_array_equal(np.delete(after, 2, 0), np.delete(before, 2, 0))
    fresh = optim.stacked(paced(ADAM), 4 if side == "generators" else 3).init(mine.params)
    for start, before, after in zip(*map(jax.tree.leaves, (fresh, old.optimizer, mine.optimizer)), strict=True):
        np.testing.assert_array_equal(np.delete(after, 2, 0), np.delete(before, 2, 0))
        if start.dtype == jnp.float32 and start.ndim > 1:
            np.testing.assert_array_equal(after[2], start[2])
    pace = pace_of(mine.optimizer)
    np.testing.assert_array_equal(pace.factor, [1, 1, 0.25, 1][: len(pace.factor)])
    np.testing.assert_array_equal(pace.healings, [0, 0, 3, 0][: len(pace.healings)])
    other = "discriminators" if side == "generators" else "generators"
    jax.tree.map(np.testing.assert_array_equal, getattr(new, other), getattr(state, other))


def test_paces_are_factors_of_updates_and_ease_to_one():
    game, state = played(paced(optax.sgd(0.1)), steps=1)
    slow = revived(game, state, "generators", 0, jnp.int32(1), jnp.int32(1), Pace(jnp.float32(0.25), jnp.int32(1)))
    slow = revived(game, slow, "generators", 0, jnp.int32(3), jnp.int32(3), Pace(jnp.float32(0.0), jnp.int32(4)))
    fast, _ = step(game, state, toys.batch())
    slowed, _ = step(game, slow, toys.batch())
    moves = lambda after, before: np.asarray(after.generators[0].params["w1"] - before.generators[0].params["w1"])
    want = moves(fast, state) * np.array([1, 0.25, 1, 0]).reshape(-1, 1, 1)
    np.testing.assert_allclose(moves(slowed, slow), want, rtol=1e-4, atol=1e-7)
    for factor in (0.5, 1.0, 1.0):
        slow = eased(slow)
        np.testing.assert_array_equal(pace_of(slow.generators[0].optimizer).factor, [1, factor, 1, 0])
