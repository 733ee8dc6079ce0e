"""A plan says of a program that never runs what the real one takes: work, memory and traffic, on the same mesh."""

import dataclasses
import functools
import importlib.util
import os
import resource

import jax
import numpy as np
import optax
import pytest
import toys
from collectives import collectives as in_text

from ensgan import data, networks, pairing
from ensgan.data import from_arrays
from ensgan.devices import counting, mesh
from ensgan.devices.mesh import Sizes
from ensgan.game.game import Game
from ensgan.game.placement import start
from ensgan.game.population import Group
from ensgan.game.program import Program
from ensgan.runs.plan import Plan, plan, tpus
from ensgan.types import InputError

POINTS = np.zeros((100, 2), np.float32)
FULL = toys.game(4, 4, batch_size=32, hidden=16, pairing=pairing.softmax(1.0), optimizer=optax.sgd(0.1, momentum=0.9))
SPLIT = dataclasses.replace(FULL, coverage="split")
ALTERNATING = dataclasses.replace(FULL, update="alternating", n_critic=2)
RESIDENT = from_arrays("points", POINTS)
STREAMED = dataclasses.replace(RESIDENT, draw=None, read=lambda step, size: {"x": POINTS[:size]}, arrays={})
CASES = {
    "full": (FULL, RESIDENT, Sizes(4, 2)),
    "split": (SPLIT, RESIDENT, Sizes(4, 2)),
    "alternating, streamed": (ALTERNATING, STREAMED, Sizes(2, 2)),
    "one device": (toys.game(2, 2), RESIDENT, Sizes()),
}


@functools.cache
def planned(name):
    return plan(*CASES[name])


def really(game, source, sizes):
    """The compiled program that trains, and how many bytes its state and data take on the first device."""
    there = mesh.make(*sizes) if sizes.devices > 1 else None
    state, program = start(game, 0, there), Program(game, source, there)
    program.compile(state)
    feed = program._batches(0) if program.streamed else program.arrays
    here = lambda leaf: leaf.addressable_shards[0].data.nbytes
    state = state._replace(key=jax.random.key_data(state.key))
    return program._run, [sum(map(here, jax.tree.leaves(tree))) for tree in (state, feed)]


@pytest.mark.parametrize(
    "name", [name if name in ("full", "one device") else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_a_plan_is_what_the_program_takes(name):
    game, source, sizes = CASES[name]
    found = planned(name)
    program, (state_bytes, data_bytes) = really(game, source, sizes)
    assert found.flops == program.cost_analysis()["flops"]
    memory = program.memory_analysis()
    assert (found.argument_bytes, found.temporary_bytes) == (memory.argument_size_in_bytes, memory.temp_size_in_bytes)
    assert (found.state_bytes, found.data_bytes) == (state_bytes, data_bytes)
    number_of_steps = 4 if source.draw else 0
    assert found.argument_bytes == state_bytes + data_bytes + number_of_steps
    assert found.peak_bytes > found.argument_bytes

    said = {kind: 0 for kind, _ in in_text(program.as_text())}
    for kind, size in in_text(program.as_text()):
        said[kind] += size * (sizes.member if kind == "reduce-scatter" else 1)  # the text says what is left of it
    sent = dict.fromkeys(said, 0)
    for row in found.collectives:
        sent[row.kind] += row.bytes
        g = dict(zip(mesh.AXES, sizes, strict=True))[row.axis]
        ring = row.bytes * (g - 1) / g * (2 if row.kind == "all-reduce" else 1)
        assert row.travel == pytest.approx(ring, abs=row.number)  # each array is rounded
    # A compiler also leaves out some matrices and flags of the earlier updates, which are needed for nothing.
    assert sent == (said if game.update == "simultaneous" else pytest.approx(said, abs=256))
    assert bool(said) == (sizes.devices > 1)


def test_parameters_and_state_are_counted_by_hand():
    found = planned("full")
    each = (3 * 16 + 16 + 16 * 2, 2 * 16 + 16 + 16)
    assert [row[1:] for row in found.members] == [(4, each[0]), (4, each[1])]
    assert found.parameters == 4 * sum(each)
    # Weights, their momentum, an average of generators; then what all devices hold.
    members = 4 * 4 * (3 * each[0] + 2 * each[1])
    shared = 4 * (4 * 4 + 1 + 4 * 8 + 1 + 4 + 1 + 2)  # payoff, augment, ratings, rated, fault, step, key
    assert found.whole_state_bytes == members + shared
    assert found.state_bytes == members // 4 + shared


def test_the_share_of_communication():
    sent = (counting.Collective("all-gather", "member", 1, 8, 10**6),)
    found = Plan(**{**dict.fromkeys(Plan._fields), "flops": 3e9, "collectives": sent})
    assert found.seconds(bandwidth=1e9, peak=1e12) == pytest.approx((1e-3, 3e-3))
    assert found.communication_share(bandwidth=1e9, peak=1e12) == pytest.approx(0.25)
    assert found._replace(collectives=()).communication_share(1e9, 1e12) == 0


def test_nothing_is_allocated():
    wide = Group(networks.mlp(4, (2**15, 2**15), 2), 8), Group(networks.mlp(2, (2**15, 2**15), 1), 8)
    game, source = Game(*wide, batch_size=64, optimizer=FULL.optimizer), RESIDENT
    kept, before = jax.live_arrays(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # of earlier tests
    found = plan(game, source, Sizes(8, 1))
    assert found.whole_state_bytes > 160 * 2**30
    assert found.state_bytes == pytest.approx(found.whole_state_bytes / 8, rel=1e-3)
    assert {id(array) for array in jax.live_arrays()} <= {id(array) for array in kept}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # KiB


# The command


# TPUs that are not there

LIBTPU = importlib.util.find_spec("libtpu") is not None or "TPU_LIBRARY_PATH" in os.environ
needs_libtpu = pytest.mark.skipif(not LIBTPU, reason="libtpu is not installed")


@needs_libtpu
def test_a_plan_for_tpus(capfd):
    game, source, sizes = CASES["split"]
    there, here = plan(game, source, sizes, topology="v5e:2x4"), planned("split")
    assert there.platform == "TPU v5 lite"
    assert (there.collectives, there.state_bytes) == (here.collectives, here.state_bytes)
    assert 0.5 < there.flops / here.flops < 2
    assert there.peak_bytes >= there.state_bytes + there.data_bytes
    assert plan(toys.game(2, 2), source, topology="v4:1x1x1").mesh == Sizes(2, 1)  # two cores
    assert capfd.readouterr() == ("", "")


@needs_libtpu
def test_wrong_topologies_and_what_does_not_fit():
    for name in ("nonsense", "v9:2x2"):
        with pytest.raises(InputError, match=rf"the topology is '{name}': .* such as v5e:4x4, v6e:8x8 or v5p:4x4x4"):
            tpus(name)
    with pytest.raises(InputError, match="takes 2 devices, but the topology v5e:2x2 has 4; give sizes with that pro"):
        plan(FULL, RESIDENT, Sizes(2, 1), topology="v5e:2x2")
    wide = Game(Group(networks.mlp(2, (2**15, 2**15), 2), 4), Group(networks.mlp(2, (8,), 1), 4), batch_size=8)
    with pytest.raises(
        InputError, match=r"needs at least [\d.]+ GiB of memory per device, which has 15.75 GiB, on v5e"
    ):
        plan(wide, data.gaussian_ring(), Sizes(4, 1), topology="v5e:2x2")


def test_members_that_are_computed_again_cost_a_forward_pass_more():
    again = lambda groups: [dataclasses.replace(group, remat=True) for group in groups]
    game = dataclasses.replace(FULL, generators=again(FULL.groups_g), discriminators=again(FULL.groups_d))
    assert 1 < plan(game, RESIDENT, Sizes()).flops / plan(FULL, RESIDENT, Sizes()).flops < 1.5
