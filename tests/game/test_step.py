"""One step equals its definition in plain loops, on every path of the kernel, and its invariances hold."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from schedule_cases import params
from toys import check, masked, run

from ensgan import augment, losses, optim, pairing, penalties
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.game.step import shares_backward, step
from ensgan.types import Augment, Claims, Roster, Schedule


@pytest.mark.parametrize("name", sorted(losses.LOSSES))
def test_one_backward_pass_gives_both_gradients_for_every_loss(name):
    game = toys.game(3, 2, loss=losses.LOSSES[name], pairing=pairing.own_and_mean(0.3))
    assert shares_backward(game)
    check(game, toys.batch())


MIXED = losses.per_member([losses.hinge, losses.minimax, losses.hinge], [losses.least_squares, losses.wasserstein])


@pytest.mark.parametrize(
    ("loss", "heads"), [(losses.mad(), (4,)), (losses.mgan(0.3), (4,)), (losses.d2(), ()), (MIXED, ())]
)
def test_losses_of_several_logits_and_of_pairs(loss, heads):
    game = toys.game(3, 2, loss=loss, heads=heads, pairing=pairing.own_and_mean(0.3), penalty=penalties.r1(0.0))
    assert shares_backward(game) == (not heads)
    check(game, toys.batch())


def test_shared_parts_move_together_by_the_mean_of_their_gradients():
    with jax.enable_x64(True):
        game, apart = (toys.game(3, 2, shared=shared, pairing=pairing.own_and_mean(0.3)) for shared in (("w2",), ()))
        state = game.init(jax.random.key(0))
        before = state.generators[0].params
        assert bool((before["w2"] == before["w2"][:1]).all())
        assert not bool((before["w1"] == before["w1"][:1]).all())
        batch = {"x": toys.batch()["x"].astype(jnp.float64)}
        after, alone = (run(g, state, batch)[0].generators[0].params for g in (game, apart))
        assert bool((after["w2"] == after["w2"][:1]).all())
        np.testing.assert_allclose(after["w1"], alone["w1"], atol=1e-12)
        moved = (alone["w2"] - before["w2"]).mean(axis=0)  # by steps of size 1
        np.testing.assert_allclose(after["w2"][0] - before["w2"][0], moved, atol=1e-12)


def test_who_does_not_play_might_as_well_not_be_there_and_who_does_not_learn_stays():
    def roster(M, N):
        return Roster(np.arange(M) < 2, np.arange(N) < 2, np.arange(M) < 1, np.arange(N) < 2)

    idle = Schedule(10, lambda game, state, source, num: state, claims=Claims(roster=roster))
    three = toys.game(3, 3, schedule=idle, pairing=pairing.softmax(1.0))
    two = toys.game(2, 2, pairing=pairing.softmax(1.0))
    state, small = three.init(jax.random.key(0)), two.init(jax.random.key(0))
    batch = {"x": toys.batch()["x"].at[0].set(0.5)}
    far = jax.tree.map(lambda leaf: leaf.at[2].set(1e6), state.generators[0].params)
    state = state._replace(generators=(state.generators[0]._replace(params=far),))
    (new, info), (want, _) = run(three, state, batch), run(two, small, batch)
    first = lambda members, k: jax.tree.map(lambda leaf: leaf[:k], members[0].params)
    toys.assert_close(first(new.discriminators, 2), first(want.discriminators, 2), 1e-6)
    toys.assert_close(first(new.generators, 1), first(want.generators, 1), 1e-6)
    toys.assert_close(
        jax.tree.map(lambda leaf: leaf[1], new.generators[0].params),
        jax.tree.map(lambda leaf: leaf[1], state.generators[0].params),
        0.0,
    )
    assert np.isnan(info.fool[2]).all()
    assert np.isnan(info.fool[:, 2]).all()


@pytest.mark.parametrize("plug", ["softmax", "max", "min", "dropout", "diagonal"])
def test_gradients_carry_the_weights_of_the_pairing(plug):
    M = 2 if plug == "diagonal" else 3
    check(toys.game(M, 2, pairing=pairing.PAIRINGS[plug]()), toys.batch())


def test_a_batch_coupled_discriminator_takes_two_pullbacks_and_is_right():
    game = toys.game(3, 2, coupled=True, pairing=pairing.own_and_mean(0.3), loss=losses.relativistic)
    assert not shares_backward(game)
    check(game, toys.batch())


def test_sharing_the_backward_pass_there_would_be_wrong():
    # The contract test must be able to fail: a coupled network that is declared uncoupled gets G's gradient wrong.
    game = toys.game(3, 2, coupled=True)
    lying = Group(game.groups_d[0].network._replace(batch_coupled=False), 2)
    with pytest.raises(AssertionError):
        check(
            Game(game.groups_g, [lying], pairing=pairing.mean(), optimizer=optax.sgd(1.0), batch_size=8), toys.batch()
        )


def test_several_architectures_on_both_sides():
    game = Game(
        [Group(toys.dense(3, 5, (2,)), 2), Group(toys.dense(4, 7, (2,)), 1)],
        [Group(toys.dense(2, 5, ()), 1), Group(toys.dense(2, 6, (), coupled=True), 2)],
        loss=losses.relativistic,
        pairing=pairing.own_and_mean(0.5),
        optimizer=optax.sgd(1.0),
        batch_size=8,
    )
    assert check(game, toys.batch()).loss_g.shape == (3, 3)


def test_own_reals_and_weights_of_reals():
    key = jax.random.key(1)
    batch = {"x": jax.random.normal(key, (2, 8, 2)), "weight": jax.random.uniform(key, (2, 8))}
    for loss in (losses.least_squares, losses.relativistic):
        check(toys.game(3, 2, loss=loss), batch)


@pytest.mark.parametrize("shift", [-40.0, 0.0, 40.0])
@pytest.mark.parametrize("name", ["minimax", "hinge", "relativistic"])
def test_saturated_discriminators_leave_both_gradients_right(name, shift):
    # A saturated discriminator has gradient 0 or near; the shared cotangent must neither blow up nor move it.
    game = toys.game(2, 2, loss=losses.LOSSES[name])
    state = game.init(jax.random.key(0))
    # Shifting the last weights by 40 would shift them out of the range in which a step of size 1 can be read off, so
    # the gradient is taken at a shifted bias of the hidden layer, which saturates it, and a scale of the logits.
    d = state.discriminators[0].params
    params = {**d, "b": d["b"] + 5.0, "w2": jnp.full_like(d["w2"], shift / 5)}
    state = state._replace(discriminators=(state.discriminators[0]._replace(params=params),))
    batch = toys.batch()
    new, info = run(game, state, batch)
    want_g, want_d = toys.reference(game, state, batch["x"], info.weight_g, info.weight_d, toys.latents(game, state))
    toys.assert_close(toys.taken(state.generators, new.generators, game.groups_g), want_g, 1e-5)
    toys.assert_close(toys.taken(state.discriminators, new.discriminators, game.groups_d), want_d, 1e-5)


def test_alternating_updates_discriminators_first_then_generators_against_them():
    game = toys.game(3, 2, update="alternating", n_critic=2)
    state = game.init(jax.random.key(0))
    batches = [toys.batch(seed=seed) for seed in (1, 2)]
    new, info = run(game, state, jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches))
    want = state
    for c, batch in enumerate(batches):
        z = toys.latents(game, state, c)
        _, grads = toys.reference(game, want, batch["x"], info.weight_g, info.weight_d, z)
        params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *grads)
        d = want.discriminators[0]
        d = d._replace(params=jax.tree.map(jnp.subtract, d.params, params))
        want = want._replace(discriminators=(d,))
    grads, _ = toys.reference(game, want, batches[-1]["x"], info.weight_g, info.weight_d, toys.latents(game, state, 2))
    toys.assert_close(new.discriminators[0].params, want.discriminators[0].params)
    toys.assert_close(toys.taken(state.generators, new.generators, game.groups_g), grads)


def test_one_against_one_is_a_plain_gan():
    check(toys.game(1, 1, loss=losses.minimax), toys.batch())


def test_the_diagonal_is_as_many_separate_games():
    # M independent games: what happens to one of them must not depend, in any bit that matters, on the others.
    batch = toys.batch()
    together = toys.game(2, 2, pairing=pairing.diagonal(), loss=losses.relativistic)
    state = together.init(jax.random.key(0))
    new, _ = run(together, state, batch)
    other = state.discriminators[0].params
    changed = {**other, "w1": other["w1"].at[1].add(3.0)}
    moved = state._replace(discriminators=(state.discriminators[0]._replace(params=changed),))
    new_moved, _ = run(together, moved, batch)
    first = lambda tree: jax.tree.map(lambda leaf: leaf[0], tree)
    toys.assert_close(first(new.generators[0].params), first(new_moved.generators[0].params), 0.0)
    toys.assert_close(first(new.discriminators[0].params), first(new_moved.discriminators[0].params), 0.0)


def test_permuting_discriminators_permutes_results():
    batch = toys.batch()
    game = toys.game(2, 3, pairing=pairing.softmax(2.0), penalty=penalties.r1(0.1))
    state = game.init(jax.random.key(0))
    order = jnp.array([2, 0, 1])
    permuted = state._replace(discriminators=jax.tree.map(lambda leaf: leaf[order], state.discriminators))
    new, info = run(game, state, batch)
    new_permuted, info_permuted = run(game, permuted, batch)
    toys.assert_close(jax.tree.map(lambda leaf: leaf[order], new.discriminators), new_permuted.discriminators, 1e-5)
    toys.assert_close(new.generators, new_permuted.generators, 1e-5)
    np.testing.assert_allclose(info.loss_g[:, order], info_permuted.loss_g, rtol=1e-5)


def test_what_is_not_played_is_not_reported_and_moves_no_strength():
    # D_1 plays nobody: its logits of zeros say nothing, so neither reports nor the adaptive strength may hold them.
    mask = masked([[True, False], [True, False]])
    game = toys.game(2, 2, pairing=mask, augment=Augment(lambda keys, x, strength: x, 0.5, target=0.0, ramp=80.0))
    state = game.init(jax.random.key(0))
    _, info = run(game, state, toys.batch())
    for matrix in (info.loss_g, info.loss_d, info.fool):
        np.testing.assert_array_equal(np.isnan(matrix), [[False, True], [False, True]])
    moved = []
    for offset in (-100.0, 0.0, 100.0):  # of the logits of D_1 on zeros
        params = {**state.discriminators[0].params, "b": state.discriminators[0].params["b"].at[1].add(offset)}
        other = state._replace(discriminators=(state.discriminators[0]._replace(params=params),))
        moved.append(float(run(game, other, toys.batch())[0].augment))
    assert len(set(moved)) == 1


def test_a_network_may_carry_state_and_generators_keep_an_average():
    base = toys.game(2, 2)
    game = Game(
        [Group(toys.dense(3, 5, (2,), state=True), 2)],
        [Group(toys.dense(2, 5, (), state=True), 2)],
        optimizer=optax.sgd(0.1),
        ema=0.9,
        batch_size=8,
    )
    state = game.init(jax.random.key(0))
    new, _ = run(game, state, toys.batch())
    np.testing.assert_array_equal(new.generators[0].state["calls"], [1, 1])
    np.testing.assert_array_equal(new.discriminators[0].state["calls"], [1, 1])
    # The decay of the first step is min(0.9, 1/10).
    want = 0.1 * state.generators[0].params["w1"] + 0.9 * new.generators[0].params["w1"]
    np.testing.assert_allclose(new.generators[0].average["w1"], want, rtol=1e-6)
    assert new.discriminators[0].average == ()
    del base


def test_adaptive_strength_moves_towards_its_target():
    image = Augment(lambda keys, x, strength: x, strength=0.0, target=-1.1, ramp=80.0)
    game = toys.game(2, 2, augment=image)
    new, _ = run(game, game.init(jax.random.key(0)), toys.batch())
    assert float(new.augment) == pytest.approx(0.1)  # signal above target: up by B / ramp = 8 / 80
    assert augment.AUGMENTS["adaptive"]().target is not None


def test_a_strength_that_is_known_beforehand_follows_its_course():
    game = toys.game(2, 2, augment=augment.noise(strength=0.4, start=0.2, horizon=2))
    state, seen = game.init(jax.random.key(0)), []
    for _ in range(3):
        seen.append(float(state.augment))
        state, info = run(game, state, toys.batch())
        assert float(info.augment) == pytest.approx(seen[-1])  # the one that this step used
    assert [*seen, float(state.augment)] == pytest.approx([0.2, 0.3, 0.4, 0.4])


def test_a_half_life_in_samples_gives_the_average_by_hand():
    decay = optim.half_life(100.0, seen=8, start=20.0, horizon=4)
    game = toys.game(1, 1, ema=decay)
    state = game.init(jax.random.key(0))
    want = np.asarray(state.generators[0].average["w1"])
    for t in range(3):
        state, _ = run(game, state, toys.batch(seed=t))
        life = 100 + (20 - 100) * 0.5 * (1 + np.cos(np.pi * t / 4))
        keep = min(0.5 ** (8 / life), (1 + t) / (10 + t))
        want = keep * want + (1 - keep) * np.asarray(state.generators[0].params["w1"])
    np.testing.assert_allclose(state.generators[0].average["w1"], want, rtol=1e-5)


def test_the_second_step_does_not_trace_again():
    game = toys.game(2, 2, penalty=penalties.r1(0.1, interval=2))
    fn, count = toys.traces(lambda s, b: step(game, s, b))
    fn = jax.jit(fn)
    state = game.init(jax.random.key(0))
    for seed in range(3):
        state, _ = fn(state, toys.batch(seed=seed))
    assert len(count) == 1
    assert int(state.step) == 3


def test_a_batch_without_weight_teaches_nothing_of_the_data_and_breaks_nobody():
    # In late stages of a cascade, a batch may hold none of the samples that are left.
    for loss in (losses.non_saturating, losses.relativistic):
        game = toys.game(2, 2, loss=loss)
        state, batch = game.init(jax.random.key(0)), toys.batch()
        new, info = step(game, state, {**batch, "weight": jnp.zeros(8)})
        assert int(new.fault[0]) == -1
        assert (params(new, "discriminators") != params(state, "discriminators")).any() == (not loss.relativistic)
        assert np.isfinite(np.asarray(info.loss_d)).all()
