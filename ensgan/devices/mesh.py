"""Device meshes: the members and samples that each device holds, and the collectives between devices.

A mesh has two axes: the members of both sides are spread over `member`, and the samples of every batch over `data`. A
step is one `shard_map` with manual axes. Each device makes the fakes of its own generators (`gather` brings them to
every discriminator) and pulls back through its own discriminators (`scatter_sum` returns the gradients). Devices that
hold the same members and other samples add up their sums (`sum_data`). XLA's partitioner would instead gather the
weights and activations of the whole ensemble on every device for batched convolutions.

Random draws are keyed by the numbers of member and sample in the whole game, so results do not depend on the mesh. The
exception are draws inside a network (dropout), which depend on the number of devices along `data`.
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
Counts = Sequence[int]  # number of members of each group, on all devices together


class Sizes(NamedTuple):
    """Number of devices along each axis."""

    member: int = 1
    data: int = 1

    @property
    def devices(self) -> int:
        """Number of devices in total."""
        return self.member * self.data

    def __str__(self) -> str:
        """The sizes in the form of the command line."""
        return f"member={self.member},data={self.data}"


class Place(NamedTuple):
    """One device's share of members and samples, and the collectives that connect it to the others.

    Methods are called inside a `shard_map` over a mesh of these sizes. Along an axis of size 1 they do nothing, so one
    device runs the same code, without a mesh.
    """

    sizes: Sizes = Sizes()

    def here(self, count: int) -> int:
        """The number of a group's `count` members on this device."""
        return count // self.sizes.member

    def numbers(self, first: int, count: int) -> Array:
        """The numbers of those members, int32 `[here]`; `first` is the number of the group's first member."""
        return first + _share(MEMBER, self.sizes.member, count)

    def samples(self, size: int) -> Array:
        """The numbers of this device's samples in a batch of `size`, int32 `[size / data]`."""
        return _share(DATA, self.sizes.data, size)

    def sum_data(self, tree: Tree) -> Tree:
        """Sums over the devices that hold the same members and other samples."""
        return jax.lax.psum(tree, DATA) if self.sizes.data > 1 else tree

    def all_samples(self, x: Array, axis: int) -> Array:
        """From `[..., here, ...]` of the devices that hold other samples to `[..., all, ...]`, in their order."""
        return jax.lax.all_gather(x, DATA, axis=axis, tiled=True) if self.sizes.data > 1 else x

    def mean_data(self, tree: Tree) -> Tree:
        """Means of floating-point leaves over those devices; other leaves stay as they are."""
        if self.sizes.data == 1:
            return tree
        inexact = lambda leaf: jnp.issubdtype(leaf.dtype, jnp.inexact)
        return jax.tree.map(lambda leaf: jax.lax.pmean(leaf, DATA) if inexact(leaf) else leaf, tree)

    def sum_members(self, tree: Tree) -> Tree:
        """Sums over the devices that hold other members and the same samples."""
        return jax.lax.psum(tree, MEMBER) if self.sizes.member > 1 else tree

    def own_key(self, key: Array) -> Array:
        """A key for draws without a sample number, such as dropout inside a network."""
        return jax.random.fold_in(key, jax.lax.axis_index(DATA)) if self.sizes.data > 1 else key

    def gather(self, x: Array, counts: Counts) -> Array:
        """From `[here, ...]` of every device to `[all, ...]`, in the order of members' numbers."""
        if self.sizes.member == 1:
            return x
        return self._by_number(jax.lax.all_gather(x, MEMBER), counts)

    def scatter_sum(self, x: Array, counts: Counts) -> Array:
        """From `[all, ...]` of every device to their sum for this device's members, `[here, ...]`."""
        if self.sizes.member == 1:
            return x
        return jax.lax.psum_scatter(self._by_device(x, counts), MEMBER, scatter_dimension=0)

    def swap(self, x: Array, give: Counts, take: Counts) -> Array:
        """From `[all of one side, here of the other, ...]` to `[here of the one, all of the other, ...]`.

        Args:
            x: the array of this device.
            give: groups along axis 0, where this device keeps its own members.
            take: groups along axis 1, where it receives all members.
        """
        if self.sizes.member == 1:
            return x
        x = jax.lax.all_to_all(self._by_device(x, give), MEMBER, split_axis=0, concat_axis=0)
        return self._by_number(jnp.moveaxis(x, 1, 2), take).swapaxes(0, 1)

    def _by_device(self, x: Array, counts: Counts) -> Array:
        """From `[all, ...]` in the order of numbers to `[devices, here, ...]`."""
        groups = jnp.split(x, [sum(counts[:k]) for k in range(1, len(counts))]) if len(counts) > 1 else [x]
        return jnp.concatenate([g.reshape(self.sizes.member, -1, *x.shape[1:]) for g in groups], axis=1)

    def _by_number(self, x: Array, counts: Counts) -> Array:
        """From `[devices, here, ...]` to `[all, ...]` in the order of numbers."""
        here = [self.here(count) for count in counts]
        groups = jnp.split(x, [sum(here[:k]) for k in range(1, len(here))], axis=1) if len(here) > 1 else [x]
        return jnp.concatenate([g.reshape(-1, *x.shape[2:]) for g in groups])


ALONE = Place()


def _share(axis: str, devices: int, count: int) -> Array:
    here = count // devices
    first = jax.lax.axis_index(axis) * here if devices > 1 else 0
    return first + jnp.arange(here)


def data_axis() -> str | None:
    """The axis over which the samples of one batch are spread at this point of a program, or None if they are not."""
    try:
        return DATA if jax.lax.axis_size(DATA) > 1 else None
    except NameError:  # outside a mesh
        return None


def parse(text: str) -> Sizes | None:
    """Sizes from `member=4,data=2`, where a missing axis has size 1; None for `auto`.

    Raises:
        InputError: any other text.
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


class ToDivide(NamedTuple):
    """What a mesh must divide.

    Attributes:
        groups: number of members of each group, by its name.
        samples: number of samples of a step, by its name.
        dealt: number of discriminators among which samples are dealt out; 1 if each sees all.
        pack: number of samples that discriminators judge together.
        whole: whether a network couples the samples of a batch, which must then stay on one device.
        common: names of the groups whose members run common stages together, and must stay on one device.
    """

    groups: Mapping[str, int]
    samples: Mapping[str, int]
    dealt: int = 1
    pack: int = 1
    whole: bool = False
    common: Sequence[str] = ()


def check_fits(sizes: Sizes, what: ToDivide) -> None:
    """Raises InputError if a mesh does not divide members or samples; the error names the nearest numbers that fit."""
    groups, samples, dealt, pack, whole, common = what
    if common and sizes.member > 1:
        raise InputError(
            f"the members of {common[0]} have common stages, which run once on the samples of all of them, so they "
            f"cannot be spread over member={sizes.member} devices; use member=1 and spread samples over data"
        )
    for name, count in groups.items():
        if count % sizes.member:
            raise InputError(
                f"{name} has {count} members, which a mesh with member={sizes.member} does not divide; "
                f"give it {_multiples(count, sizes.member)} members, or the mesh member={_divisors(groups.values())}"
            )
    for name, count in samples.items():
        if count % (dealt * pack * sizes.data):
            split = f", dealt out among {dealt} discriminators," if dealt > 1 else ""
            split = f"{split} in packs of {pack}" if pack > 1 else split
            raise InputError(
                f"{name} is {count}, which{split} a mesh with data={sizes.data} does not divide; give {name}="
                f"{_multiples(count, dealt * pack * sizes.data)}, or the mesh "
                f"data={_divisors([each // (dealt * pack) for each in samples.values()])}"
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


def choose(devices: int, what: ToDivide) -> Sizes:
    """The sizes that use the most of `devices` devices; among equals, those that spread members the most.

    Spreading members also spreads the work and memory of their optimiser; spreading samples does not.
    """
    groups, samples, dealt, pack, whole, common = what
    members = [m for m in range(1, devices + 1) if math.gcd(*groups.values()) % m == 0 and not (common and m > 1)]
    least = math.gcd(*samples.values())
    data = [d for d in range(1, devices + 1) if least % (dealt * pack * d) == 0 and not (whole and d > 1)]
    fits = [Sizes(m, d) for m in members for d in data or [1] if m * d <= devices]
    return max(fits, key=lambda sizes: (sizes.devices, sizes.member))


def make(member: int = 1, data: int = 1, *, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh over the first of the devices.

    Args:
        member: number of devices over which members are spread; it must divide the count of every group.
        data: number of devices over which the samples of each batch are spread; it must divide the batch.
        devices: the devices, in order; by default all of them.

    Raises:
        InputError: fewer devices than this; or more, if there are several processes, which must use all devices.
    """
    if not all(isinstance(size, int) and size >= 1 for size in (member, data)):
        raise InputError(f"the mesh has member={member!r}, data={data!r}; give two whole numbers, at least 1")
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
    """The number of devices along each axis of a mesh. Raises InputError unless `make` could have made it."""
    if not isinstance(mesh, Mesh):
        raise InputError(f"the mesh is {mesh!r}; make it with ensgan.mesh.make(member=..., data=...)")
    if tuple(mesh.axis_names) != AXES or any(kind != AxisType.Auto for kind in mesh.axis_types):
        kinds = ", ".join(f"{name} ({kind.name})" for name, kind in zip(mesh.axis_names, mesh.axis_types, strict=True))
        raise InputError(
            f"the mesh has the axes {kinds}; expected {MEMBER} and {DATA}, of type Auto: make it with ensgan.mesh.make"
        )
    return Sizes(*mesh.shape.values())


def put(mesh: Mesh, tree: Tree, spec: PartitionSpec) -> Tree:
    """Puts host arrays, which are the same in every process, on the devices of a mesh."""

    def one(leaf: Any) -> Array:
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, NamedSharding(mesh, spec), lambda index: leaf[index])

    return jax.tree.map(one, tree)


def local(mesh: Mesh, tree: Tree) -> Tree:
    """A copy on one device of this process of a tree that is spread over a mesh. All processes must call it."""
    if jax.process_count() == 1:
        return jax.device_put(tree, mesh.devices.flat[0])
    # One leaf at a time, since each is on every device until its copies are freed.
    return jax.tree.map(lambda leaf: _replicated(mesh)(leaf).addressable_data(0), tree)


@cache
def _replicated(mesh: Mesh) -> Any:
    return jax.jit(lambda leaf: leaf, out_shardings=NamedSharding(mesh, PartitionSpec()))
