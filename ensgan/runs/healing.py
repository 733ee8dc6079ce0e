"""Members that fail during a run: who gives them weights, when they rest, and what the log says about it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.devices import mesh
from ensgan.game import population
from ensgan.game.faults import CAUSES, KINDS, UPDATE, stopped
from ensgan.game.game import Game
from ensgan.game.healing import Pace, Side, eased, pace_of, revived
from ensgan.game.placement import shardings
from ensgan.game.program import Program
from ensgan.game.state import State

SIDES: tuple[Side, Side] = ("generators", "discriminators")


class Healed(NamedTuple):
    """A state in which a member starts again, and the record of that for the log."""

    state: State
    event: dict[str, Any]


def heal(game: Game, program: Program, state: State, most: int) -> Healed | None:
    """Gives the member that made a step fail a new life; None where it cannot have one.

    It becomes a copy of the best other member of its group that does not rest, with a new optimiser and steps half as
    large. After `most` times it rests: it stays a copy of the best, and learns nothing itself.

    The fault names a member that is not finite, and another one may have caused it: samples that are far off make the
    gradients of a discriminator overflow. So the step is tried with the named member replaced, then with each member of
    the other side. The first replacement with which it succeeds is taken; if none does, that of the named member.

    Args:
        game: the game.
        program: what trains it.
        state: with a fault.
        most: how often a member is healed before it rests.
    """
    step, side, member, cause = (int(value) for value in jax.device_get(state.fault))
    state = stopped(state)._replace(fault=jnp.full((4,), -1, jnp.int32))
    state = state._replace(**program.put({"step": state.step, "fault": state.fault}))
    named, other = (side, member), 1 - side
    plain = cause == UPDATE or not program.source.resumable  # the member itself; or a batch that cannot be read twice
    remedy = None
    for who in (named, *((other, k) for k in range((game.M, game.N)[other]))):
        trial = _remedy(game, program, state, *who, most)
        if trial is not None and (plain or _succeeds(program, _applied(game, program, state, trial))):
            remedy = trial
            break
    remedy = remedy or _remedy(game, program, state, *named, most)
    if remedy is None:
        return None
    kind, first = KINDS[remedy.side], _firsts(game, remedy.side)[remedy.group]
    mine = (remedy.side, first + remedy.slot) == named
    event = {
        "kind": "healing",
        "step": step + 1,
        "side": kind,
        "member": first + remedy.slot,
        "cause": CAUSES[cause] if mine else f"which spoiled {KINDS[side]} {member}",
        "remedy": f"a copy of {kind} {first + remedy.donor}",
        "times": remedy.pace.healings,
        "rests": remedy.pace.factor == 0.0,
    }
    return Healed(_applied(game, program, state, remedy), event)


def describe(event: dict[str, Any]) -> str:
    """An event of the log in a line."""
    who = f"{event['side']} {event['member']} failed in step {event['step']} ({event['cause']})"
    more = "; from now on it rests, and is a copy of the best" if event["rests"] else ", and takes smaller steps"
    return f"{who}: it starts again as {event['remedy']}{more}"


def recover(game: Game, program: Program, state: State) -> State:
    """Between two stretches: members that were healed speed up again, and those that rest become copies of the best."""
    groups = [(side, k) for side in SIDES for k in range(len(getattr(state, side)))]
    found = {where: pace for where in groups if (pace := _paces(program, state, *where)) is not None}
    if not any((pace.healings > 0).any() for pace in found.values()):
        return state
    for (side, group), pace in found.items():
        for slot in np.flatnonzero(pace.factor == 0.0).tolist():
            number = SIDES.index(side)
            donor = _donor(game, program, state, number, group, slot, pace)
            if donor is not None:
                same = Remedy(number, group, slot, donor, Pace(0.0, int(pace.healings[slot])))
                state = _applied(game, program, state, same)
    return _on(game, program, state, eased)(state)


class Remedy(NamedTuple):
    """How a member starts again."""

    side: int
    group: int
    slot: int  # its number in the group
    donor: int  # that of the member whose weights it takes
    pace: Pace  # numbers


def _remedy(game: Game, program: Program, state: State, side: int, member: int, most: int) -> Remedy | None:
    """What a member would get; None where it is not healed, where it rests, or where no other can give weights."""
    group = int(np.searchsorted(_firsts(game, side), member, side="right")) - 1
    slot = member - _firsts(game, side)[group]
    pace = _paces(program, state, SIDES[side], group)
    if pace is None or pace.factor[slot] == 0.0:
        return None
    donor, count = _donor(game, program, state, side, group, slot, pace), int(pace.healings[slot]) + 1
    factor = 0.0 if count > most else float(pace.factor[slot]) / 2
    return None if donor is None else Remedy(side, group, slot, donor, Pace(factor, count))


def _succeeds(program: Program, state: State) -> bool:
    """Whether all members are finite after one more step from this state, which is donated."""
    return int(jax.device_get(program.tally(state, 1)[0].fault)[0]) < 0


def _firsts(game: Game, side: int) -> list[int]:
    """The number of the first member of each group of a side."""
    return [int(first) for first in population.offsets((game.groups_g, game.groups_d)[side])]


def _paces(program: Program, state: State, side: Side, group: int) -> Pace | None:
    """The paces of a group, on the host of every process."""
    pace = pace_of(getattr(state, side)[group])
    if pace is None:
        return None
    return Pace(*map(np.asarray, pace if program.mesh is None else mesh.local(program.mesh, pace)))


def _donor(game: Game, program: Program, state: State, side: int, group: int, slot: int, pace: Pace) -> int | None:
    """The member of the group with the highest rating, among the others that do not rest; None if there is none."""
    others = [k for k in np.flatnonzero(np.asarray(pace.factor) > 0.0) if k != slot]
    if not others:
        return None
    first = _firsts(game, side)[group] + (game.M if side else 0)
    ratings = state.ratings.elo if program.mesh is None else mesh.local(program.mesh, state.ratings.elo)
    return int(max(others, key=lambda k: (float(np.asarray(ratings)[first + k]), -k)))


def _applied(game: Game, program: Program, state: State, remedy: Remedy) -> State:
    side, group, slot, donor, pace = remedy
    pace = Pace(np.float32(pace.factor), np.int32(pace.healings))
    run = lambda state, slot, donor, pace: revived(game, state, SIDES[side], group, slot, donor, pace)
    return _on(game, program, state, run)(state, *program.put((np.int32(slot), np.int32(donor), pace)))


def _on(game: Game, program: Program, state: State, function: Any) -> Any:
    """The function compiled for the devices of the state."""
    if program.mesh is None:
        return function
    return jax.jit(function, out_shardings=shardings(game, program.mesh, state))
