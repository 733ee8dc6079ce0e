"""Training in memory, and the work on the host between stretches of steps."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from ensgan.data import Source
from ensgan.devices.mesh import local, put
from ensgan.devices.processes import same_array
from ensgan.game.faults import describe_fault, stopped
from ensgan.game.game import Game
from ensgan.game.info import Info, Total, added, mean
from ensgan.game.placement import shardings, specs
from ensgan.game.program import Interrupted, Program
from ensgan.game.replicas import Replicas
from ensgan.game.state import State
from ensgan.pace import pace_of
from ensgan.sampling.inference import payoff
from ensgan.types import InputError


def train(
    game: Game | Replicas,
    state: State,
    source: Source,
    *,
    steps: int,
    callback: Callable[[State, Info], Any] | None = None,
    every: int | None = None,
    mesh: Mesh | None = None,
) -> tuple[State, Info]:
    """Trains in memory for `steps` more steps.

    Args:
        game: the game, or replicas of it. A replica that stops being finite keeps its last state, and
            `describe_fault(state.fault[r])` gives the reason; the others go on.
        state: its state; the buffers are donated, so use the returned state afterwards.
        source: batches.
        steps: number of steps, at least 1.
        callback: called on the host every `every` steps, and at the end, with the state and the mean report since the
            last call; must not keep the state.
        every: number of steps between two calls; None is one call, at the end.
        mesh: devices to spread members and samples over, from `ensgan.mesh.make`; None is a single device. The returned
            state is on the mesh.

    Returns:
        The new state, and the mean report of the steps: of those after the last multiple of `every` before the end, or
        of all steps without `every`. `info.loss_g` and `info.loss_d` are `[M, N]`, or `[R, M, N]`.

    Raises:
        InputError: `steps` or `every` is below 1 or not a whole number.
        Interrupted: a member stopped being finite, or the data ended. The message says which member and when, and
            `error.state` is the last good state; if the update itself was not finite, it holds that update.
    """
    for name, value in (("steps", steps), ("every", steps if every is None else every)):
        if operator.index(value) < 1:
            raise InputError(f"{name} is {value}; give at least 1")
    program = Program(game, source, mesh)
    if mesh is not None:
        state = jax.device_put(state, shardings(game, mesh, state))
    begin = int(state.step)
    total: Total | None = None
    marks = [*([every] if every else []), *periods(game)]
    for start, end in stretches(begin, begin + steps, marks):
        state = between(game, state, source, start, mesh=mesh)
        state, more = program.tally(state, end - start)
        total = added(total, more)
        # The other replicas go on after a fault, which is in the state.
        if isinstance(game, Game) and (fault := describe_fault(state.fault)):
            advice = "no later update was applied. Lower the learning rate or add a penalty"
            raise Interrupted(f"{fault}; {advice}", stopped(state))
        last = end == begin + steps
        if callback is not None and (last or (every is not None and end % every == 0)):
            callback(state, mean(total))
        if not last and every is not None and end % every == 0:
            total = None
    assert total is not None  # there was at least one stretch
    return state, mean(total)


def periods(game: Game | Replicas) -> list[int]:
    """The numbers of steps after which there is work on the host."""
    one = game.first if isinstance(game, Replicas) else game
    payoff = [one.pairing.payoff_every] if "payoff" in one.pairing.asks else []
    return [*payoff, *([one.schedule.every] if one.schedule else [])]


def stretches(begin: int, end: int, marks: list[int]) -> Iterator[tuple[int, int]]:
    """The stretches of steps between `begin` and `end`, cut at every multiple of every mark."""
    while begin < end:
        stop = min([end, *((begin // mark + 1) * mark for mark in marks)])
        yield begin, stop
        begin = stop


def between(
    game: Game | Replicas, state: State, source: Source, step: int, num: int = 1000, mesh: Mesh | None = None
) -> State:
    """The work on the host before a stretch of steps: a new held-out payoff, and the schedule, if they are due.

    The payoff comes from the calibrate split, so that the select split still ranks members on data that were not used
    for tuning.

    Args:
        game: the game, or replicas of it.
        state: its state; not donated.
        source: the data.
        step: that of the state.
        num: largest number of held-out samples.
        mesh: the devices over which the state is spread, or None.
    """
    one = game.first if isinstance(game, Replicas) else game
    due = lambda every: step % every == 0
    scored = "payoff" in one.pairing.asks and due(one.pairing.payoff_every)
    acts = one.schedule is not None and due(one.schedule.every) and (step > 0 or one.claims.at_start)
    if not scored and not acts:
        return state

    here = state if mesh is None else local(mesh, state if acts else bare(state))
    new = apply_each(game, here, lambda game, state: _between(game, state, source, num, scored, acts))
    if mesh is None:
        return new
    if not acts:
        # Every process computed a payoff; all use that of the first, so that they agree to the last bit.
        return state._replace(payoff=put(mesh, same_array(new.payoff), PartitionSpec()))
    fields: dict[str, Any] = same_array({name: tree for name, tree in new._asdict().items() if name != "key"})
    where = specs(game)
    return State(**{name: put(mesh, tree, getattr(where, name)) for name, tree in fields.items()}, key=state.key)


def bare(state: State) -> State:
    """A state without the optimisers' states but for paces; scores and samples need no more."""
    side = lambda groups: tuple(members._replace(optimizer=pace_of(members.optimizer) or ()) for members in groups)
    return state._replace(generators=side(state.generators), discriminators=side(state.discriminators))


def _between(game: Game, state: State, source: Source, num: int, scored: bool, acts: bool) -> State:
    if scored:
        fool = payoff(game, state, source.held_out("calibrate", num))
        state = state._replace(payoff=fool)
    if acts and game.schedule is not None:
        state = game.schedule.between(game, state, source, num)
    return state


def apply_each(game: Game | Replicas, state: State, fn: Callable[[Game, State], State]) -> State:
    """`fn` of a game and its state on the host, or of each healthy replica, one after the other."""
    if isinstance(game, Game):
        return fn(game, state)
    new = [game.take(state, r) for r in range(len(game))]
    new = [fn(game.game(r), one) if int(one.fault[0]) < 0 else one for r, one in enumerate(new)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *new)._replace(step=state.step)
