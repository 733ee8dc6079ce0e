"""Priors: their moments, their ways from one latent to another, and their names."""

import jax
import numpy as np
import pytest
import toys

from ensgan.game.latents import Latent, circular, normal, straight, uniform
from ensgan.game.population import Group, noise

NET = toys.dense(3, 5, (2,))
KEY = jax.random.key(1)


def test_priors_say_how_one_goes_through_them():
    assert normal().between is circular
    assert uniform().between is straight
    a, b = (jax.random.normal(jax.random.key(k), (20_000,)) for k in (0, 1))
    for t in (0.0, 0.3, 0.5, 1.0):
        assert abs(float(circular(a, b, t).std()) - 1.0) < 0.02
    np.testing.assert_allclose(straight(a, b, 0.25), 0.75 * a + 0.25 * b, rtol=1e-6)


def test_priors_have_their_moments():
    z = np.asarray(noise(Group(NET, 1, latent=uniform(2.0)), KEY, 0, 3000))
    assert -2.0 <= z.min() < -1.9 < 1.9 < z.max() <= 2.0
    assert z.mean() == pytest.approx(0.0, abs=0.06)
    assert np.asarray(noise(Group(NET, 1), KEY, 0, 3000)).std() == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("between", [straight, circular])
def test_a_way_begins_at_one_latent_and_ends_at_the_other(between):
    a, b = np.array([1.0, -2.0, 0.5], np.float32), np.array([3.0, 0.0, -0.5], np.float32)
    np.testing.assert_allclose(between(a, b, 0.0), a, atol=1e-6)
    np.testing.assert_allclose(between(a, b, 1.0), b, atol=1e-6)


def test_the_middle_of_a_circle_is_longer_than_that_of_a_chord():
    a, b = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    np.testing.assert_allclose(straight(a, b, 0.5), [0.5, 0.5])
    np.testing.assert_allclose(circular(a, b, 0.5), [np.sqrt(0.5), np.sqrt(0.5)], rtol=1e-6)


def test_exports_say_the_law_before_it_is_scaled():
    assert uniform(3.0).law == "independent uniforms on [-1, 1]"
    assert normal(2.0).law == "independent standard normals"
    own = Latent(lambda key, shape: jax.random.gumbel(key, shape))
    assert (own.scale, own.between, own.law) == (1.0, straight, "of its own")
    drawn = np.asarray(uniform(3.0).draw(KEY, (500,)))
    assert 0.95 < np.abs(drawn).max() <= 1.0
