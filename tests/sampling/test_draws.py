"""Labels as they are drawn."""

import numpy as np
import toys

from ensgan.sampling.draws import labels, probabilities
from ensgan.sampling.inference import every_member
from ensgan.sampling.sampler import sample


def test_without_labels_every_class_is_as_likely(played, key):
    game, state = played
    drawn = labels(game, key, 1000)
    assert drawn.dtype == np.int32
    assert np.bincount(drawn, minlength=5).min() > 150  # 200 expected, with a standard deviation of 13
    np.testing.assert_array_equal(labels(game, key, 7), drawn[:7])
    np.testing.assert_array_equal(sample(game, state, key, 7), sample(game, state, key, 7, label=drawn[:7]))
    np.testing.assert_array_equal(every_member(game, state, key, 7), every_member(game, state, key, 7, drawn[:7]))
    assert labels(toys.game(), key, 7) is None


def test_large_weights_do_not_overflow(played):
    game, state = played
    np.testing.assert_allclose(probabilities(game, state, np.full(game.M, 1e308)), 1 / game.M)
