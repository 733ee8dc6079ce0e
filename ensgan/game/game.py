"""The game: what M generators and N discriminators play, as one immutable description, and the state of its arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from ensgan import losses, optim, pairing
from ensgan.data import Source
from ensgan.game import checks, population
from ensgan.game.coverage import COVERAGES, Coverage
from ensgan.game.population import Group, Groups
from ensgan.game.state import State
from ensgan.metrics import ratings
from ensgan.types import Array, Augment, InputError, Loss, Pairing, Penalty, Roster, Schedule


@dataclass(frozen=True, eq=False)  # a game is itself: compiled programs are cached by identity
class Game:
    """A game: its networks, losses and rules. Holds functions and numbers, no arrays that change.

    Attributes:
        generators: groups of generators (or one group); all of them put out samples of one shape.
        discriminators: groups of discriminators (or one); all of them take samples of that shape.
        loss: the pair loss.
        penalty: a regulariser of every discriminator, several of them, or None.
        pairing: who plays whom and how much it counts.
        optimizer: for every group without one of its own; an optax transformation or `optim.per_member(...)`.
        ema: decay of the exponential average of generators, in [0, 1); sampling and selection use the average.
        batch_size: B, samples per generator and step, and reals per step.
        augment: what happens to samples on their way into the discriminators, or None.
        update: `simultaneous` takes both gradients at the same parameters and shares one backward pass; `alternating`
            updates discriminators first, as most papers do. They are different algorithms.
        n_critic: discriminator updates per step, each on its own batch; more than 1 needs `alternating`.
        coverage: `full` lets every discriminator see every sample, at a cost ∝ M·N·B. `split` deals each generator's
            batch, and the reals, out among the discriminators, B/N samples for each pair, at a cost ∝ M·B whatever N
            is; pairings then see running means of the matrices. `neighbours` computes only the opponents that the
            pairing names, k of them for every discriminator, at a cost ∝ N·k·B.
        schedule: what happens to members between stretches of steps, or None.

    Raises:
        InputError: groups that do not fit together, or numbers out of range.
    """

    generators: Sequence[Group]
    discriminators: Sequence[Group]
    loss: Loss = losses.non_saturating
    penalty: Penalty | Sequence[Penalty] | None = None
    pairing: Pairing = field(default_factory=pairing.own_and_mean)
    optimizer: optim.Optimizer = field(default_factory=lambda: optim.adam(1e-3))
    ema: float = 0.999
    batch_size: int = 64
    augment: Augment | None = None
    update: Literal["simultaneous", "alternating"] = "simultaneous"
    n_critic: int = 1
    coverage: Literal["full", "split", "neighbours"] = "full"
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        """Refuses what cannot be played, before anything is compiled."""
        for side in ("generators", "discriminators"):
            object.__setattr__(self, side, checks.checked_groups(side, getattr(self, side)))
        checks.check_kinds(**{name: getattr(self, name) for name in checks.KINDS})
        M, N, groups_g, groups_d = self.M, self.N, self.groups_g, self.groups_d
        checks.check_shapes(groups_g, groups_d)
        checks.check_heads(groups_d, self.heads, M)
        checks.check_classes(groups_g, groups_d)
        checks.check_update(self.update, self.n_critic)
        checks.check_batch(self.batch_size, self.coverage, N)
        checks.check_ema(self.ema)
        checks.check_requests(self.pairing, self.coverage)
        checks.check_loss(self.loss, self.heads, M, N)
        checks.check_pairs(self.pairing, self.coverage, self.loss, M, N)
        checks.check_penalties(self.penalties, N)
        if (schedule := self.schedule) is not None:
            groups, dealt = (*groups_g, *groups_d), self.covers.dealt
            checks.check_schedule(schedule, groups, self.optimizer, bool(self.penalties), dealt)
            jax.eval_shape(lambda: schedule.init(self))

    @property
    def M(self) -> int:
        """The number of generators."""
        return population.size(self.groups_g)

    @property
    def N(self) -> int:
        """The number of discriminators."""
        return population.size(self.groups_d)

    @property
    def groups_g(self) -> Groups:
        """The generators' groups."""
        return tuple(self.generators)

    @property
    def groups_d(self) -> Groups:
        """The discriminators' groups."""
        return tuple(self.discriminators)

    @property
    def covers(self) -> Coverage:
        """The coverage that `coverage` names."""
        return COVERAGES[self.coverage]

    @property
    def heads(self) -> tuple[int, ...]:
        """The shape of a discriminator's output: () for one logit, or (C,)."""
        return () if self.loss.roles.heads is None else (self.loss.roles.heads(self.M),)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.groups_g[0].network.out_shape

    @property
    def classes(self) -> int | None:
        """How many classes labels count, or None where no network needs labels."""
        groups = (*self.groups_g, *self.groups_d)
        return next((group.network.classes for group in groups if group.network.classes is not None), None)

    @property
    def penalties(self) -> tuple[Penalty, ...]:
        """The regularisers, none to several."""
        if self.penalty is None:
            return ()
        # A Penalty is a tuple too.
        several = isinstance(self.penalty, list | tuple) and not isinstance(self.penalty, Penalty)
        return tuple(self.penalty) if several else (self.penalty,)  # type: ignore[return-value]

    @property
    def members(self) -> str:
        """`complete` where each generator is driven to the whole of the data, `parts` where only their mixture is."""
        if self.M == 1:
            return "complete"
        if self.schedule is not None and self.schedule.claims.members is not None:
            return self.schedule.claims.members
        # Of two generators, a discriminator sees a mixture, however it weighs them.
        return self.pairing.members if self.M <= self.N else "parts"

    def mixture(self, state: State) -> np.ndarray:
        """The weights of generators, `[M]`, that sum to 1, as a host array.

        What the schedule or the pairing found, else uniform over those that play.
        """
        if self.schedule is not None and self.schedule.claims.mixture is not None:
            weights = self.schedule.claims.mixture(state)
        elif self.pairing.mixture is not None:
            weights = self.pairing.mixture(state.pairing)
        else:
            weights = state.roster.plays_g if isinstance(state.roster, Roster) else np.ones(self.M)
        weights = np.asarray(weights, np.float64)
        return weights / weights.sum()

    def taking_part(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        """The members to rank: generators `[M]` that play or are in the mixture, discriminators `[N]` that play."""
        if not isinstance(state.roster, Roster):
            return np.ones(self.M, bool), np.ones(self.N, bool)
        return np.asarray(state.roster.plays_g) | (self.mixture(state) > 0), np.asarray(state.roster.plays_d)

    def init(self, key: Array) -> State:
        """A fresh state.

        Args:
            key: a threefry key from `jax.random.key(seed)`. Weights, noise, batches and shuffles all follow from it.

        Raises:
            InputError: the key is of another kind; an `rbg` key under `vmap` draws all members from the first key.
        """
        if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or "fry" not in str(key.dtype):
            raise InputError(f"the key is of type {key.dtype}; give jax.random.key(seed) with the threefry generator")
        key_g, key_d, key_run = jax.random.split(key, 3)
        plan = self.schedule
        return State(
            generators=population.init(self.groups_g, key_g, self.optimizer, average=True),
            discriminators=population.init(self.groups_d, key_d, self.optimizer, average=False),
            pairing=self.pairing.init(self.M, self.N),
            payoff=jnp.full((self.M, self.N), 0.5),
            augment=jnp.asarray(_initial_strength(self.augment), jnp.float32),
            hyper=self._hyper(),
            roster=()
            if plan is None or plan.claims.roster is None
            else jax.tree.map(jnp.asarray, plan.claims.roster(self.M, self.N)),
            schedule=() if plan is None else jax.tree.map(jnp.asarray, plan.init(self)),
            ratings=jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), ratings.fresh(self.M + self.N)),
            rated=jnp.full((), -1, jnp.int32),
            running=jnp.zeros((3, self.M, self.N)) if self.covers.dealt else (),
            fault=jnp.full((4,), -1, jnp.int32),
            step=jnp.zeros((), jnp.int32),
            key=key_run,
        )

    def _hyper(self) -> dict[str, Array]:
        start = {name: jnp.asarray(value) for name, value in (self.loss.roles.start or {}).items()}
        scaled = self.schedule is not None and "penalty" in self.schedule.claims.hyper
        return {**start, **({"penalty": jnp.ones((self.N,))} if scaled else {})}


def check_source(game: Game, source: Source) -> None:
    """Raises InputError where a source has other samples, classes or parts than a game is made for, or too few."""
    checks.check_data(source, game.groups_g, game.groups_d, game.classes, game.batch_size)


def _initial_strength(augment: Augment | None) -> Any:
    return 0.0 if augment is None else augment.strength


def meaning(game: Game, state: State) -> str:
    """The current meaning of a logit, as in `types.Loss`: `uncalibrated` once a schedule changed the losses of D."""
    start = (game.loss.roles.start or {}).get("loss_d")
    redrawn = start is not None and not np.array_equal(start, state.hyper["loss_d"])
    return "uncalibrated" if redrawn else game.loss.logit
