"""Truncated latents: the law of the samples, of mixtures, members and refined ones, and what they cost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from judges import SOURCE, game, line
from scipy.stats import kstest, norm

import ensgan
from ensgan.game.game import Game
from ensgan.game.latents import Latent, normal, uniform
from ensgan.game.population import Group
from ensgan.sampling import combine
from ensgan.sampling.sampler import mean_output
from ensgan.sampling.truncation import scales, truncated
from ensgan.types import InputError

KEY = jax.random.key(5)
ACCEPT = 1e-4  # p-values below are a failure


def test_latents_are_scaled_and_nothing_else_changes():
    play, state = game((1.0,), (0.0,), shifts=(0.0, 3.0))
    whole = ensgan.sample(play, state, KEY, 400)
    small = ensgan.sample(play, state, KEY, 400, truncation=0.5)
    shift = np.where(np.asarray(ensgan.sample(play, state, KEY, 400, truncation=1e-9)) > 1.5, 3.0, 0.0)
    assert set(np.unique(shift)) == {0.0, 3.0}  # members are drawn as before
    np.testing.assert_allclose(small - shift, 0.5 * (whole - shift), atol=1e-5)
    np.testing.assert_array_equal(whole, ensgan.sample(play, state, KEY, 400, truncation=1.0))
    one = ensgan.sample(play, state, KEY, 400, weights=[0, 1], truncation=0.5)
    assert kstest(np.asarray(one)[:, 0], norm(3.0, 0.5).cdf).pvalue > ACCEPT
    mean = mean_output(truncated(play, 0.5), state, KEY, 400)
    np.testing.assert_allclose(mean - 1.5, 0.5 * (mean_output(play, state, KEY, 400) - 1.5), atol=1e-5)


def test_every_prior_and_scale_is_drawn_to_its_mean():
    own = Latent(lambda key, shape: jax.random.rademacher(key, shape, jnp.float32))
    groups = [Group(line((1,)), 2, latent=uniform([1.0, 3.0])), Group(line((1,)), 1, latent=own)]
    play = Game([*groups, Group(line((1,)), 1, latent=normal(2.0))], [Group(line(()), 1)], batch_size=8)
    half = truncated(play, 0.5)
    np.testing.assert_allclose(scales(play), [1, 3, 1, 2])
    np.testing.assert_allclose(scales(half), [0.5, 1.5, 0.5, 1])
    state = play.init(jax.random.key(0))
    draw = lambda i: np.abs(ensgan.sample(half, state, KEY, 500, weights=np.eye(4)[i]))
    assert 1.4 < draw(1).max() <= 1.5
    np.testing.assert_allclose(draw(2), 0.5)


def test_a_game_is_truncated_once():
    play, _ = game((1.0,), (0.0,))
    assert truncated(play, 0.5) is truncated(play, 0.5)
    assert truncated(play, 1.0) is play


@pytest.mark.parametrize("method", ["obrs", "mh", "ddls"])
def test_refined_samples_begin_with_truncated_ones(method):
    """Discriminators that find everything alike change nothing, so samples have the law of truncated ones."""
    play, state = game((1e-9,), (0.0,))
    small = truncated(play, 0.5)
    judge = combine.fit(small, state, SOURCE, calibrate="temperature")
    np.testing.assert_allclose(judge.scales, [0.5])
    flat = judge._replace(score=jax.tree_util.Partial(lambda x: 0.0 * x[:, 0]))
    x = ensgan.sample(play, state, KEY, 512, refine=method, judge=flat, truncation=0.5)
    assert kstest(np.asarray(x)[:, 0], norm(0.0, 0.5).cdf).pvalue > ACCEPT


def test_a_judge_of_other_latents_is_refused():
    play, state = game((1.0,), (0.0,))
    judge = combine.fit(play, state, SOURCE)
    with pytest.raises(InputError, match=r"latents have the scales \[1.0\], but here they are \[0.5\]"):
        ensgan.sample(play, state, KEY, 8, refine="obrs", judge=judge, truncation=0.5)
    old = judge._replace(scales=None)  # fitted by hand
    assert ensgan.sample(play, state, KEY, 8, refine="obrs", judge=old).shape == (8, 1)


@pytest.mark.parametrize("value", [0.0, -1.0, 1.1, float("nan"), float("inf")])
def test_numbers_out_of_range_are_refused(value):
    play, state = game((1.0,), (0.0,))
    with pytest.raises(InputError, match="give a number above 0 and at most 1"):
        ensgan.sample(play, state, KEY, 8, truncation=value)
