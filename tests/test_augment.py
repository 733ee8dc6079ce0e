"""Augmentations by hand: what they do to samples, and that gradients pass through."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensgan import augment
from ensgan.types import Augment, InputError

SHAPE = (8, 8, 3)


@pytest.fixture
def images(key):
    return jax.random.uniform(key, (6, *SHAPE), minval=-1)


@pytest.fixture
def keys(key):
    return jax.random.split(key, 6)


@pytest.mark.parametrize("make", [augment.diff_augment, augment.noise])
def test_strength_is_the_probability_that_a_sample_is_changed(make, images, keys):
    many = jax.random.split(keys[0], 600)
    x = jnp.broadcast_to(images[:1], (600, *SHAPE))
    apply = jax.jit(make().apply)
    changed = lambda strength: np.any(np.asarray(apply(many, x, strength) != x), (1, 2, 3)).mean()
    assert changed(0.0) == 0
    assert changed(1.0) == 1
    assert abs(changed(0.3) - 0.3) < 0.08


def test_samples_are_independent_and_depend_on_their_key(images, keys):
    apply = jax.jit(augment.diff_augment().apply)
    y = apply(keys, images, 1.0)
    other = apply(keys, images.at[2].set(0.5), 1.0)
    np.testing.assert_array_equal(np.delete(other, 2, 0), np.delete(y, 2, 0))
    assert not np.allclose(other[2], y[2])
    np.testing.assert_allclose(apply(keys[::-1], images[::-1], 1.0)[::-1], y, atol=1e-6)
    same = apply(keys, jnp.broadcast_to(images[:1], images.shape), 1.0)
    assert not np.allclose(same[0], same[1])


def test_gradient_is_exact(images, keys):
    """With its key held, every transform is affine: a difference of any size is the derivative."""
    apply = lambda x: augment.diff_augment().apply(keys, x, 0.7)
    weight, direction = jax.random.normal(keys[0], (2, *images.shape))
    y, back = jax.jit(lambda x: (lambda y, pull: (y, pull(weight)[0]))(*jax.vjp(apply, x)))(images)
    slope = jax.jit(apply)(images + direction) - y
    np.testing.assert_allclose(jnp.sum(back * direction), jnp.sum(weight * slope), rtol=1e-4)


@pytest.mark.parametrize("by", [-2, 0, 1])
def test_shift_by_hand(by):
    x = jnp.arange(1.0, 6.0)
    want = {-2: [3, 4, 5, 0, 0], 0: [1, 2, 3, 4, 5], 1: [0, 1, 2, 3, 4]}[by]
    np.testing.assert_array_equal(augment.shift(x, 0, jnp.int32(by)), want)
    image = jnp.broadcast_to(x[None, :, None], (2, 5, 3))
    np.testing.assert_array_equal(augment.shift(image, 1, jnp.int32(by))[1, :, 2], want)


def test_translation_stays_within_an_eighth_and_reaches_it(keys):
    dot = jnp.zeros((16, 16, 1)).at[8, 8, 0].set(1.0)
    out = jax.vmap(augment.translation, (0, None))(jax.random.split(keys[0], 200), dot)
    places = np.argwhere(np.asarray(out))[:, 1:3] - 8
    assert len(places) == 200
    assert set(places[:, 0]) == set(places[:, 1]) == {-2, -1, 0, 1, 2}
    assert len({tuple(p) for p in places}) == 25


def test_cutout_removes_a_square_of_half_the_side(keys):
    out = jax.vmap(augment.cutout, (0, None))(jax.random.split(keys[0], 200), jnp.ones((8, 8, 2)))
    hole = np.asarray(out == 0)
    assert (hole[..., 0] == hole[..., 1]).all()
    assert hole[..., 0].sum((1, 2)).max() == 16
    rows, columns = hole[..., 0].any(2), hole[..., 0].any(1)
    assert (hole[..., 0] == rows[:, :, None] & columns[:, None, :]).all()
    assert rows.sum(1).min() >= 2


def test_color_by_hand(keys):
    x = jax.random.uniform(keys[1], (4, 4, 3), minval=-1)
    b, s, c = jax.random.uniform(keys[0], (3,))
    y = np.asarray(x) + b - 0.5
    y = y.mean(2, keepdims=True) + (y - y.mean(2, keepdims=True)) * 2 * s
    y = y.mean() + (y - y.mean()) * (c + 0.5)
    np.testing.assert_allclose(augment.color(keys[0], x), y, atol=1e-5)
    grey = augment.color(keys[0], x[..., :1])  # no saturation: were it there, one channel would go flat
    np.testing.assert_allclose(grey.std(), x[..., :1].std() * (c + 0.5), rtol=1e-4)


def test_noise_works_on_points_and_has_its_deviation(keys):
    x = jnp.zeros((6, 2000))
    y = augment.noise(0.3).apply(keys, x, 1.0)
    assert abs(float(y.std()) - 0.3) < 0.01


def test_what_is_declared():
    assert augment.diff_augment(strength=0.25).strength == 0.25
    assert augment.diff_augment().target is None
    assert augment.adaptive(target=0.5, ramp=1e4)[1:] == (0.0, 0.5, 1e4, None)
    made = {name: make() for name, make in augment.AUGMENTS.items()}
    assert made.pop("none") is None
    assert all(isinstance(a, Augment) for a in made.values())


def test_bad_inputs(keys):
    with pytest.raises(InputError, match=r"unknown transform 'hue'; known: color, cutout, translation"):
        augment.diff_augment(("hue",))
    with pytest.raises(InputError, match="tuple of names"):
        augment.diff_augment("color")
    with pytest.raises(InputError, match=r"strength is 1.5; give a number in \[0, 1\]"):
        augment.diff_augment(strength=1.5)
    for given in ({"start": 0.1}, {"horizon": 9}):
        with pytest.raises(InputError, match=r"give both, or leave both out"):
            augment.noise(**given)
    with pytest.raises(InputError, match=r"start is 2"):
        augment.diff_augment(start=2.0, horizon=5)
    with pytest.raises(InputError, match="target is nan"):
        augment.adaptive(target=float("nan"))
    with pytest.raises(InputError, match="ramp is 0"):
        augment.adaptive(ramp=0)
    with pytest.raises(InputError, match="std is -1"):
        augment.noise(-1)
    with pytest.raises(InputError, match=r"samples have the shape \[2\]; expected images"):
        augment.diff_augment().apply(keys, jnp.ones((6, 2)), 1.0)
