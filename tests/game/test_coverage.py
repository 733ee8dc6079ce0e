"""Split coverage: every sample goes to one discriminator, and what follows is right and costs the same for any N."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from labelled import conditional

from ensgan import losses, networks, pairing, penalties
from ensgan.data import from_arrays
from ensgan.devices import mesh
from ensgan.game import coverage, scoring
from ensgan.game.forward import score
from ensgan.game.game import Game
from ensgan.game.population import Group, member_keys
from ensgan.game.program import Program
from ensgan.game.step import step
from ensgan.types import Evidence, InputError

M, N, B = 3, 2, 8
b = B // N


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def gradients(game, state, batch):
    """What one step of size 1 takes, one tree per member."""
    new, _ = jax.jit(lambda s, x: step(game, s, x))(state, batch)
    return (
        toys.taken(state.generators, new.generators, game.groups_g),
        toys.taken(state.discriminators, new.discriminators, game.groups_d),
    )


@pytest.mark.parametrize("loss", [losses.non_saturating, losses.relativistic], ids=["plain", "relativistic"])
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("own_reals", [False, True])
def test_gradients_are_those_of_the_definition(float64, loss, coupled, own_reals):
    game = toys.game(M, N, loss=loss, pairing=pairing.own_and_mean(0.3), coverage="split", coupled=coupled)
    state = game.init(jax.random.key(0))
    real = jax.random.normal(jax.random.key(3), (N, B, 2) if own_reals else (B, 2))
    weight = jax.random.uniform(jax.random.key(4), (B,))
    z = toys.latents(game, state)
    W, P, _ = game.pairing.after((), _all_played(), None)
    gs, ds = toys.members(game.groups_g, state.generators), toys.members(game.groups_d, state.discriminators)
    block = [slice(j, None, N) for j in range(N)]  # sample b goes to discriminator b modulo N
    share = [weight[s] / weight[s].sum() for s in block]

    def fake(i, params, j):
        return gs[i][0].apply(params, gs[i][2], z[i])[0][block[j]]

    def logits(j, params, x):
        return ds[j][0].apply(params, ds[j][2], x)[0]

    def pair(kind, i, j, params_g, params_d):
        s = logits(j, params_d, fake(i, params_g, j))
        r = logits(j, params_d, (real[j] if own_reals else real)[block[j]])
        weights = share[j] if loss.relativistic else 1.0 / b
        return (weights * getattr(loss, kind)(s, r)).sum(), (share[j] * loss.real(r)).sum()

    def loss_g(params, i):
        return sum(W[i, j] * pair("generator", i, j, params, ds[j][1])[0] for j in range(N))

    def loss_d(params, j):
        on_fakes = sum(P[i, j] * pair("fake", i, j, gs[i][1], params)[0] for i in range(M))
        return on_fakes + pair("fake", 0, j, gs[0][1], params)[1]

    @jax.jit
    def wanted():
        return (
            [jax.grad(loss_g)(gs[i][1], i) for i in range(M)],
            [jax.grad(loss_d)(ds[j][1], j) for j in range(N)],
        )

    got = gradients(game, state, {"x": real, "weight": weight})
    for have, want in zip(got, wanted(), strict=True):
        for a, c in zip(have, want, strict=True):
            toys.assert_close(a, c, 1e-9)


def _all_played():
    zero = jnp.zeros((M, N))
    return Evidence(zero, zero, zero, jnp.ones((M, N), bool), None, None, jnp.int32(0))


@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_with_one_discriminator_it_is_full_coverage(float64, update):
    settings = {"update": update, "penalty": [penalties.r1_r2(0.3), penalties.gradient_penalty(0.1)]}
    full, split = (toys.game(2, 1, coverage=coverage, **settings) for coverage in ("full", "split"))
    state = full.init(jax.random.key(0))
    batch = toys.batch()
    a = jax.jit(lambda s: step(full, s, batch))(state)
    c = jax.jit(lambda s: step(split, s, batch))(state._replace(running=jnp.zeros((3, 2, 1))))
    toys.assert_close(c[0].generators, a[0].generators, 1e-12)
    toys.assert_close(c[0].discriminators, a[0].discriminators, 1e-12)
    toys.assert_close(c[1], a[1], 1e-12)
    np.testing.assert_allclose(c[0].running[0], c[1].loss_g)


def test_pairings_see_running_means():
    points = from_arrays("points", np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32))
    game = toys.game(M, N, coverage="split", pairing=pairing.softmax(2.0), optimizer=optax.sgd(0.0))
    program = Program(game, points)
    state, info = program(game.init(jax.random.key(0)), 3)
    measured = jnp.stack([info.loss_g, info.loss_d, info.fool])  # means over three steps of members that stand still
    np.testing.assert_allclose(state.running, measured, rtol=1e-5)
    _, last = program(state, 1)
    np.testing.assert_allclose(last.weight_g.sum(1), 1.0, rtol=1e-5)
    running = 0.75 * measured[0] + 0.25 * last.loss_g
    np.testing.assert_allclose(last.weight_g, jax.nn.softmax(2.0 * running, axis=1), rtol=1e-4)


def test_the_discriminators_work_does_not_grow_with_their_number():
    def work(N):
        group = Group(toys.dense(2, 32, ()), N)
        members = Game([Group(toys.dense(3, 4, (2,)), 4)], [group]).init(jax.random.key(0)).discriminators
        keys = member_keys(jax.random.key(0), jnp.arange(N))

        def both(members, fake, real, c, c_r):
            view = scoring.View(coverage.deal(fake, N, 1), True, 256 // N, *[None] * 6)
            reals = scoring.Reals(coverage.deal(real, N), None, None)
            _, _, (pull,) = score((group,), members, view, reals, keys)
            return pull.both(c, c, c_r)

        shapes = [(4, 256, 2), (256, 2), (4, N, 256 // N), (N, 256 // N)]
        arrays = [jnp.ones(shape) for shape in shapes]
        return jax.jit(both).lower(members, *arrays).compile().cost_analysis()["flops"]

    assert work(16) <= 1.05 * work(4)


def test_labels_and_masks_are_dealt_as_well():
    labelled = toys.dense(2, 5, ())
    apply = lambda params, state, x, *, label=None, train=False, rng=None: (
        labelled.apply(params, state, x)[0] + jnp.where(label == 1, 1.0, -1.0),
        state,
    )
    here = pairing.mean()._replace(before=lambda state, key, M, N: jnp.eye(M, N, dtype=bool))
    game = Game(
        [Group(toys.dense(3, 5, (2,)), 2)],
        [Group(labelled._replace(apply=apply), 2)],
        batch_size=B, coverage="split", pairing=here, penalty=penalties.r1_r2(0.1),
    )  # fmt: skip
    batch = {**toys.batch(), "label": jnp.arange(B) % 2}
    new, info = jax.jit(lambda s: step(game, s, batch))(game.init(jax.random.key(0)))
    assert int(new.fault[0]) == -1
    np.testing.assert_array_equal(np.isnan(info.loss_g), ~np.eye(2, dtype=bool))
    assert np.isfinite(info.penalty).all()


def test_games_that_cannot_be_dealt_are_refused():
    with pytest.raises(InputError, match=r"among 3 .* batch_size is 8; .* batch_size=6 or 9"):
        toys.game(2, 3, coverage="split")
    asks = pairing.mean()._replace(asks=frozenset({"gram"}))
    with pytest.raises(InputError, match="needs every discriminator on the same samples"):
        toys.game(2, 2, coverage="split", pairing=asks)
    with pytest.raises(InputError, match="unknown coverage 'half'; known: full, neighbours, split"):
        toys.game(2, 2, coverage="half")


@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_neighbours_are_the_masked_game_at_their_own_cost(float64, update):
    table = jnp.array([[0, 2], [1, -1], [2, 1]], jnp.int32)  # of discriminators; the second one meets one generator
    here = pairing.softmax(1.0)._replace(before=lambda state, key, M, N: table)
    settings = {"update": update, "pairing": here, "penalty": penalties.r1(0.3), "loss": losses.relativistic}
    full, near = (toys.game(3, 3, coverage=coverage, **settings) for coverage in ("full", "neighbours"))
    state, batch = full.init(jax.random.key(0)), toys.batch()
    a = jax.jit(lambda s: step(full, s, batch))(state)
    c = jax.jit(lambda s: step(near, s, batch))(state)
    toys.assert_close(c[0].generators, a[0].generators, 1e-12)
    toys.assert_close(c[0].discriminators, a[0].discriminators, 1e-12)
    played = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 1]], bool)
    for field, got, want in zip(c[1]._fields, c[1], a[1], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12, err_msg=field)
    np.testing.assert_array_equal(np.isnan(c[1].loss_g), ~played)


def test_fakes_of_penalties_come_from_neighbours():
    # With P on one generator, R2 on its fakes is the same whoever else is a neighbour.
    only = lambda state, evidence, key: (*pairing.diagonal().after((), evidence, key)[:2], ())
    table = jnp.array([[0, 1], [1, 0]], jnp.int32)
    plug = pairing.mean()._replace(before=lambda state, key, M, N: table, after=only)
    near = toys.game(2, 2, coverage="neighbours", pairing=plug, penalty=penalties.r2(1.0))
    alone = toys.game(2, 2, pairing=pairing.diagonal(), penalty=penalties.r2(1.0))
    state, batch = near.init(jax.random.key(0)), toys.batch()
    a, b = (jax.jit(lambda s, g=g: step(g, s, batch))(state)[1].penalty for g in (near, alone))
    np.testing.assert_allclose(a, b, rtol=1e-5)


def test_neighbours_cost_what_they_are_and_nothing_dense_is_built():
    M, B, F = 16, 64, 128

    def game(coverage):
        nets = networks.mlp(4, (8,), (F,)), networks.mlp((F,), (32,), ())
        return Game(
            [Group(nets[0], M)], [Group(nets[1], M, execute="vmap")],
            pairing=pairing.ring(), coverage=coverage, batch_size=B,
        )  # fmt: skip

    def flops(coverage):
        g = game(coverage)
        state = jax.eval_shape(g.init, jax.random.key(0))
        run = jax.jit(lambda s, x: step(g, s, {"x": x}))
        lowered = run.lower(state, jax.ShapeDtypeStruct((B, F), jnp.float32))
        return lowered.compile().cost_analysis()["flops"], lowered.as_text()

    (full, _), (near, text) = flops("full"), flops("neighbours")
    assert near < 0.3 * full  # 3 of 16 opponents, and what both have in common
    sizes = [int(np.prod([int(n) for n in found.split("x")])) for found in re.findall(r"tensor<([\dx]+)xf32>", text)]
    assert max(sizes) < M * M * B * F / 2


def test_neighbours_need_a_pairing_that_names_them():
    with pytest.raises(InputError, match="this one names none; use ring, grid or random"):
        toys.game(2, 2, coverage="neighbours")
    wrong = pairing.mean()._replace(before=lambda state, key, M, N: jnp.zeros((M, 5)))
    with pytest.raises(
        InputError, match=r"gives float32 of shape \(3, 5\); .* bool mask \[3, 2\], or int32 opponents \[2, k\]"
    ):
        toys.game(3, 2, pairing=wrong)


def test_labels_are_dealt_like_fakes_and_reals():
    game = conditional(2, 4, coverage="split")
    label = jnp.arange(8)
    real = jnp.stack([label, label], axis=1).astype(float)
    split = coverage.COVERAGES["split"]
    x, tags = (split.reals(each, False, 4, jnp.arange(4)) for each in (real, label))
    np.testing.assert_array_equal(x[..., 0], tags)
    view = split.see(game.groups_g, game.groups_d, jnp.stack([real, real]), None, mesh.ALONE)
    np.testing.assert_array_equal(view.fake[:, :, :, 0], np.broadcast_to(tags[:, None], (4, 2, 2)))
