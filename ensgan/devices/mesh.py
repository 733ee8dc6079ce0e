"""Device meshes: which members and samples each device holds, and the collectives between devices.

A mesh has two axes. Members of both sides are spread over `member`, samples of every batch over `data`. A step runs as
one `shard_map` with all axes manual: a device makes the fakes of its own generators (`gather` brings them to every
discriminator), pulls back through its own discriminators (`scatter_sum` brings the gradients home), and shares its
members with the devices that hold other samples (`sum_data`). Left to the partitioner, batched convolutions would
gather the weights and activations of the whole ensemble on every device.

Whatever is drawn is keyed by the number of a member and of a sample in the whole game, so results do not depend on the
mesh. Only what a network draws for itself (dropout) is another draw on another number of devices along `data`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ensgan.types import Array, InputError, Tree

MEMBER, DATA = AXES = ("member", "data")
Counts = Sequence[int]  # how many members each group has, on all devices together


class Sizes(NamedTuple):
    """How many devices along each axis."""

    member: int = 1
    data: int = 1

    @property
    def devices(self) -> int:
        """How many devices in all."""
        return self.member * self.data

    def __str__(self) -> str:
        """As on the command line."""
        return f"member={self.member},data={self.data}"


class Place(NamedTuple):
    """One device's share of the members and samples, and the collectives that join it to the others.

    Methods are called inside a `shard_map` over a mesh of these sizes. Along an axis of size 1 they do nothing, so the
    step of one device is the same code, and needs no mesh.
    """

    sizes: Sizes = Sizes()

    def here(self, count: int) -> int:
        """How many of a group's `count` members are on this device."""
        return count // self.sizes.member

    def numbers(self, first: int, count: int) -> Array:
        """The numbers of those members, int32 `[here]`; `first` is that of the group's first member."""
        return first + _share(MEMBER, self.sizes.member, count)

    def samples(self, size: int) -> Array:
        """The numbers of this device's samples of a batch of `size`, int32 `[size / data]`."""
        return _share(DATA, self.sizes.data, size)

    def sum_data(self, tree: Tree) -> Tree:
        """Sums over devices that hold the same members and other samples."""
        return jax.lax.psum(tree, DATA) if self.sizes.data > 1 else tree

    def mean_data(self, tree: Tree) -> Tree:
        """Means over those devices, of floating-point leaves; others are left as they are."""
        if self.sizes.data == 1:
            return tree
        inexact = lambda leaf: jnp.issubdtype(leaf.dtype, jnp.inexact)
        return jax.tree.map(lambda leaf: jax.lax.pmean(leaf, DATA) if inexact(leaf) else leaf, tree)

    def sum_members(self, tree: Tree) -> Tree:
        """Sums over devices that hold other members and the same samples."""
        return jax.lax.psum(tree, MEMBER) if self.sizes.member > 1 else tree

    def own_key(self, key: Array) -> Array:
        """A key for draws that have no sample number of their own, such as dropout inside a network."""
        return jax.random.fold_in(key, jax.lax.axis_index(DATA)) if self.sizes.data > 1 else key

    def gather(self, x: Array, counts: Counts) -> Array:
        """`[here, ...]` of every device as `[all, ...]`, in the order of members' numbers."""
        if self.sizes.member == 1:
            return x
        return self._by_number(jax.lax.all_gather(x, MEMBER), counts)

    def scatter_sum(self, x: Array, counts: Counts) -> Array:
        """`[all, ...]`, summed over devices, as `[here, ...]` of this device."""
        if self.sizes.member == 1:
            return x
        return jax.lax.psum_scatter(self._by_device(x, counts), MEMBER, scatter_dimension=0)

    def swap(self, x: Array, give: Counts, take: Counts) -> Array:
        """`[all of one side, here of the other, ...]` as `[here of the one, all of the other, ...]`.

        Args:
            x: what every device holds.
            give: groups along axis 0, of which this device keeps its own.
            take: groups along axis 1, of which it gets all.
        """
        if self.sizes.member == 1:
            return x
        x = jax.lax.all_to_all(self._by_device(x, give), MEMBER, split_axis=0, concat_axis=0)
        return self._by_number(jnp.moveaxis(x, 1, 2), take).swapaxes(0, 1)

    def _by_device(self, x: Array, counts: Counts) -> Array:
        """`[all, ...]` in the order of numbers as `[devices, here, ...]`."""
        groups = jnp.split(x, [sum(counts[:k]) for k in range(1, len(counts))]) if len(counts) > 1 else [x]
        return jnp.concatenate([g.reshape(self.sizes.member, -1, *x.shape[1:]) for g in groups], axis=1)

    def _by_number(self, x: Array, counts: Counts) -> Array:
        """`[devices, here, ...]` as `[all, ...]` in the order of numbers."""
        here = [self.here(count) for count in counts]
        groups = jnp.split(x, [sum(here[:k]) for k in range(1, len(here))], axis=1) if len(here) > 1 else [x]
        return jnp.concatenate([g.reshape(-1, *x.shape[2:]) for g in groups])


ALONE = Place()


def _share(axis: str, devices: int, count: int) -> Array:
    here = count // devices
    first = jax.lax.axis_index(axis) * here if devices > 1 else 0
    return first + jnp.arange(here)


def data_axis() -> str | None:
    """The axis over which samples of one batch are spread where this is called, or None where they are together."""
    try:
        return DATA if jax.lax.axis_size(DATA) > 1 else None
    except NameError:  # outside a mesh
        return None


def parse(text: str) -> Sizes | None:
    """Sizes from `member=4,data=2`; an axis that is left out has size 1. None for `auto`.

    Raises:
        InputError: it says something else.
    """
    if text == "auto":
        return None
    found: dict[str, int] = {}
    for part in text.split(","):
        match = re.fullmatch(rf"\s*({'|'.join(AXES)})\s*=\s*([0-9]{{1,6}})\s*", part)
        if match is None or int(match[2]) < 1 or match[1] in found:
            raise InputError(f"the mesh is {text!r}; give auto, or sizes of its two axes, such as member=4,data=2")
        found[match[1]] = int(match[2])
    return Sizes(**found)


def check_fits(sizes: Sizes, groups: Mapping[str, int], batch_size: int, dealt: int = 1, whole: bool = False) -> None:
    """Raises InputError where a mesh does not divide members or samples, with the nearest numbers that fit.

    Args:
        sizes: the sizes of the mesh.
        groups: how many members each group has, by its name.
        batch_size: B.
        dealt: the number of discriminators that a batch is dealt out among; 1 where they all see all of it.
        whole: whether a network couples the samples of a batch, which must then stay on one device.
    """
    for name, count in groups.items():
        if count % sizes.member:
            raise InputError(
                f"{name} has {count} members, which a mesh with member={sizes.member} does not divide; "
                f"give it {_multiples(count, sizes.member)} members, or the mesh member={_divisors(groups.values())}"
            )
    if batch_size % (dealt * sizes.data):
        split = f", dealt out among {dealt} discriminators," if dealt > 1 else ""
        raise InputError(
            f"a batch of {batch_size}{split} cannot be spread over data={sizes.data}; give a batch_size of "
            f"{_multiples(batch_size, dealt * sizes.data)}, or the mesh data={_divisors([batch_size // dealt])}"
        )
    if whole and sizes.data > 1:
        raise InputError(
            f"a network couples the samples of a batch in a way that cannot be spread over data={sizes.data} devices; "
            "use data=1, or batch norm of flax.nnx through networks.from_nnx"
        )


def _multiples(number: int, of: int) -> str:
    below = number // of * of
    return f"{below} or {below + of}" if below else f"{of}"


def _divisors(numbers: Any) -> str:
    common = math.gcd(*numbers)
    return " or ".join(str(k) for k in range(1, common + 1) if common % k == 0)


def choose(devices: int, groups: Mapping[str, int], batch_size: int, dealt: int = 1, whole: bool = False) -> Sizes:
    """The mesh of at most `devices` devices that keeps most of them busy; of equals, the one that spreads members most.

    Spreading members also spreads their optimiser's work and memory; spreading samples does not.
    """
    members = [m for m in range(1, devices + 1) if math.gcd(*groups.values()) % m == 0]
    data = [d for d in range(1, devices + 1) if batch_size % (dealt * d) == 0 and not (whole and d > 1)]
    fits = [Sizes(m, d) for m in members for d in data or [1] if m * d <= devices]
    return max(fits, key=lambda sizes: (sizes.devices, sizes.member))


def make(member: int = 1, data: int = 1, *, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh over the first devices that there are.

    Args:
        member: devices to spread members over; it divides the count of every group.
        data: devices to spread the samples of each batch over; it divides the batch.
        devices: which devices, in order; all of them if not given.

    Raises:
        InputError: there are fewer devices; or, with several processes, more, since each of them must take part.
    """
    if not all(isinstance(size, int) and size >= 1 for size in (member, data)):
        raise InputError(f"a mesh of member={member!r}, data={data!r}; give two whole numbers, at least 1")
    sizes, devices = Sizes(member, data), jax.devices() if devices is None else list(devices)
    if sizes.devices > len(devices) or (jax.process_count() > 1 and sizes.devices < len(devices)):
        text = f"{len(devices)} device{'s' * (len(devices) != 1)}"
        all_of_them = " and several processes must use them all" if sizes.devices < len(devices) else ""
        raise InputError(
            f"the mesh {sizes} takes {sizes.devices} devices, but there {'is' if len(devices) == 1 else 'are'} {text}"
            f"{all_of_them}; give sizes whose product is {len(devices)}{'' if all_of_them else ' or less'}"
        )
    return jax.make_mesh(tuple(sizes), AXES, axis_types=(AxisType.Auto,) * 2, devices=devices[: sizes.devices])


def sizes_of(mesh: Mesh) -> Sizes:
    """How many devices a mesh has along each axis. Raises InputError where it is no mesh as `make` makes them."""
    if not isinstance(mesh, Mesh):
        raise InputError(f"the mesh is {mesh!r}; make it with ensgan.mesh.make(member=..., data=...)")
    if tuple(mesh.axis_names) != AXES or any(kind != AxisType.Auto for kind in mesh.axis_types):
        kinds = ", ".join(f"{name} ({kind.name})" for name, kind in zip(mesh.axis_names, mesh.axis_types, strict=True))
        raise InputError(
            f"the mesh has the axes {kinds}; expected {MEMBER} and {DATA}, of type Auto: make it with ensgan.mesh.make"
        )
    return Sizes(*mesh.shape.values())


def put(mesh: Mesh, tree: Tree, spec: PartitionSpec) -> Tree:
    """Host arrays, the same in every process, on the devices of a mesh."""

    def one(leaf: Any) -> Array:
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, NamedSharding(mesh, spec), lambda index: leaf[index])

    return jax.tree.map(one, tree)


def local(mesh: Mesh, tree: Tree) -> Tree:
    """A copy of a tree that is spread over a mesh, whole and on one device of this process. All processes must call."""
    if jax.process_count() == 1:
        return jax.device_put(tree, mesh.devices.flat[0])
    # A leaf at a time, as each is on every device until its copy there is let go.
    return jax.tree.map(lambda leaf: _replicated(mesh)(leaf).addressable_data(0), tree)


@cache
def _replicated(mesh: Mesh) -> Any:
    return jax.jit(lambda leaf: leaf, out_shardings=NamedSharding(mesh, PartitionSpec()))
