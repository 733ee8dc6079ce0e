"""The nearest training samples, against a search by hand."""

import numpy as np
import pytest

from ensgan import data
from ensgan.evaluation import nearest as module
from ensgan.evaluation.nearest import nearest
from ensgan.types import InputError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kind", ["points", "images", "levels"])
def test_the_nearest_by_hand(monkeypatch, kind):
    monkeypatch.setattr(module, "BLOCK", 7)
    if kind == "points":
        x = RNG.normal(size=(60, 3)).astype(np.float32)
        source, seen = data.from_arrays("a", x), lambda v: v
    elif kind == "images":
        x = RNG.integers(0, 256, (60, 4, 4, 1), dtype=np.uint8)
        source, seen = data.from_arrays("a", x), lambda v: (v + 0.5) / 128 - 1
    else:
        x = RNG.integers(0, 17, (60, 4, 4, 1), dtype=np.uint8)
        source, seen = data.from_arrays("a", x, levels=17), lambda v: (v + 0.5) * 2 / 17 - 1
    train = seen(source.arrays["train"]["x"])
    if kind == "levels":  # the source looks at what was read, which has all levels or nearly so
        assert source.facts.full == (0.0, 16.0)
    asked = seen(x[:5]) + RNG.normal(scale=0.01, size=x[:5].shape).astype(np.float32)
    found = nearest(source, asked, 3)
    far = np.sqrt(((asked[:, None] - train[None]) ** 2).reshape(5, len(train), -1).mean(axis=2))
    order = np.argsort(far, axis=1)[:, :3]
    np.testing.assert_allclose(found.distance, np.take_along_axis(far, order, axis=1), rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(found.x, train[order], rtol=1e-5, atol=1e-6)
    held = seen(source.arrays["report"]["x"])
    usual = np.sqrt(((held[:, None] - train[None]) ** 2).reshape(len(held), len(train), -1).mean(axis=2)).min(axis=1)
    np.testing.assert_allclose(found.usual, usual, rtol=2e-3, atol=1e-4)


def test_a_copy_has_no_distance():
    x = RNG.integers(0, 256, (60, 4, 4, 1), dtype=np.uint8)
    source = data.from_arrays("a", x)
    copy = (source.arrays["train"]["x"][:4] + 0.5) / 128 - 1
    assert nearest(source, copy.astype(np.float32), 1).distance.max() < 1e-3


def test_what_cannot_be_answered():
    source = data.from_arrays("a", RNG.normal(size=(60, 3)).astype(np.float32))
    with pytest.raises(InputError, match="give 1 to 42"):
        nearest(source, np.zeros((2, 3), np.float32), 100)
    with pytest.raises(InputError, match="not held in memory"):
        nearest(data.gaussian_ring(modes=8), np.zeros((2, 2), np.float32), 1)
