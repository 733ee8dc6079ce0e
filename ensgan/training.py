"""Training in memory, and the one place where the names of a configuration become functions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from ensgan import augment, losses, networks, optim, penalties, population, selection
from ensgan.config import Config, GroupConfig, Plug
from ensgan.data import SOURCES, Source
from ensgan.dispatch import Interrupted, Program, shardings
from ensgan.faults import describe_fault, stopped
from ensgan.game import Game, State, check_source
from ensgan.mesh import local, put
from ensgan.pairing import PAIRINGS
from ensgan.population import Group, Latent
from ensgan.processes import same_array
from ensgan.replicas import Replicas
from ensgan.step import Info
from ensgan.types import InputError, Shape, unknown

TABLES = {
    "data": SOURCES,
    "loss": losses.LOSSES,
    "pairing": PAIRINGS,
    "penalty": penalties.PENALTIES,
    "augment": augment.AUGMENTS,
    "optimizer": optim.OPTIMIZERS,
    "generators": networks.GENERATORS,
    "discriminators": networks.DISCRIMINATORS,
}


def build(config: Config) -> tuple[Game, Source]:
    """The game and the data that a configuration describes.

    Raises:
        InputError: a name, a number or a file that does not fit.
    """
    source = SOURCES[config.data.name](**config.data.options, seed=config.seed)
    source.check_batch(config.batch_size)
    game = build_game(config, source.shape)
    check_source(game, source)
    return game, source


def build_game(config: Config, sample_shape: Shape) -> Game:
    """The game of a configuration whose samples have this shape; what it says of data is not looked at.

    Raises:
        InputError: a name or a number that does not fit.
    """
    if config.loss not in losses.LOSSES:  # a configuration made in Python
        raise unknown("loss", config.loss, losses.LOSSES)

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
            optimizer=optim.OPTIMIZERS[optimizer.name](**optimizer.options),
            latent=latent,
            execute=settings.execute,
            remat=settings.remat,
        )

    return Game(
        generators=[group(settings, networks.GENERATORS, shared_g) for settings in config.generators],
        discriminators=[
            group(settings, networks.DISCRIMINATORS, config.optimizer) for settings in config.discriminators
        ],
        loss=losses.LOSSES[config.loss],
        penalty=penalties.PENALTIES[config.penalty.name](**config.penalty.options),
        pairing=PAIRINGS[config.pairing.name](**config.pairing.options),
        ema=config.ema,
        batch_size=config.batch_size,
        augment=augment.AUGMENTS[config.augment.name](**config.augment.options),
        update=config.update,
        n_critic=config.n_critic,
        coverage=config.coverage,
    )


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
        callback: called on the host with the state and the mean report every `every` steps; must not keep the state.
        every: steps between two calls; None is once, at the end.
        mesh: devices to spread members and samples over, from `ensgan.mesh.make`; None is one device. The state that
            comes back lies on it.

    Returns:
        The new state, and the mean over the last stretch of what steps report: `info.loss_g` and `info.loss_d` are `[M,
        N]`, or `[R, M, N]`.

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
    begin, info = int(state.step), None
    period = (game.first if isinstance(game, Replicas) else game).pairing.payoff_every
    for start, end in stretches(begin, begin + steps, [every] if every else [], period):
        state = refresh_payoff(game, state, source, start, mesh=mesh)
        state, info = program(state, end - start)
        # A replica that stops leaves the others alone; its fault is in the state.
        if isinstance(game, Game) and (fault := describe_fault(state.fault)):
            advice = "no later update was applied. Lower the learning rate or add a penalty"
            raise Interrupted(f"{fault}; {advice}", stopped(state))
        if callback is not None:
            callback(state, info)
    assert info is not None  # there was at least one stretch
    return state, info


def stretches(begin: int, end: int, marks: list[int], payoff_every: int = 0) -> Iterator[tuple[int, int]]:
    """The stretches of steps between `begin` and `end`, cut at every multiple of every mark."""
    periods = [mark for mark in (*marks, payoff_every) if mark > 0]
    while begin < end:
        stop = min([end, *((begin // period + 1) * period for period in periods)])
        yield begin, stop
        begin = stop


def refresh_payoff(
    game: Game | Replicas, state: State, source: Source, step: int, num: int = 1000, mesh: Mesh | None = None
) -> State:
    """The state with a new held-out payoff matrix, if the pairing asks for one at this step.

    It comes from the calibrate split, so that the select split still ranks members on data that nothing was tuned on.
    """
    plug = (game.first if isinstance(game, Replicas) else game).pairing
    if "payoff" not in plug.asks or step % plug.payoff_every:
        return state
    reals, here = source.held_out("calibrate", num), state if mesh is None else local(mesh, state)
    if isinstance(game, Replicas):
        each = [selection.payoff(game.game(r), game.take(here, r), reals) for r in range(len(game))]
        payoff = jnp.stack(each)
    else:
        payoff = selection.payoff(game, here, reals)
    # Every process has made its own; they play by that of the first, to the last bit.
    return state._replace(payoff=payoff if mesh is None else put(mesh, same_array(payoff), PartitionSpec()))
