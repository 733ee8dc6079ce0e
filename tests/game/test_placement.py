"""Games with common stages on a mesh: what is common is on every device, and heads share the samples of `member`."""

import dataclasses

import jax
import numpy as np
import optax
import pytest
import toys
from collectives import collectives

from ensgan import losses, networks, pairing, penalties
from ensgan.data import from_arrays
from ensgan.devices import mesh
from ensgan.devices.mesh import Sizes
from ensgan.game.game import Game
from ensgan.game.placement import check_mesh, start
from ensgan.game.population import Group
from ensgan.game.program import Program
from ensgan.types import InputError

POINTS = np.random.default_rng(0).normal(size=(200, 2))
LABELS = np.arange(200) % 3
GENERATOR = networks.chain(first=toys.dense(3, 5, (4,)), last=toys.dense(4, 6, (2,)))


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def plain(state):
    return jax.tree.map(np.asarray, state._replace(key=jax.random.key_data(state.key)))


def compare(game, sizes, source=None, steps=20, tolerance=1e-9):
    """Twenty steps on a mesh are those of one device."""
    source = from_arrays("points", POINTS) if source is None else source
    alone, report = Program(game, source)(start(game), steps)
    there = mesh.make(*sizes)
    state, info = Program(game, source, there)(start(game, 0, there), steps)
    toys.assert_close(plain(state), plain(alone), tolerance)
    seen = lambda info: jax.tree.map(lambda leaf: np.nan_to_num(np.asarray(leaf), nan=-1.0), info)
    toys.assert_close(seen(info), seen(report), tolerance)
    return state


def game(M=4, N=4, shared_g=(), shared_d=("trunk",), logits=(), **settings):
    settings = {
        "loss": losses.relativistic,
        "pairing": pairing.own_and_mean(0.3),
        "optimizer": optax.adam(1e-2),
        "reals": 16,
        "fakes": 4,
        **settings,
    }
    generators = [Group(GENERATOR, M, shared=shared_g)]
    net = networks.trunk_and_heads(toys.dense(2, 6, (4,)), toys.dense(4, 5, logits))
    return Game(generators, [Group(net, N, shared=shared_d, execute="vmap")], **settings)


CASES = {
    "penalties in one pullback": ((4, 2), {"penalty": penalties.r1_r2(0.1)}),
    "penalties of uneven weights": ((2, 2), {"penalty": penalties.r1_r2(0.1), "pairing": pairing.nash()}),
    "penalties head by head": ((2, 2), {"penalty": [penalties.gradient_penalty(0.1), penalties.r1(0.1, interval=3)]}),
    "one real for each fake": ((2, 2), {"compare": "one"}),
    "as many fakes as reals": ((4, 1), {"fakes": 16, "loss": losses.hinge}),
    "pairs that are not played": ((2, 2), {"pairing": pairing.diagonal(), "penalty": penalties.r2(0.1)}),
    "weights that follow losses": ((4, 2), {"pairing": pairing.softmax(2.0, own=0.5)}),
    "several logits": ((2, 2), {"loss": losses.mgan(0.5), "logits": (5,)}),
    "alternating": ((2, 2), {"update": "alternating", "n_critic": 2, "penalty": penalties.r1_r2(0.1)}),
    "more heads than devices divide": ((4, 2), {"N": 3, "pairing": pairing.mean(), "penalty": penalties.r2(0.1)}),
    "common stages of both sides": ((2, 2), {"shared_g": ("last",), "penalty": penalties.r1_r2(0.1)}),
    "common stages of generators": ((2, 2), {"shared_g": ("first",), "shared_d": (), "penalty": penalties.r1(0.1)}),
}
SOME = ("penalties in one pullback", "penalties of uneven weights", "common stages of both sides", "alternating")


@pytest.mark.parametrize("name", toys.some(*SOME, of=CASES))
def test_a_mesh_plays_what_one_device_plays(float64, name):
    sizes, settings = CASES[name]
    compare(game(**settings), sizes)


def compiled(sizes):
    """The step of eight generators and eight heads on images, with as many reals as fakes in all."""
    played = Game(
        [Group(networks.mlp(16, (256, 256), 784), 8)],
        [Group(networks.mlp(784, (256, 256), 1), 8, execute="vmap", shared=("trunk",))],
        loss=losses.relativistic,
        pairing=pairing.own_and_mean(0.5),
        penalty=penalties.r1_r2(0.1),
        reals=512,
    )
    source = from_arrays("images", np.zeros((1000, 784), np.float32))
    there = mesh.make(*sizes) if sizes else None
    program = Program(played, source, there)
    program.compile(start(played, 0, there))
    return program._run


def test_a_trunk_is_not_repeated_along_member():
    alone, spread_out = compiled(None), compiled((8, 1))
    share = spread_out.cost_analysis()["flops"] / alone.cost_analysis()["flops"]
    assert share == pytest.approx(1 / 8, rel=0.02)

    found = sorted(collectives(spread_out.as_text()), key=lambda each: -each[1])
    weights = 784 * 256 + 256 * 256 + 256 + 256 + 8 * (256 + 1)  # of the trunk and all heads
    assert found[0][0] == "all-reduce"
    assert found[0][1] == pytest.approx(4 * weights, rel=0.001)
    # The logits of all reals, their gradients, and matrices: no fakes, whose 64 on each device have 200,704 bytes.
    assert sum(size for _, size in found[1:]) < 3 * 4 * 8 * 512


def test_errors_name_the_meshes_that_fit():
    with pytest.raises(
        InputError, match=r"reals is 16, .* member=4,data=8, which spreads the reals of heads over both"
    ):
        check_mesh(game(fakes=8), Sizes(4, 8))
    with pytest.raises(InputError, match=r"give reals=32, or the mesh data=1 or 2 or 4"):
        check_mesh(game(fakes=8), Sizes(4, 8))
    with pytest.raises(InputError, match=r"coverage 'split', so members .* use member=1 and spread samples over data"):
        check_mesh(game(coverage="split"), Sizes(2, 1))
    with pytest.raises(InputError, match="asks for the gradients of all pairs of heads"):
        check_mesh(game(pairing=pairing.mgd()), Sizes(2, 1))
    one = Group(toys.dense(2, 5, ()), 2)
    mixed = game()
    mixed = dataclasses.replace(mixed, discriminators=[*mixed.groups_d, one], pairing=pairing.mean())
    with pytest.raises(InputError, match="some groups of discriminators have a trunk, and others do not"):
        check_mesh(mixed, Sizes(2, 1))


def test_members_that_do_not_fit_are_refused_before_they_are_made():
    wide = Game(
        [Group(networks.mlp(2, (2**38,), 2), 2)],
        [Group(networks.mlp(2, (4,), 1), 2)],
        loss=losses.hinge,
        pairing=pairing.mean(),
        reals=8,
    )
    with pytest.raises(
        InputError, match=r"the state of all members needs .* GiB, .*; lower their number, or the widths"
    ):
        start(wide)


def test_too_many_small_members_are_refused_before_anything_is_made_for_each():
    groups = [Group(networks.mlp(2, (4,), 2), 2**36)], [Group(networks.mlp(2, (4,), 1), 2)]
    with pytest.raises(InputError, match=r"the state of all members needs .* GiB"):
        start(Game(*groups, loss=losses.hinge, pairing=pairing.mean(), reals=8))
