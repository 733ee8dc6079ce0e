"""Replicas: R independent games of one form in one program, each with its own seed and numbers.

Ten seeds cost one compilation. Replica r does the same as its game would do alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.game.game import Game
from ensgan.game.state import State
from ensgan.types import InputError

# Axis 0 of every leaf of a state counts replicas, except the step, which is the same for all. So a `cond` on the step
# is not turned into a `select`, and lazy penalties stay lazy.
AXES: Any = State(**{name: None if name == "step" else 0 for name in State._fields})  # type: ignore[arg-type]


class Replicas:
    """R games played side by side.

    Example, ten seeds of one game, and a grid of learning rates for one seed:

        Replicas(game, seeds=range(10))
        Replicas(lambda rate: make_game(optim.adam(rate)), seeds=[0] * 3, rate=[1e-4, 3e-4, 1e-3])

    The settings are traced arrays. Use them where the game takes an array (rates, betas, strengths of penalties), but
    not where a shape, a name, a check or an `if` depends on them.

    Attributes:
        seeds: one per replica.
        first: the game of replica 0, for all that the games have in common.
    """

    def __init__(self, make: Game | Callable[..., Game], seeds: Sequence[int], **settings: Any) -> None:
        """Checks that there is one entry per replica.

        Args:
            make: the game, or a function that makes one from the settings.
            seeds: one per replica, at least one; replica r starts as `game.init(jax.random.key(seeds[r]))`.
            settings: arguments of `make`, arrays `[R, ...]`.

        Raises:
            InputError: no seeds, settings of another length, or settings for a game that is already made.
        """
        self.seeds = [int(seed) for seed in seeds]
        self.settings = {name: np.asarray(value) for name, value in settings.items()}
        if not self.seeds:
            raise InputError("no seeds are given; give at least one, for example seeds=range(10)")
        if self.settings and isinstance(make, Game):
            raise InputError(
                f"{next(iter(self.settings))} is given, but the game is already made; give a function of the settings"
            )
        for name, value in self.settings.items():
            if value.shape[:1] != (len(self.seeds),):
                raise InputError(
                    f"{name} has shape {value.shape} for {len(self.seeds)} replicas; give one entry per replica"
                )
        self._make = make
        self._games: dict[int, Game] = {}
        self.first = self.game(0)

    def __len__(self) -> int:
        """R, the number of games."""
        return len(self.seeds)

    def game(self, r: int) -> Game:
        """The game of replica r: always the same object, so that programs are compiled once."""
        if r not in self._games:
            self._games[r] = self._made({name: value[r] for name, value in self.settings.items()})
        return self._games[r]

    def init(self) -> State:
        """The stacked states of all replicas; `step` is shared."""
        keys = jnp.stack([jax.random.key(seed) for seed in self.seeds])
        state = jax.jit(jax.vmap(lambda key, settings: self._made(settings).init(key)))(keys, self.settings)
        return state._replace(step=jnp.zeros((), jnp.int32))

    def take(self, state: State, r: int) -> State:
        """The state of replica r, in the form of a single game."""
        if not 0 <= r < len(self):
            raise InputError(f"there is no replica {r}; give a number from 0 to {len(self) - 1}")
        every = state._replace(step=jnp.broadcast_to(state.step, (len(self),)))
        return jax.tree.map(lambda leaf: leaf[r], every)

    def map(self, fn: Callable[[Game, State], tuple[State, Any]], state: State) -> tuple[State, Any]:
        """`fn` of one game and its state, for all replicas: batched, or one after the other if members are unrolled."""

        def one(state: State, settings: dict[str, Any]) -> tuple[State, Any]:
            return fn(self._made(settings), state)

        if any(group.execution == "unroll" for group in self.first.groups):
            every = range(len(self))
            outs = [one(self.take(state, r), {name: value[r] for name, value in self.settings.items()}) for r in every]
            stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *outs)
            return stacked[0]._replace(step=outs[0][0].step), stacked[1]
        return jax.vmap(one, in_axes=(AXES, 0), out_axes=(AXES, 0))(state, self.settings)

    def _made(self, settings: dict[str, Any]) -> Game:
        return self._make if isinstance(self._make, Game) else self._make(**settings)
