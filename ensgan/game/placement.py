"""Placement: how the arrays of a game are spread over a mesh."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ensgan.data import limits
from ensgan.devices import mesh, processes
from ensgan.devices.division import ToDivide, check_fits, choose
from ensgan.devices.mesh import DATA, MEMBER, Sizes
from ensgan.game.game import Game
from ensgan.game.population import Groups, Joined
from ensgan.game.replicas import Replicas
from ensgan.game.state import State
from ensgan.types import InputError


def check_mesh(game: Game, sizes: Sizes) -> None:
    """Raises InputError, with sizes that fit, if a game cannot be spread over a mesh of these sizes."""
    check_fits(sizes, to_divide(game))


def to_divide(game: Game) -> ToDivide:
    """What a mesh must divide for a game."""
    sides = (("generators", game.groups_g), ("discriminators", () if game.on_trunks else game.groups_d))
    return ToDivide(
        groups={f"{side}.{k}": group.count for side, groups in sides for k, group in enumerate(groups)},
        samples=game.counts,
        dealt=game.hands,
        pack=game.pack,
        whole=any(g.network.batch_coupled and not g.network.synced for g in game.groups),
        heads=game.on_trunks,
        fixed=_fixed(game),
    )


def _fixed(game: Game) -> str:
    """Why the members of a game must stay on one device along `member`, or "" if they can be spread."""
    if not any(group.has_trunk for group in game.groups_d):
        return ""
    if not game.on_trunks:
        return "some groups of discriminators have a trunk, and others do not"
    if not game.covers.common:
        return f"the heads of a trunk see separate samples with coverage {game.coverage!r}"
    return "the pairing asks for the gradients of all pairs of heads" if "gram" in game.pairing.asks else ""


def specs(players: Game | Replicas) -> State:
    """How a state is spread over a mesh: members over `member`, everything else on every device.

    What members have in common is on every device, and so are heads on a trunk.
    """
    game, whole = players.first if isinstance(players, Replicas) else players, PartitionSpec()
    members = PartitionSpec(None, MEMBER) if isinstance(players, Replicas) else PartitionSpec(MEMBER)

    def population(groups: Groups, spread: PartitionSpec) -> Any:
        joined: Any = Joined(spread, spread, spread, spread, whole)  # type: ignore[arg-type]
        return tuple(joined if group.parts else spread for group in groups)

    spec: dict[str, Any] = dict.fromkeys(State._fields, whole)
    spec["generators"] = population(game.groups_g, members)
    spec["discriminators"] = population(game.groups_d, whole if game.on_trunks else members)
    return State(**spec)


def shardings(players: Game | Replicas, mesh: Mesh, like: State) -> State:
    """The sharding of every leaf of a state of the form `like`."""
    of = lambda spec, tree: jax.tree.map(lambda _: NamedSharding(mesh, spec), tree)
    return jax.tree.map(of, specs(players), like, is_leaf=lambda each: isinstance(each, PartitionSpec))


def start(players: Game | Replicas, seed: int = 0, mesh: Mesh | None = None) -> State:
    """A new state, made on the devices that will hold it. Replicas use their own seeds.

    A member's weights are the same on every mesh.

    Raises:
        InputError: it is larger than the memory of this machine, whose CPU alone holds it.
    """
    keys = () if isinstance(players, Replicas) else (jax.random.key(seed),)
    made = _initial(players, mesh)
    if jax.default_backend() == "cpu" and not processes.several():
        sizes = [leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(made.trace(*keys).out_info)]
        limits.check_fits(sum(sizes), "the state of all members", "lower their number, or the widths of their networks")
    return made(*keys)


@lru_cache(maxsize=1)  # the next seed of a series begins with the same program
def _initial(players: Game | Replicas, mesh: Mesh | None) -> Any:
    if mesh is None:
        # Less work for the compiler, and the same numbers: it runs only once.
        quick = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
        return jax.jit(players.init, compiler_options=quick)
    keys = () if isinstance(players, Replicas) else (jax.random.key(0),)
    return jax.jit(players.init, out_shardings=shardings(players, mesh, jax.eval_shape(players.init, *keys)))


def batch_specs(game: Game, batch: dict[str, Any]) -> dict[str, PartitionSpec]:
    """Samples are spread over `data`; every device along `member` has the separate reals of all discriminators."""
    own = {"x": len(game.sample_shape) + 2, "weight": 2}  # number of axes, if one counts discriminators
    critics = 0 if game.n_critic == 1 else 1

    def spec(name: str, leaf: Any) -> PartitionSpec:
        before = critics + (leaf.ndim - critics == own.get(name, -1))
        return PartitionSpec(*[None] * before, DATA)

    return {name: spec(name, leaf) for name, leaf in batch.items()}


def chosen_mesh(game: Game, sizes: mesh.Sizes | None) -> Mesh | None:
    """The mesh of a run, or None for a single device.

    Args:
        game: the game.
        sizes: of the mesh; None chooses them by the number of devices.

    Raises:
        InputError: the sizes do not fit the devices or the game.
    """
    if sizes is None:
        sizes = choose(jax.device_count(), to_divide(game))
        if processes.several() and sizes.devices < jax.device_count():
            raise InputError(
                f"the largest mesh that fits this game is {sizes}, but several processes must use all of their "
                f"{jax.device_count()} devices; change the members, reals and fakes, or the number of processes"
            )
    return None if sizes.devices == 1 and not processes.several() else mesh.make(*sizes)
