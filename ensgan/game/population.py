"""Populations: groups of members of one network, with the members' arrays stacked on axis 0.

A population is a tuple of groups, so that one game can have generators or discriminators of several architectures.
Members are numbered through the groups in order; code above this file sees only these numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensgan import optim
from ensgan.devices.mesh import ALONE, Place
from ensgan.networks import convolution
from ensgan.types import Array, InputError, Network, Shape, Tree, unknown

EXECUTE = ("auto", "vmap", "unroll", "matmul")
UNROLLED = 64  # the largest number of unrolled discriminators; more would take too long to compile


class Latent(NamedTuple):
    """A prior of latents: `draw(key, shape) -> [*shape]`, times `scale`, a number or an array with one per member."""

    draw: Callable[[Array, Shape], Array]
    scale: Any = 1.0


def normal(scale: Any = 1.0) -> Latent:
    """Independent normals with standard deviation `scale` (a number, or an array with one per member)."""
    return Latent(jax.random.normal, scale)


def uniform(scale: Any = 1.0) -> Latent:
    """Independent uniforms on [−scale, scale] (a number, or an array with one per member)."""
    return Latent(lambda key, shape: jax.random.uniform(key, shape, minval=-1.0, maxval=1.0), scale)


@dataclass(frozen=True, eq=False)
class Group:
    """Members of one network.

    Attributes:
        network: the functions that all members share; each member has its own weights.
        count: number of members, at least 1.
        optimizer: the optimiser of this group, if not the game's.
        latent: prior of the latents, for generators.
        execute: `vmap` (one batched program), `unroll` (members one after the other in one program), `matmul`
            (convolutions as matrix products), or `auto`: `matmul` for convolutional networks on a CPU. Otherwise `auto`
            and `matmul` do what was measured to be fastest (`benchmarks/README.md`): members are batched, except up to
            64 discriminators on a CPU, which are unrolled.
        remat: whether members run one after the other in a loop and are computed again in the backward pass. Then the
            activations of only one member are in memory at a time, for a third more work.
        shared: parts of the network that all members of the group have in common, by dotted names of parameters, such
            as `hidden.1` or `last`. They start equal and move together, by the sum of the members' gradients.

    Raises:
        InputError: `count` is below 1, `execute` is unknown, a per-member array has another length, or the network does
            not have a shared part.
    """

    network: Network
    count: int
    optimizer: optim.Optimizer | None = None
    latent: Latent = field(default_factory=normal)
    execute: Literal["auto", "vmap", "unroll", "matmul"] = "auto"
    remat: bool = False
    shared: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks the numbers and names."""
        if self.count < 1:
            raise InputError(f"a group has {self.count} members; a game needs at least 1 on each side")
        if self.execute not in EXECUTE:
            raise unknown("way to execute members", self.execute, EXECUTE)
        if np.ndim(self.latent.scale) and np.shape(self.latent.scale) != (self.count,):
            raise InputError(
                f"the latent scale has shape {np.shape(self.latent.scale)} in a group of {self.count} members; "
                f"give one number, or {self.count} numbers"
            )
        if self.shared:
            params = jax.eval_shape(lambda: self.network.init(jax.random.key(0)))[0]
            names = [_dotted(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
            for part in self.shared:
                if not any(_within(name, part) for name in names):
                    raise unknown("shared part", part, names)

    def tied(self, tree: Tree, fn: Callable[[Array], Array]) -> Tree:
        """A stacked tree like the parameters, with `fn(leaf)` `[1, ...]` for all members in place of shared leaves."""

        def one(path: Any, leaf: Array) -> Array:
            shared = any(_within(_dotted(path), part) for part in self.shared)
            return jnp.broadcast_to(fn(leaf), leaf.shape) if shared else leaf

        return jax.tree_util.tree_map_with_path(one, tree) if self.shared else tree

    @property
    def scales(self) -> Array:
        """The latent scale of every member, float32 `[count]`."""
        return jnp.broadcast_to(jnp.asarray(self.latent.scale, jnp.float32), (self.count,))

    def prior(self, k: int) -> Latent:
        """The prior of member k, whose scale is one number."""
        return Latent(self.latent.draw, self.scales[k])

    @property
    def products(self) -> bool:
        """Whether convolutions are computed as matrix products."""
        chosen = self.execute == "auto" and jax.default_backend() == "cpu"
        return self.network.convolutional and (chosen or self.execute == "matmul")

    @property
    def apply(self) -> Callable[..., tuple[Array, Tree]]:
        """The network's `apply` as this group executes it."""
        return convolution.with_products(self.network.apply) if self.products else self.network.apply

    @property
    def execution(self) -> str:
        """How members run on the backend in use: `vmap`, `unroll` or `remat`."""
        return "remat" if self.remat else "unroll" if self.execute == "unroll" else "vmap"

    @property
    def execution_on_shared_input(self) -> str:
        """The same for members that all see one input, as discriminators do.

        On a CPU, XLA turns a first dense layer on a shared input into one wide product, and transposing the weights for
        it costs more than it saves.
        """
        free = self.execute in ("auto", "matmul") and self.count <= UNROLLED and not self.remat
        return "unroll" if free and jax.default_backend() == "cpu" else self.execution


class Members(NamedTuple):
    """The arrays of one group; axis 0 of every leaf counts its members."""

    params: Tree
    state: Tree  # batch statistics, power-iteration vectors; {} where there are none
    optimizer: Tree
    average: Tree  # exponential average of params for generators, () for discriminators


Groups = tuple[Group, ...]
Population = tuple[Members, ...]


def _dotted(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def size(groups: Groups) -> int:
    """The total number of members."""
    return sum(group.count for group in groups)


def offsets(groups: Groups) -> list[int]:
    """The number of each group's first member."""
    return list(np.cumsum([0] + [group.count for group in groups])[:-1])


def counts(groups: Groups) -> tuple[int, ...]:
    """The number of members in each group."""
    return tuple(group.count for group in groups)


def numbers(groups: Groups, place: Place = ALONE) -> Array:
    """The numbers of the members on this device, int32 `[here]`."""
    each = [place.numbers(first, group.count) for first, group in zip(offsets(groups), groups, strict=True)]
    return jnp.concatenate(each)


def pieces(groups: Groups, place: Place = ALONE) -> list[slice]:
    """The slice of each group among the members of this device."""
    ends = np.cumsum([0] + [place.here(group.count) for group in groups])
    return [slice(*map(int, pair)) for pair in pairwise(ends)]


def member_keys(key: Array, numbers: Array) -> Array:
    """One key for each number of a member or of a sample, independent of how many there are."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(numbers)


def init(groups: Groups, key: Array, optimizer: optim.Optimizer, average: bool) -> Population:
    """New members. A member's weights depend on `key`, its group and its number in the group, not on the counts."""

    def one(index: int, group: Group) -> Members:
        keys = member_keys(jax.random.fold_in(key, index), jnp.arange(group.count))
        params, state = jax.vmap(group.network.init)(keys)
        params = group.tied(params, lambda leaf: leaf[:1])
        opt_state = optim.stacked(group.optimizer or optimizer, group.count).init(params)
        return Members(params, state, opt_state, jax.tree.map(jnp.copy, params) if average else ())

    return tuple(one(index, group) for index, group in enumerate(groups))


def params_of(members: Members, average: bool = True) -> Tree:
    """The parameters of a group: the exponential average of generators if `average`, else the raw ones."""
    return members.average if average else members.params


def take(tree: Tree, k: Any) -> Tree:
    """Member k of a stacked tree, without the axis of members; or several members, if `k` is an array of numbers."""
    return jax.tree.map(lambda leaf: leaf[k], tree)


def where(learns: Array, new: Tree, old: Tree) -> Tree:
    """Stacked trees: `new` for members with a true entry in `learns`, bool `[members]`, and `old` for the others."""
    pick = lambda a, b: jnp.where(learns.reshape((-1,) + (1,) * (a.ndim - 1)), a, b)
    return jax.tree.map(pick, new, old)


def noise(group: Group, key: Array, first: int, num: int, place: Place = ALONE) -> Array:
    """Latents of this device's members and samples, `[count, num, *in_shape]` on a single device.

    Each latent is keyed by (member, sample); `first` is the number of the group's first member.
    """
    numbers, b = place.numbers(first, group.count), place.samples(num)
    z = jax.vmap(lambda key: _latents(group, key, b))(member_keys(key, numbers))
    return _scaled(group, z, numbers - first)


def common_noise(group: Group, key: Array, b: Array) -> Array:
    """Latents `[count, b, *in_shape]` keyed by the numbers `b` only: the same for all members, except for scales."""
    z = _latents(group, key, b)
    return _scaled(group, jnp.broadcast_to(z[None], (group.count, *z.shape)), jnp.arange(group.count))


def _latents(group: Group, key: Array, b: Array) -> Array:
    return jax.vmap(lambda k: group.latent.draw(k, group.network.in_shape))(member_keys(key, b))


def _scaled(group: Group, z: Array, members: Array) -> Array:
    return z * group.scales[members].reshape((-1,) + (1,) * (z.ndim - 1))
