"""Courses of a rate or a strength, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensgan.decays import DECAYS, decay, warmed
from ensgan.types import InputError


@pytest.mark.parametrize(
    ("schedule", "want"),
    [
        ("linear", [9.0, 7.0, 5.0, 3.0, 1.0, 1.0]),
        ("cosine", [9.0, 5 + 4 * np.cos(np.pi / 4), 5.0, 5 - 4 * np.cos(np.pi / 4), 1.0, 1.0]),
        ("exponential", [9.0, 9 / np.sqrt(3), 3.0, np.sqrt(3), 1.0, 1.0]),
    ],
)
def test_a_decay_goes_from_its_first_to_its_final_number_and_stays(schedule, want):
    course = decay(schedule, 9.0, 1.0, 4)
    np.testing.assert_allclose([course(jnp.int32(step)) for step in (0, 1, 2, 3, 4, 1000)], want, rtol=1e-6)
    rising = decay(schedule, 1.0, 9.0, 4)
    np.testing.assert_allclose([rising(0), rising(2), rising(4)], [want[4], want[2], want[0]], rtol=1e-6)


@pytest.mark.parametrize("schedule", sorted(DECAYS))
def test_a_decay_takes_one_number_per_member_and_traced_ones(schedule):
    course = jax.jit(lambda first, step: decay(schedule, first, 1.0, 4)(step))
    together = course(jnp.array([9.0, 4.0, 1.0]), 3)
    alone = [float(decay(schedule, first, 1.0, 4)(3)) for first in (9.0, 4.0, 1.0)]
    np.testing.assert_allclose(together, alone, rtol=1e-6)


@pytest.mark.parametrize("horizon", [7, 300, 20_000, 27_000])
def test_a_floor_of_zero_is_exact(horizon):
    steps = jnp.arange(horizon + 5)
    for schedule in ("linear", "cosine"):
        values = jax.jit(jax.vmap(decay(schedule, 1.0, 0.0, horizon)))(steps)
        assert (np.diff(values) <= 0).all()
        np.testing.assert_array_equal(values[horizon:], 0.0)


def test_a_warm_up_is_a_factor():
    course = warmed(decay("linear", 1.0, 0.2, 4), 1)
    np.testing.assert_allclose([course(step) for step in range(6)], [0.5, 0.8, 0.6, 0.4, 0.2, 0.2], rtol=1e-6)
    course = warmed(lambda step: jnp.array([1.0, 8.0]), 3)
    np.testing.assert_allclose([course(step) for step in (0, 1, 3, 9)], [[0.25, 2], [0.5, 4], [1, 8], [1, 8]])


def test_courses_that_lead_nowhere_are_refused():
    with pytest.raises(InputError, match="unknown schedule 'steps'; known: cosine, exponential, linear"):
        decay("steps", 1.0, 0.0, 4)
    for horizon in (0, True, 2.5):
        with pytest.raises(InputError, match=f"horizon is {horizon}; the schedule linear needs a number of steps"):
            decay("linear", 1.0, 0.0, horizon)
    for ends in ((0.0, 1.0), (1.0, 0.0), (np.array([1.0, 0.0]), 1.0)):
        with pytest.raises(InputError, match="no factor leads from or to 0"):
            decay("exponential", *ends, 4)
    with pytest.raises(InputError, match="warmup is -1"):
        warmed(lambda step: 1.0, -1)
