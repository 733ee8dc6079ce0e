"""Building blocks of pairings by hand: own opponents, and weights that sum to 1 over the pairs that are played."""

import numpy as np
import pytest
from paired import weights

from ensgan import pairing
from ensgan.pairing.weights import check_share, discriminator_weights, driven, normalize, own_MN
from ensgan.types import InputError


def test_own_and_mean_where_sides_differ():
    # Own opponents for M = 3, N = 2: i = j modulo 2, so G0 and G2 own D0, and G1 owns D1.
    np.testing.assert_array_equal(pairing.own_MN(3, 2), [[1, 0], [0, 1], [1, 0]])
    W, P = weights(pairing.own_and_mean(0.5), np.zeros((3, 2)))
    np.testing.assert_allclose(W, [[0.75, 0.25], [0.25, 0.75], [0.75, 0.25]], rtol=1e-6)
    # Column 0: ½ · (½, 0, ½) + ½ · ⅓; column 1: ½ · (0, 1, 0) + ½ · ⅓.
    np.testing.assert_allclose(P, [[5 / 12, 1 / 6], [1 / 6, 2 / 3], [5 / 12, 1 / 6]], rtol=1e-6)
    W, P = weights(pairing.own_and_mean(0.5), np.zeros((2, 3)))
    np.testing.assert_allclose(W, [[5 / 12, 1 / 6, 5 / 12], [1 / 6, 2 / 3, 1 / 6]], rtol=1e-6)
    np.testing.assert_allclose(P, [[0.75, 0.25, 0.75], [0.25, 0.75, 0.25]], rtol=1e-6)


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_a_share_is_between_0_and_1(value):
    for end in (0.0, 1.0):
        check_share("own", end)
    with pytest.raises(InputError, match=f"^own is {value}; it must be a share between 0 and 1$"):
        check_share("own", value)
    with pytest.raises(InputError, match="own is"):
        driven(value)


def test_any_share_of_ones_own_makes_members_complete():
    assert [driven(own) for own in (0.0, 1e-9, 0.5, 1.0)] == ["parts", "complete", "complete", "alone"]


@pytest.mark.parametrize(("M", "N"), [(1, 1), (3, 3), (2, 5), (5, 2), (1, 4)])
def test_everybody_has_opponents_of_their_own(M, N):
    own = np.asarray(own_MN(M, N))
    assert set(np.unique(own)) <= {0.0, 1.0}
    assert (own.sum(axis=0) >= 1).all()
    assert (own.sum(axis=1) >= 1).all()
    np.testing.assert_array_equal(own, np.asarray(own_MN(N, M)).T)
    if M == N:
        np.testing.assert_array_equal(own, np.eye(M))


def test_masked_weights_are_nothing_even_where_they_are_no_numbers():
    weight = np.array([[1.0, 3.0, np.nan], [2.0, np.inf, 5.0]], np.float32)
    mask = np.array([[True, True, False], [False, False, False]])
    np.testing.assert_array_equal(normalize(weight, mask, axis=1), [[0.25, 0.75, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(
        normalize(np.zeros((2, 2), np.float32), np.ones((2, 2), bool), axis=0), np.zeros((2, 2))
    )


@pytest.mark.parametrize("own", [0.0, 0.3, 1.0])
def test_columns_of_discriminators_weights_sum_to_1_over_who_plays(own):
    mask = np.array([[1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 1, 0]], bool)
    P = np.asarray(discriminator_weights(mask, own))
    np.testing.assert_allclose(P.sum(axis=0), [1, 1, 1, 0], rtol=1e-6)
    assert (P[~mask] == 0).all()


def test_others_count_in_their_proportions():
    mask, others = np.ones((2, 2), bool), np.array([[3.0, 1.0], [1.0, 1.0]], np.float32)
    np.testing.assert_allclose(discriminator_weights(mask, 0.0, others), [[0.75, 0.5], [0.25, 0.5]])
    np.testing.assert_allclose(discriminator_weights(mask, 0.5, others), [[0.875, 0.25], [0.125, 0.75]])
    np.testing.assert_allclose(discriminator_weights(mask, 1.0, others), np.eye(2))


def test_who_may_not_play_its_own_plays_the_others():
    mask = np.array([[False, True], [True, True]])
    np.testing.assert_allclose(discriminator_weights(mask, 0.5), [[0.0, 0.25], [1.0, 0.75]])
