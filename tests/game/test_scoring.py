"""What follows from logits alone, by hand: losses of pairs, cotangents, and the ways back through discriminators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensgan import losses
from ensgan.devices.mesh import ALONE
from ensgan.game import meeting, scoring
from ensgan.game.common import Both
from ensgan.game.scoring import EPSILON, Logits, Pull, View, Weights

FAKE = jnp.array([[[1.0, 3.0]], [[-2.0, 0.0]]])  # [2, 1, 2]: two generators, one discriminator, two fakes each
REAL = jnp.array([[4.0, 0.0]])
HALF = jnp.full((1, 2), 0.5)


def meet(compare="one", fakes=2, reals=2, M=2):
    """The comparisons of M generators with `fakes` samples each; one discriminator sees all of them."""
    rows = jnp.arange(M)[:, None]
    nothing = jnp.zeros((M, fakes, 1))
    whole = jnp.ones((M, 1), bool)
    view = View(nothing, False, fakes, rows, None, whole, lambda a: a, lambda a: a, scoring.weighted_sum)
    return meeting.meet(compare, M, view, reals, ALONE)


def test_losses_are_never_computed_in_half_precision():
    assert scoring.at_least_float32(jnp.ones(2, jnp.bfloat16)).dtype == jnp.float32
    assert scoring.at_least_float32(jnp.ones(2, jnp.float32)).dtype == jnp.float32
    with jax.enable_x64(True):
        assert scoring.at_least_float32(jnp.ones(2, jnp.float64)).dtype == jnp.float64


def test_a_pair_pays_the_mean_over_fakes_and_each_row_the_loss_on_reals():
    found = scoring.pair_losses(losses.wasserstein, Logits(FAKE, REAL), HALF, meet())
    np.testing.assert_allclose(found.g, [[-2.0], [1.0]])  # −mean s
    np.testing.assert_allclose(found.d, [[2.0 - 2.0], [-1.0 - 2.0]])  # mean s − mean r
    weighted = scoring.pair_losses(losses.wasserstein, Logits(FAKE, REAL), jnp.array([[1.0, 0.0]]), meet())
    np.testing.assert_allclose(weighted.d, [[2.0 - 4.0], [-1.0 - 4.0]])
    np.testing.assert_array_equal(weighted.g, found.g)


@pytest.mark.parametrize("compare", ["one", "all"])
def test_a_relativistic_pair_pays_for_its_comparisons(compare):
    s, r = np.array([[1.0, 3.0], [-2.0, 0.0]]), np.array([4.0, 0.0])
    soft = lambda x: np.log1p(np.exp(x))
    gaps = s - r if compare == "one" else (s[:, :, None] - r).reshape(2, 4)
    found = scoring.pair_losses(losses.relativistic, Logits(FAKE, REAL), HALF, meet(compare))
    np.testing.assert_allclose(found.g[:, 0], soft(-gaps).mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found.d[:, 0], soft(gaps).mean(axis=1), rtol=1e-5)
    one = scoring.pair_losses(losses.relativistic, Logits(FAKE, REAL), jnp.array([[0.0, 1.0]]), meet(compare))
    alone = s[:, 1:] if compare == "one" else s  # with all weight on the second real, which is 0
    np.testing.assert_allclose(one.g[:, 0], soft(-alone).mean(axis=1), rtol=1e-5)


def test_cotangents_of_a_linear_loss_are_its_weights():
    W, P = jnp.array([[0.3], [0.7]]), jnp.array([[0.9], [0.1]])
    c_G, c_D, c_r = scoring.cotangents(losses.wasserstein, Logits(FAKE, REAL), Weights(W, P, HALF), meet())
    np.testing.assert_allclose(c_G, np.broadcast_to([[[-0.15]], [[-0.35]]], (2, 1, 2)), rtol=1e-6)  # −W/F
    np.testing.assert_allclose(c_D, np.broadcast_to([[[0.45]], [[0.05]]], (2, 1, 2)), rtol=1e-6)  # P/F
    np.testing.assert_allclose(c_r, [[-0.5, -0.5]], rtol=1e-6)  # −ω, since a column of P sums to 1


def test_pairs_without_weight_have_no_cotangent_even_where_the_loss_is_infinite():
    W = P = jnp.array([[1.0], [0.0]])
    wild = Logits(FAKE.at[1].set(jnp.inf), REAL)
    c_G, c_D, c_r = scoring.cotangents(losses.least_squares, wild, Weights(W, P, HALF), meet())
    calm = scoring.cotangents(losses.least_squares, Logits(FAKE, REAL), Weights(W, P, HALF), meet())
    np.testing.assert_array_equal(c_G[1], 0.0)
    np.testing.assert_array_equal(c_D[1], 0.0)
    np.testing.assert_array_equal(c_G[0], calm[0][0])
    np.testing.assert_array_equal(c_r, calm[2])


def test_the_shared_cotangent_is_that_of_d_raised_where_it_vanishes():
    c_G, c_D = jnp.array([3.0, -3.0, 2.0, 0.0, 0.0, 1.0]), jnp.array([0.5, 0.5, 0.0, 0.7, 0.0, -1e-25])
    c, factor = scoring.shared_cotangent(c_G, c_D)
    np.testing.assert_allclose(c, [0.5, 0.5, 2 * EPSILON, 0.7, 0.0, -EPSILON], rtol=1e-6)
    np.testing.assert_allclose(factor, [6.0, -6.0, 1 / EPSILON, 0.0, 0.0, -1 / EPSILON], rtol=1e-6)
    np.testing.assert_allclose(c * factor, c_G, rtol=1e-6)  # G's gradient is exact wherever D's is
    assert np.isfinite(np.asarray(factor)).all()


W_NX = np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]], np.float32)  # three linear discriminators, logit w · x
X_MFX = np.arange(8, dtype=np.float32).reshape(2, 2, 2)  # two fakes of each of two generators
R_RX = np.array([[1.0, 1.0], [0.0, 2.0]], np.float32)


def pulls(*pieces):
    """The ways back through groups of those discriminators, each group a slice of them."""

    def made(mine):
        w_n = W_NX[mine]

        def d(c_D, c_r):
            return Both({"w": np.einsum("mnf,mfx->nx", c_D, X_MFX) + np.einsum("nr,rx->nx", c_r, R_RX)})

        dx = lambda c: np.einsum("mnf,nx->nmfx", c, w_n)
        ones = lambda c: np.ones(c.shape, np.float32)

        def both(c_G, c_D, c_r):
            c, factor = scoring.shared_cotangent(c_G, c_D)
            return d(c, c_r), factor, dx(c)

        return Pull(mine, both, d, lambda c_G: (ones(c_G), dx(c_G)))

    return tuple(map(made, pieces))


def test_one_backward_pass_gives_what_two_give_and_what_is_right():
    draw = np.random.default_rng(0)
    c_G, c_D = (draw.normal(size=(2, 3, 2)).astype(np.float32) for _ in range(2))
    c_r = draw.normal(size=(3, 2)).astype(np.float32)
    groups = pulls(slice(0, 1), slice(1, 3))
    once = scoring.one_backward(groups, c_G, c_D, c_r, scoring.weighted_sum)
    twice = scoring.two_pullbacks(groups, c_G, c_D, c_r, scoring.weighted_sum)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), once, twice)
    want_d = np.einsum("mnf,mfx->nx", c_D, X_MFX) + np.einsum("nr,rx->nx", c_r, R_RX)
    np.testing.assert_allclose(np.concatenate([grad.own["w"] for grad in once[0]]), want_d, rtol=1e-4)
    np.testing.assert_allclose(once[1], np.einsum("mnf,nx->mfx", c_G, W_NX), rtol=1e-4, atol=1e-5)
    alone = scoring.discriminator_pullback(groups, c_D, c_r)
    jax.tree.map(np.testing.assert_array_equal, alone, twice[0])


def test_input_gradients_are_those_of_every_pair_without_its_weight():
    logits = Logits(np.einsum("mfx,nx->mnf", X_MFX, W_NX), np.einsum("rx,nx->nr", R_RX, W_NX))
    omega = jnp.full((3, 2), 0.5)
    dx = scoring.input_gradients(pulls(slice(0, 3)), losses.wasserstein, logits, omega, meet())
    np.testing.assert_allclose(dx, np.broadcast_to(-W_NX[:, None, None] / 2, (3, 2, 2, 2)))  # ∂(−mean s)/∂x = −w/F
    gram = scoring.gram_MNN(dx)
    np.testing.assert_allclose(gram, np.broadcast_to(2 * (W_NX @ W_NX.T) / 4, (2, 3, 3)), rtol=1e-6)  # over 2 fakes


def test_a_gram_matrix_is_summed_in_float32():
    dx = jnp.ones((1, 1, 1024, 1), jnp.bfloat16)
    assert scoring.gram_MNN(dx).dtype == jnp.float32
    assert float(scoring.gram_MNN(dx)[0, 0, 0]) == 1024.0


def test_a_factor_of_zero_drops_even_what_is_not_a_number():
    factor = jnp.array([[[2.0], [0.0]], [[-1.0], [3.0]]])  # [M, N, 1]
    dx = jnp.ones((2, 2, 4, 3)).at[1, 0].set(jnp.nan).at[1, 1].set(10.0)
    np.testing.assert_array_equal(scoring.weighted_sum(factor, dx)[:, 0, 0], [2.0, -1.0 + 30.0])
    assert [term.shape for term in scoring.weighted(factor, dx)] == [(2, 4, 3)] * 2


def test_scores_come_from_the_logit_that_the_loss_names():
    logit = jnp.array([[[0.0, 2.0], [1.0, 5.0]]], jnp.bfloat16)  # of discriminator 0: two samples, two logits
    plain = losses.wasserstein
    np.testing.assert_array_equal(scoring.judged(plain, logit[..., 0], jnp.array([0])), logit[..., 0])
    assert scoring.judged_alone(plain, logit[0, :, 0], jnp.array(0)).dtype == jnp.float32
    roles = plain.roles._replace(heads=2, judge=lambda logit, j: logit[..., 1] + 10.0 * j[:, None])
    several = plain._replace(roles=roles)
    np.testing.assert_array_equal(scoring.judged(several, logit, jnp.array([2])), [[22.0, 25.0]])
    np.testing.assert_array_equal(scoring.judged_alone(several, logit[0], jnp.array(2)), [22.0, 25.0])


@pytest.mark.parametrize("compare", ["one", "all"])
def test_a_discriminator_that_tells_nothing_apart_is_fooled_in_half_of_the_comparisons(compare):
    same = Logits(jnp.full((2, 1, 2), 3.0), jnp.full((1, 2), 3.0))
    np.testing.assert_allclose(scoring.fool_probability(same, meet(compare)), 0.5)
    s, r = np.array([[1.0, 3.0], [-2.0, 0.0]]), np.array([4.0, 0.0])
    gaps = s - r if compare == "one" else (s[:, :, None] - r).reshape(2, 4)
    found = scoring.fool_probability(Logits(FAKE, REAL), meet(compare))
    np.testing.assert_allclose(found[:, 0], (1 / (1 + np.exp(-gaps))).mean(axis=1), rtol=1e-6)
    better = scoring.compared(Logits(FAKE, REAL), meet(compare), lambda gap: (gap > 0).astype(jnp.float32))
    np.testing.assert_allclose(better[:, 0], (gaps > 0).mean(axis=1))


def test_a_fake_that_meets_several_reals_counts_once():
    found = scoring.compared(
        Logits(FAKE[:, :, :1], jnp.array([[4.0, 0.0, 1.0, 2.0]])), meet(fakes=1, reals=4), lambda gap: gap
    )
    # Fake 0 meets reals 0 and 2, fake 1 (the other generator's) reals 1 and 3.
    np.testing.assert_allclose(found, [[(1 - 4 + 1 - 1) / 2], [(-2 - 0 - 2 - 2) / 2]])
