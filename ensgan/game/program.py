"""Many steps in one call of one compiled program: batches drawn inside, state donated, nothing fetched in between."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ensgan.data import Source
from ensgan.devices.mesh import ALONE, Place, put, sizes_of
from ensgan.game.batches import check_weights, draw_batch, draw_of
from ensgan.game.game import Game, check_source
from ensgan.game.info import Info, Total, added, mean, tally
from ensgan.game.placement import batch_specs, check_mesh, specs
from ensgan.game.replicas import Replicas
from ensgan.game.state import State
from ensgan.game.step import step
from ensgan.types import Array, InputError, Tree


class Interrupted(InputError):
    """Training could not go on. `state` is the last good one; the state that went in was donated and is gone."""

    def __init__(self, message: str, state: State) -> None:
        """Keeps the state beside the message."""
        super().__init__(message)
        self.state = state


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

    Calling it with a state and a number of steps gives the new state and the mean of what the steps report; `tally`
    gives the sum, for means over several calls. The number
    is an argument of the program, so no length compiles twice, and results do not depend on how steps are grouped into
    calls. The state that goes in is donated: its buffers are reused.

    On a mesh, states are spread over its devices (`shardings`), and data are on every one of them.
    """

    def __init__(self, players: Game | Replicas, source: Source, mesh: Mesh | None = None) -> None:
        """Puts the data on the devices. Raises InputError when the data, or the mesh, do not fit the game."""
        game = players.first if isinstance(players, Replicas) else players
        check_source(game, source)
        if mesh is not None:
            check_mesh(game, sizes_of(mesh))
            if jax.process_count() > 1 and not source.resumable:
                raise InputError(
                    f"the source {source.name!r} gives its batches once, so several processes cannot read the same; "
                    "use one process, or data that can be read by number"
                )
        self.mesh = mesh
        check_weights(game, source)
        self.game, self.source = game, source
        self.streamed = source.draw is None
        if self.streamed and isinstance(players, Replicas):
            raise InputError(f"{source.name!r} is streamed; replicas draw their own batches, from data held in memory")
        self.loops = loops(game) and not self.streamed
        self.arrays = {} if self.streamed else self.put(source.arrays["train"])
        self._read: Any = source.read
        # The functions below keep what they compiled for this game and source, so a second program compiles nothing.
        if self.streamed:
            self._run: Any = partial(_one, game, mesh)
        else:
            self._run = partial(_many if self.loops else _one_drawn, players, draw_of(game, source), mesh)

    def compile(self, state: State) -> None:
        """Compiles for states of this form now; else the first call does it."""
        if self.streamed and not self.source.resumable:
            return  # looking at a batch would use it up
        feed = (self._batches(int(jax.device_get(state.step))),) if self.streamed else (self.arrays,)
        num = (self.put(np.int32(1)),) if self.loops else ()
        lower = self._run.func.lower(*self._run.args, state, *feed, *num)
        self._run = lower.compile()

    def __call__(self, state: State, num: int) -> tuple[State, Info]:
        """Runs `num` steps, at least one; the report is their mean."""
        state, total = self.tally(state, num)
        return state, mean(total)

    def tally(self, state: State, num: int) -> tuple[State, Total]:
        """Runs `num` steps, at least one; the report is their sum, to be added to that of other stretches."""
        if self.loops:
            return self._run(state, self.arrays, self.put(np.int32(num)))
        total: Any = None
        first = int(jax.device_get(state.step)) if self.streamed else 0
        for k in range(num):
            try:
                feed = self._batches(first + k) if self.streamed else self.arrays
            except InputError as error:
                raise Interrupted(str(error), state) from error
            state, info = self._run(state, feed)
            total = added(total, tally(info))
        return state, total

    def _batches(self, step: int) -> dict[str, Any]:
        """The batches of a step from the host, put on the device."""
        first = step * self.game.n_critic
        batches = [self._read(first + c, self.game.batch_size) for c in range(self.game.n_critic)]
        batch = batches[0] if len(batches) == 1 else jax.tree.map(lambda *leaves: np.stack(leaves), *batches)
        specs = batch_specs(self.game, batch)
        return {name: self.put(leaf, specs[name]) for name, leaf in batch.items()}

    def put(self, tree: Tree, spec: PartitionSpec = PartitionSpec()) -> Tree:  # noqa: B008
        """Host arrays on the device; on a mesh, on every one of its devices or spread as `spec` says."""
        return jax.device_put(tree) if self.mesh is None else put(self.mesh, tree, spec)


def drawn_step(
    players: Game | Replicas, draw: Any, state: State, arrays: Tree, place: Place = ALONE
) -> tuple[State, Info]:
    """One step of a game, or of each of its replicas, on a batch of its own."""
    one = lambda game, state: step(game, state, draw_batch(game, draw, state, arrays, place), place)
    return players.map(one, state) if isinstance(players, Replicas) else one(players, state)


def _on_mesh(fn: Any, players: Game | Replicas, mesh: Mesh | None, *feeds: Any) -> Any:
    """`fn(place, state, *feeds)` on every device of the mesh, or on one."""
    if mesh is None:
        return partial(fn, ALONE)
    state = specs(players)
    here = partial(fn, Place(sizes_of(mesh)))
    # With check_vma, pullbacks would already sum over `data`, one collective for every leaf.
    return jax.shard_map(here, mesh=mesh, in_specs=(state, *feeds), out_specs=(state, PartitionSpec()), check_vma=False)


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=3)
def _many(
    players: Game | Replicas, draw: Any, mesh: Mesh | None, state: State, arrays: Tree, num: Array
) -> tuple[State, Total]:
    def steps(place: Place, state: State, arrays: Tree, num: Array) -> tuple[State, Total]:
        def body(_: Any, carry: tuple[State, Total]) -> tuple[State, Total]:
            state, total = carry
            state, info = drawn_step(players, draw, state, arrays, place)
            return state, jax.tree.map(jnp.add, total, tally(info))

        report = jax.eval_shape(lambda s: tally(drawn_step(players, draw, s, arrays, place)[1]), state)
        zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), report)
        return jax.lax.fori_loop(0, num, body, (state, zero))

    return _on_mesh(steps, players, mesh, PartitionSpec(), PartitionSpec())(state, arrays, num)


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=3)
def _one_drawn(
    players: Game | Replicas, draw: Any, mesh: Mesh | None, state: State, arrays: Tree
) -> tuple[State, Info]:
    one = lambda place, state, arrays: drawn_step(players, draw, state, arrays, place)
    return _on_mesh(one, players, mesh, PartitionSpec())(state, arrays)


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def _one(game: Game, mesh: Mesh | None, state: State, batch: dict[str, Array]) -> tuple[State, Info]:
    one = lambda place, state, batch: step(game, state, batch, place)
    return _on_mesh(one, game, mesh, batch_specs(game, batch))(state, batch)


def trace(game: Game, source: Source, mesh: Mesh | None, *, loop: bool) -> Any:
    """The program that trains a game, traced from shapes alone: nothing is put on a device, nor need one exist.

    Args:
        game: what is played.
        source: batches; its arrays may be shapes, as in `data.outline`.
        mesh: devices to compile for, or None for one.
        loop: whether steps run in a loop inside the program; `loops(game)` says what is fast on the backend in use.

    Returns:
        What `jax.jit(...).trace` gives: `jaxpr`, and `lower().compile()`.
    """

    def shape(tree: Tree, spec: Any) -> Tree:
        sharding = None if mesh is None else NamedSharding(mesh, spec)
        like = jax.eval_shape(lambda tree: tree, tree)  # as a device holds it, in 32 bits
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), like)

    state = jax.eval_shape(lambda: game.init(jax.random.key(0)))
    state = State(*(shape(tree, spec) for tree, spec in zip(state, specs(game), strict=True)))
    if source.draw is not None:
        arrays = shape(source.arrays["train"], PartitionSpec())
        num = (shape(np.int32(1), PartitionSpec()),) if loop else ()
        return (_many if loop else _one_drawn).trace(game, draw_of(game, source), mesh, state, arrays, *num)
    size = (game.batch_size,) if game.n_critic == 1 else (game.n_critic, game.batch_size)
    batch: dict[str, Any] = {"x": jax.ShapeDtypeStruct((*size, *source.shape), np.float32)}
    if source.classes is not None:
        batch["label"] = jax.ShapeDtypeStruct(size, np.int32)
    specs_of = batch_specs(game, batch)
    return _one.trace(game, mesh, state, {name: shape(leaf, specs_of[name]) for name, leaf in batch.items()})
