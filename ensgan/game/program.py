"""Many steps in one call of one compiled program: batches drawn inside, state donated, nothing fetched in between."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ensgan.data import Source
from ensgan.devices.counting import flops_of
from ensgan.devices.mesh import ALONE, Place, put, put_rows, rows_here, sizes_of
from ensgan.game.batches import check_weights, draw_batch, draw_of
from ensgan.game.game import Game, check_source
from ensgan.game.info import Info, Total, added, mean, tally
from ensgan.game.placement import batch_specs, check_mesh, specs
from ensgan.game.replicas import Replicas
from ensgan.game.state import State
from ensgan.game.step import step
from ensgan.types import Array, InputError, Roster, Tree


class Interrupted(InputError):
    """Training had to stop. `state` is the last good state; the input state was donated and no longer exists."""

    def __init__(self, message: str, state: State) -> None:
        """Keeps the state with the message."""
        super().__init__(message)
        self.state = state


def loops(game: Game) -> bool:
    """Whether steps run in a loop inside the program.

    On a CPU, a convolution inside a loop is 10 to 20 times slower than outside (`benchmarks/convolutions.py`). So games
    with convolutions that are not matrix products are dispatched one step at a time there.
    """
    convolutional = any(group.network.convolutional and not group.products for group in game.groups)
    return not (convolutional and jax.default_backend() == "cpu")


class Program:
    """The compiled training program of one game on one source.

    A call with a state and a number of steps returns the new state and the mean of the steps' reports; `tally` returns
    their sum, for means over several calls. The number of steps is an argument of the compiled program, so a new number
    does not compile again, and results do not depend on how steps are grouped into calls. The input state is donated:
    its buffers are reused.

    On a mesh, states are spread over its devices (`shardings`), and every device holds all data.
    """

    def __init__(self, players: Game | Replicas, source: Source, mesh: Mesh | None = None) -> None:
        """Puts the data on the devices. Raises InputError if the data or the mesh do not fit the game."""
        game = players.first if isinstance(players, Replicas) else players
        check_source(game, source)
        if mesh is not None:
            check_mesh(game, sizes_of(mesh))
            if jax.process_count() > 1 and not source.resumable:
                raise InputError(
                    f"the source {source.name!r} gives each batch only once, so several processes cannot read the "
                    "same; use one process, or data that can be read by number"
                )
        self.mesh = mesh
        check_weights(game, source)
        self.game, self.source = game, source
        draw = draw_of(game, source)
        self.streamed = draw is None
        if self.streamed and isinstance(players, Replicas):
            raise InputError(f"{source.name!r} is streamed, but replicas draw their own batches; give data in memory")
        self.loops = loops(game) and not self.streamed
        self.arrays = {} if self.streamed else self.put(source.arrays["train"])
        self._read: Any = source.read
        self._place: Any = self.put  # a leaf of a batch, as its spec says
        if mesh is not None and (part := source.read_part) is not None and jax.process_count() > 1:
            rows = rows_here(mesh, game.reals)  # each process reads its own samples alone
            self._read = lambda step, size: part(step, size, rows)
            self._place = partial(put_rows, mesh, size=game.reals)
        self.flops = 0.0  # of a step, on all devices; 0 until the program is compiled
        self.reading = 0.0  # seconds spent on reading streamed batches; the device may compute meanwhile
        # `_one` and `_many` keep their compilations for this game and source, so a second program compiles nothing.
        self._run: Any = partial(_many if self.loops else _one, players, draw, mesh)
        self._traced = self._run  # compiles for states of any form

    def compile(self, state: State) -> None:
        """Compiles now for states of this form; otherwise the first call compiles."""
        if self.streamed and not self.source.resumable:
            return  # a look at a batch would consume it
        feed = (self._batches(int(jax.device_get(state.step))),) if self.streamed else (self.arrays,)
        num = (self.put(np.int32(1)),) if self.loops else ()

        def form(leaf: Array) -> jax.ShapeDtypeStruct:
            sharding = None if self.mesh is None else leaf.sharding
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, weak_type=jax.typeof(leaf).weak_type, sharding=sharding)

        leaves, tree = jax.tree.flatten(jax.tree.map(form, (state, *feed, *num)))
        self._run, flops = _compiled(self._run.func, *self._run.args, tuple(leaves), tree)
        self.flops = flops * (1 if self.mesh is None else self.mesh.size)

    def __call__(self, state: State, num: int) -> tuple[State, Info]:
        """Runs `num` steps, at least one; the report is the mean of theirs."""
        state, total = self.tally(state, num)
        return state, mean(total)

    def tally(self, state: State, num: int) -> tuple[State, Total]:
        """Runs `num` steps, at least one; the report is the sum of theirs, to be added to those of other stretches."""
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

    def without(self, state: State, absent: Sequence[tuple[int, int]]) -> tuple[State, Total]:
        """One step in which some members take no part: nobody meets them, and they learn nothing.

        It is another program, which is compiled when it is needed for the first time.

        Args:
            state: where the game stands; donated.
            absent: side, 0 for generators, and number of each.
        """
        roster, part = state.roster, [np.ones(self.game.M, bool), np.ones(self.game.N, bool)]
        for side, member in absent:
            part[side][member] = False
        here = Roster(*self.put((*part, *part)))
        if isinstance(roster, Roster):
            here = jax.tree.map(jnp.logical_and, here, roster)
        only = copy.copy(self)
        only._run = self._traced
        new, total = only.tally(state._replace(roster=here), 1)
        self.reading = only.reading
        return new._replace(roster=roster), total

    def _batches(self, step: int) -> dict[str, Any]:
        """The batches of a step, read on the host and put on the device."""
        start = time.perf_counter()
        first = step * self.game.n_critic
        batches = [self._read(first + c, self.game.reals) for c in range(self.game.n_critic)]
        batch = batches[0] if len(batches) == 1 else jax.tree.map(lambda *leaves: np.stack(leaves), *batches)
        specs = batch_specs(self.game, batch)
        feed = {name: self._place(leaf, specs[name]) for name, leaf in batch.items()}
        self.reading += time.perf_counter() - start
        return feed

    def put(self, tree: Tree, spec: PartitionSpec = PartitionSpec()) -> Tree:  # noqa: B008
        """Host arrays on the device; on a mesh, on each of its devices or spread as `spec` says."""
        return jax.device_put(tree) if self.mesh is None else put(self.mesh, tree, spec)


def drawn_step(
    players: Game | Replicas, draw: Any, state: State, feed: Tree, place: Place = ALONE
) -> tuple[State, Info]:
    """One step of a game, or of each replica.

    Args:
        players: the game or its replicas.
        draw: `draw(arrays, keys)` of a batch, or None if `feed` is the batch.
        state: of all players.
        feed: the arrays of the data, or a batch.
        place: which members and samples are on this device.
    """

    def one(game: Game, state: State) -> tuple[State, Info]:
        batch = feed if draw is None else draw_batch(game, draw, state, feed, place)
        return step(game, state, batch, place)

    return players.map(one, state) if isinstance(players, Replicas) else one(players, state)


def _on_mesh(fn: Any, players: Game | Replicas, mesh: Mesh | None, *feeds: Any) -> Any:
    """`fn(place, state, *feeds)` on every device of the mesh, or on a single device."""
    if mesh is None:
        return partial(fn, ALONE)
    state = specs(players)
    game = players.first if isinstance(players, Replicas) else players
    here = partial(fn, Place(sizes_of(mesh), game.on_trunks))
    # With check_vma, pullbacks would already sum over `data`, with one collective per leaf.
    return jax.shard_map(here, mesh=mesh, in_specs=(state, *feeds), out_specs=(state, PartitionSpec()), check_vma=False)


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=3)
def _many(
    players: Game | Replicas, draw: Any, mesh: Mesh | None, state: State, arrays: Tree, num: Array
) -> tuple[State, Total]:
    def steps(place: Place, state: State, arrays: Tree, num: Array) -> tuple[State, Total]:
        @partial(jax.jit, inline=True)  # traced once, for its shapes and for the loop
        def one(state: State, arrays: Tree) -> tuple[State, Total]:
            state, info = drawn_step(players, draw, state, arrays, place)
            return state, tally(info)

        def body(carry: tuple[Array, State, Total]) -> tuple[Array, State, Total]:
            k, state, total = carry
            state, more = one(state, arrays)
            return k + 1, state, jax.tree.map(jnp.add, total, more)

        def left(carry: tuple[Array, State, Total]) -> Array:
            k, state, _ = carry  # after a fault, nothing is updated; other replicas go on
            return (k < num) if isinstance(players, Replicas) else (k < num) & (state.fault[0] < 0)

        report = jax.eval_shape(one, state, arrays)[1]
        zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), report)
        return jax.lax.while_loop(left, body, (jnp.zeros_like(num), state, zero))[1:]

    return _on_mesh(steps, players, mesh, PartitionSpec(), PartitionSpec())(state, arrays, num)


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=3)
def _one(players: Game | Replicas, draw: Any, mesh: Mesh | None, state: State, feed: Tree) -> tuple[State, Info]:
    one = lambda place, state, feed: drawn_step(players, draw, state, feed, place)
    spec = PartitionSpec() if draw is not None else batch_specs(players, feed)  # type: ignore[arg-type]
    return _on_mesh(one, players, mesh, spec)(state, feed)


@lru_cache(maxsize=1)  # the next seed of a series has the same program
def _compiled(
    run: Any, players: Game | Replicas, draw: Any, mesh: Mesh | None, leaves: tuple[Any, ...], tree: Any
) -> tuple[Any, float]:
    """The compiled program for arguments of these forms, and the FLOPs of a step on one device."""
    traced = run.trace(players, draw, mesh, *jax.tree.unflatten(tree, leaves))
    compiled = traced.lower().compile()
    return compiled, flops_of(traced, compiled)


def trace(game: Game, source: Source, mesh: Mesh | None, *, loop: bool) -> Any:
    """The program that trains a game, traced from shapes: nothing is put on a device, and the devices need not exist.

    Args:
        game: the game.
        source: batches; its arrays may be shapes, as in `data.outline`.
        mesh: devices to compile for, or None for a single device.
        loop: whether steps run in a loop inside the program; `loops(game)` is the fast choice on the backend in use.

    Returns:
        The result of `jax.jit(...).trace`: `jaxpr`, and `lower().compile()`.
    """

    def shape(tree: Tree, spec: Any) -> Tree:
        sharding = None if mesh is None else NamedSharding(mesh, spec)
        like = jax.eval_shape(lambda tree: tree, tree)  # in 32 bits, as on a device
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), like)

    state = jax.eval_shape(lambda: game.init(jax.random.key(0)))
    is_spec = lambda each: isinstance(each, PartitionSpec)
    state = jax.tree.map(lambda spec, tree: shape(tree, spec), specs(game), state, is_leaf=is_spec)
    draw = draw_of(game, source)
    if draw is not None:
        arrays = shape(source.arrays["train"], PartitionSpec())
        num = (shape(np.int32(1), PartitionSpec()),) if loop else ()
        return (_many if loop else _one).trace(game, draw, mesh, state, arrays, *num)
    size = (game.reals,) if game.n_critic == 1 else (game.n_critic, game.reals)
    batch: dict[str, Any] = {"x": jax.ShapeDtypeStruct((*size, *source.shape), np.float32)}
    if source.classes is not None:
        batch["label"] = jax.ShapeDtypeStruct(size, np.int32)
    specs_of = batch_specs(game, batch)
    return _one.trace(game, None, mesh, state, {name: shape(leaf, specs_of[name]) for name, leaf in batch.items()})
