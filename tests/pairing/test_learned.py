"""Weights from losses that are never negative, and weights with a memory: by hand, against autodiff, at their ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from ensgan import losses, pairing
from ensgan.types import Evidence, InputError

KEY = jax.random.key(0)
LOSS = np.random.default_rng(1).uniform(0.1, 2.0, size=(3, 4)).astype(np.float32)


def evidence(loss, fool=None, mask=None, step=0):
    loss = jnp.asarray(loss, jnp.float32)
    fool = jax.nn.sigmoid(loss) if fool is None else jnp.asarray(fool, jnp.float32)
    mask = jnp.ones(loss.shape, bool) if mask is None else jnp.asarray(mask)
    return Evidence(loss, -loss, fool, mask, None, None, jnp.int32(step))


def first(plug, loss, mask=None):
    """W of the first step."""
    return np.asarray(plug.after(plug.init(*np.shape(loss)), evidence(loss, mask=mask), KEY)[0])


def rows(gradient):
    return np.asarray(gradient / gradient.sum(axis=1, keepdims=True))


def test_geometric_and_harmonic_by_hand():
    # 1/1 : 1/3 = 3 : 1, squared 9 : 1.
    np.testing.assert_allclose(first(pairing.geometric(), [[1.0, 3.0]]), [[3 / 4, 1 / 4]], rtol=1e-6)
    np.testing.assert_allclose(first(pairing.harmonic(), [[1.0, 3.0]]), [[9 / 10, 1 / 10]], rtol=1e-6)
    # Without the middle one.
    masked = first(pairing.harmonic(), [[1.0, np.nan, 3.0]], [[True, False, True]])
    np.testing.assert_allclose(masked, [[9 / 10, 0, 1 / 10]], rtol=1e-6)


@pytest.mark.parametrize(
    ("plug", "value"),
    [
        (pairing.geometric(), lambda L: jnp.exp(jnp.log(L).mean(axis=1))),
        (pairing.harmonic(), lambda L: 1.0 / (1.0 / L).mean(axis=1)),
        (pairing.hypervolume(1.3), lambda L: -jnp.log(1.3 * LOSS.max(axis=1, keepdims=True) + 1e-8 - L).sum(axis=1)),
    ],
)
def test_weights_are_the_gradient_of_what_is_paid(plug, value):
    want = rows(jax.grad(lambda L: value(L).sum())(jnp.asarray(LOSS)))
    np.testing.assert_allclose(first(plug, LOSS), want, rtol=1e-4)


@pytest.mark.parametrize("name", ["geometric", "harmonic", "hypervolume"])
def test_losses_of_any_size_give_weights(name):
    for loss in ([0.0, 0.0], [0.0, 1.0], [1e-30, 1e30], [1e15, 1e15]):
        W = first(getattr(pairing, name)(), [loss])
        assert np.isfinite(W).all()
        np.testing.assert_allclose(W.sum(), 1.0, rtol=1e-5)
        if loss[0] == loss[1]:
            np.testing.assert_allclose(W, 0.5, rtol=1e-5)


@pytest.mark.parametrize("name", ["geometric", "harmonic", "hypervolume"])
def test_a_game_refuses_losses_that_may_be_negative(name):
    plug = getattr(pairing, name)()
    fits = "use one of: least_squares, non_saturating, relativistic, relativistic_least_squares"
    for loss in (losses.minimax, losses.hinge, losses.wasserstein):
        with pytest.raises(InputError, match=fits):
            toys.game(2, 2, loss=loss, pairing=plug)
    for loss in (losses.non_saturating, losses.relativistic):
        toys.game(2, 2, loss=loss, pairing=plug)
    each = lambda last: losses.per_member([losses.least_squares] * 2 + [last], [losses.non_saturating] * 2)
    toys.game(3, 2, loss=each(losses.non_saturating), pairing=plug)
    with pytest.raises(InputError, match="never negative"):
        toys.game(3, 2, loss=each(losses.hinge), pairing=plug)


def test_hypervolume_by_hand_and_with_a_large_slack():
    # η = 1.5 · 2 = 3; 1/(3 − 2) : 1/(3 − 1) = 2 : 1.
    np.testing.assert_allclose(first(pairing.hypervolume(1.5), [[2.0, 1.0]]), [[2 / 3, 1 / 3]], rtol=1e-5)
    np.testing.assert_allclose(first(pairing.hypervolume(1e5), LOSS), 1 / 4, rtol=1e-4)
    np.testing.assert_allclose(first(pairing.hypervolume(1.00001), LOSS), np.eye(4)[LOSS.argmax(1)], atol=1e-2)


def test_the_slack_grows_where_a_generator_comes_no_nearer():
    plug = pairing.hypervolume(1.5, patience=3, growth=2.0, limit=4.0)
    state, run = plug.init(2, 2), jax.jit(plug.after)
    seen = []
    for step in range(8):
        # Generator 0 comes nearer to ½ at every step; generator 1 fools nobody, but at step 1.
        fool = [[0.4 + 0.01 * step] * 2, [0.3 if step == 1 else 0.0] * 2]
        W, _, state = run(state, evidence([[2.0, 1.0]] * 2, fool, step=step), KEY)
        seen.append(state["slack"].tolist())
    # Three steps after step 1 the slack is doubled, and three steps later it ends at its limit.
    assert seen == [[1.5, 1.5]] * 4 + [[1.5, 3.0]] * 3 + [[1.5, 4.0]]
    # The last weights are of the slack before: 1/(3 − 2) : 1/(3 − 1), and 1/(6 − 2) : 1/(6 − 1).
    np.testing.assert_allclose(W, [[2 / 3, 1 / 3], [5 / 9, 4 / 9]], rtol=1e-5)
    assert pairing.hypervolume().init(2, 2).keys() == {"slack"}
    # Who meets nobody does not grow impatient.
    mask = [[False, False], [True, True]]
    for step in range(8, 14):
        _, _, state = run(state, evidence([[2.0, 1.0]] * 2, [[0.0] * 2] * 2, mask, step), KEY)
    assert state["slack"].tolist() == [1.5, 4.0]


def test_the_bandit_follows_the_change_of_fool():
    plug, run = pairing.bandit(sharpness=2.0, alpha=0.5), jax.jit(pairing.bandit(sharpness=2.0, alpha=0.5).after)
    zero, state = np.zeros((1, 2)), plug.init(1, 2)
    W, _, state = run(state, evidence(zero, [[0.5, 0.2]]), KEY)
    np.testing.assert_allclose(W, 0.5)  # nothing has changed yet
    W, _, state = run(state, evidence(zero, [[0.5, 0.6]]), KEY)
    np.testing.assert_allclose(state["value"], [[0.0, 0.2]], atol=1e-6)  # ½ · 0.4
    np.testing.assert_allclose(W[0, 1] / W[0, 0], np.exp(0.4), rtol=1e-5)
    # Not met: nothing is learned, and the next change is from the last meeting on.
    W, _, state = run(state, evidence(zero, [[0.5, np.nan]], [[True, False]]), KEY)
    np.testing.assert_allclose(state["value"], [[0.0, 0.2]], atol=1e-6)
    W, _, state = run(state, evidence(zero, [[0.4, 0.7]]), KEY)
    np.testing.assert_allclose(state["value"], [[-0.05, 0.15]], atol=1e-6)
    np.testing.assert_allclose(first(pairing.bandit(0.0), LOSS), 1 / 4)


def learn(plug, loss, steps, mask=None):
    """θ after so many steps on the same losses."""
    seen = evidence(loss, mask=mask)
    one = lambda state, _: (plug.after(state, seen, KEY)[2], None)
    return np.asarray(jax.jit(lambda state: jax.lax.scan(one, state, length=steps)[0])(plug.init(*np.shape(loss))))


def test_a_learned_lambda_takes_steps_of_the_gradient():
    def paid(theta):
        lam = jax.nn.softplus(theta)
        W = jax.nn.softmax(lam[:, None] * LOSS, axis=1)
        return jnp.sum(W * LOSS) - 0.3 * lam.sum()

    plug = pairing.softmax_learned(lam=0.7, rate=0.01, cost=0.3)
    theta = plug.init(3, 4)
    np.testing.assert_allclose(jax.nn.softplus(theta), 0.7, rtol=1e-6)
    np.testing.assert_allclose(learn(plug, LOSS, 1), theta - 0.01 * jax.grad(paid)(theta), rtol=1e-6)
    np.testing.assert_allclose(first(plug, LOSS), first(pairing.softmax(0.7), LOSS), rtol=1e-5)
    assert learn(plug, [[0.0, 1e3]], 1)[0] == pytest.approx(float(theta[0]) - 0.0, abs=0.0101)  # a step is bounded


def test_a_learned_lambda_rests_where_the_variance_is_its_price():
    # One of four stands out: Var = w (1 − w) with w = e^λ / (e^λ + 3) grows until w = ½. At rest it is the price, 0.22.
    loss = [[0.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.0, 9.0]]
    mask = np.array([[True] * 4, [False] * 4, [True, False, False, True]])
    plug = pairing.softmax_learned(lam=0.2, rate=0.5, cost=0.22)
    theta = learn(plug, loss, 5000, mask)
    w = np.exp(np.logaddexp(0, theta[0])) / (np.exp(np.logaddexp(0, theta[0])) + 3)
    assert w * (1 - w) == pytest.approx(0.22, abs=1e-4)
    assert w < 0.5
    assert theta[1] == plug.init(3, 4)[1]  # met nobody
    assert theta[2] < -3.0  # two opponents far apart: towards the mean


def bad(fn, **options):
    return pytest.param(fn, options, id=f"{fn.__name__}-{options}")


@pytest.mark.parametrize(
    ("make", "options"),
    [
        bad(pairing.softmax_learned, lam=0.0),
        bad(pairing.softmax_learned, lam=float("inf")),
        bad(pairing.softmax_learned, rate=-1.0),
        bad(pairing.softmax_learned, cost=float("nan")),
        bad(pairing.hypervolume, slack=1.0),
        bad(pairing.hypervolume, slack=float("inf")),
        bad(pairing.hypervolume, slack=3.0, patience=5),
        bad(pairing.hypervolume, growth=0.9, patience=5),
        bad(pairing.hypervolume, growth=1.1),
        bad(pairing.hypervolume, limit=3.0),
        bad(pairing.hypervolume, patience=-1),
        bad(pairing.bandit, sharpness=float("inf")),
        bad(pairing.bandit, alpha=1.5),
        bad(pairing.geometric, own=2.0),
        bad(pairing.mgd, iterations=0),
        bad(pairing.mix, rate=-1.0),
        bad(pairing.mix, cost=float("inf")),
        bad(pairing.nash, every=0),
        bad(pairing.nash, explore=1.1),
        bad(pairing.nash, iterations=0),
    ],
)
def test_numbers_out_of_range_are_refused(make, options):
    wrong = "limit" if options == {"slack": 3.0, "patience": 5} else next(iter(options))
    with pytest.raises(InputError, match=f"{wrong} is"):
        make(**options)
