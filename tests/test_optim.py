"""Optimisers of stacked members equal separate ones, and what the named ones add."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ensgan import optim
from ensgan.types import InputError

RATES = (0.1, 0.01, 0.5)


def params(count=3):
    k_w, k_b = jax.random.split(jax.random.key(0))
    return {"w": jax.random.normal(k_w, (count, 2, 3)), "b": jax.random.normal(k_b, (count, 3))}


def member(tree, k):
    return jax.tree.map(lambda leaf: leaf[k : k + 1], tree)


def train(optimizer, start, steps=5, gradient=None):
    """The parameters after some steps of a simple, changing gradient, and the optimiser's state."""
    count = jax.tree.leaves(start)[0].shape[0]
    stacked = optim.stacked(optimizer, count)
    gradient = gradient or (lambda p: jax.tree.map(lambda a: jnp.sin(3.0 * a), p))

    @jax.jit
    def run(p):
        state = stacked.init(p)
        for _ in range(steps):
            updates, state = stacked.update(gradient(p), state, p)
            p = optax.apply_updates(p, updates)
        return p, state

    return run(start)


def test_rates_per_member_are_separate_runs():
    together, _ = train(optim.per_member(optax.adam, learning_rate=np.array(RATES), b1=0.5), params())
    for k, rate in enumerate(RATES):
        alone, _ = train(optim.per_member(optax.adam, learning_rate=rate, b1=0.5), member(params(), k))
        jax.tree.map(np.testing.assert_array_equal, member(together, k), alone)
        plain, _ = train(optax.adam(rate, b1=0.5), member(params(), k))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), alone, plain)


def test_other_hyper_parameters_are_per_member_too():
    together, _ = train(optim.per_member(optax.adam, learning_rate=0.1, b1=np.array([0.0, 0.9])), params(2))
    for k, b1 in enumerate((0.0, 0.9)):
        alone, _ = train(optax.adam(0.1, b1=b1), member(params(2), k))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), member(together, k), alone)


def test_hyper_parameters_live_in_the_state_and_may_be_changed_there():
    start = params(2)
    stacked = optim.stacked(optim.per_member(optax.sgd, learning_rate=np.array([1.0, 2.0])), 2)
    state = stacked.init(start)
    rate = state.hyperparams["learning_rate"]
    assert isinstance(rate, jax.Array)
    np.testing.assert_array_equal(rate, [1.0, 2.0])
    state = state._replace(hyperparams={**state.hyperparams, "learning_rate": jnp.array([0.0, 5.0])})
    updates, state = stacked.update(jax.tree.map(jnp.ones_like, start), state, start)
    np.testing.assert_array_equal(updates["b"], [[0.0] * 3, [-5.0] * 3])
    np.testing.assert_array_equal(state.hyperparams["learning_rate"], [0.0, 5.0])


def test_each_member_counts_its_own_steps():
    _, state = train(optax.adam(0.1), params(3), steps=4)
    np.testing.assert_array_equal(state[0].count, [4, 4, 4])


@pytest.mark.parametrize("optimizer", [optim.sgd(1.0, clip_norm=1.0), optim.sgd((1.0, 1.0), clip_norm=1.0)])
def test_gradients_are_clipped_member_by_member(optimizer):
    start = {"w": jnp.zeros((2, 2))}
    stacked = optim.stacked(optimizer, 2)
    grads = {"w": jnp.array([[30.0, 40.0], [0.3, 0.4]])}  # norms 50 and 0.5; over the whole stack both would shrink
    updates, _ = stacked.update(grads, stacked.init(start), start)
    np.testing.assert_allclose(updates["w"], [[-0.6, -0.8], [-0.3, -0.4]], rtol=1e-6)


@pytest.mark.parametrize("optimizer", [optim.rmsprop(0.1, weight_clip=0.05), optim.adam(0.1, weight_clip=0.05)])
def test_clipped_weights_stay_in_their_range(optimizer):
    after, _ = train(optimizer, params(2), steps=3)
    largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(after))
    assert largest == pytest.approx(0.05, abs=1e-6)


ONES = lambda p: jax.tree.map(jnp.ones_like, p)


def moves(optimizer, steps):
    """How far each step of a gradient of 1 moves."""
    stacked, p, out = optim.stacked(optimizer, 1), {"w": jnp.zeros((1,))}, []
    state = stacked.init(p)
    for _ in range(steps):
        updates, state = stacked.update(ONES(p), state, p)
        out.append(-float(updates["w"][0]))
    return out


@pytest.mark.parametrize(
    ("settings", "want"),
    [
        ({"schedule": "cosine", "horizon": 4}, [1.0, 0.853553, 0.5, 0.146447, 0.0, 0.0]),  # ½ (1 + cos(π t/4))
        ({"schedule": "linear", "horizon": 4}, [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]),
        ({"warmup": 3}, [0.25, 0.5, 0.75, 1.0, 1.0]),
        ({"schedule": "linear", "horizon": 4, "warmup": 1}, [0.5, 0.75, 0.5, 0.25, 0.0]),
        ({"schedule": "linear", "horizon": 4, "final": 0.2}, [1.0, 0.8, 0.6, 0.4, 0.2, 0.2]),
        ({"schedule": "cosine", "horizon": 2, "final": 0.5, "warmup": 1}, [0.5, 0.75, 0.5, 0.5]),
        ({"schedule": "exponential", "horizon": 2, "final": 0.04}, [1.0, 0.2, 0.04, 0.04]),
        ({}, [1.0, 1.0]),
        ({"momentum": 0.5}, [1.0, 1.5, 1.75]),
    ],
)
def test_schedules_and_momentum(settings, want):
    np.testing.assert_allclose(moves(optim.sgd(2.0, **settings), len(want)), 2.0 * np.array(want), atol=1e-6)


@pytest.mark.parametrize("rate", [0.1, (0.1, 0.2, 0.3)])
def test_the_state_of_an_optimiser_holds_one_step_count_for_its_course(rate):
    """Checkpoints hold this structure: a course is one count per member, whatever its options."""
    plain = optim.stacked(optim.adam(rate), 3).init(params())
    options = [
        {"schedule": "linear", "horizon": 5},
        {"schedule": "cosine", "horizon": 9, "final": 0.1, "warmup": 2},
        {"warmup": 3},
    ]
    states = [optim.stacked(optim.adam(rate, **each), 3).init(params()) for each in options]
    assert len({jax.tree.structure(state) for state in states}) == 1
    extra = len(jax.tree.leaves(states[0])) - len(jax.tree.leaves(plain))
    assert extra == 1
    assert [leaf.shape for leaf in jax.tree.leaves(states[0])].count((3,)) >= 2


def test_a_schedule_and_a_rate_per_member_go_together():
    stacked = optim.stacked(optim.sgd((1.0, 3.0), schedule="linear", horizon=2), 2)
    p = {"w": jnp.zeros((2,))}
    state = stacked.init(p)
    for want in ([-1.0, -3.0], [-0.5, -1.5], [0.0, 0.0]):
        updates, state = stacked.update(ONES(p), state, p)
        np.testing.assert_allclose(updates["w"], want, atol=1e-6)


@pytest.mark.parametrize("name", sorted(optim.OPTIMIZERS))
def test_named_optimisers_take_a_rate_per_member(name):
    stacked = optim.stacked(optim.OPTIMIZERS[name](learning_rate=(0.1, 0.2)), 2)
    p = {"w": jnp.zeros((2, 3))}
    updates, _ = stacked.update(ONES(p), stacked.init(p), p)
    np.testing.assert_allclose(updates["w"][1], 2.0 * updates["w"][0], rtol=1e-6)
    assert float(updates["w"][0, 0]) < 0
    one = optim.OPTIMIZERS[name](learning_rate=(0.1,))  # one number is for all
    np.testing.assert_allclose(
        optim.stacked(one, 2).update(ONES(p), optim.stacked(one, 2).init(p), p)[0]["w"],
        jnp.broadcast_to(updates["w"][:1], (2, 3)),
        rtol=1e-6,
    )


def test_our_adam_is_that_of_optax():
    grads = [{"w": jax.random.normal(jax.random.key(i), (3, 4)) * 10.0 ** (i - 2)} for i in range(4)]
    grads.append({"w": jnp.zeros((3, 4))})
    for settings in ({"b1": 0.5, "b2": 0.999}, {"b1": 0.0, "b2": 0.99, "eps": 1e-4}):
        ours, theirs = optim.stacked(optim.adam(1e-2, **settings), 3), optim.stacked(optax.adam(1e-2, **settings), 3)
        params = {"w": jnp.ones((3, 4))}
        a, b = ours.init(params), theirs.init(params)
        assert jax.tree.structure(a) == jax.tree.structure(b)
        for grad in grads:
            got, a = ours.update(grad, a, params)
            want, b = theirs.update(grad, b, params)
            np.testing.assert_allclose(got["w"], want["w"], rtol=1e-6)
            jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), a, b)
    bad = {"w": jnp.array([[jnp.nan, jnp.inf, -jnp.inf, 1.0]] * 3)}
    got, _ = ours.update(bad, ours.init(params), params)
    assert np.isnan(got["w"][:, :3]).all()
    assert np.isfinite(got["w"][:, 3]).all()


def test_settings_that_are_no_numbers_go_to_the_factory_as_they_are():
    rates = jnp.array([0.1, 0.2])
    schedule = lambda count: 0.5**count
    make = {
        "none": (optax.sgd, {"momentum": None}),
        "flag": (optax.sgd, {"momentum": 0.9, "nesterov": True}),
        "function": (optax.adamw, {"mask": lambda params: jax.tree.map(lambda p: True, params)}),
    }
    params, grads = {"w": jnp.ones((2, 3))}, {"w": jnp.arange(6.0).reshape(2, 3)}
    for factory, fixed in make.values():
        many = optim.stacked(optim.per_member(factory, learning_rate=rates, **fixed), 2)
        got, _ = many.update(grads, many.init(params), params)
        for i, rate in enumerate((0.1, 0.2)):
            row = lambda tree, i=i: jax.tree.map(lambda a: a[i], tree)
            one = factory(rate, **fixed)
            want, _ = one.update(row(grads), one.init(row(params)), row(params))
            np.testing.assert_allclose(got["w"][i], want["w"], rtol=1e-5)
    many = optim.stacked(optim.per_member(optax.sgd, learning_rate=schedule), 2)
    state = many.init(params)
    for _ in range(2):
        got, state = many.update(grads, state, params)
    np.testing.assert_allclose(got["w"], -0.5 * grads["w"], rtol=1e-6)


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"learning_rate has shape \(2,\) in a group of 3 members"):
        optim.stacked(optim.adam((0.1, 0.2)), 3)
    with pytest.raises(InputError, match="unknown schedule 'steps'; known: constant, cosine, exponential, linear"):
        optim.adam(schedule="steps", horizon=5)
    for settings, message in [
        ({"learning_rate": -1.0}, "learning_rate is -1.0; it must be in"),
        ({"learning_rate": (0.1, float("nan"))}, "learning_rate is .*nan"),
        ({"learning_rate": 1e300}, "learning_rate is 1e\\+300"),
        ({"b1": 1.0}, r"b1 is 1.0; it must be in \[0, 1\)"),
        ({"eps": -1e-8}, "eps is -1e-08; it must be finite and at least 0"),
        ({"clip_norm": -1.0}, "clip_norm is -1.0"),
        ({"weight_clip": float("inf")}, "weight_clip is inf"),
        ({"warmup": -3}, "warmup is -3"),
        ({"schedule": "linear", "horizon": 9, "final": 1.5}, r"final is 1.5; it must be in \[0, 1\)"),
    ]:
        with pytest.raises(InputError, match=message):
            optim.adam(**settings)
    with pytest.raises(InputError, match=r"horizon is 5 and final is 0.0, but a constant schedule has no end"):
        optim.rmsprop(horizon=5)
    with pytest.raises(InputError, match=r"horizon is 0 and final is 0.1, but a constant schedule has no end"):
        optim.rmsprop(final=0.1)
    for schedule in ("linear", "cosine"):
        with pytest.raises(InputError, match=f"horizon is 0; the schedule {schedule} needs a number of steps"):
            optim.sgd(schedule=schedule)


def test_the_second_moment_may_follow_a_course():
    """β₂ from .9 to .99 by a cosine over 4 steps; the bias is corrected with the present one, as in PyTorch."""
    g, rate = np.array([0.3, -2.0, 1.0, 0.5, 4.0]), 0.1
    m, v, want = 0.0, 0.0, 0.0
    for t, each in enumerate(g):
        b2 = 0.99 + (0.9 - 0.99) * 0.5 * (1 + np.cos(np.pi * min(t / 4, 1)))
        m, v = 0.5 * m + 0.5 * each, b2 * v + (1 - b2) * each**2
        want -= rate * (m / (1 - 0.5 ** (t + 1))) / (np.sqrt(v / (1 - b2 ** (t + 1))) + 1e-8)
    course = {"schedule": "cosine", "horizon": 4, "final": 0.999}
    for rates in (rate, (rate, rate)):
        many = optim.stacked(optim.adam(rates, b1=0.5, b2=0.99, b2_start=0.9, b2_horizon=4, **course), 2)
        p = {"w": jnp.zeros((2, 1))}
        state = many.init(p)
        for each in g:
            updates, state = many.update({"w": jnp.full((2, 1), each)}, state, p)
            p = optax.apply_updates(p, updates)
        np.testing.assert_allclose(p["w"], want, rtol=2e-3)
    with pytest.raises(InputError, match=r"b2_start is 0.9 and b2_horizon is 0; give both"):
        optim.adam(b2_start=0.9)
    with pytest.raises(InputError, match=r"b2_start is 1.0; it must be in"):
        optim.adam(b2_start=1.0, b2_horizon=3)


def test_a_half_life_needs_numbers_that_fit():
    assert float(optim.half_life(100.0, 50)(0)) == pytest.approx(0.5**0.5)
    assert float(optim.half_life(0.0, 50)(7)) == 0.0  # no average
    with pytest.raises(InputError, match="ema_start is 5, and ema_horizon says nothing"):
        optim.half_life(100.0, 50, start=5.0)
    with pytest.raises(InputError, match="ema_half_life is -1"):
        optim.half_life(-1.0, 50)


def test_the_average_forgets_early_weights():
    decays = [float(optim.average_decay(0.99, jnp.int32(t))) for t in (0, 9, 80, 10_000)]
    assert decays == pytest.approx([0.1, 10 / 19, 0.9, 0.99])  # (1 + t)/(10 + t) until it reaches .99


def test_eps_of_rmsprop_is_outside_of_the_root():
    """Constant gradients end in steps of g / (|g| + eps): 1.000, 1.000 and .990 of the rate, as in PyTorch."""
    start = {"w": jnp.zeros((3, 1))}
    gradient = lambda p: {"w": jnp.array([[1e-2], [1e-4], [1e-6]])}
    rmsprop = optim.rmsprop(1.0, decay=0.5, eps=1e-8)
    after, _ = train(rmsprop, start, 40, gradient)
    before, _ = train(rmsprop, start, 39, gradient)
    np.testing.assert_allclose((before["w"] - after["w"])[:, 0], [1.0, 1.0, 1 / 1.01], rtol=2e-4)
