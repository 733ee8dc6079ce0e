"""Chains step by step, from reals, and in latent space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact_ratios import CLOSE, MEAN, STD, distance, draw, ratio

from ensgan import refine


def test_chains_by_hand(key):
    """The first portion of chains, of three proposals each, step by step."""
    got = refine.mh(key, draw, ratio, 4000, steps=3)
    key_first, _, key_steps = jax.random.split(jax.random.fold_in(key, 0), 3)
    x, taken = draw(key_first, 1000), 0
    for t in range(3):
        key_x, key_u = jax.random.split(jax.random.fold_in(key_steps, t))
        new = draw(key_x, 1000)
        go = jax.random.uniform(key_u, (1000,)) < jnp.minimum(1.0, jnp.exp(ratio(new) - ratio(x)))
        x, taken = jnp.where(go, new, x), taken + go.mean()
    np.testing.assert_allclose(got.x[:1000], x, atol=1e-6)
    assert got.acceptance == pytest.approx(float(taken) / 3, abs=0.02)
    assert (got.generated, got.judged) == (4, 4)


def test_chains_that_begin_with_reals_give_none_of_them_back(key):
    reals = MEAN + STD * jax.random.normal(jax.random.key(5), (3000,))
    few = refine.mh(key, draw, ratio, 4000, steps=2, start=reals)
    assert not np.isin(np.asarray(few.x), np.asarray(reals)).any()
    assert few.judged == 4  # of the real, of the fake beside it, and of two proposals
    assert distance(refine.mh(key, draw, ratio, 4000, steps=40, start=reals).x) < CLOSE


def test_langevin_in_latent_space_follows_the_generator(key):
    """G(z) = 2z is N(0, 2²); the target N(1, 1) has the ratio exp(−(x − 1)²/2 + x²/8)."""
    generate = lambda z: 2.0 * z
    log_ratio = lambda x: -0.5 * jnp.square(x - 1.0) + 0.125 * jnp.square(x)
    got = refine.ddls(key, draw, log_ratio, 4000, generate=generate, steps=300, rate=0.02)
    assert distance(got.x, 1.0, 1.0) < CLOSE
    assert (got.acceptance, got.generated, got.judged) == (1.0, 301, 300)
