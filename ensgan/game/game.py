"""The game of M generators and N discriminators, as one immutable description, and the start of its state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from ensgan import losses, optim, pairing
from ensgan.data import Source
from ensgan.decays import Course
from ensgan.game import checks, population
from ensgan.game.coverage import COVERAGES, Coverage
from ensgan.game.population import Group, Groups
from ensgan.game.state import State
from ensgan.metrics import ratings
from ensgan.types import Array, Augment, Claims, InputError, Loss, Pairing, Penalty, Roster, Schedule

REALS = 64


@dataclass(frozen=True, eq=False)  # a game equals only itself: compiled programs are cached by identity
class Game:
    """A description of the game. Holds functions and numbers, no arrays that change.

    Attributes:
        generators: groups of generators (or one group); all of them put out samples of one shape.
        discriminators: groups of discriminators (or one); all of them take samples of that shape.
        loss: the pair loss.
        penalty: a regulariser of every discriminator, several of them, or None.
        pairing: who plays whom, and the weight of each pair.
        optimizer: for every group without its own; an optax transformation or `optim.per_member(...)`.
        ema: decay of the exponential average of generators, in [0, 1), or a schedule `step -> decay`, such as
            `optim.half_life(...)`; sampling and selection use the average.
        reals: R, reals per discriminator and step.
        fakes: F, fakes per generator and step. 0 chooses R/M if members are parts of one mixture or heads of one
            trunk, so that M generators cost as much as one, and R otherwise.
        batch_size: short for `reals` and `fakes` of this number; 0 leaves these as they are.
        compare: the reals that each fake meets, in relativistic losses and in scores: `one` real, or `all`, which has
            less variance; `auto` chooses `one` if F = R, and `all` otherwise.
        augment: a change of the samples before the discriminators see them, or None.
        update: `simultaneous` computes both gradients at the same parameters, with one shared backward pass;
            `alternating` updates discriminators first, like most papers. They are different algorithms.
        n_critic: discriminator updates per step, each on its own batch; more than 1 needs `alternating`.
        coverage: with `full` every discriminator sees every sample, at a cost ∝ N·(M·F + R). `split` deals each
            generator's fakes, and the reals, out among the discriminators, F/N fakes for each pair, at a cost
            ∝ M·F + R for any N; pairings then see running means of the matrices. `neighbours` computes only the
            opponents that the pairing names, k for every discriminator, at a cost ∝ N·(k·F + R).
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
    ema: float | Course = 0.999
    reals: int = REALS
    fakes: int = 0
    batch_size: int = 0
    compare: Literal["auto", "one", "all"] = "auto"
    augment: Augment | None = None
    update: Literal["simultaneous", "alternating"] = "simultaneous"
    n_critic: int = 1
    coverage: Literal["full", "split", "neighbours"] = "full"
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        """Checks that the parts can be played together, before anything is compiled."""
        for side in ("generators", "discriminators"):
            object.__setattr__(self, side, checks.checked_groups(side, getattr(self, side)))
        checks.check_kinds(**{name: getattr(self, name) for name in checks.KINDS})
        M, N, groups_g, groups_d = self.M, self.N, self.groups_g, self.groups_d
        checks.check_shapes(groups_g, groups_d)
        checks.check_heads(groups_d, self.heads, M)
        checks.check_classes(groups_g, groups_d)
        checks.check_update(self.update, self.n_critic)
        for name, value in self._counts().items():
            object.__setattr__(self, name, value)
        checks.check_counts(self.counts, self.compare, self.coverage, N, self.pack)
        checks.check_ema(self.ema)
        checks.check_requests(self.pairing, self.coverage)
        checks.check_loss(self.loss, self.heads, M, N)
        checks.check_pairs(self.pairing, self.coverage, self.loss, M, N)
        checks.check_penalties(self.penalties, N)
        if (schedule := self.schedule) is not None:
            checks.check_schedule(schedule, self.groups, self.optimizer, bool(self.penalties), self.covers.dealt)
            jax.eval_shape(lambda: schedule.init(self))  # raises its own error if the game does not fit

    def _counts(self) -> dict[str, Any]:
        """The counts of samples, and the comparisons, after the choices that are left open."""
        reals, fakes = self.reals, self.fakes
        if both := self.batch_size:
            if reals not in (REALS, both) or fakes not in (0, both):
                raise InputError(
                    f"batch_size={both} is short for reals={both} and fakes={both}, but other numbers of these are "
                    "given as well; leave one out"
                )
            reals = fakes = both
        if fakes == 0 and isinstance(reals, int):
            together = self.members == "parts" or any(group.parts is not None for group in self.groups_d)
            fakes = max(1, reals // self.M) if together else reals
        compare = ("one" if reals == fakes else "all") if self.compare == "auto" else self.compare
        return {"reals": reals, "fakes": fakes, "compare": compare}

    @property
    def on_trunks(self) -> bool:
        """Whether all discriminators are heads on trunks."""
        return all(group.has_trunk for group in self.groups_d)

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
    def groups(self) -> Groups:
        """The groups of both sides, generators first."""
        return (*self.groups_g, *self.groups_d)

    @property
    def covers(self) -> Coverage:
        """The coverage as a declaration."""
        return COVERAGES[self.coverage]

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of samples by the names under which they were given."""
        both = {"reals": self.reals, "fakes": self.fakes}
        return {"batch_size": self.batch_size} if self.batch_size else both

    @property
    def pack(self) -> int:
        """The number of samples of which those that a discriminator sees must be a multiple."""
        return math.lcm(*(group.network.pack for group in self.groups_d))

    @property
    def hands(self) -> int:
        """The number of discriminators among which samples are dealt; 1 if each sees all."""
        return self.N if self.covers.dealt else 1

    @property
    def claims(self) -> Claims:
        """The claims of the schedule, none without a schedule."""
        return Claims() if self.schedule is None else self.schedule.claims

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
        """The number of classes, or None if no network needs labels."""
        return next((group.network.classes for group in self.groups if group.network.classes is not None), None)

    @property
    def penalties(self) -> tuple[Penalty, ...]:
        """The regularisers as a tuple."""
        if self.penalty is None:
            return ()
        # A Penalty is a tuple too.
        several = isinstance(self.penalty, list | tuple) and not isinstance(self.penalty, Penalty)
        return tuple(self.penalty) if several else (self.penalty,)  # type: ignore[return-value]

    @property
    def members(self) -> str:
        """`complete` if each generator is driven to the whole of the data, `parts` if only their mixture is."""
        if self.M == 1:
            return "complete"
        if self.claims.members is not None:
            return self.claims.members
        driven = self.pairing.members
        # A discriminator of two generators sees their mixture, with any weights.
        if self.M > self.N or driven == "parts":
            return "parts"
        # A head of its own that sees others as well is too little: the best member of `mnist_heads` is far behind
        # the mixture, and with `own` = 1 it is not.
        common = any(group.shared and group.count > 1 for group in self.groups_d)
        return "parts" if common and driven == "complete" else "complete"

    def mixture(self, state: State) -> np.ndarray:
        """The weights of generators, `[M]`, as a host array; they sum to 1.

        They come from the schedule or the pairing, else they are uniform over the generators that play. Those that
        rest after too many failures, as copies of others, have none.
        """
        if self.claims.mixture is not None:
            weights = self.claims.mixture(state)
        elif self.pairing.mixture is not None:
            weights = self.pairing.mixture(state.pairing)
        else:
            weights = state.roster.plays_g if isinstance(state.roster, Roster) else np.ones(self.M)
        weights = np.asarray(weights, np.float64)
        awake = weights * population.awake(self.groups_g, state.generators)
        weights = awake if awake.any() else weights
        return weights / weights.sum()

    def taking_part(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        """The members to rank: generators `[M]` that play or are in the mixture, discriminators `[N]` that play.

        Those that rest after too many failures are not among them: they are copies of others.
        """
        sides = (self.groups_g, state.generators), (self.groups_d, state.discriminators)
        awake = population.awake(*sides[0]), population.awake(*sides[1])
        if not isinstance(state.roster, Roster):
            return awake
        plays = np.asarray(state.roster.plays_g), np.asarray(state.roster.plays_d)
        return awake[0] & (plays[0] | (self.mixture(state) > 0)), awake[1] & plays[1]

    def init(self, key: Array) -> State:
        """A new state.

        Args:
            key: a threefry key from `jax.random.key(seed)`. It decides all weights, noise, batches and shuffles.

        Raises:
            InputError: another kind of key; an `rbg` key under `vmap` draws all members from the first key.
        """
        if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or "fry" not in str(key.dtype):
            raise InputError(f"the key is of type {key.dtype}; give jax.random.key(seed) with the threefry generator")
        key_g, key_d, key_run = jax.random.split(key, 3)
        roster, schedule = self.claims.roster, self.schedule
        return State(
            generators=population.init(self.groups_g, key_g, self.optimizer, average=True),
            discriminators=population.init(self.groups_d, key_d, self.optimizer, average=False),
            pairing=self.pairing.init(self.M, self.N),
            payoff=jnp.full((self.M, self.N), 0.5),
            augment=jnp.asarray(0.0 if self.augment is None else self.augment.strength, jnp.float32),
            hyper=self._hyper(),
            roster=() if roster is None else jax.tree.map(jnp.asarray, roster(self.M, self.N)),
            schedule=() if schedule is None else jax.tree.map(jnp.asarray, schedule.init(self)),
            ratings=jax.tree.map(lambda one: jnp.full((self.M + self.N,), one[0], jnp.float32), ratings.fresh(1)),
            rated=jnp.full((), -1, jnp.int32),
            running=jnp.zeros((3, self.M, self.N)) if self.covers.dealt else (),
            fault=jnp.full((4,), -1, jnp.int32),
            step=jnp.zeros((), jnp.int32),
            key=key_run,
        )

    def _hyper(self) -> dict[str, Array]:
        start = {name: jnp.asarray(value) for name, value in (self.loss.roles.start or {}).items()}
        return {**start, **({"penalty": jnp.ones((self.N,))} if "penalty" in self.claims.hyper else {})}


def check_source(game: Game, source: Source) -> None:
    """Raises InputError if a source does not have the samples, classes and parts of a game, or too few samples."""
    checks.check_data(source, game.groups_g, game.groups_d, game.classes, game.reals)


def meaning(game: Game, state: State) -> str:
    """The current meaning of a logit, as in `types.Loss`: `uncalibrated` once a schedule changed the losses of D."""
    start = (game.loss.roles.start or {}).get("loss_d")
    redrawn = start is not None and not np.array_equal(start, state.hyper["loss_d"])
    return "uncalibrated" if redrawn else game.loss.logit
