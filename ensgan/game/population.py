"""Populations: groups of members of one network, with the members' arrays stacked on axis 0.

A population is a tuple of groups, so that one game can have generators or discriminators of several architectures.
Members are numbered through the groups in order; code above this file sees only these numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensgan import optim
from ensgan.devices.mesh import ALONE, Place
from ensgan.game.latents import Latent, normal
from ensgan.networks import convolution
from ensgan.networks.portions import check_portions, in_portions
from ensgan.networks.stages import Split, leaves, merged, pruned, split, within
from ensgan.pace import pace_of
from ensgan.types import Array, InputError, Network, Stage, Tree, unknown

EXECUTE = ("auto", "vmap", "unroll", "matmul")
TRUNK = "trunk"  # a name for all stages but the last
STREAMED = 8  # the least number of discriminators without convolutions that go forward and back in a loop on a CPU
UNROLLED = 64  # the largest number of unrolled discriminators; more would take too long to compile


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
            64 discriminators on a CPU, which are unrolled. With `auto`, those with convolutions, and eight or more
            others, stream there as with `remat`, if weights do not follow losses.
        remat: whether members run one after the other in a loop, so that the activations of only one are in memory and
            the program does not grow with their number. They are computed again in the backward pass, a third more
            work; but discriminators go forward and at once back if weights do not follow losses (`Pairing.blind`).
        shared: parts of the network that all members of the group have in common, by dotted names of parameters, such
            as `hidden.1` or `last`. They move by the mean of the members' gradients. If they are the first stages of
            the network or the last ones (`Network.stages`), they run once on the samples of all members: the first
            stages of discriminators are then a trunk, and the rest of each member is a head. `trunk` stands for all
            stages but the last.
        accumulate: number of portions in which the samples of a step pass through the network, one after the other, so
            that the activations of one are in memory. More work, and the same updates up to rounding.

    Raises:
        InputError: `count` is below 1, `accumulate` does not fit, `execute` is unknown, a per-member array has another
            length, or the network does not have a shared part.
    """

    network: Network
    count: int
    optimizer: optim.Optimizer | None = None
    latent: Latent = field(default_factory=normal)
    execute: Literal["auto", "vmap", "unroll", "matmul"] = "auto"
    remat: bool = False
    shared: tuple[str, ...] = ()
    accumulate: int = 1

    def __post_init__(self) -> None:
        """Checks the numbers and names."""
        if self.count < 1:
            raise InputError(f"a group has {self.count} members; a game needs at least 1 on each side")
        check_portions(self.network, self.accumulate)
        if self.execute not in EXECUTE:
            raise unknown("way to execute members", self.execute, EXECUTE)
        if np.ndim(self.latent.scale) and np.shape(self.latent.scale) != (self.count,):
            raise InputError(
                f"the latent scale has shape {np.shape(self.latent.scale)} in a group of {self.count} members; "
                f"give one number, or {self.count} numbers"
            )
        if self.shared:
            names = [name for name, _ in leaves(jax.eval_shape(lambda: self.network.init(jax.random.key(0)))[0])]
            covers = lambda part: any(within(name, [part]) for name in names)
            if TRUNK in self.shared and not covers(TRUNK) and self.network.stages:
                front = [part for stage in self.network.stages[:-1] for part in stage.names if covers(part)]
                object.__setattr__(self, "shared", (*(part for part in self.shared if part != TRUNK), *front))
            for part in self.shared:
                if not covers(part):
                    raise unknown("shared part", part, names)

    def tied(self, tree: Tree, fn: Callable[..., Array], *others: Tree) -> Tree:
        """A stacked tree like the parameters, with `fn` of its leaf, and of those of others, where leaves are shared.

        `fn` gives `[1, ...]`, for all members, or as many as there are.
        """

        def one(path: Any, leaf: Array, *rest: Array) -> Array:
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            return jnp.broadcast_to(fn(leaf, *rest), leaf.shape) if within(name, self.shared) else leaf

        return jax.tree_util.tree_map_with_path(one, tree, *others) if self.shared and self.parts is None else tree

    @cached_property
    def parts(self) -> Split | None:
        """The common and the own stages, of which the common ones run once on the samples of all members.

        None if the shared parts are not the first or the last stages, or if samples of a batch are coupled, since batch
        statistics are those of one member's samples. Every member then runs all of its stages.
        """
        alone = self.count == 1 or self.network.batch_coupled
        return split(self.network, self.shared) if self.shared and not alone else None

    @property
    def has_trunk(self) -> bool:
        """Whether the common stages come first."""
        return self.parts is not None and self.parts.common_first

    def stage(self, stage: Stage) -> Callable[..., tuple[Array, Tree]]:
        """A stage of the network as this group executes it."""
        return self._run(stage.apply)

    @property
    def scales(self) -> Array:
        """The latent scale of every member, float32 `[count]`."""
        return jnp.broadcast_to(jnp.asarray(self.latent.scale, jnp.float32), (self.count,))

    def prior(self, k: int) -> Latent:
        """The prior of member k, whose scale is one number."""
        return self.latent._replace(scale=self.scales[k])

    @property
    def products(self) -> bool:
        """Whether convolutions are computed as matrix products."""
        chosen = self.execute == "auto" and jax.default_backend() == "cpu"
        return self.network.convolutional and (chosen or self.execute == "matmul")

    @property
    def apply(self) -> Callable[..., tuple[Array, Tree]]:
        """The network's `apply` as this group executes it."""
        return self._run(self.network.apply)

    def _run(self, apply: Callable[..., tuple[Array, Tree]]) -> Callable[..., tuple[Array, Tree]]:
        return in_portions(convolution.with_products(apply) if self.products else apply, self.accumulate)

    @property
    def execution(self) -> str:
        """How members run on the backend in use: `vmap`, `unroll` or `remat`."""
        return "remat" if self.remat else "unroll" if self.execute == "unroll" else "vmap"

    @property
    def streams(self) -> bool:
        """Whether members that see one input run in a loop, where that takes no second forward pass."""
        least = 2 if self.products else STREAMED
        return self.remat or (self.execute == "auto" and self.count >= least and jax.default_backend() == "cpu")

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


class Joined(NamedTuple):
    """The arrays of a group whose members have stages in common (`Group.parts`): their own, and the common ones."""

    params: Tree
    state: Tree
    optimizer: Tree
    average: Tree
    common: Members  # axis 0 is 1


def whole(members: Members | Joined) -> Members:
    """The arrays with what is common in every member, as if it were each member's own. The optimiser is left out."""
    if isinstance(members, Members):
        return members
    count = len(jax.tree.leaves(members.params)[0])
    every = lambda tree: jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape[1:])), tree)
    join = lambda own, common: () if own == () else merged(own, every(common))
    joined = (join(getattr(members, name), getattr(members.common, name)) for name in ("params", "state", "average"))
    params, state, average = joined
    return Members(params, state, (), average)


Groups = tuple[Group, ...]
Population = tuple[Members | Joined, ...]


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

    def one(index: int, group: Group) -> Members | Joined:
        keys = member_keys(jax.random.fold_in(key, index), jnp.arange(group.count))
        params, state = jax.vmap(group.network.init)(keys)
        params, own = group.tied(params, lambda leaf: leaf[:1]), group.optimizer or optimizer

        def members(params: Tree, state: Tree, optimizer: optim.Optimizer, count: int) -> Members:
            opt_state = optim.stacked(optimizer, count).init(params)
            return Members(params, state, opt_state, jax.tree.map(jnp.copy, params) if average else ())

        if (parts := group.parts) is None:
            return members(params, state, own, group.count)
        first = lambda tree: jax.tree.map(lambda leaf: leaf[:1], pruned(tree, parts.common.names))
        common = members(first(params), first(state), optim.common(own), 1)
        mine = lambda tree: pruned(tree, parts.own.names)
        return Joined(*members(mine(params), mine(state), own, group.count), common)

    return tuple(one(index, group) for index, group in enumerate(groups))


def params_of(members: Members | Joined, average: bool = True) -> Tree:
    """The parameters of a group: the exponential average of generators if `average`, else the raw ones."""
    return members.average if average else members.params


def awake(groups: Groups, members: Population) -> np.ndarray:
    """Whether each member of a side learns, bool `[members]` on the host: one that failed too often rests."""
    paces = [(group.count, pace_of(mine.optimizer)) for group, mine in zip(groups, members, strict=True)]
    return np.concatenate([np.ones(n, bool) if pace is None else np.asarray(pace.factor) > 0.0 for n, pace in paces])


def take(tree: Tree, k: Any) -> Tree:
    """Member k of a stacked tree, without the axis of members; or several members, if `k` is an array of numbers."""
    return jax.tree.map(lambda leaf: leaf[k], tree)


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
