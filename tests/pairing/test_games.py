"""Learned mixtures and equilibria: by hand, and in training."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from jax.extend.core import jaxprs_in_params
from paired import KEY, SOURCE, trained

from ensgan import optim, pairing
from ensgan.game import replicas
from ensgan.metrics import metagame
from ensgan.training import train
from ensgan.types import Evidence


def evidence(loss_g, loss_d=None, payoff=None, mask=None, step=0):
    loss_g = jnp.asarray(loss_g, jnp.float32)
    mask = jnp.ones(loss_g.shape, bool) if mask is None else jnp.asarray(mask)
    loss_d = -loss_g if loss_d is None else jnp.asarray(loss_d, jnp.float32)
    payoff = None if payoff is None else jnp.asarray(payoff, jnp.float32)
    return Evidence(loss_g, loss_d, jnp.full(loss_g.shape, 0.5), mask, None, payoff, jnp.int32(step))


def test_a_learned_mixture_takes_the_gradient_that_it_says():
    plug = pairing.mix(rate=0.05, cost=0.2)
    loss_g, loss_d = np.random.default_rng(0).normal(size=(2, 3, 2))
    logits = {"g": jnp.array([0.1, -0.3, 0.2]), "d": jnp.array([0.5, 0.0])}
    state = {**plug.init(3, 2), "logits": logits}
    W, P, new = jax.jit(plug.after)(state, evidence(loss_g, loss_d), KEY)
    p, q = (np.exp(x) / np.exp(x).sum() for x in (np.asarray(logits["g"]), np.asarray(logits["d"])))
    np.testing.assert_allclose(W, np.tile(q, (3, 1)), rtol=1e-5)
    np.testing.assert_allclose(P, np.tile(p[:, None], 2), rtol=1e-5)
    # d/du_i of Σ p L: p_i (L_i − mean); of −(c/n) Σ log p: c (p_i − 1/n). Adam's first step is its sign, its memory
    # half of it.
    for side, share, paid in (("g", p, loss_g @ q), ("d", q, p @ loss_d)):
        grad = share * (paid - share @ paid) + 0.2 * (share - 1.0 / len(share))
        np.testing.assert_allclose(new["adam"][0].mu[side], 0.5 * grad, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(new["logits"][side], logits[side] - 0.05 * np.sign(grad), rtol=1e-4)
    np.testing.assert_allclose(plug.mixture(state), p, rtol=1e-5)


def test_a_learned_mixture_moves_to_whom_pays_least_and_its_price_holds_it():
    loss = np.array([[1.0, 1.0], [0.0, 0.0]])

    def after(cost, steps=600):
        plug = pairing.mix(rate=0.03, cost=cost)
        one = lambda state, _: (plug.after(state, evidence(loss), KEY)[2], None)
        state = jax.jit(lambda state: jax.lax.scan(one, state, length=steps)[0])(plug.init(2, 2))
        return np.asarray(plug.mixture(state))

    assert after(0.0)[1] > 0.99
    # At rest p_0 p_1 (1 − 0) = c (½ − p_0); with c = 1: p_0² − 2 p_0 + ½ = 0.
    np.testing.assert_allclose(after(1.0), [1 - np.sqrt(0.5), np.sqrt(0.5)], atol=1e-3)


def test_nash_plays_the_equilibrium_of_the_payoff_and_keeps_it():
    payoff = np.array([[0.7, 0.2], [0.4, 0.6], [0.1, 0.1]])  # the last generator is worse than both
    p, q = metagame.linear_program(payoff)
    plug = pairing.nash(every=5, explore=0.3)
    run = jax.jit(plug.after)
    W, P, state = run(plug.init(3, 2), evidence(payoff, payoff=payoff), KEY)
    np.testing.assert_allclose(plug.mixture(state), p, atol=2e-3)
    np.testing.assert_allclose(W, np.tile(0.7 * q + 0.3 / 2, (3, 1)), atol=2e-3)
    np.testing.assert_allclose(P, np.tile((0.7 * p + 0.3 / 3)[:, None], 2), atol=2e-3)
    # Another payoff counts from the step on at which it is new.
    later = evidence(payoff, payoff=payoff[::-1], step=4)
    np.testing.assert_array_equal(run(state, later, KEY)[2]["p"], state["p"])
    moved = run(state, later._replace(step=jnp.int32(5)), KEY)[2]
    np.testing.assert_allclose(moved["p"], p[::-1], atol=2e-3)
    _, P, _ = jax.jit(pairing.nash(explore=0.0, own=0.5).after)(plug.init(3, 2), evidence(payoff, payoff=payoff), KEY)
    np.testing.assert_allclose(P, 0.5 * np.array([[0.5, 0], [0, 1], [0.5, 0]]) + 0.5 * p[:, None], atol=2e-3)


@pytest.mark.slow
def test_mix_trains():
    game, state, _ = trained(pairing.mix(rate=0.05, cost=0.0))
    assert np.abs(game.mixture(state) - 1 / 2).max() > 0.02
    np.testing.assert_allclose(game.mixture(state), jax.nn.softmax(state.pairing["logits"]["g"]), rtol=1e-6)


def test_nash_trains_on_payoffs_as_they_are_made():
    seen = []
    game = toys.game(2, 2, pairing=pairing.nash(every=20), optimizer=optim.adam(0.01))
    keep = lambda state, info: seen.append((np.asarray(state.payoff), np.asarray(state.pairing["p"])))
    state, _ = train(game, game.init(KEY), SOURCE, steps=50, callback=keep, every=10)
    same = [bool((a[0] == b[0]).all()) for a, b in itertools.pairwise(seen)]
    assert same == [True, False, True, False]  # steps 10, 20 | 30, 40 | 50: made at 0, 20 and 40
    for payoff, p in seen:
        want, _ = metagame.regret_matching(jnp.asarray(payoff))
        np.testing.assert_allclose(p, want, atol=1e-4)
    np.testing.assert_allclose(game.mixture(state), seen[-1][1], rtol=1e-6)


def solvers(jaxpr, above=()):
    """The primitives around every loop of 77 turns, from the outside in."""
    for eqn in jaxpr.eqns:
        if eqn.params.get("length") == 77:
            yield above
        for inner in jaxprs_in_params(eqn.params):
            yield from solvers(inner, (*above, eqn.primitive.name))


def test_the_equilibrium_is_solved_in_one_branch_also_for_replicas():
    plug = pairing.nash(iterations=77)
    axes = Evidence(0, 0, 0, 0, None, 0, replicas.AXES.step)
    one = evidence(np.zeros((2, 3)), payoff=np.zeros((2, 3)))
    two = lambda tree: jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), tree)
    several = two(one)._replace(step=one.step)
    program = jax.make_jaxpr(jax.vmap(plug.after, in_axes=(0, axes, None)))(two(plug.init(2, 3)), several, KEY)
    found = list(solvers(program.jaxpr))
    assert len(found) == 1
    assert "cond" in found[0]
