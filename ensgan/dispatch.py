"""Many steps in one call of one compiled program: batches drawn inside, state donated, nothing fetched in between."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.data import Source
from ensgan.game import Game, State
from ensgan.replicas import Replicas
from ensgan.step import Info, step
from ensgan.types import Array, InputError, Tree


class Interrupted(InputError):
    """Training could not go on. `state` is the last good one; the state that went in was donated and is gone."""

    def __init__(self, message: str, state: State) -> None:
        """Keeps the state beside the message."""
        super().__init__(message)
        self.state = state


Total = tuple[Info, Info]  # sums over steps, and how many steps are in each


def loops(game: Game) -> bool:
    """Whether steps run in a loop inside the program.

    On a CPU, a convolution inside a loop is about 20 times slower than outside (XLA runs it on one thread), so games
    whose convolutions are not matrix products are dispatched a step at a time there.
    """
    groups = (*game.groups_g, *game.groups_d)
    convolutional = any(group.network.convolutional and not group.products for group in groups)
    return not (convolutional and jax.default_backend() == "cpu")


class Program:
    """The compiled training program of one game on one source.

    Calling it with a state and a number of steps gives the new state and the mean of what the steps report. The number
    is an argument of the program, so no length compiles twice, and results do not depend on how steps are grouped into
    calls. The state that goes in is donated: its buffers are reused.
    """

    def __init__(self, players: Game | Replicas, source: Source) -> None:
        """Puts the data on the device. Raises InputError when the data do not fit the game, or its replicas."""
        game = players.first if isinstance(players, Replicas) else players
        source.check_batch(game.batch_size)
        if tuple(source.shape) != tuple(game.sample_shape):
            raise InputError(
                f"the data have samples of shape {tuple(source.shape)}, but generators put out {game.sample_shape}; "
                "they must agree"
            )
        self.game, self.source = game, source
        self.streamed = source.draw is None
        if self.streamed and isinstance(players, Replicas):
            raise InputError(f"{source.name!r} is streamed; replicas draw their own batches, from data held in memory")
        self.loops = loops(game) and not self.streamed
        self.arrays = {} if self.streamed else jax.device_put(source.arrays["train"])
        self._read: Any = source.read
        # The functions below keep what they compiled for this game and source, so a second program compiles nothing.
        if self.streamed:
            self._run: Any = partial(_one, game)
        else:
            self._run = partial(_many if self.loops else _one_drawn, players, source.draw)

    def compile(self, state: State) -> None:
        """Compiles for states of this form now; else the first call does it."""
        if self.streamed and not self.source.resumable:
            return  # looking at a batch would use it up
        feed = (self._next(state),) if self.streamed else (self.arrays,)
        lower = self._run.func.lower(*self._run.args, state, *feed, *((jnp.int32(1),) if self.loops else ()))
        self._run = lower.compile()

    def __call__(self, state: State, num: int) -> tuple[State, Info]:
        """Runs `num` steps, at least one."""
        if self.loops:
            return self._run(state, self.arrays, jax.device_put(np.int32(num)))
        total: Any = None
        for _ in range(num):
            try:
                feed = self._next(state) if self.streamed else self.arrays
            except InputError as error:
                raise Interrupted(str(error), state) from error
            state, info = self._run(state, feed)
            total = _tally(info) if total is None else _add(total, info)
        return state, _mean(total)

    def _next(self, state: State) -> dict[str, Any]:
        """The batches of the next step from the host, put on the device."""
        first = int(jax.device_get(state.step)) * self.game.n_critic
        batches = [self._read(first + c, self.game.batch_size) for c in range(self.game.n_critic)]
        batch = batches[0] if len(batches) == 1 else jax.tree.map(lambda *leaves: np.stack(leaves), *batches)
        return jax.device_put(batch)


def draw_batch(game: Game, draw: Any, state: State, arrays: Tree) -> dict[str, Array]:
    """The batches of the next step from arrays on the device: a pure function of (seed, step)."""
    key = jax.random.fold_in(state.key, 2 * state.step)
    if game.n_critic == 1:
        return draw(arrays, key, game.batch_size)
    each = lambda c: draw(arrays, jax.random.fold_in(key, c), game.batch_size)
    return jax.vmap(each)(jnp.arange(game.n_critic))


def drawn_step(players: Game | Replicas, draw: Any, state: State, arrays: Tree) -> tuple[State, Info]:
    """One step of a game, or of each of its replicas, on a batch of its own."""
    if isinstance(players, Replicas):
        return players.map(lambda game, state: step(game, state, draw_batch(game, draw, state, arrays)), state)
    return step(players, state, draw_batch(players, draw, state, arrays))


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def _many(players: Game | Replicas, draw: Any, state: State, arrays: Tree, num: Array) -> tuple[State, Info]:
    def body(_: Any, carry: tuple[State, Total]) -> tuple[State, Total]:
        state, total = carry
        state, info = drawn_step(players, draw, state, arrays)
        return state, jax.tree.map(jnp.add, total, _tally(info))

    report = jax.eval_shape(lambda s: _tally(drawn_step(players, draw, s, arrays)[1]), state)
    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), report)
    state, total = jax.lax.fori_loop(0, num, body, (state, zero))
    return state, _mean(total)


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def _one_drawn(players: Game | Replicas, draw: Any, state: State, arrays: Tree) -> tuple[State, Info]:
    return drawn_step(players, draw, state, arrays)


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def _one(game: Game, state: State, batch: dict[str, Array]) -> tuple[State, Info]:
    return step(game, state, batch)


@jax.jit
def _tally(info: Info) -> Total:
    """What is summed: a pair that was not played reports NaN, and counts for nothing."""
    played = jax.tree.map(lambda a: ~jnp.isnan(a), info)
    values = jax.tree.map(lambda a, p: jnp.where(p, a, 0.0), info, played)
    return values, jax.tree.map(lambda p, a: p.astype(a.dtype), played, info)


@jax.jit
def _add(total: Total, info: Info) -> Total:
    return jax.tree.map(jnp.add, total, _tally(info))


@jax.jit
def _mean(total: Total) -> Info:
    return jax.tree.map(jnp.divide, *total)
