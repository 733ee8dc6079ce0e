"""Reports of steps as sums and means, in which pairs that were not played do not count."""

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.game.info import Info, added, mean, tally

NAN = float("nan")


def report(loss, penalty=0.0):
    """A report of one generator against two discriminators with these losses."""
    pair = jnp.array([loss])
    return Info(pair, pair, pair, pair, pair, jnp.full(2, penalty), jnp.ones(1), jnp.ones(2), jnp.float32(0.25))


def test_a_mean_counts_the_steps_in_which_a_pair_was_played():
    total = None
    for loss in ([1.0, NAN], [2.0, 8.0], [6.0, NAN]):
        total = added(total, tally(report(loss)))
    np.testing.assert_array_equal(total[0].loss_g, [[9.0, 8.0]])
    np.testing.assert_array_equal(total[1].loss_g, [[3.0, 1.0]])
    np.testing.assert_array_equal(mean(total).loss_g, [[3.0, 8.0]])


def test_a_pair_that_was_never_played_stays_without_a_number():
    found = mean(added(tally(report([1.0, NAN])), tally(report([3.0, NAN]))))
    np.testing.assert_array_equal(found.fool, [[2.0, NAN]])


def test_the_mean_of_one_step_is_its_report():
    one = report([0.5, NAN], penalty=3.0)
    jax.tree.map(np.testing.assert_array_equal, mean(tally(one)), one)
    total = tally(one)
    assert added(None, total) is total


def test_sums_may_be_made_in_any_order():
    a, b, c = (
        tally(report(loss, penalty)) for loss, penalty in (([1.0, NAN], 1.0), ([NAN, 4.0], 2.0), ([2.0, 2.0], 6.0))
    )
    jax.tree.map(np.testing.assert_array_equal, added(added(a, b), c), added(a, added(c, b)))
    np.testing.assert_array_equal(mean(added(added(a, b), c)).penalty, [3.0, 3.0])
