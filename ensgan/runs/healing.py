"""Members that fail during a run: who gives them weights, when they rest, and what the log says about it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.devices import mesh
from ensgan.game import population
from ensgan.game.faults import CAUSES, GRADIENT, KINDS, UPDATE, stopped
from ensgan.game.game import Game
from ensgan.game.healing import Side, eased, healthy, moved, revived
from ensgan.game.info import Total
from ensgan.game.placement import shardings
from ensgan.game.program import Program
from ensgan.game.state import State
from ensgan.pace import Pace, pace_of

SIDES: tuple[Side, Side] = ("generators", "discriminators")


class Healed(NamedTuple):
    """A state in which a member starts again, and the record of that for the log.

    Attributes:
        state: where the game stands.
        event: the record.
        absent: side and number of the members that take no part in the next step, which is taken again.
        total: the sum of the reports of the step that was taken again, if it was.
    """

    state: State
    event: dict[str, Any]
    absent: tuple[tuple[int, int], ...] = ()
    total: Total | None = None


def heal(
    game: Game, program: Program, state: State, most: int, absent: tuple[tuple[int, int], ...] = ()
) -> Healed | None:
    """Gives the member that made a step fail a new life; None where it cannot have one.

    It gets a new optimiser and steps half as large. It keeps its own weights where these are good: it fails for the
    first time, in its gradient alone, and the step succeeds without it. Otherwise it becomes a copy of the best other
    member of its group that does not rest. After `most` times it rests: it stays a copy of the best, and learns nothing
    itself. The step that failed is taken again without it, unless it was only its own update that failed.

    The fault names a member that is not finite, and another one may have caused it: samples that are far off make the
    gradients of a discriminator overflow. So the step is tried with the named member as a copy of each other one, then
    with each member of the other side replaced. The first replacement with which the step succeeds is taken; if there
    is none, the first after which another member is named; then the step is not taken again yet.

    Args:
        game: the game.
        program: what trains it.
        state: with a fault.
        most: how often a member is healed before it rests.
        absent: of members that failed in the same step before.
    """
    step, side, member, cause = (int(value) for value in jax.device_get(state.fault))
    state = stopped(state)._replace(fault=jnp.full((4,), -1, jnp.int32))
    state = state._replace(**program.put({"step": state.step, "fault": state.fault}))
    named, other = (side, member), 1 - side
    plain = cause == UPDATE or not program.source.resumable  # the member itself; or a batch that cannot be read twice
    own = remedies(game, program, state, *named, most)
    if cause == GRADIENT and (kept := _kept(program, state, own)) is not None:
        event = event_of(game, kept, step + 1, CAUSES[cause])
        mended = applied(game, program, state, kept)
        if plain:
            return Healed(mended, event)
        healed = _healed(game, program, state, own[0], event, (*absent, named))  # a copy stands in for it
        if healed.total is not None:
            back = lambda taken, mended, slot: moved(taken, mended, SIDES[kept.side], kept.group, slot)
            (slot,) = program.put((np.int32(kept.slot),))
            return healed._replace(state=_on(game, program, state, back)(healed.state, mended, slot))
    others = [remedies(game, program, state, other, k, most)[:1] for k in range((game.M, game.N)[other])]
    remedy, better = None, own[:1] if plain else []
    for trial in [] if plain else [*own, *(each for found in others for each in found)]:
        fault = _next_fault(program, applied(game, program, state, trial))
        if fault is None:
            remedy = trial
            break
        if trial in own and fault != named:  # this member is well now, and another one is not
            better.append(trial)
    remedy = remedy or next(iter(better), None)
    if remedy is None:
        return None
    source = (remedy.side, _firsts(game, remedy.side)[remedy.group] + remedy.slot)
    why = CAUSES[cause] if source == named else f"which spoiled {KINDS[side]} {member}"
    event = event_of(game, remedy, step + 1, why)
    return _healed(game, program, state, remedy, event, () if plain else (*absent, source))


def _healed(
    game: Game,
    program: Program,
    state: State,
    remedy: Remedy,
    event: dict[str, Any],
    absent: tuple[tuple[int, int], ...],
) -> Healed:
    """The state with the remedy; after the step without those that are absent, if there are such and it succeeds."""
    if absent:
        taken, total = program.without(applied(game, program, state, remedy), absent)
        if int(jax.device_get(taken.fault)[0]) < 0:
            return Healed(taken, event, (), total)
    return Healed(applied(game, program, state, remedy), event, absent)


def _kept(program: Program, state: State, copies: list[Remedy]) -> Remedy | None:
    """A start from its own weights, for a member that fails for the first time and has finite ones."""
    if not copies or copies[0].pace.healings > 1 or copies[0].pace.factor == 0.0:
        return None
    side, group, slot = copies[0][:3]
    good = healthy(getattr(state, SIDES[side])[group])
    good = good if program.mesh is None else mesh.local(program.mesh, good)
    return copies[0]._replace(donor=slot) if bool(np.asarray(good)[slot]) else None


def event_of(game: Game, remedy: Remedy, step: int, cause: str) -> dict[str, Any]:
    """The record of a new life for the log."""
    kind, first = KINDS[remedy.side], _firsts(game, remedy.side)[remedy.group]
    return {
        "kind": "healing",
        "step": step,
        "side": kind,
        "member": first + remedy.slot,
        "cause": cause,
        "remedy": "its own weights" if remedy.donor == remedy.slot else f"a copy of {kind} {first + remedy.donor}",
        "times": remedy.pace.healings,
        "rests": remedy.pace.factor == 0.0,
    }


def describe(event: dict[str, Any]) -> str:
    """An event of the log in a line."""
    who = f"{event['side']} {event['member']} failed in step {event['step']} ({event['cause']})"
    more = "; from now on it rests, and is a copy of the best" if event["rests"] else ", and takes smaller steps"
    return f"{who}: it starts again {'with' if 'own' in event['remedy'] else 'as'} {event['remedy']}{more}"


def recover(game: Game, program: Program, state: State) -> State:
    """Between two stretches: members that were healed speed up again, and those that rest become copies of the best."""
    groups = [(side, k) for side in SIDES for k in range(len(getattr(state, side)))]
    found = {where: pace for where in groups if (pace := _paces(program, state, *where)) is not None}
    if not any((pace.healings > 0).any() for pace in found.values()):
        return state
    for (side, group), pace in found.items():
        for slot in np.flatnonzero(pace.factor == 0.0).tolist():
            number = SIDES.index(side)
            for donor in _donors(game, program, state, number, group, slot, pace)[:1]:
                same = Remedy(number, group, slot, donor, Pace(0.0, int(pace.healings[slot])))
                state = applied(game, program, state, same)
    return _on(game, program, state, eased)(state)


class Remedy(NamedTuple):
    """How a member starts again."""

    side: int
    group: int
    slot: int  # its number in the group
    donor: int  # that of the member whose weights it takes
    pace: Pace  # numbers


def remedies(game: Game, program: Program, state: State, side: int, member: int, most: int) -> list[Remedy]:
    """What a member of a side could get, best first; empty where it is not healed, rests, or is alone."""
    group, slot = place_of(game, side, member)
    pace = _paces(program, state, SIDES[side], group)
    if pace is None or pace.factor[slot] == 0.0:
        return []
    count = int(pace.healings[slot]) + 1
    new = Pace(0.0 if count > most else float(pace.factor[slot]) / 2, count)
    return [Remedy(side, group, slot, donor, new) for donor in _donors(game, program, state, side, group, slot, pace)]


def place_of(game: Game, side: int, member: int) -> tuple[int, int]:
    """The group of a member, and its number in that."""
    group = int(np.searchsorted(_firsts(game, side), member, side="right")) - 1
    return group, member - _firsts(game, side)[group]


def _next_fault(program: Program, state: State) -> tuple[int, int] | None:
    """Side and number of the member that fails in the next step from this state, which is donated; or None."""
    step, side, member, _ = (int(value) for value in jax.device_get(program.tally(state, 1)[0].fault))
    return None if step < 0 else (side, member)


def _firsts(game: Game, side: int) -> list[int]:
    """The number of the first member of each group of a side."""
    return [int(first) for first in population.offsets((game.groups_g, game.groups_d)[side])]


def _paces(program: Program, state: State, side: Side, group: int) -> Pace | None:
    """The paces of a group, on the host of every process."""
    pace = pace_of(getattr(state, side)[group].optimizer)
    if pace is None:
        return None
    return Pace(*map(np.asarray, pace if program.mesh is None else mesh.local(program.mesh, pace)))


def _donors(game: Game, program: Program, state: State, side: int, group: int, slot: int, pace: Pace) -> list[int]:
    """The other members of the group that do not rest, by their ratings, the highest first."""
    others = [int(k) for k in np.flatnonzero(np.asarray(pace.factor) > 0.0) if k != slot]
    first = _firsts(game, side)[group] + (game.M if side else 0)
    ratings = state.ratings.elo if program.mesh is None else mesh.local(program.mesh, state.ratings.elo)
    return sorted(others, key=lambda k: -float(np.asarray(ratings)[first + k]))


def applied(game: Game, program: Program, state: State, remedy: Remedy) -> State:
    """The state in which a member starts again."""
    side, group, slot, donor, pace = remedy
    pace = Pace(np.float32(pace.factor), np.int32(pace.healings))
    run = lambda state, slot, donor, pace: revived(game, state, SIDES[side], group, slot, donor, pace)
    return _on(game, program, state, run)(state, *program.put((np.int32(slot), np.int32(donor), pace)))


def _on(game: Game, program: Program, state: State, function: Any) -> Any:
    """The function compiled for the devices of the state."""
    if program.mesh is None:
        return function
    return jax.jit(function, out_shardings=shardings(game, program.mesh, state))
