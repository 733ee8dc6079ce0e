"""Batches drawn by weights: every sample has its share, however many there are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from schedule_cases import SOURCE, TRAIN

from ensgan import data
from ensgan.game.batches import by_weight, draw_batch, sums


def drawn(weight, num, seed=0):
    draw = by_weight(lambda arrays, i, noise: {"x": i})
    run = jax.jit(lambda keys: jax.lax.map(lambda keys: draw((None, weight), keys)["x"], keys))
    keys = jax.random.split(jax.random.key(seed), num).reshape(-1, 10_000)  # a draw takes √n numbers of memory
    return np.asarray(run(keys)).ravel()


def test_samples_are_drawn_in_proportion_to_their_weights():
    weight = jnp.array([0.0, 1.0, 0.0, 3.0, 4.0, 0.0, 0.0])
    share = np.bincount(drawn(weight, 20_000), minlength=7) / 20_000
    np.testing.assert_allclose(share, np.asarray(weight) / 8, atol=0.012)
    assert (share[np.asarray(weight) == 0] == 0).all()


def test_sums_do_not_grow_where_a_weight_is_zero():
    """The parts of a float32 sum are rounded each for themselves, so that it may rise or fall there."""
    weight = np.random.default_rng(0).gamma(0.5, size=(9, 1001)).astype(np.float32)
    weight[:, ::7] = 0.0
    growth = np.diff(np.asarray(jax.jit(sums)(weight)), axis=-1, prepend=0.0)
    assert growth.min() >= 0.0
    assert (growth[weight == 0.0] == 0.0).all()
    np.testing.assert_allclose(growth.sum(axis=-1), weight.sum(axis=-1, dtype=np.float64), rtol=1e-6)


def test_no_sample_of_two_millions_is_left_out():
    """Equal weights: counts are Poisson, over all samples and over the first and the last thousand."""
    n, num = 2_000_000, 2_000_000
    count = np.bincount(drawn(jnp.full(n, 1.0 / n), num), minlength=n)
    # A Poisson law of mean 1 leaves 36.8 % out; float32 sums left out some samples for ever and doubled others.
    assert abs((count == 0).mean() - np.exp(-1)) < 0.002
    assert abs(count.var() - 1) < 0.01
    for part in (count[:1000], count[-1000:]):
        assert abs(part.mean() - 1) < 5 * (1 / 1000) ** 0.5


def test_reals_are_drawn_by_the_weights_that_a_schedule_gives():
    draw = by_weight(SOURCE.pick)
    weight = jnp.zeros((TRAIN,)).at[jnp.array([0, 7, TRAIN - 1])].set(jnp.array([1.0, 2.0, 1.0]))
    keys = jax.vmap(lambda b: jax.random.fold_in(jax.random.key(0), b))(jnp.arange(2000))
    x = np.asarray(jax.jit(draw)((SOURCE.arrays["train"], weight), keys)["x"])
    table = np.asarray(SOURCE.arrays["train"]["x"])
    share = [(x == table[i]).all(axis=1).mean() for i in (0, 7, TRAIN - 1)]
    assert sum(share) == pytest.approx(1.0)
    np.testing.assert_allclose(share, [0.25, 0.5, 0.25], atol=0.05)  # over four standard errors
    assert by_weight(SOURCE.pick) is draw


def test_a_seed_draws_what_it_drew_in_version_0_1():
    """Runs of earlier versions go on from their checkpoints, so that their draws must not change."""
    game = toys.game(2, 2)
    state = game.init(jax.random.key(0))._replace(step=jnp.int32(5))
    ring = data.gaussian_ring(modes=8)
    batch = draw_batch(game, ring.draw, state, ring.arrays["train"])
    assert batch["label"].tolist() == [3, 0, 6, 4, 4, 7, 3, 3]
    np.testing.assert_allclose(batch["x"][0], [-0.7092161, 0.70363337], rtol=1e-5)
    np.testing.assert_allclose(ring.held_out("select", 2)["x"][1], [0.02215898, 1.0020061], rtol=1e-5)
    table = data.from_arrays("table", np.arange(200, dtype=np.uint8).reshape(100, 2, 1))
    x = draw_batch(game, table.draw, state, table.arrays["train"])["x"]
    np.testing.assert_allclose(x[:3, 0, 0, 0], [0.40969002, -0.19571924, -0.9009565], rtol=1e-5)
    z = toys.latents(game, state)
    np.testing.assert_allclose(z[1][-1], [-0.6585481, 0.29918885, -0.58284646], rtol=1e-5)
    weights = state.generators[0].params["w1"][1, 0]
    np.testing.assert_allclose(weights, [0.02137497, -0.8146333, -0.1882027, 0.60271287, 0.1486785], rtol=1e-5)
