"""Common stages run once on the samples of all members, and give the gradients of the definition."""

import definition
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys

from ensgan import losses, networks, pairing, penalties
from ensgan.game.game import Game
from ensgan.game.population import Group, whole
from ensgan.game.step import step
from ensgan.types import InputError

TWO_STAGES = networks.trunk_and_heads(toys.dense(2, 6, (4,)), toys.dense(4, 5, ()))
GENERATOR = networks.chain(first=toys.dense(3, 5, (4,)), last=toys.dense(4, 6, (2,)))


def game(M=3, N=3, shared_g=(), shared_d=("trunk",), **settings):
    settings = {
        "loss": losses.relativistic,
        "pairing": pairing.own_and_mean(0.3),
        "optimizer": optax.sgd(1.0),
        "reals": 8,
        "fakes": 4,
        **settings,
    }
    return Game([Group(GENERATOR, M, shared=shared_g)], [Group(TWO_STAGES, N, shared=shared_d)], **settings)


@pytest.mark.parametrize("name", toys.some("hinge", "relativistic", of=losses.LOSSES))
def test_heads_of_a_trunk_are_exact_for_every_loss(name):
    definition.check(game(loss=losses.LOSSES[name]), toys.batch(8))


@pytest.mark.parametrize("shared_g", [("first",), ("last",)])
@pytest.mark.parametrize("shared_d", [(), ("trunk",), ("head",)])
def test_common_stages_first_or_last_on_either_side(shared_g, shared_d):
    definition.check(game(shared_g=shared_g, shared_d=shared_d), toys.batch(8))


@pytest.mark.parametrize("name", toys.some("own_and_mean", "ring", "mgd", "max", of=pairing.PAIRINGS))
def test_every_pairing_can_weigh_heads(name):
    M, N = (3, 5) if name == "local_and_global" else (4, 4)
    definition.check(game(M, N, pairing=pairing.PAIRINGS[name]()), toys.batch(8))


@pytest.mark.parametrize("coverage", ["split", "neighbours"])
def test_other_coverages(coverage):
    definition.check(game(4, 4, coverage=coverage, pairing=pairing.ring(1)), toys.batch(8))


def test_several_groups_and_a_separate_discriminator():
    played = Game(
        [Group(GENERATOR, 2, shared=("last",)), Group(toys.dense(3, 4, (2,)), 1)],
        [Group(TWO_STAGES, 2, shared=("trunk",)), Group(toys.dense(2, 5, ()), 1)],
        loss=losses.hinge,
        pairing=pairing.mean(),
        optimizer=optax.sgd(1.0),
        reals=8,
        fakes=4,
    )
    definition.check(played, toys.batch(8))


def test_a_masked_pair_has_no_influence_not_even_as_nan():
    # Generator 0 is broken and plays nobody: trunk, heads and the other generators must not notice.
    from ensgan.game import scoring
    from ensgan.game.round import play

    played = game(3, 2, pairing=pairing.mean())
    state = played.init(jax.random.key(0))
    bad = jax.tree.map(lambda leaf: leaf.at[0].set(jnp.nan), state.generators[0].params)
    sick = state._replace(generators=(state.generators[0]._replace(params=bad),))
    mask = jnp.array([[False, False], [True, False], [True, True]])

    @jax.jit
    def gradients(state):
        met = play(played, state, toys.batch(8), mask, jax.random.key(1))
        W = jnp.where(mask, 0.5, 0.0)
        weights = met.weights.here._replace(g=W, d=W)
        c = scoring.cotangents(met.loss, met.scores.logits, weights, met.meeting)
        grads, dx = scoring.one_backward(met.pulls.d, *c, met.view.collect)
        return grads, dx[1:]

    healthy, ill = gradients(state), gradients(sick)
    for a, b in zip(jax.tree.leaves(healthy), jax.tree.leaves(ill), strict=True):
        assert bool(jnp.isfinite(b).all())
        np.testing.assert_array_equal(a, b)


def test_what_is_common_is_stored_once_and_moves_once():
    played = game(shared_g=("last",), optimizer=optax.adam(1e-2))
    state = played.init(jax.random.key(0))
    (members,) = state.generators
    assert set(members.params) == {"first"}
    assert set(members.common.params) == {"last"}
    assert {len(leaf) for leaf in jax.tree.leaves(members.common.params)} == {1}
    new, _ = jax.jit(lambda s: step(played, s, toys.batch(8)))(state)
    last = whole(new.generators[0]).params["last"]
    assert all(bool((leaf == leaf[:1]).all()) for leaf in jax.tree.leaves(last))
    first = whole(new.generators[0]).params["first"]["w1"]
    assert not bool((first[0] == first[1]).all())


def test_random_signs_give_the_penalty_of_every_head_on_average():
    # Σ_j γ_j ‖∇ₓ h_j(t(x))‖² is what signs estimate; its gradient is divided by the number of heads in the trunk.
    played = game(3, 3, penalty=penalties.r1(jnp.array([0.5, 1.0, 2.0])), loss=losses.wasserstein)
    plain = game(3, 3, loss=losses.wasserstein)
    state = played.init(jax.random.key(0))
    batch = toys.batch(8)

    def value(params, scale):
        total = 0.0
        for j, gamma in enumerate((0.5, 1.0, 2.0)):
            mine = jax.tree.map(lambda leaf, j=j: leaf[j], params)
            slope = jax.vmap(
                jax.grad(lambda x, mine=mine: TWO_STAGES.apply(mine, {"trunk": {}, "head": {}}, x[None])[0][0])
            )(batch["x"])
            total += 0.5 * gamma * (slope**2).sum(axis=1).mean() / scale
        return total

    members = whole(state.discriminators[0]).params
    want = jax.grad(lambda p: value(p, 1.0))(members)
    want = {"head": want["head"], "trunk": jax.tree.map(lambda leaf: leaf.mean(axis=0), want["trunk"])}

    @jax.jit
    def moved(key):
        at = state._replace(key=key)
        a, b = (step(each, at, batch)[0].discriminators[0] for each in (played, plain))
        return jax.tree.map(lambda x, y: y - x, (a.params, a.common.params), (b.params, b.common.params))

    found = jax.vmap(moved)(jax.random.split(jax.random.key(2), 400))
    for name, got, right in (("head", found[0]["head"], want["head"]), ("trunk", found[1]["trunk"], want["trunk"])):
        for leaf, mean in zip(jax.tree.leaves(got), jax.tree.leaves(right), strict=True):
            leaf = np.asarray(leaf).reshape(400, *np.shape(mean))
            error = leaf.std(axis=0) / np.sqrt(400) + 1e-6
            assert (np.abs(leaf.mean(axis=0) - mean) < 5 * error).all(), name


def test_penalties_that_are_not_quadratic_are_paid_head_by_head():
    played = game(3, 3, penalty=penalties.gradient_penalty(1.0))
    state = played.init(jax.random.key(0))
    _, info = jax.jit(lambda s: step(played, s, toys.batch(8)))(state)
    assert info.penalty.shape == (3,)
    assert len(set(np.asarray(info.penalty).round(6).tolist())) == 3


def test_trunk_stands_for_all_stages_but_the_last():
    deep = networks.mlp_discriminator((2,), widths=(4, 4, 4))
    by_name = Group(deep, 2, shared=("hidden.0", "hidden.1", "hidden.2"))
    assert set(by_name.parts.common.names) >= {"hidden.0", "hidden.2"}
    assert Group(deep, 2, shared=("trunk",)).shared == by_name.shared
    assert Group(networks.mlp_discriminator((2,), widths=()), 2, shared=("trunk",)).shared == ()
    assert Group(TWO_STAGES, 2, shared=("trunk",)).shared == ("trunk",)
    with pytest.raises(InputError, match="unknown shared part 'trunk'; known: b, w1, w2"):
        Group(toys.dense(2, 4, ()), 2, shared=("trunk",))
