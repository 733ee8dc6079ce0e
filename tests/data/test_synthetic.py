"""Gaussian mixtures."""

import numpy as np
import pytest
from toys import draw

from ensgan import data
from ensgan.types import InputError


def test_streams_of_a_synthetic_source_differ_for_one_key(key):
    source = data.gaussian_ring()
    drawn = [draw(source, source.arrays[split], key, 4)["x"] for split in data.SPLITS]
    assert len({np.asarray(x).tobytes() for x in drawn}) == 4


def test_ring_statistics(key):
    source = data.gaussian_ring(modes=4, radius=2.0, std=0.1)
    np.testing.assert_allclose(source.modes.centers, [[2, 0], [0, 2], [-2, 0], [0, -2]], atol=1e-6)
    assert source.modes.std == 0.1
    assert source.classes == 4
    assert source.num == dict.fromkeys(data.SPLITS)
    batch = draw(source, source.arrays["train"], key, 8000)
    off = np.asarray(batch["x"]) - source.modes.centers[np.asarray(batch["label"])]
    np.testing.assert_allclose(off.std(axis=0), 0.1, rtol=0.05)
    np.testing.assert_allclose(off.mean(axis=0), 0, atol=0.006)
    np.testing.assert_allclose(np.bincount(batch["label"]) / 8000, 0.25, atol=0.025)


def test_default_modes_are_those_of_pacgan():
    ring, grid = data.gaussian_ring().modes, data.gaussian_grid().modes
    assert len(ring.centers) == 8
    assert ring.std == 0.01
    np.testing.assert_allclose(np.linalg.norm(ring.centers, axis=1), 1, atol=1e-6)
    assert len(np.unique(ring.centers.round(3), axis=0)) == 8
    assert grid.std == 0.05
    assert {tuple(c) for c in grid.centers.tolist()} == {(a, b) for a in range(-4, 5, 2) for b in range(-4, 5, 2)}


@pytest.mark.parametrize(
    ("make", "options", "match"),
    [
        (data.gaussian_ring, {"modes": 0}, "modes is 0; expected at least 1"),
        (data.gaussian_grid, {"side": 0}, "side is 0; expected at least 1"),
        (data.gaussian_ring, {"radius": 0.0}, "radius is 0.0; expected a positive number"),
        (data.gaussian_grid, {"spacing": float("inf")}, "spacing is inf"),
        (data.gaussian_ring, {"std": -1.0}, "std is -1.0"),
        (data.gaussian_grid, {"std": float("nan")}, "std is nan"),
    ],
)
def test_bad_mixtures(make, options, match):
    with pytest.raises(InputError, match=match):
        make(**options)


def test_a_mixture_may_have_a_fixed_number_of_points():
    source = data.gaussian_ring(points=1000, seed=3)
    assert source.num["train"] == 700
    assert source.modes is not None
    x, label = source.arrays["train"]["x"], source.arrays["train"]["label"]
    np.testing.assert_allclose(np.linalg.norm(x - source.modes.centers[label], axis=1).mean(), 0.01 * 1.2533, rtol=0.1)
    assert set(label) == set(range(8))
