"""The cost of a training step on a mesh that you may not have: its program is compiled from shapes, never run.

Parameters, memory, FLOPs and traffic are those of the program that training runs (`program.trace`). Without a topology
it is compiled for devices that JAX has, or that `simulated.devices` makes up; with one, for TPUs that are not there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import mesh_utils, topologies
from jax.sharding import AxisType, Mesh

from ensgan.data import Source
from ensgan.data.libraries import reason
from ensgan.devices import mesh as meshes
from ensgan.devices.counting import Collective, collectives, flops_of, size_in_bytes
from ensgan.devices.division import choose
from ensgan.devices.mesh import AXES, Sizes
from ensgan.game.game import Game, check_source
from ensgan.game.placement import check_mesh, shardings, to_divide
from ensgan.game.program import loops, trace
from ensgan.game.state import State
from ensgan.types import InputError, Tree, out_of_memory


class Members(NamedTuple):
    """A group of members of one network."""

    name: str
    count: int
    parameters: int  # of one member


class Plan(NamedTuple):
    """The cost of one training step. FLOPs, bytes and collectives are those of one device; all devices do the same."""

    platform: str  # `cpu`, or the kind of accelerator
    jax: str
    mesh: Sizes
    members: tuple[Members, ...]
    reals: int
    fakes: int
    coverage: str
    update: str
    n_critic: int
    state_bytes: int  # of all members and of what they share, on one device; `whole_state_bytes` on all together
    whole_state_bytes: int
    data_bytes: int  # of the train split, or of the batch where data are streamed
    argument_bytes: int  # both, as the program counts them
    temporary_bytes: int
    peak_bytes: int
    flops: float
    collectives: tuple[Collective, ...]

    @property
    def parameters(self) -> int:
        """How many weights all members have together."""
        return sum(each.count * each.parameters for each in self.members)

    @property
    def travel(self) -> int:
        """Bytes that a device sends in a step."""
        return sum(each.travel for each in self.collectives)

    def seconds(self, bandwidth: float, peak: float) -> tuple[float, float]:
        """Time of communication and of computing, with `bandwidth` in bytes and `peak` in FLOPs, per device and second.

        Both are what a step takes at least, at those rates.
        """
        return self.travel / bandwidth, self.flops / peak

    def communication_share(self, bandwidth: float, peak: float) -> float:
        """The share of a step's time that goes into communication, in [0, 1], at those rates.

        Nothing is taken to overlap, so it is an upper bound for a device that computes at `peak`; one that computes
        more slowly spends a smaller share on it.
        """
        communicating, computing = self.seconds(bandwidth, peak)
        return communicating / (communicating + computing)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        rows = {key: [each._asdict() for each in getattr(self, key)] for key in ("members", "collectives")}
        totals = {"parameters": self.parameters, "travel": self.travel}
        return {**self._asdict(), **rows, **totals, "mesh": self.mesh._asdict()}


def plan(game: Game, source: Source, sizes: Sizes | None = None, *, topology: str | None = None) -> Plan:
    """The plan of one training step of a game.

    Args:
        game: what is played.
        source: batches; its arrays may be shapes alone, as in `data.outline`.
        sizes: the sizes of the mesh; None is the largest that fits the game on the devices there are, or of the
            topology.
        topology: TPUs to compile for, such as `v5e:4x4`, of which none need be there; None is the devices that JAX has.

    Raises:
        InputError: a mesh that does not fit, fewer devices than it takes, an unknown topology, no libtpu to compile for
            one, or a program that needs more memory than a device has.
    """
    check_source(game, source)
    devices = jax.devices() if topology is None else tpus(topology)
    sizes = choose(len(devices), to_divide(game)) if sizes is None else sizes
    check_mesh(game, sizes)
    loop = loops(game)
    if topology is not None:
        game, loop = _batched(game), True  # what `auto` stands for away from a CPU
    # Without a mesh for one device, as in training.
    mesh = _mesh(sizes, devices, topology) if topology is not None or sizes.devices > 1 else None

    traced = trace(game, source, mesh, loop=loop)
    with _quiet() if topology is not None else contextlib.nullcontext():
        compiled = _compiled(traced, topology)
    memory = compiled.memory_analysis()
    flops = flops_of(traced, compiled)
    platform = devices[0].platform
    peak = memory.argument_size_in_bytes + memory.temp_size_in_bytes
    peak += memory.output_size_in_bytes - memory.alias_size_in_bytes
    state = jax.eval_shape(lambda: game.init(jax.random.key(0)))
    whole = size_in_bytes(state)
    here = whole if mesh is None else _bytes_here(state, shardings(game, mesh, state))
    return Plan(
        platform=platform if platform == "cpu" else devices[0].device_kind,
        jax=jax.__version__,
        mesh=sizes,
        members=_members(game, state),
        reals=game.reals,
        fakes=game.fakes,
        coverage=game.coverage,
        update=game.update,
        n_critic=game.n_critic,
        state_bytes=here,
        whole_state_bytes=whole,
        data_bytes=_data_bytes(game, source, sizes),
        argument_bytes=memory.argument_size_in_bytes,
        temporary_bytes=memory.temp_size_in_bytes,
        peak_bytes=peak if platform == "cpu" else memory.peak_memory_in_bytes,
        flops=flops,
        collectives=collectives(traced.jaxpr, dict(zip(AXES, sizes, strict=True))),
    )


def tpus(topology: str) -> Sequence[Any]:
    """The devices of a TPU topology, to compile for; there need not be a TPU.

    Raises:
        InputError: there is no such topology, or no libtpu.
    """
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # it is only compiled with, so others may use it as well
    try:
        with _quiet():
            return topologies.get_topology_desc(topology, "tpu").devices
    except RuntimeError as error:
        why = reason(error).removeprefix("INVALID_ARGUMENT: ")
        if "not installed" in why:
            raise InputError("compiling for a TPU topology needs libtpu; pip install 'ensgan[tpu]'") from error
        raise InputError(
            f"the topology is {topology!r}: {why}; give a kind of TPU and its shape, such as v5e:4x4, v6e:8x8 or "
            "v5p:4x4x4"
        ) from error


def _batched(game: Game) -> Game:
    batched = lambda groups: [dataclasses.replace(g, execute="vmap") if g.execute == "auto" else g for g in groups]
    return dataclasses.replace(game, generators=batched(game.groups_g), discriminators=batched(game.groups_d))


def _mesh(sizes: Sizes, devices: Sequence[Any], topology: str | None) -> Mesh:
    if topology is None:
        return meshes.make(*sizes)
    if sizes.devices != len(devices):
        raise InputError(
            f"the mesh {sizes} takes {sizes.devices} devices, but the topology {topology} has {len(devices)}; "
            "give sizes with that product, or another topology"
        )
    try:
        grid = mesh_utils.create_device_mesh(tuple(sizes), devices=devices, allow_split_physical_axes=True)
    except (AssertionError, NotImplementedError):  # for some kinds of TPU it cannot order the devices
        grid = np.array(devices).reshape(sizes)
    return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * 2)


def _compiled(traced: Any, topology: str | None) -> Any:
    try:
        return traced.lower().compile()
    except jax.errors.JaxRuntimeError as error:
        if not out_of_memory(error):
            raise
        # Two ways to say it: "Used 24.00G of 15.75G hbm", "temporaries (24.00G) exceeds available HBM (15.75G)".
        said = re.search(r"([\d.]+) ?([KMGT])(?: of |\) exceeds available HBM \()([\d.]+) ?([KMGT])", str(error))
        needs = "does not fit into the memory of a device"
        if said is not None:
            needs = f"needs at least {said[1]} {said[2]}iB of memory per device, which has {said[3]} {said[4]}iB,"
        raise InputError(
            f"the program {needs} on {topology}; spread members over more devices, or lower --reals and --fakes"
        ) from error


def _members(game: Game, state: State) -> tuple[Members, ...]:
    rows = []
    each = lambda tree, count: sum(leaf.size for leaf in jax.tree.leaves(tree)) // count
    for side, groups in (("generators", game.groups_g), ("discriminators", game.groups_d)):
        for k, (group, members) in enumerate(zip(groups, getattr(state, side), strict=True)):
            rows.append(Members(f"{side}.{k}", group.count, each(members.params, group.count)))
            if group.parts is not None:
                rows.append(Members(f"{side}.{k} in common", 1, each(members.common.params, 1)))
    return tuple(rows)


def _data_bytes(game: Game, source: Source, sizes: Sizes) -> int:
    if source.draw is not None:
        return size_in_bytes(jax.eval_shape(lambda tree: tree, source.arrays["train"]))
    each = 4 * math.prod(source.shape) + 4 * (source.classes is not None)
    return game.n_critic * game.reals // sizes.data * each


def _bytes_here(tree: Tree, sharding: Tree) -> int:
    shares = jax.tree.map(lambda leaf, s: math.prod(s.shard_shape(leaf.shape)) * leaf.dtype.itemsize, tree, sharding)
    return sum(jax.tree.leaves(shares))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what libtpu writes to the standard error of the process."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
