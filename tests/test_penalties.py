"""Penalties by hand for critics whose gradient is known, the course of a strength, and settings that are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ensgan import penalties, testing
from ensgan.penalties import PENALTIES, gradient_penalty, r1, r1_r2, r2
from ensgan.types import InputError, Penalty

REAL = jnp.array([[1.0, 0.0], [0.0, 2.0]])
FAKE = jnp.array([[3.0, 0.0], [0.0, 0.0]])
KEY = jax.random.key(0)
KEYS = jax.random.split(KEY, 2)


@pytest.mark.parametrize("name", sorted(set(PENALTIES) - {"none"}))
def test_every_penalty_keeps_the_contract(name):
    testing.check_penalty(PENALTIES[name]())
    assert PENALTIES["none"]() is None


def test_a_linear_critic_has_the_norm_of_its_weights():
    critic = lambda x: x @ jnp.array([3.0, 4.0])  # gradient (3, 4) everywhere, squared norm 25
    assert float(r1().value(critic, REAL, FAKE, KEYS).mean()) == pytest.approx(12.5)  # ½ · 25
    assert float(r2().value(critic, REAL, FAKE, KEYS).mean()) == pytest.approx(12.5)
    assert float(r1_r2().value(critic, REAL, FAKE, KEYS).mean()) == pytest.approx(25.0)  # ½ · (25 + 25)
    assert float(gradient_penalty().value(critic, REAL, FAKE, KEYS).mean()) == pytest.approx(16.0)  # (5 - 1)²
    assert float(gradient_penalty(center=0.0).value(critic, REAL, FAKE, KEYS).mean()) == pytest.approx(25.0)


def test_a_quadratic_critic_tells_reals_from_fakes():
    critic = lambda x: 0.5 * (x**2).sum(-1)  # gradient x, squared norms 1, 4 on reals and 9, 0 on fakes
    assert float(r1().value(critic, REAL, FAKE, KEYS).mean()) == pytest.approx(1.25)  # ½ · 5/2
    assert float(r2().value(critic, REAL, FAKE, KEYS).mean()) == pytest.approx(2.25)  # ½ · 9/2
    assert float(r1_r2().value(critic, REAL, FAKE, KEYS).mean()) == pytest.approx(3.5)
    # Between (2, 0) and (4, 0) the norm is uniform on [2, 4], so (‖x‖ - 1)² has mean (3³ - 1³)/6 = 13/3.
    many = lambda a: jnp.broadcast_to(jnp.array([a, 0.0]), (4000, 2))
    assert float(
        gradient_penalty().value(critic, many(2.0), many(4.0), jax.random.split(KEY, 4000)).mean()
    ) == pytest.approx(13 / 3, abs=0.15)


def test_an_interval_below_one_is_refused():
    for factory in (r1, r2, r1_r2, gradient_penalty):
        with pytest.raises(InputError, match="interval is 0"):
            factory(interval=0)


def test_a_penalty_on_both_laws_does_not_mix_their_batch_statistics():
    coupled = lambda x: ((x - x.mean(0, keepdims=True)) ** 2).sum(-1)
    both, real, fake = (plug(1.0).value(coupled, REAL, FAKE, KEYS) for plug in (r1_r2, r1, r2))
    np.testing.assert_allclose(both, real + fake)


@pytest.mark.parametrize("settings", [{"strength": -1.0}, {"strength": [1.0, float("nan")]}, {"interval": 1.5}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match="a penalty's"):
        r1(**settings)


def test_a_strength_goes_to_its_final_one_and_stays():
    strength = r1_r2([0.08, 0.02], final=0.005, horizon=4).strength
    seen = np.array([strength(step) for step in (0, 1, 2, 4, 9)])
    np.testing.assert_allclose(seen[:, 0], [0.08, 0.04, 0.02, 0.005, 0.005], rtol=1e-6)
    np.testing.assert_allclose(seen[[0, 2, 3], 1], [0.02, 0.01, 0.005], rtol=1e-6)
    linear = r1([0.08, 0.02], final=0.0, horizon=4, schedule="linear").strength
    np.testing.assert_allclose(linear(1), [0.06, 0.015], rtol=1e-6)
    np.testing.assert_array_equal(linear(4), [0.0, 0.0])
    cosine = r2(0.0, final=1.0, horizon=4, schedule="cosine").strength  # upwards: 1 - (1 + cos(π t/4))/2
    np.testing.assert_allclose([cosine(step) for step in (0, 1, 2, 4, 9)], [0, 0.146447, 0.5, 1, 1], atol=1e-6)
    # Replicas give strengths that are only known while the program runs.
    traced = jax.jit(lambda first, step: r1(first, final=0.005, horizon=4).strength(step))
    np.testing.assert_allclose(traced(0.08, 2), 0.02, rtol=1e-6)


def test_a_strength_may_rise_to_its_value():
    np.testing.assert_allclose([r1(0.8, warmup=3).strength(step) for step in (0, 1, 3, 9)], [0.2, 0.4, 0.8, 0.8])
    both = gradient_penalty([8.0, 4.0], final=2.0, horizon=2, schedule="linear", warmup=1).strength
    np.testing.assert_allclose([both(step) for step in (0, 1, 2)], [[4.0, 2.0], [5.0, 3.0], [2.0, 2.0]])
    given = r1(optax.schedules.linear_schedule(1.0, 0.0, 2), warmup=1).strength
    np.testing.assert_allclose([given(step) for step in (0, 1, 2)], [0.5, 0.5, 0.0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"final": 0.1}, "horizon is 0"),
        ({"final": 0.1, "horizon": True}, "horizon is True"),
        ({"final": 0.0, "horizon": 5}, "exponential schedule has the end 0.0"),
        ({"strength": 0.0, "final": 0.1, "horizon": 5}, "exponential schedule has the end 0.0"),
        ({"strength": lambda step: 1.0, "final": 0.1, "horizon": 5}, "strength is a schedule"),
        ({"final": -1.0, "horizon": 5}, "a penalty's final is -1.0"),
        ({"horizon": 5}, "horizon is 5 .* no final strength"),
        ({"schedule": "linear"}, "schedule is linear, but there is no final strength"),
        ({"final": 0.1, "horizon": 5, "schedule": "constant"}, "unknown schedule 'constant'"),
        ({"warmup": -1}, "warmup is -1"),
    ],
)
def test_ends_of_a_strength_that_lead_nowhere_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        r1(**settings)


@pytest.mark.parametrize(
    ("penalty", "message"),
    [
        (Penalty(lambda c, real, fake, keys: c(real).mean(), 1.0), r"shape \(\) for 5 samples"),
        (Penalty(lambda c, real, fake, keys: c(real) - c(real).mean(), 1.0), "in a smaller batch"),
        (Penalty(lambda c, real, fake, keys: jnp.sqrt(penalties.squared_gradient(c, real)), 1.0), "not finite"),
        (Penalty(lambda c, real, fake, keys: jnp.zeros(len(real)), lambda step: jnp.ones(2)), "one number"),
    ],
)
def test_the_contract_check_finds_what_is_broken(penalty, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_penalty(penalty)
