"""Samples that splits share are counted, whether they are equal or nearly so."""

import numpy as np

from ensgan import data
from ensgan.evaluation.leaks import leaks


def test_copies_across_splits_are_counted():
    x = np.random.default_rng(0).integers(0, 256, (200, 12, 12, 1), dtype=np.uint8)
    clean = leaks(data.from_arrays("clean", x))
    assert (clean.equal, clean.near, clean.within) == (0, 0, 0)
    near = np.clip(x.astype(int) + np.random.default_rng(1).integers(-1, 2, x.shape), 0, 255).astype(np.uint8)
    found = leaks(data.from_arrays("copies", np.concatenate([x, x[:50], near])))
    split = data.split_indices(450, 0)
    of = np.concatenate([np.arange(200), np.arange(50), np.arange(200)])
    kind = np.repeat([0, 0, 1], [200, 50, 200])
    train = {(of[i], kind[i]) for i in split["train"]}
    held = [i for name in ("select", "calibrate", "report") for i in split[name]]
    equal = [(of[i], kind[i]) in train for i in held]
    assert found.looked == len(held)
    assert found.equal == sum(equal)
    assert found.near == sum((of[i], 1 - kind[i]) in train for i, same in zip(held, equal, strict=True) if not same)
    assert found.within == len(split["train"]) - len(train)


def test_points_are_compared_to_the_last_bit_alone():
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    assert leaks(data.from_arrays("points", x)) == (12, 0, None, 0)
    found = leaks(data.from_arrays("points", np.concatenate([x, x])))
    assert found.near is None
    assert 0 < found.equal <= found.looked == 24
    assert found.within > 0


def test_nearness_is_a_share_of_the_range():
    """Images of one grey level each; those of held-out splits are a level and a quarter away from one to train with."""
    level = np.arange(0, 200, 10, dtype=np.float32)
    x = np.repeat(level, 16).reshape(20, 4, 4, 1) / 255 * 2 - 1
    split = data.split_indices(20, 0)
    for shift, near in ((1.25, True), (1.3, False)):
        moved = x.copy()
        for name in data.SPLITS[1:]:
            moved[split[name]] = x[split["train"][: len(split[name])]] + 2 * shift / 255
        found = leaks(data.from_arrays("shifted", moved))
        assert (found.equal, found.near) == (0, found.looked if near else 0)


def test_data_that_are_not_in_memory_are_not_compared():
    assert leaks(data.gaussian_ring()) is None
