"""Training in memory, and the one place where the names of a configuration become functions."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from ensgan import augment, losses, networks, optim, penalties, schedules
from ensgan.config import Config, GroupConfig, Plug
from ensgan.data import SOURCES, VIEWS, Source
from ensgan.devices.mesh import local, put
from ensgan.devices.processes import same_array
from ensgan.game import population
from ensgan.game.faults import describe_fault, stopped
from ensgan.game.game import Game, check_source
from ensgan.game.info import Info, Total, added, mean
from ensgan.game.placement import shardings, specs
from ensgan.game.population import Group, Latent
from ensgan.game.program import Interrupted, Program
from ensgan.game.replicas import Replicas
from ensgan.game.state import State
from ensgan.pairing import PAIRINGS
from ensgan.sampling.inference import payoff
from ensgan.types import InputError, Schedule, Shape

TABLES = {
    "data": SOURCES,
    "view": VIEWS,
    "loss": losses.NAMED,
    "pairing": PAIRINGS,
    "penalty": penalties.PENALTIES,
    "augment": augment.AUGMENTS,
    "schedule": schedules.SCHEDULES,
    "optimizer": optim.OPTIMIZERS,
    "generators": networks.GENERATORS,
    "discriminators": networks.DISCRIMINATORS,
}


def build(config: Config) -> tuple[Game, Source]:
    """The game and the data that a configuration describes.

    Raises:
        InputError: a name, a number or a file that does not fit.
    """
    source = viewed(config, SOURCES[config.data.name](**config.data.options, seed=config.seed))
    source.check_batch(config.batch_size)
    game = build_game(config, source.shape, source.num["train"])
    check_source(game, source)
    return game, source


def viewed(config: Config, source: Source) -> Source:
    """The data as the discriminators of a configuration see them.

    Raises:
        InputError: a name, a number or data that the view does not fit.
    """
    N = sum(settings.count for settings in config.discriminators)
    return VIEWS[config.view.name](source, N, seed=config.seed, **config.view.options)


def build_game(config: Config, sample_shape: Shape, samples: int | None) -> Game:
    """The game of a configuration; what it says of data is not looked at.

    Args:
        config: the settings.
        sample_shape: of one sample.
        samples: how many the train split has; None where that is unbounded.

    Raises:
        InputError: a name or a number that does not fit.
    """
    M, N = (sum(settings.count for settings in side) for side in (config.generators, config.discriminators))
    schedule = _made(schedules.SCHEDULES, config.schedule, samples=samples or 0)
    shared_g = Plug(
        config.optimizer.name, {**config.optimizer.options, "weight_clip": 0.0}
    )  # critics alone are clipped

    def group(settings: GroupConfig, table: dict[str, Callable[..., Any]], shared: Plug) -> Group:
        optimizer = shared if settings.optimizer.name == "shared" else settings.optimizer
        scale = settings.latent_scale
        prior = {"normal": population.normal, "uniform": population.uniform}[settings.latent]
        latent: Latent = prior(np.asarray(scale, np.float32) if isinstance(scale, tuple) else scale)
        return Group(
            network=table[settings.network.name](sample_shape, **settings.network.options),
            count=settings.count,
            optimizer=optim.OPTIMIZERS[optimizer.name](**_own_numbers(optimizer.options, settings.count, schedule)),
            latent=latent,
            execute=settings.execute,
            remat=settings.remat,
            shared=tuple(settings.shared),
        )

    return Game(
        generators=[group(settings, networks.GENERATORS, shared_g) for settings in config.generators],
        discriminators=[
            group(settings, networks.DISCRIMINATORS, config.optimizer) for settings in config.discriminators
        ],
        loss=_made(losses.NAMED, config.loss, M=M, N=N),
        penalty=penalties.PENALTIES[config.penalty.name](**config.penalty.options),
        pairing=PAIRINGS[config.pairing.name](**config.pairing.options),
        ema=config.ema,
        batch_size=config.batch_size,
        augment=augment.AUGMENTS[config.augment.name](**config.augment.options),
        update=config.update,
        n_critic=config.n_critic,
        coverage=config.coverage,
        schedule=schedule,
    )


def _made(table: dict[str, Callable[..., Any]], plug: Plug, **supplied: Any) -> Any:
    """What a plug's function makes, of its options and of those supplied numbers that it takes."""
    factory = table[plug.name]
    wanted = inspect.signature(factory).parameters
    return factory(**plug.options, **{name: value for name, value in supplied.items() if name in wanted})


def _own_numbers(options: dict[str, Any], count: int, schedule: Schedule | None) -> dict[str, Any]:
    """Options of an optimiser; a learning rate that a schedule changes becomes one for every member."""
    if schedule is None or "learning_rate" not in schedule.hyper:
        return options
    rate = options["learning_rate"]
    return {**options, "learning_rate": np.full((count,), rate, np.float32) if np.size(rate) == 1 else rate}


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
        game: what is played, or replicas of it. A replica that stops being finite keeps its last state, and
            `describe_fault(state.fault[r])` says why; the others go on.
        state: where it stands; its buffers are donated, so use the state that comes back.
        source: batches.
        steps: how many, at least 1.
        callback: called on the host every `every` steps, and at the end, with the state and the mean report since the
            last call; must not keep the state.
        every: steps between two calls; None is once, at the end.
        mesh: devices to spread members and samples over, from `ensgan.mesh.make`; None is one device. The state that
            comes back lies on it.

    Returns:
        The new state, and the mean of what steps report, since the last multiple of `every` before the end if it is
        given, else over all: `info.loss_g` and `info.loss_d` are `[M, N]`, or `[R, M, N]`.

    Raises:
        InputError: `steps` or `every` below 1 or not whole numbers.
        Interrupted: a member stopped being finite, or the data ended; the message says which, and when, and
            `error.state` is the last good state; only if it is an update that was not finite, it holds that update.
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
        # A replica that stops leaves the others alone; its fault is in the state.
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
    """How many steps may pass until something has to be done on the host."""
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
    """What is done on the host before a stretch of steps: a new held-out payoff, and the schedule, where it is time.

    The payoff comes from the calibrate split, so that the select split still ranks members on data that nothing was
    tuned on.

    Args:
        game: what is played, or replicas of it.
        state: where it stands; not donated.
        source: the data.
        step: that of the state.
        num: largest number of held-out samples.
        mesh: the devices that the state is spread over, or None.
    """
    one = game.first if isinstance(game, Replicas) else game
    due = lambda every: step % every == 0
    scored = "payoff" in one.pairing.asks and due(one.pairing.payoff_every)
    acts = one.schedule is not None and due(one.schedule.every) and (step > 0 or one.schedule.at_start)
    if not scored and not acts:
        return state

    here = state if mesh is None else local(mesh, state if acts else bare(state))
    new = apply_each(game, here, lambda game, state: _between(game, state, source, num, scored, acts))
    if mesh is None:
        return new
    if not acts:
        # Every process has made its own; they play by that of the first, to the last bit.
        return state._replace(payoff=put(mesh, same_array(new.payoff), PartitionSpec()))
    fields: dict[str, Any] = same_array({name: tree for name, tree in new._asdict().items() if name != "key"})
    where = specs(game)
    return State(**{name: put(mesh, tree, getattr(where, name)) for name, tree in fields.items()}, key=state.key)


def bare(state: State) -> State:
    """What scores and samples need: everything but the optimisers' states."""
    side = lambda groups: tuple(members._replace(optimizer=()) for members in groups)
    return state._replace(generators=side(state.generators), discriminators=side(state.discriminators))


def _between(game: Game, state: State, source: Source, num: int, scored: bool, acts: bool) -> State:
    if scored:
        fool = payoff(game, state, source.held_out("calibrate", num))
        state = state._replace(payoff=fool)
    if acts and game.schedule is not None:
        state = game.schedule.between(game, state, source, num)
    return state


def apply_each(game: Game | Replicas, state: State, fn: Callable[[Game, State], State]) -> State:
    """`fn` of a game and its state on the host, or of each replica that goes on, one after the other."""
    if isinstance(game, Game):
        return fn(game, state)
    new = [game.take(state, r) for r in range(len(game))]
    new = [fn(game.game(r), one) if int(one.fault[0]) < 0 else one for r, one in enumerate(new)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *new)._replace(step=state.step)
