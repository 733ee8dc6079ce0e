"""All pairings of the table: their contract, shares, masks, and what they refuse."""

import numpy as np
import pytest
from paired import LOG2, weights

from ensgan import pairing, testing
from ensgan.pairing import PAIRINGS
from ensgan.types import InputError

SQUARE = {"diagonal", "ring", "grid", "local_and_global"}  # those that take no other numbers of members
SYMMETRIC = set(PAIRINGS) - SQUARE - {"own_and_mean", "dropout", "random"}


@pytest.mark.parametrize("name", sorted(PAIRINGS))
def test_every_pairing_keeps_the_contract(name):
    M, N = (3, 5) if name == "local_and_global" else (3, 3) if name in SQUARE else (3, 2)
    testing.check_pairing(PAIRINGS[name](), M, N, symmetric=name in SYMMETRIC)


@pytest.mark.parametrize("name", sorted(set(PAIRINGS) - SQUARE))
def test_one_discriminator_gets_all_the_weight_of_every_generator(name):
    W, P = weights(PAIRINGS[name](), [[0.3], [2.0], [-1.0]])
    np.testing.assert_array_equal(W, 1.0)
    assert P.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("name", sorted(set(PAIRINGS) - SQUARE - {"mean", "own_and_mean", "random", "mix"}))
def test_the_own_share_goes_to_the_discriminators_weights(name):
    _, P = weights(PAIRINGS[name](own=0.5), np.zeros((2, 2)))
    np.testing.assert_allclose(P, [[0.75, 0.25], [0.25, 0.75]], rtol=1e-6)
    assert PAIRINGS[name](own=0.5).members == "complete"
    assert PAIRINGS[name]().members == "parts"


def test_masked_pairs_have_no_weight_and_the_rest_is_shared():
    mask = [[True, True, False], [True, False, True]]
    W, P = weights(pairing.mean(), np.zeros((2, 3)), mask)
    np.testing.assert_allclose(W, [[0.5, 0.5, 0.0], [0.5, 0.0, 0.5]])
    np.testing.assert_allclose(P, [[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]])
    loss = [[0.0, LOG2, np.nan], [9.0, np.inf, 1.0]]
    np.testing.assert_allclose(weights(pairing.softmax(1.0), loss, mask)[0][0], [1 / 3, 2 / 3, 0.0], rtol=1e-5)
    np.testing.assert_array_equal(weights(pairing.max(), loss, mask)[0], [[0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(weights(pairing.min(), loss, mask)[0], [[1, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize("name", sorted(set(PAIRINGS) - {"local_and_global"}))
def test_a_generator_without_opponents_gets_no_weights(name):
    W, P = weights(PAIRINGS[name](), np.zeros((2, 2)), [[True, True], [False, False]])
    np.testing.assert_array_equal(W[1], 0.0)
    np.testing.assert_array_equal(P[1], 0.0)


@pytest.mark.parametrize("make", [pairing.own_and_mean, pairing.dropout, lambda own: pairing.softmax(own=own)])
def test_shares_outside_0_and_1_are_refused(make):
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="a share between 0 and 1"):
            make(share)
