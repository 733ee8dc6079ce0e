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

import re
from collections.abc import Sequence
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

    Discriminators that are heads on a trunk (`heads`) are not spread: every device has them all. They run on the fakes
    of the device's own generators, and on its portion of the reals that all devices along `member` have.
    """

    sizes: Sizes = Sizes()
    heads: bool = False

    @property
    def of_d(self) -> Place:
        """The place of discriminators: this one, or for heads that of a device that has all members."""
        return Place(Sizes(1, self.sizes.data)) if self.heads else self

    @property
    def apart(self) -> bool:
        """Whether devices have the same discriminators, and fakes of other generators."""
        return self.heads and self.sizes.member > 1

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

    def sum_all(self, tree: Tree) -> Tree:
        """Sums over all devices."""
        axes = tuple(axis for axis, size in zip(AXES, self.sizes, strict=True) if size > 1)
        return jax.lax.psum(tree, axes) if axes else tree

    def sum_d(self, tree: Tree) -> Tree:
        """Sums over the devices that hold the same discriminators and other samples."""
        return self.sum_all(tree) if self.heads else self.sum_data(tree)

    def portion(self, x: Array, axis: int = 0) -> Array:
        """The part for this device of an axis of samples, if devices along `member` share the work of heads."""
        if not self.apart:
            return x
        here = x.shape[axis] // self.sizes.member
        return jax.lax.dynamic_slice_in_dim(x, here * jax.lax.axis_index(MEMBER), here, axis)

    def all_portions(self, x: Array, axis: int) -> Array:
        """Undoes `portion`."""
        return jax.lax.all_gather(x, MEMBER, axis=axis, tiled=True) if self.apart else x

    def sum_portions(self, x: Array, axis: int) -> Array:
        """The portion for this device of the sum over the devices along `member`: the transpose of `all_portions`."""
        return jax.lax.psum_scatter(x, MEMBER, scatter_dimension=axis, tiled=True) if self.apart else x

    def own_key(self, key: Array) -> Array:
        """A key for draws without a sample number, such as dropout inside a network."""
        key = jax.random.fold_in(key, jax.lax.axis_index(MEMBER)) if self.apart else key
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


def rows_here(mesh: Mesh, size: int) -> range:
    """The numbers of the samples of a batch of `size` that the devices of this process hold between them."""
    mine = [device.process_index == jax.process_index() for device in mesh.devices.flat]
    return rows_of(np.reshape(mine, mesh.devices.shape), size)


def rows_of(held: np.ndarray, size: int) -> range:
    """The smallest range with the samples of a batch of `size` on the devices `held`, bool `[member, data]`."""
    (at,) = np.nonzero(held.any(axis=0))
    each = size // held.shape[1]
    return range(int(at[0]) * each, (int(at[-1]) + 1) * each)


def put_rows(mesh: Mesh, leaf: np.ndarray, spec: PartitionSpec, *, size: int) -> Array:
    """Puts the `rows_here` of a batch of `size`, which are all that this process has, on the devices of a mesh."""
    axis, first = spec.index(DATA), rows_here(mesh, size).start

    def part(index: Any) -> np.ndarray:
        start, stop, _ = index[axis].indices(size)
        return leaf[(*index[:axis], slice(start - first, stop - first))]

    shape = (*leaf.shape[:axis], size, *leaf.shape[axis + 1 :])
    return jax.make_array_from_callback(shape, NamedSharding(mesh, spec), part)


def local(mesh: Mesh, tree: Tree) -> Tree:
    """A copy on one device of this process of a tree that is spread over a mesh. All processes must call it."""
    if jax.process_count() == 1:
        return jax.device_put(tree, mesh.devices.flat[0])
    # One leaf at a time, since each is on every device until its copies are freed.
    return jax.tree.map(lambda leaf: _replicated(mesh)(leaf).addressable_data(0), tree)


@cache
def _replicated(mesh: Mesh) -> Any:
    return jax.jit(lambda leaf: leaf, out_shardings=NamedSharding(mesh, PartitionSpec()))
