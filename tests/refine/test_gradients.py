"""Gradients: transport along exact potentials, and a shaped judge under which samples come to rest."""

import jax
import jax.numpy as jnp
import numpy as np
from exact_ratios import MEAN, STD, constant, distance, draw, ratio

from ensgan import refine


def test_gradients_of_a_constant_move_nothing(key):
    for method in (refine.dot, refine.collaborative):
        got = method(key, draw, constant, 4000, steps=4)
        np.testing.assert_array_equal(got.x[:1000], draw(jax.random.fold_in(key, 0), 1000))


def test_transport_along_an_exact_potential_gives_the_target(key):
    """Uniform draws, two points as data: f = −3 · distance to the nearer one is 3 times a Kantorovich potential."""
    points = jnp.array([-0.5, 0.5])
    uniform = lambda key, n: jax.random.uniform(key, (n,), minval=-1.0, maxval=1.0)
    score = lambda x: -3.0 * jnp.abs(x[:, None] - points[None]).min(1)
    got = refine.dot(key, uniform, score, 1000, steps=150, rate=0.01, lipschitz=2.0)
    x, y = np.asarray(got.x), np.asarray(uniform(jax.random.fold_in(key, 0), 1000))
    np.testing.assert_allclose(x, 0.5 * np.sign(y), atol=0.03)  # the transport of least effort
    assert got.generated == 1
    # The slope is found where it is not given; and latents of half the size see one of twice the size.
    found, known = (refine.dot(key, uniform, score, 1000, steps=9, rate=0.01, lipschitz=k) for k in (None, 3.0))
    np.testing.assert_allclose(found.x, known.x, atol=2e-3)
    half = lambda key, n: uniform(key, n) / 2
    latent = refine.dot(key, half, score, 1000, steps=300, rate=0.005, lipschitz=4.0, generate=lambda z: 2 * z)
    np.testing.assert_allclose(latent.x, 0.5 * np.sign(y), atol=0.06)
    assert latent.generated == 301


def test_collaborative_sampling_with_a_shaped_judge_comes_to_rest_as_the_target(key):
    width = 0.2  # of a kernel, by which both laws are made smooth

    def shape(samples):
        """The exact ratio of both laws after smoothing: what an ideal shaped judge of smooth laws says."""
        target = lambda x: jax.scipy.stats.norm.logpdf(x, MEAN, np.hypot(STD, width))
        kernel = lambda x: jax.scipy.stats.norm.logpdf(x[:, None], samples[None], width)
        return lambda x: target(x) - jax.nn.logsumexp(kernel(x), axis=1) + np.log(len(samples))

    got = refine.collaborative(key, draw, ratio, 400, steps=150, shape=shape, rate=0.05, batch=400)
    assert distance(got.x) < 0.06
    assert (got.acceptance, got.generated, got.judged) == (1.0, 1.0, 300.0)  # a judge and its shaping at each step
    # With the judge of the first samples alone, samples only climb.
    fixed = refine.collaborative(key, draw, ratio, 4000, steps=1, rate=0.1)
    x = draw(jax.random.fold_in(key, 0), 1000)
    step = 0.1 * jax.nn.sigmoid(-ratio(x)) * jax.vmap(jax.grad(lambda a: ratio(a[None])[0]))(x)
    np.testing.assert_allclose(fixed.x[:1000], x + step, atol=1e-5)


def test_samples_do_not_depend_on_how_many_there_are(key):
    bent = lambda x: 3.0 * jnp.square(x)  # steeper the further out, so that more pairs find a larger slope
    few, many = (refine.dot(key, draw, bent, n, steps=5, batch=n).x for n in (5, 500))
    np.testing.assert_allclose(few, many[:5], rtol=1e-5)

    def shape(samples):
        return lambda x: -jnp.square(x - samples.mean())

    few, many = (refine.collaborative(key, draw, ratio, n, steps=5, shape=shape, batch=256) for n in (5, 500))
    np.testing.assert_allclose(few.x, many.x[:5], rtol=1e-5)
    assert (few.generated, few.judged) == (256 / 5, 10 * 256 / 5)
