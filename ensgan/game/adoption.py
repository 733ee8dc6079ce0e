"""Members that begin with the weights of other games, trained before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from ensgan.game.game import Game
from ensgan.game.population import Group, Groups, Joined, Members, Population, offsets, take, whole
from ensgan.game.state import State
from ensgan.networks.stages import leaves, pruned
from ensgan.types import InputError

Side = Literal["generators", "discriminators"]


class Donor(NamedTuple):
    """A game whose members give their weights.

    Attributes:
        state: its state.
        member: the number of the one generator and discriminator to take; None takes all.
        name: what errors call it.
    """

    state: State
    member: int | None = None
    name: str = "the donor"


def adopt(game: Game, state: State, donors: Sequence[Donor | State]) -> State:
    """A state whose members begin with the weights of members of other games.

    The members of all donors stand in line, generators and discriminators separately. Member k of the game takes the
    weights, averages and network state of number k of them, and starts at the first again where there are fewer: one
    pair fills every place, and thirty pairs trained apart become one game of thirty by thirty. Optimisers, ratings and
    the step are those of `state`.

    Args:
        game: the game.
        state: its state, usually a new one.
        donors: other games, or their states alone, with members of the same architecture. Data, losses and counts may
            differ.

    Raises:
        InputError: no donors, a member that a donor does not have, weights of other shapes, or members that do not
            agree on what the game's members have in common.
    """
    if not donors:
        raise InputError("there is no donor; give the state of at least one game")
    named = [each if isinstance(each, Donor) else Donor(each, name=f"donor {k}") for k, each in enumerate(donors)]
    return state._replace(
        generators=_side(game, state, "generators", named), discriminators=_side(game, state, "discriminators", named)
    )


def _side(game: Game, state: State, side: Side, donors: Sequence[Donor]) -> Population:
    line: list[tuple[str, Members]] = []
    for donor, member, name in donors:
        every = [take(whole(group), k) for group in getattr(donor, side) for k in range(_count(group))]
        if member is not None and not 0 <= member < len(every):
            raise InputError(f"{name} has {len(every)} {side}, numbered from 0; there is no member {member}")
        chosen = range(len(every)) if member is None else [member]
        line += [(f"{side[:-1]} {k} of {name}", every[k]) for k in chosen]
    groups: Groups = getattr(game, f"groups_{side[0]}")
    out = []
    for first, group, mine in zip(offsets(groups), groups, getattr(state, side), strict=True):
        given = [line[(first + k) % len(line)] for k in range(group.count)]
        for name, each in given:
            _check(f"{side}.{groups.index(group)}", take(whole(mine), 0), name, each)
        out.append(_moved(group, mine, given))
    return tuple(out)


def _count(members: Members | Joined) -> int:
    return len(jax.tree.leaves(members.params)[0])


def _check(where: str, mine: Members, name: str, given: Members) -> None:
    """All arrays have the same names and shapes."""
    shapes = lambda members: {n: leaf.shape for tree in members[:2] for n, leaf in leaves(tree)}
    wanted, found = shapes(mine), shapes(given)
    for key in {**wanted, **found}:
        if wanted.get(key) != found.get(key):
            shown = lambda shape: "is missing" if shape is None else f"has shape {tuple(shape)}"
            raise InputError(
                f"{name} does not fit {where}: {key} {shown(found.get(key))} there and {shown(wanted.get(key))} here; "
                "give both the same network"
            )


def _moved(group: Group, mine: Members | Joined, given: Sequence[tuple[str, Members]]) -> Members | Joined:
    """The group with these weights."""
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *(each._replace(optimizer=()) for _, each in given))
    average = () if mine.average == () else stacked.average
    if not isinstance(mine, Joined) or group.parts is None:
        return mine._replace(params=stacked.params, state=stacked.state, average=average)
    own, common = group.parts.own.names, group.parts.common.names
    shared = pruned(stacked.params, common)
    if not all(bool((leaf == leaf[:1]).all()) for leaf in jax.tree.leaves(shared)):
        raise InputError(
            f"the members of the game have {', '.join(common)} in common, but {given[0][0]} and {given[-1][0]} differ "
            "in it; give members of one game with common stages, or leave out shared"
        )
    part = lambda tree, names: () if tree == () else pruned(tree, names)
    first = lambda tree: jax.tree.map(lambda leaf: leaf[:1], part(tree, common))
    new = mine.common._replace(params=first(stacked.params), state=first(stacked.state), average=first(average))
    keep: Any = {"params": stacked.params, "state": stacked.state, "average": average}
    return mine._replace(**{name: part(tree, own) for name, tree in keep.items()}, common=new)
