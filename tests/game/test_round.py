"""A round: what it hands on to the step, what it weighs, and who is found not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from toys import check, masked, run

from ensgan import losses, pairing
from ensgan.game import scoring
from ensgan.game.round import play, shares_backward
from ensgan.types import Augment, Evidence, Pairing


def test_a_masked_pair_has_no_influence_not_even_as_nan():
    # Generator 0 is broken and masked from discriminator 1: that discriminator, and generator 1, must not notice.
    batch = toys.batch()
    game = toys.game(2, 2, pairing=masked([[True, False], [False, True]]))
    state = game.init(jax.random.key(0))
    broken = {**state.generators[0].params, "w1": state.generators[0].params["w1"].at[0].set(jnp.nan)}
    sick = state._replace(generators=(state.generators[0]._replace(params=broken),))

    def gradients(state):
        mask = game.pairing.before((), None, 2, 2)
        met = play(game, state, batch, mask, jax.random.key(1))
        c = scoring.cotangents(met.loss, met.scores.logits, met.weights.here, met.meeting)
        grad_d, dx = scoring.one_backward(met.pulls.d, *c, met.view.collect)
        return grad_d[0], met.pulls.g(dx)[0]

    healthy, ill = jax.jit(gradients)(state), jax.jit(gradients)(sick)
    second = lambda trees: jax.tree.map(lambda leaf: leaf[1], trees)
    toys.assert_close(second(ill), second(healthy), 0.0)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(second(ill)))


def test_a_pairing_may_ask_for_the_gram_matrix_and_the_payoff():
    seen = {}

    def after(state, evidence: Evidence, key):
        seen.update(gram=evidence.gram.shape, payoff=evidence.payoff.shape)
        M, N = evidence.mask.shape
        return jnp.full((M, N), 1.0 / N), jnp.full((M, N), 1.0 / M), {"gram": evidence.gram}

    plug = Pairing(
        lambda M, N: {"gram": jnp.zeros((M, N, N))}, after, asks=frozenset({"gram", "payoff"}), payoff_every=5
    )
    game = toys.game(3, 2, pairing=plug)
    check(game, toys.batch())  # asking does not change the gradients
    assert seen == {"gram": (3, 2, 2), "payoff": (3, 2)}
    state = game.init(jax.random.key(0))
    batch = toys.batch()
    gram = run(game, state, batch)[0].pairing["gram"]
    z = toys.latents(game, state)
    nets_g, nets_d = toys.members(game.groups_g, state.generators), toys.members(game.groups_d, state.discriminators)

    def pair(x, j):
        net, params, net_state = nets_d[j]
        s, r = (net.apply(params, net_state, a)[0] for a in (x, batch["x"]))
        return game.loss.generator(s, r).mean()

    x = nets_g[1][0].apply(nets_g[1][1], {}, z[1])[0]
    dx = [jax.grad(pair)(x, j).ravel() for j in range(2)]
    np.testing.assert_allclose(gram[1], [[a @ b for b in dx] for a in dx], rtol=1e-4, atol=1e-8)


def test_augmentation_sits_in_the_discriminators_input_and_lets_the_gradient_through():
    # An augmentation that doubles every sample is the same as a discriminator with doubled first weights.
    double = Augment(lambda keys, x, strength: 2.0 * x)
    batch = toys.batch()
    plain, augmented = toys.game(2, 2), toys.game(2, 2, augment=double)
    state = plain.init(jax.random.key(0))
    d = state.discriminators[0]
    doubled = state._replace(discriminators=(d._replace(params={**d.params, "w1": 2.0 * d.params["w1"]}),))
    a, _ = run(plain, doubled, batch)
    b, _ = run(augmented, state._replace(augment=jnp.ones(())), batch)
    toys.assert_close(a.generators, b.generators, 1e-5)


@pytest.fixture(scope="module")
def dealt():
    """What a round says of samples, for a game whose samples are dealt out; and a state of it."""
    game = toys.game(2, 2, coverage="split", pairing=pairing.softmax(1.0))

    def round_of(state, weight):
        met = play(game, state, {**toys.batch(), "weight": weight}, None, jax.random.key(1))
        return met.scores.measured, met.scores.evidence, met.running, met.finite, met.weights

    return jax.jit(round_of), game.init(jax.random.key(0))


def test_weights_of_reals_sum_to_one_for_each_discriminator(dealt):
    play_round, state = dealt
    weight = np.array([1.0, 0.0, 3.0, 0.0, 4.0, 0.0, 0.0, 0.0], np.float32)  # reals 0, 2, 4, 6 are dealt to the first
    omega = play_round(state, weight)[4].here.real
    np.testing.assert_allclose(omega, [[1 / 8, 3 / 8, 4 / 8, 0.0], [0.0] * 4])  # of all zeros, none has a weight


def test_running_means_begin_with_the_first_batch_and_later_span_ten_steps(dealt):
    play_round, state = dealt
    before = jnp.stack([jnp.full((2, 2), value) for value in (1.0, 2.0, 3.0)])
    for step, decay in ((0, 0.0), (1, 0.5), (3, 0.75), (100, 0.9)):
        at = state._replace(step=jnp.int32(step), running=before)
        measured, evidence, running, _, weights = play_round(at, np.ones(8, np.float32))
        np.testing.assert_allclose(running, decay * before + (1 - decay) * measured, rtol=1e-5)
        np.testing.assert_array_equal(evidence.loss_g, running[0])
        np.testing.assert_array_equal(evidence.fool, running[2])
        np.testing.assert_allclose(weights.W.sum(axis=1), [1.0, 1.0], rtol=1e-6)


@pytest.mark.parametrize(("side", "finite"), [("generators", ([1, 0], [1, 1])), ("discriminators", ([1, 1], [1, 0]))])
def test_the_source_of_a_fault_shows_it_first(dealt, side, finite):
    play_round, state = dealt
    group = getattr(state, side)[0]
    broken = {**group.params, "w2": group.params["w2"].at[1].set(jnp.nan)}
    found = play_round(state._replace(**{side: (group._replace(params=broken),)}), np.ones(8, np.float32))[3]
    np.testing.assert_array_equal(found.g, np.array(finite[0], bool))
    np.testing.assert_array_equal(found.d, np.array(finite[1], bool))


def test_one_pass_serves_both_players_unless_logits_are_coupled_or_several():
    assert shares_backward(toys.game())
    assert not shares_backward(toys.game(coupled=True))
    assert not shares_backward(toys.game(heads=(4,), loss=losses.mad()))
