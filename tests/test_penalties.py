"""Penalties by hand for critics whose gradient is known, and what the step does with them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys

from ensgan import pairing, penalties, testing
from ensgan.game.regularization import places_by_weight, places_in_turn
from ensgan.game.step import step
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


@pytest.fixture(scope="module")
def run():
    """One compiled step of a game whose strength [N] and whose weights P are arguments."""

    def weighted(P):
        after = lambda state, evidence, key: (jnp.full(P.shape, 0.5), P, state)
        return pairing.mean()._replace(after=after)

    def one(strength, P, state, batch):
        return step(toys.game(3, 2, penalty=r2(strength), pairing=weighted(P)), state, batch)

    return jax.jit(one)


def squared(network, params, x):
    grad = jax.grad(lambda x: network.apply(params, {}, x)[0].sum())(x)
    return (grad**2).sum(-1)


ONLY_1 = jnp.array([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])


def test_the_step_takes_each_discriminators_strength_and_fakes_by_its_weights(run):
    game = toys.game(3, 2)
    state = game.init(jax.random.key(0))
    new, info = run(jnp.array([0.5, 2.0]), ONLY_1, state, toys.batch())
    free, without = run(jnp.zeros(2), ONLY_1, state, toys.batch())
    network, params, _ = toys.members(game.groups_g, state.generators)[1]
    fakes = network.apply(params, {}, toys.latents(game, state)[1])[0]  # P is 1 for generator 1 alone

    network = game.groups_d[0].network
    penalty = jax.jit(jax.value_and_grad(lambda params, k: k * 0.5 * squared(network, params, fakes).mean()))
    for j, (_, params, _) in enumerate(toys.members(game.groups_d, state.discriminators)):
        value, grad = penalty(params, [0.5, 2.0][j])
        assert float(info.penalty[j]) == pytest.approx(float(value), rel=1e-5)
        extra = jax.tree.map(lambda a, b, j=j: (b - a)[j], new.discriminators[0].params, free.discriminators[0].params)
        toys.assert_close(extra, grad)  # steps have size 1, so this is what the penalty added
    np.testing.assert_array_equal(without.penalty, 0.0)


def test_no_gradient_of_a_penalty_reaches_the_generators(run):
    state = toys.game(3, 2).init(jax.random.key(0))
    strong, _ = run(jnp.array([1e4, 1e4]), ONLY_1, state, toys.batch())
    free, _ = run(jnp.zeros(2), ONLY_1, state, toys.batch())
    jax.tree.map(np.testing.assert_array_equal, strong.generators, free.generators)
    assert not np.allclose(strong.discriminators[0].params["w1"], free.discriminators[0].params["w1"])


def test_a_penalty_on_both_laws_does_not_mix_their_batch_statistics():
    coupled = lambda x: ((x - x.mean(0, keepdims=True)) ** 2).sum(-1)
    both, real, fake = (plug(1.0).value(coupled, REAL, FAKE, KEYS) for plug in (r1_r2, r1, r2))
    np.testing.assert_allclose(both, real + fake)


def test_a_discriminator_that_plays_nobody_is_not_regularised_on_fakes(run):
    mask = pairing.mean()._replace(before=lambda state, key, M, N: jnp.arange(N)[None] + jnp.zeros((M, 1)) < 1)
    game = toys.game(2, 2, penalty=r2(1.0), pairing=mask, optimizer=optax.sgd(0.0))
    _, info = jax.jit(lambda s: step(game, s, toys.batch()))(game.init(jax.random.key(0)))
    assert float(info.penalty[0]) > 0
    assert float(info.penalty[1]) == 0


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


def test_fakes_are_drawn_in_proportion_to_the_weights():
    P = jnp.array([[0.0, 1.0], [0.25, 0.0], [0.75, 0.0]])
    draw = jax.jit(lambda n: places_by_weight(KEY, P, jnp.arange(2), n))
    drawn = np.asarray(draw(jnp.arange(4000)))
    share = [(drawn[0] == i).mean() for i in range(3)]
    assert share[0] == 0.0
    assert share[1] == pytest.approx(0.25, abs=0.03)
    np.testing.assert_array_equal(drawn[1], 0.0)
    # Sample b of a discriminator does not depend on how many there are: noise is keyed, not counted.
    np.testing.assert_array_equal(draw(jnp.arange(50, 100)), drawn[:, 50:100])


@pytest.mark.parametrize(("weights", "counts"), [([1, 1, 1, 1], [4, 4, 4, 4]), ([0, 2, 1, 1], [0, 8, 4, 4])])
def test_fakes_of_heads_are_taken_in_turn(weights, counts):
    for seed in range(20):
        k, b = places_in_turn(jax.random.key(seed), jnp.array(weights, float), 16, 4)
        np.testing.assert_array_equal(np.bincount(k, minlength=4), counts)
        np.testing.assert_array_equal(b, np.tile(np.arange(4), 4))


def test_the_expected_number_of_turns_is_exact():
    weights = jnp.array([0.1, 0.55, 0.35])
    count = lambda key: jnp.bincount(places_in_turn(key, weights, 8, 4)[0], length=3)
    mean = jax.jit(jax.vmap(count))(jax.random.split(KEY, 4000)).mean(axis=0)
    np.testing.assert_allclose(mean, 8 * weights, atol=0.05)


def test_a_lazy_penalty_counts_as_often_as_it_is_skipped_and_follows_its_schedule():
    schedule = lambda step: 0.1 * (1.0 + step)
    lazy = toys.game(2, 2, penalty=r1(schedule, interval=4), optimizer=optax.sgd(0.0))
    state, batch = lazy.init(jax.random.key(0)), toys.batch()
    once = [
        0.5 * float(squared(network, params, batch["x"]).mean())
        for network, params, _ in toys.members(lazy.groups_d, state.discriminators)
    ]
    run = jax.jit(lambda s: step(lazy, s, batch))
    seen = []
    for _ in range(6):
        state, info = run(state)
        seen.append(np.asarray(info.penalty))
    np.testing.assert_array_equal(np.array(seen)[[1, 2, 3, 5]], 0.0)
    np.testing.assert_allclose(seen[0], 4 * 0.1 * np.array(once), rtol=1e-5)
    np.testing.assert_allclose(np.mean(seen[:4], axis=0), 0.1 * np.array(once), rtol=1e-5)
    np.testing.assert_allclose(seen[4], 4 * 0.5 * np.array(once), rtol=1e-5)


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
