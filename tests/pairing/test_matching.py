"""Own opponents, dropout, neighbours and random matchings, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from paired import KEY, trained, weights

from ensgan import Game, Group, pairing
from ensgan.game.coverage import as_mask
from ensgan.types import Evidence, InputError


def test_own_and_mean_between_its_ends():
    np.testing.assert_allclose(weights(pairing.own_and_mean(0.0), np.zeros((2, 2)))[0], 0.5)
    np.testing.assert_allclose(weights(pairing.own_and_mean(1.0), np.zeros((2, 2)))[1], np.eye(2))
    assert pairing.own_and_mean(0.0).members == "parts"
    assert pairing.own_and_mean(0.1).members == "complete"
    assert pairing.own_and_mean(1.0).members == pairing.diagonal().members == "alone"
    # Of three generators with two discriminators, two share one: it sees their mixture.
    for M, N, want in ((2, 2, "complete"), (2, 3, "complete"), (3, 2, "parts"), (1, 1, "complete")):
        assert toys.game(M, N, pairing=pairing.own_and_mean(0.1)).members == want
    # So does a layer that two discriminators have in common, unless each meets its own generator only.
    heads = [Group(toys.dense(2, 5, ()), 2, shared=("w1",))]
    for own, want in ((0.0, "parts"), (0.1, "parts"), (1.0, "complete")):
        assert Game([Group(toys.dense(3, 5, (2,)), 2)], heads, pairing=pairing.own_and_mean(own)).members == want


def test_the_diagonal_masks_all_but_the_own_pair():
    plug = pairing.diagonal()
    mask = plug.before(plug.init(3, 3), KEY, 3, 3)
    np.testing.assert_array_equal(mask, np.eye(3, dtype=bool))
    for weight in weights(plug, np.zeros((3, 3)), mask):
        np.testing.assert_array_equal(weight, np.eye(3))
    with pytest.raises(InputError, match="3 generators and 2 discriminators; it needs as many of both"):
        plug.init(3, 2)


def many(plug, mask=None):
    """W [2000, 2, 3] of a random pairing for as many keys."""
    mask = jnp.ones((2, 3), bool) if mask is None else jnp.asarray(mask)
    zero = jnp.zeros((2, 3))
    evidence = Evidence(zero, zero, zero, mask, None, None, jnp.int32(0))
    return np.asarray(jax.vmap(lambda key: plug.after((), evidence, key)[0])(jax.random.split(KEY, 2000)))


def test_dropout_leaves_out_opponents_but_never_all():
    W = many(pairing.dropout(0.5))
    heard = (W > 0).sum(-1)
    assert heard.min() == 1
    np.testing.assert_allclose(W.sum(-1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(np.unique(W.round(4)), [0.0, 0.3333, 0.5, 1.0])
    # Of three, half are kept on average, and one of them where chance kept none: 1.5 + 1/8.
    assert heard.mean() == pytest.approx(1.625, abs=0.04)
    assert (heard[:, 0] != heard[:, 1]).any()  # each generator has a draw of its own


def test_dropout_at_its_ends():
    np.testing.assert_allclose(many(pairing.dropout(0.0)), 1 / 3, rtol=1e-6)
    alone = many(pairing.dropout(1.0))
    np.testing.assert_array_equal((alone > 0).sum(-1), 1)
    np.testing.assert_allclose(alone.mean(0), 1 / 3, atol=0.05)
    masked = many(pairing.dropout(1.0), [[True, False, True], [False, True, False]])
    np.testing.assert_allclose(masked.mean(0), [[0.5, 0, 0.5], [0, 1, 0]], atol=0.05)


def test_neighbours_on_a_ring_and_on_a_torus():
    ring = pairing.ring().before((), KEY, 5, 5)
    assert ring.tolist() == [[0, 4, 1], [1, 0, 2], [2, 1, 3], [3, 2, 4], [4, 3, 0]]
    assert pairing.ring(2).before((), KEY, 5, 5)[0].tolist() == [0, 4, 1, 3, 2]
    assert pairing.ring(2).before((), KEY, 4, 4)[0].tolist() == [0, 3, 1, 2]  # number 2 is met once
    # 3 columns in 3 rows: number 4 stands in the middle of 1, 7, 3 and 5.
    grid = pairing.grid().before((), KEY, 9, 9)
    assert grid[4].tolist() == [4, 1, 7, 3, 5]
    assert grid[0].tolist() == [0, 6, 3, 2, 1]
    # On 2×2 the neighbour above is the one below, and is met once; on one row there is nobody above.
    assert pairing.grid().before((), KEY, 4, 4)[0].tolist() == [0, 2, 1]
    assert pairing.grid(1).before((), KEY, 4, 4)[0].tolist() == [0, 3, 1]


@pytest.mark.parametrize(
    ("plug", "message"),
    [
        (lambda: pairing.ring(0), "radius is 0"),
        (lambda: pairing.ring(3).init(5, 5), "radius is 3 in a ring of 5; 2 reaches every member"),
        (
            lambda: toys.game(4, 4, pairing=pairing.ring(10**12)),
            "2 reaches every member",
        ),  # without arrays of that size
        (lambda: pairing.ring().init(3, 4), "the ring pairing has 3 generators and 4 discriminators"),
        (lambda: pairing.grid(3).init(8, 8), "8 members do not fill a grid of 3 rows; give 6 or 9 members"),
        (lambda: pairing.grid(-1), "rows is -1"),
    ],
)
def test_neighbourhoods_that_do_not_exist_are_refused(plug, message):
    with pytest.raises(InputError, match=message):
        plug()


@pytest.mark.parametrize(("M", "N"), [(4, 4), (2, 5), (5, 2), (3, 1)])
def test_at_random_everybody_meets_somebody(M, N):
    before = jax.jit(jax.vmap(lambda key: pairing.random().before((), key, M, N)))
    pairs = before(jax.random.split(KEY, 400))
    assert pairs.shape == (400, N, -(-M // N))
    assert pairs.dtype == jnp.int32
    masks = np.asarray(jax.vmap(lambda one: as_mask(one, M, N))(pairs))
    met = masks.sum(axis=2), masks.sum(axis=1)  # opponents of each generator, and of each discriminator
    for counts, mine, others in ((met[0], M, N), (met[1], N, M)):
        fair = max(others / mine, 1.0)
        assert counts.min() == np.floor(fair)
        assert counts.max() == np.ceil(fair)
    assert (masks.sum(axis=(1, 2)) == max(M, N)).all()  # and nobody twice
    np.testing.assert_allclose(masks.mean(axis=0), max(M, N) / (M * N), atol=0.1)


def test_random_trains_on_the_pairs_that_it_names_alone():
    _, _, info = trained(pairing.random(), coverage="neighbours")
    # The mean of 50 permutations.
    weight = np.asarray(info.weight_g)
    np.testing.assert_allclose(weight, [[weight[0, 0], weight[0, 1]], [weight[0, 1], weight[0, 0]]], rtol=1e-5)
    assert 0.2 < weight[0, 0] < 0.8
    np.testing.assert_allclose(50 * weight, np.rint(50 * weight), atol=1e-3)
