"""Pairings by hand: weights, masks, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from ensgan import pairing, testing
from ensgan.pairing import PAIRINGS
from ensgan.types import Evidence, InputError

KEY = jax.random.key(0)


def weights(plug, loss, mask=None, key=KEY):
    """W and P of a pairing for the losses `loss` [M, N], as numpy."""
    loss = jnp.asarray(loss, jnp.float32)
    mask = jnp.ones(loss.shape, bool) if mask is None else jnp.asarray(mask)
    gram = jnp.broadcast_to(jnp.eye(loss.shape[1])[None], (*loss.shape, loss.shape[1])) if "gram" in plug.asks else None
    fool = jax.nn.sigmoid(loss)
    evidence = Evidence(loss, -loss, fool, mask, gram, fool if "payoff" in plug.asks else None, jnp.int32(0))
    W, P, _ = jax.jit(plug.after)(plug.init(*loss.shape), evidence, key)
    return np.asarray(W), np.asarray(P)


SQUARE = {"diagonal", "ring", "grid", "local_and_global"}  # those that take no other numbers of members
SYMMETRIC = set(PAIRINGS) - SQUARE - {"own_and_mean", "dropout", "random"}


@pytest.mark.parametrize("name", sorted(PAIRINGS))
def test_every_pairing_keeps_the_contract(name):
    M, N = (3, 5) if name == "local_and_global" else (3, 3) if name in SQUARE else (3, 2)
    testing.check_pairing(PAIRINGS[name](), M, N, symmetric=name in SYMMETRIC)


LOG2 = np.log(2.0)


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


@pytest.mark.parametrize("name", sorted(set(PAIRINGS) - SQUARE))
def test_one_discriminator_gets_all_the_weight_of_every_generator(name):
    W, P = weights(PAIRINGS[name](), [[0.3], [2.0], [-1.0]])
    np.testing.assert_array_equal(W, 1.0)
    assert P.sum() == pytest.approx(1.0)


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


def test_own_and_mean_between_its_ends():
    np.testing.assert_allclose(weights(pairing.own_and_mean(0.0), np.zeros((2, 2)))[0], 0.5)
    np.testing.assert_allclose(weights(pairing.own_and_mean(1.0), np.zeros((2, 2)))[1], np.eye(2))
    assert pairing.own_and_mean(0.0).members == "parts"
    assert pairing.own_and_mean(0.1).members == pairing.diagonal().members == "complete"
    # Of three generators with two discriminators, two share one: it sees their mixture.
    for M, N, want in ((2, 2, "complete"), (2, 3, "complete"), (3, 2, "parts"), (1, 1, "complete")):
        assert toys.game(M, N, pairing=pairing.own_and_mean(0.1)).members == want


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


@pytest.mark.parametrize("make", [pairing.own_and_mean, pairing.dropout, lambda own: pairing.softmax(own=own)])
def test_shares_outside_0_and_1_are_refused(make):
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="a share between 0 and 1"):
            make(share)


def test_a_softmax_that_is_not_finite_is_refused():
    # inf · 0 is NaN: every weight would silently be 0.
    with pytest.raises(InputError, match="lam is inf"):
        pairing.softmax(float("inf"))


def broken(after):
    return pairing.mean()._replace(after=lambda state, e, key: after(e, *pairing.mean().after(state, e, key)))


def counting(e):
    """Weights that are the milder, the more members there are, whether they play or not."""
    return pairing.normalize(jnp.exp(jnp.where(e.mask, e.loss_g, 0.0) / e.mask.shape[1]), e.mask, axis=1)


@pytest.mark.parametrize(
    ("plug", "message"),
    [
        (broken(lambda e, W, P, state: (2 * W, P, state)), "W must sum to 1 along each row"),
        (broken(lambda e, W, P, state: (W, P.T, state)), "P has shape"),
        (broken(lambda e, W, P, state: (W + 0 * e.loss_g, P, state)), "with NaN in masked evidence, W is not finite"),
        (broken(lambda e, W, P, state: (jnp.full_like(W, 0.5), P, state)), "W has weight on masked pairs"),
        (broken(lambda e, W, P, state: (W, P, e.step)), "structure"),
        (broken(lambda e, W, P, state: (counting(e), P, state)), "beside members that play nobody"),
        (pairing.own_and_mean(0.5), "with permuted members"),
        (pairing.mean()._replace(init=lambda M, N: {"age": 0}), "arrays only"),
        (pairing.mean()._replace(init=lambda M, N: [jnp.zeros(M)] * 2), "holds an array twice"),
        (pairing.mix()._replace(mixture=lambda state: state["logits"]["g"]), "it must be 3 numbers ≥ 0 that sum to 1"),
        (pairing.mean()._replace(before=lambda state, key, M, N: jnp.ones((M, N))), "it must give a bool mask"),
    ],
)
def test_the_contract_check_finds_what_is_broken(plug, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_pairing(plug, 3, 2, symmetric=True)


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
