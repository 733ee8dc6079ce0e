"""Pairings that weigh opponents by the loss against them, by hand."""

import numpy as np
import pytest
from paired import LOG2, weights

from ensgan import pairing
from ensgan.types import InputError


def test_softmax_by_hand():
    loss = [[0.0, LOG2], [3.0, 3.0]]
    # exp(0) : exp(log 2) = 1 : 2; with λ = 2 it is 1 : 4; with λ = -1 it is 2 : 1.
    for lam, row in ((1.0, [1 / 3, 2 / 3]), (2.0, [1 / 5, 4 / 5]), (-1.0, [2 / 3, 1 / 3])):
        W, P = weights(pairing.softmax(lam), loss)
        np.testing.assert_allclose(W, [row, [0.5, 0.5]], rtol=1e-5)
        np.testing.assert_allclose(P, 0.5)


def test_softmax_goes_from_the_mean_to_the_harshest():
    loss = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_allclose(weights(pairing.softmax(0.0), loss)[0], weights(pairing.mean(), loss)[0], rtol=1e-6)
    np.testing.assert_allclose(weights(pairing.softmax(1e4), loss)[0], weights(pairing.max(), loss)[0], atol=1e-6)
    np.testing.assert_allclose(weights(pairing.softmax(-1e4), loss)[0], weights(pairing.min(), loss)[0], atol=1e-6)
    np.testing.assert_array_equal(weights(pairing.max(), loss)[0], np.eye(4)[loss.argmax(1)])
    np.testing.assert_array_equal(weights(pairing.min(), loss)[0], np.eye(4)[loss.argmin(1)])


def test_softmax_of_large_losses_stays_finite():
    np.testing.assert_allclose(weights(pairing.softmax(1.0), [[1e4, 1e4 + LOG2]])[0], [[1 / 3, 2 / 3]], rtol=1e-3)
    np.testing.assert_allclose(weights(pairing.softmax(1.0), [[-1e4, -1e4]])[0], 0.5)


def test_of_equal_losses_the_first_one_counts():
    np.testing.assert_array_equal(weights(pairing.max(), [[1.0, 1.0, 0.0]])[0], [[1.0, 0.0, 0.0]])


def test_a_softmax_that_is_not_finite_is_refused():
    # inf · 0 is NaN: every weight would silently be 0.
    with pytest.raises(InputError, match="lam is inf"):
        pairing.softmax(float("inf"))
