"""The game: what M generators and N discriminators play, as one immutable description, and the state of its arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ensgan import losses, optim, pairing
from ensgan.data import Source
from ensgan.game import population
from ensgan.game.population import Group, Groups
from ensgan.game.state import State
from ensgan.metrics import ratings
from ensgan.types import Array, Augment, InputError, Loss, Pairing, Penalty, Roster, Schedule, unknown

UPDATES = ("simultaneous", "alternating")
COVERAGES = ("full", "split", "neighbours")
ASKABLE = frozenset({"gram", "payoff"})
_LOGITS: dict[str, Any] = {  # shapes of what each part of a loss takes
    "real": [lambda M, N: (N, 1)],
    "fake": [lambda M, N: (M, N, 1), lambda M, N: (1, N, 1)],
    "generator": [lambda M, N: (M, N, 1), lambda M, N: (1, N, 1)],
}


@dataclass(frozen=True, eq=False)  # a game is itself: compiled programs are cached by identity
class Game:
    """What is played. Holds functions and numbers, no arrays that change.

    Attributes:
        generators: groups of generators (or one group); all of them put out samples of one shape.
        discriminators: groups of discriminators (or one); all of them take samples of that shape.
        loss: the pair loss.
        penalty: a regulariser of every discriminator, several of them, or None.
        pairing: who plays whom and how much it counts.
        optimizer: of every group that has none of its own; an optax transformation or `optim.per_member(...)`.
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
            groups = getattr(self, side)
            groups = (groups,) if isinstance(groups, Group) else tuple(groups)
            if not groups or not all(isinstance(group, Group) for group in groups):
                raise InputError(f"{side} are {groups!r}; give at least one Group: [Group(network, count=4)]")
            object.__setattr__(self, side, groups)
        for name, kind, known in (
            ("loss", Loss, f"a loss, such as losses.hinge; known: {', '.join(sorted(losses.LOSSES))}"),
            ("pairing", Pairing, "a pairing, such as pairing.mean(), with its brackets"),
            ("optimizer", (optax.GradientTransformation, optim.PerMember), "an optimiser, such as optax.adam(1e-3)"),
            ("schedule", (Schedule, type(None)), "a schedule, such as schedules.snapshots(1000), or None"),
            ("augment", (Augment, type(None)), "an augmentation, such as augment.diff_augment(), or None"),
        ):
            if not isinstance(getattr(self, name), kind):
                raise InputError(f"{name} is {getattr(self, name)!r}; give {known}")
        if wrong := [penalty for penalty in self.penalties if not isinstance(penalty, Penalty)]:
            raise InputError(f"penalty is {wrong[0]!r}; give a penalty, such as penalties.r1(0.1), several, or None")
        shapes = {group.network.out_shape for group in self.generators}
        if len(shapes) != 1:
            raise InputError(f"generators put out samples of shapes {sorted(shapes)}; they must agree")
        for group in self.discriminators:
            if group.network.in_shape != self.sample_shape:
                raise InputError(
                    f"a discriminator takes samples of shape {group.network.in_shape}, "
                    f"but generators put out {self.sample_shape}; they must agree"
                )
        self._check_heads()
        self._check_classes()
        if self.update not in UPDATES:
            raise unknown("update", self.update, UPDATES)
        if self.n_critic < 1 or (self.n_critic > 1 and self.update != "alternating"):
            raise InputError(
                f"n_critic is {self.n_critic} with {self.update} updates; "
                "it is at least 1, and more than 1 needs update='alternating'"
            )
        if not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; it must be a whole number, at least 1")
        if self.coverage not in COVERAGES:
            raise unknown("coverage", self.coverage, COVERAGES)
        if self.coverage == "split" and self.batch_size % self.N:
            below = self.batch_size // self.N * self.N
            near = f"{below} or {below + self.N}" if below else str(self.N)
            raise InputError(
                f"split coverage deals a batch of {self.batch_size} out among {self.N} discriminators; "
                f"give a batch_size that {self.N} divides, such as {near}"
            )
        if self.coverage != "full" and "gram" in self.pairing.asks:
            raise InputError(
                "the pairing asks for the Gram matrix of input gradients, which needs every discriminator on the same "
                "samples; use coverage='full'"
            )
        if not 0.0 <= self.ema < 1.0:
            raise InputError(f"ema is {self.ema}; the decay of the average is in [0, 1)")
        if extra := self.pairing.asks - ASKABLE:
            raise unknown("request of the pairing", sorted(extra)[0], ASKABLE)
        if "payoff" in self.pairing.asks and self.pairing.payoff_every < 1:
            raise InputError("the pairing asks for the held-out payoff; set payoff_every to a number of steps")
        for kind, shapes in _LOGITS.items():
            logits = [jax.ShapeDtypeStruct((*shape(self.M, self.N), *self.heads), jnp.float32) for shape in shapes]
            jax.eval_shape(getattr(self.loss, kind), *logits)  # a loss of each member says here if it counts wrong
        self._check_pairs()
        self._check_schedule()
        for penalty in self.penalties:
            strength = penalty.strength
            dtype = strength.dtype if hasattr(strength, "dtype") else np.asarray(strength).dtype
            numbers = np.issubdtype(dtype, np.number) and np.shape(strength) in ((), (self.N,))
            if not numbers and not callable(strength):
                raise InputError(
                    f"a penalty's strength is {strength!r}; give a number, {self.N} numbers, one per discriminator, "
                    "or a schedule step -> number"
                )

    def _check_heads(self) -> None:
        """Refuses discriminators that have not the logits which the loss asks for."""
        for k, group in enumerate(self.groups_d):
            seen, wanted = group.network.out_shape, self.heads
            if seen == wanted:
                continue
            if not wanted:
                raise InputError(f"a discriminator puts out shape {seen}; it must be (), one logit per sample")
            raise InputError(
                f"with {self.M} generators the loss needs discriminators of {wanted[0]} logits, and group {k} has "
                f"{seen[0] if seen else 1}; give its network heads={wanted[0]}"
            )

    def _check_schedule(self) -> None:
        """Refuses a schedule that asks for hyper-parameters which members do not have of their own, or does not fit."""
        if self.schedule is None:
            return
        if not isinstance(self.schedule.every, int) or self.schedule.every < 1:
            raise InputError(f"the schedule acts every {self.schedule.every} steps; give a whole number, at least 1")
        if self.schedule.roster is not None and self.coverage == "split":
            raise InputError(
                "the schedule lets members pause, and split coverage deals batches out to all; use another coverage"
            )
        if self.schedule.roster is not None and any(group.shared for group in (*self.groups_g, *self.groups_d)):
            raise InputError(
                "the schedule lets members pause, and shared parts move for all members of a group at once; leave "
                "shared out, or use another schedule"
            )
        if "penalty" in self.schedule.hyper and not self.penalties:
            raise InputError("the schedule changes the penalty of every discriminator, and the game has none; give one")
        for name in sorted(self.schedule.hyper - {"penalty"}):
            for group in (*self.groups_g, *self.groups_d):
                optimizer = group.optimizer or self.optimizer
                if not (isinstance(optimizer, optim.PerMember) and name in optimizer.hyper):
                    raise InputError(
                        f"the schedule changes the {name} of every member, but an optimiser has one for all; give "
                        f"optim.per_member(optax.adam, {name}=...)"
                    )
        jax.eval_shape(lambda: self.schedule.init(self))  # type: ignore[union-attr]

    def _check_classes(self) -> None:
        """Refuses networks that count classes differently, and labels that only one side looks at."""
        of = lambda groups: {group.network.classes for group in groups} - {None}
        counts_g, counts_d = of(self.groups_g), of(self.groups_d)
        if len(counts_g | counts_d) > 1:
            raise InputError(f"networks are conditional on {sorted(counts_g | counts_d)} classes; they must agree")
        if counts_g != counts_d:
            without = "discriminators" if counts_g else "generators"
            raise InputError(
                f"{'generators' if counts_g else 'discriminators'} are conditional on {self.classes} classes, but none "
                f"of the {without} is, so classes would mean nothing; give {without} classes={self.classes} as well"
            )

    def _check_pairs(self) -> None:
        """Refuses a pairing that does not fit M and N, the coverage or the loss."""
        state, before = self.pairing.init(self.M, self.N), self.pairing.before
        named = None
        if before is not None:
            named = jax.eval_shape(lambda s, k: before(s, k, self.M, self.N), state, jax.random.key(0))
            opponents = named.ndim == 2 and named.shape[0] == self.N and jnp.issubdtype(named.dtype, jnp.integer)
            if not opponents and (named.dtype != bool or named.shape != (self.M, self.N)):
                raise InputError(
                    f"`before` of the pairing gives {named.dtype} of shape {named.shape}; it must give a bool mask "
                    f"[{self.M}, {self.N}], or int32 opponents [{self.N}, k]"
                )
        if self.coverage == "neighbours" and (named is None or named.dtype == bool):
            raise InputError(
                "neighbours coverage computes the opponents that a pairing names, and this one names none; use ring, "
                "grid or random, or another coverage"
            )
        if self.pairing.positive and not losses.never_negative(self.loss, self.M, self.N):
            fit = ", ".join(sorted(name for name, loss in losses.LOSSES.items() if losses.never_negative(loss)))
            raise InputError(
                "the pairing needs losses of generators that are never negative, and this loss is negative for some "
                f"logits; use one of: {fit}"
            )

    @property
    def M(self) -> int:
        """How many generators."""
        return population.size(self.groups_g)

    @property
    def N(self) -> int:
        """How many discriminators."""
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
    def heads(self) -> tuple[int, ...]:
        """The shape of a discriminator's output: () for one logit, or (C,)."""
        return () if self.loss.heads is None else (self.loss.heads(self.M),)

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
        if self.schedule is not None and self.schedule.members is not None:
            return self.schedule.members
        # Of two generators, a discriminator sees a mixture, however it weighs them.
        return self.pairing.members if self.M <= self.N else "parts"

    def mixture(self, state: State) -> np.ndarray:
        """The weights of generators, `[M]`, that sum to 1, as a host array.

        What the schedule or the pairing found, else uniform over those that play.
        """
        if self.schedule is not None and self.schedule.mixture is not None:
            weights = self.schedule.mixture(state)
        elif self.pairing.mixture is not None:
            weights = self.pairing.mixture(state.pairing)
        else:
            weights = state.roster.plays_g if isinstance(state.roster, Roster) else np.ones(self.M)
        weights = np.asarray(weights, np.float64)
        return weights / weights.sum()

    def taking_part(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        """Who is ranked: generators `[M]` that play or are part of the mixture, and discriminators `[N]` that play."""
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
            if plan is None or plan.roster is None
            else jax.tree.map(jnp.asarray, plan.roster(self.M, self.N)),
            schedule=() if plan is None else jax.tree.map(jnp.asarray, plan.init(self)),
            ratings=jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), ratings.fresh(self.M + self.N)),
            rated=jnp.full((), -1, jnp.int32),
            running=jnp.zeros((3, self.M, self.N)) if self.coverage == "split" else (),
            fault=jnp.full((4,), -1, jnp.int32),
            step=jnp.zeros((), jnp.int32),
            key=key_run,
        )

    def _hyper(self) -> dict[str, Array]:
        start = {name: jnp.asarray(value) for name, value in (self.loss.start or {}).items()}
        scaled = self.schedule is not None and "penalty" in self.schedule.hyper
        return {**start, **({"penalty": jnp.ones((self.N,))} if scaled else {})}


def check_source(game: Game, source: Source) -> None:
    """Raises InputError where a source has other samples, classes or parts than a game is made for, or too few."""
    source.check_batch(game.batch_size)
    if tuple(source.shape) != tuple(game.sample_shape):
        raise InputError(
            f"the data have samples of shape {tuple(source.shape)}, but generators put out {game.sample_shape}; "
            "they must agree"
        )
    if source.views not in (None, game.N):
        raise InputError(
            f"{source.name!r} has parts for {source.views} discriminators, but the game has {game.N}; make the view "
            f"with N={game.N}"
        )
    if game.classes is not None and source.views is not None:
        raise InputError(
            f"networks are conditional on {game.classes} classes, and there are no labels in {source.name!r}: reals of "
            "different discriminators would have different ones; use networks without classes, or the view all"
        )
    if game.classes is not None and source.classes != game.classes:
        fix = (
            f"give data with labels (of a stream or an iterator, say classes={game.classes}), or leave classes out"
            if source.classes is None
            else f"give every conditional network classes={source.classes}"
        )
        raise InputError(
            f"networks are conditional on {game.classes} classes, but the data {source.name!r} have "
            f"{'no labels' if source.classes is None else source.classes}; {fix}"
        )


def _initial_strength(augment: Augment | None) -> Any:
    return 0.0 if augment is None else augment.strength


def meaning(game: Game, state: State) -> str:
    """What a logit is by now, as in `types.Loss`: `uncalibrated` once a schedule drew discriminators' losses anew."""
    start = (game.loss.start or {}).get("loss_d")
    redrawn = start is not None and not np.array_equal(start, state.hyper["loss_d"])
    return "uncalibrated" if redrawn else game.loss.logit
