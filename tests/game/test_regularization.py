"""Penalties of a step: whose samples they are paid on, how strong they are, and the gradients that they add."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from staged import TWO_STAGES, game

from ensgan import losses, pairing, penalties
from ensgan.game.population import whole
from ensgan.game.regularization import places_by_weight, places_in_turn
from ensgan.game.step import step
from ensgan.penalties import r1, r2

KEY = jax.random.key(0)


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


def test_a_discriminator_that_plays_nobody_is_not_regularised_on_fakes(run):
    mask = pairing.mean()._replace(before=lambda state, key, M, N: jnp.arange(N)[None] + jnp.zeros((M, 1)) < 1)
    game = toys.game(2, 2, penalty=r2(1.0), pairing=mask, optimizer=optax.sgd(0.0))
    _, info = jax.jit(lambda s: step(game, s, toys.batch()))(game.init(jax.random.key(0)))
    assert float(info.penalty[0]) > 0
    assert float(info.penalty[1]) == 0


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


def test_random_signs_give_the_penalty_of_every_head_on_average():
    # Σ_j γ_j ‖∇ₓ h_j(t(x))‖² is what signs estimate; its gradient is divided by the number of heads in the trunk.
    played = game(3, 3, penalty=penalties.r1(jnp.array([0.5, 1.0, 2.0])), loss=losses.wasserstein)
    plain = game(3, 3, loss=losses.wasserstein)
    state = played.init(jax.random.key(0))
    batch = toys.batch(8)

    def value(params, scale):
        total = 0.0
        for j, gamma in enumerate((0.5, 1.0, 2.0)):
            mine = jax.tree.map(lambda leaf, j=j: leaf[j], params)
            slope = jax.vmap(
                jax.grad(lambda x, mine=mine: TWO_STAGES.apply(mine, {"trunk": {}, "head": {}}, x[None])[0][0])
            )(batch["x"])
            total += 0.5 * gamma * (slope**2).sum(axis=1).mean() / scale
        return total

    members = whole(state.discriminators[0]).params
    want = jax.grad(lambda p: value(p, 1.0))(members)
    want = {"head": want["head"], "trunk": jax.tree.map(lambda leaf: leaf.mean(axis=0), want["trunk"])}

    @jax.jit
    def moved(key):
        at = state._replace(key=key)
        a, b = (step(each, at, batch)[0].discriminators[0] for each in (played, plain))
        return jax.tree.map(lambda x, y: y - x, (a.params, a.common.params), (b.params, b.common.params))

    found = jax.vmap(moved)(jax.random.split(jax.random.key(2), 400))
    for name, got, right in (("head", found[0]["head"], want["head"]), ("trunk", found[1]["trunk"], want["trunk"])):
        for leaf, mean in zip(jax.tree.leaves(got), jax.tree.leaves(right), strict=True):
            leaf = np.asarray(leaf).reshape(400, *np.shape(mean))
            error = leaf.std(axis=0) / np.sqrt(400) + 1e-6
            assert (np.abs(leaf.mean(axis=0) - mean) < 5 * error).all(), name


def test_penalties_that_are_not_quadratic_are_paid_head_by_head():
    played = game(3, 3, penalty=penalties.gradient_penalty(1.0))
    state = played.init(jax.random.key(0))
    _, info = jax.jit(lambda s: step(played, s, toys.batch(8)))(state)
    assert info.penalty.shape == (3,)
    assert len(set(np.asarray(info.penalty).round(6).tolist())) == 3
