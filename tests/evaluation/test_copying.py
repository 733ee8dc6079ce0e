"""The table of the data-copying test: who is suspected, who is not, and what is said about it."""

import jax
import numpy as np
import pytest

from ensgan import data
from ensgan.evaluation.copying import describe_copying, evaluate_copying
from ensgan.evaluation.features import Features


def images(num, seed=0):
    """Grey images of three kinds, of more than 8 pixels a side."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=num)
    x = 60 * kind[:, None, None] + rng.normal(40, 12, size=(num, 10, 10))
    return np.clip(x, 0, 255).astype(np.uint8)


def table(source, generators, **how):
    """The table of some generators; the mixture is the first."""
    fakes = {**{f"generator {i}": x for i, x in enumerate(generators)}, "mixture": generators[0]}
    return evaluate_copying(source, fakes, **how)


def seen(x, seed):
    return ((x[..., None] + np.random.default_rng(seed).random((*x.shape, 1))) / 128 - 1).astype(np.float32)


def test_copies_are_suspected_and_a_perfect_generator_is_not():
    source = data.from_arrays("a", images(3000))
    n = source.num["report"]
    copies = seen(source.arrays["train"]["x"][:n, ..., 0], 1)
    perfect = seen(images(n, seed=7), 2)
    found = table(source, [perfect, copies])
    assert found.suspects == ["generator 1"]
    assert found.far == []
    assert found.near == [f"{n} of generator 1"]
    names = [space.name for space in found.spaces]
    assert names == ["the samples themselves", "the features: identity at most 8×8"]
    for space in found.spaces:
        assert (space.train, space.reals) == (2100, 300)
        assert [row.name for row in space.rows] == ["generator 0", "generator 1", "mixture"]
        assert [row.found.share > 0.9 for row in space.rows] == [False, True, False]
        assert [row.found.cells for row in space.rows] == [6] * 3  # one for every 50 reals
        assert abs(space.floor.found.z) < 3
    text = describe_copying(found, "run")
    assert "generator 1: nearer to training samples than held-out reals are (level 0.01 over all 6 tests)" in text
    assert "ensgan sample run --nearest 5" in text
    assert "300 other reals" in text


def test_a_few_exact_copies_among_bad_samples_are_counted():
    source = data.from_arrays("a", np.random.default_rng(0).normal(size=(600, 5)).astype(np.float32))
    bad = np.random.default_rng(1).normal(scale=3.0, size=(60, 5)).astype(np.float32)
    bad[:4] = source.arrays["train"]["x"][:4]
    found = table(source, [bad])
    assert len(found.spaces) == 1  # the features of points are the points
    assert found.suspects == []
    assert found.far == ["generator 0", "mixture"]
    assert found.near == ["4 of generator 0", "4 of mixture"]
    text = describe_copying(found, "run")
    assert "no sign of copies" in text
    assert "less than half as far from a training sample as any held-out real: 4 of generator 0, 4 of mixture" in text
    assert "Among samples that are off the data, a few copies would not be seen here" in text


def test_features_are_those_that_are_given_without_logits():
    source = data.from_arrays("a", np.random.default_rng(0).normal(size=(600, 5)).astype(np.float32))
    fakes = [np.random.default_rng(1).normal(size=(60, 5)).astype(np.float32)]
    first = Features("the first two, and noise", lambda x: np.concatenate([x[:, :2], 99 * x[:, 2:]], axis=1), classes=3)
    found = table(source, fakes, features=first, train=100)
    assert [space.train for space in found.spaces] == [420, 100]
    train, report = (source.arrays[split]["x"][:, :2] for split in ("train", "report"))
    far = np.sqrt(((report[:, None] - train[None, :100]) ** 2).mean(axis=2)).min(axis=1)
    assert found.spaces[1].median == pytest.approx(np.median(far), rel=1e-5)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (lambda: data.gaussian_ring(modes=8), "training samples are drawn anew at every step"),
        (lambda: data.from_arrays("a", np.zeros((20, 2), np.float32)), "there are 2 reals, and at least 20 are needed"),
        (lambda: data.from_arrays("a", np.zeros((600, 2), np.float32)), "all distances to the training samples are"),
    ],
)
def test_what_is_not_defined_says_why(source, text):
    found = table(source(), [np.zeros((60, 2), np.float32)])
    assert found.suspects == []
    assert f"not defined, because {text}" in describe_copying(found, "run")


def test_samples_that_are_not_finite_are_named():
    source = data.from_arrays("a", np.random.default_rng(0).normal(size=(600, 2)).astype(np.float32))
    found = table(source, [np.zeros((60, 2)), np.full((60, 2), np.nan)])
    assert "not defined, because samples of generator 1 are not finite" in describe_copying(found, "run")


def test_the_training_samples_of_a_view_are_those_of_all_discriminators():
    x = np.random.default_rng(0).normal(size=(600, 2)).astype(np.float32)
    source = data.shards(data.from_arrays("a", x), 3)
    found = table(source, [np.asarray(source.held_out("calibrate", 60)["x"])])
    assert found.spaces[0].train == 420


def test_cells_do_not_depend_on_the_samples():
    source = data.from_arrays("a", images(1500))
    n = source.num["report"]
    one, two = seen(images(n, 7), 2), seen(images(n, 8), 3)
    alone, both = table(source, [one]), table(source, [one, two])
    assert alone.spaces[0].rows[0] == both.spaces[0].rows[0]
    jax.tree.map(np.testing.assert_array_equal, alone.spaces[1].floor.found, both.spaces[1].floor.found)
