"""Checks of a game before anything is compiled; each takes only the parts that it looks at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ensgan import losses, optim
from ensgan.data import Source
from ensgan.game import population
from ensgan.game.coverage import COVERAGES
from ensgan.game.population import Group, Groups
from ensgan.types import Augment, Claims, InputError, Loss, Pairing, Penalty, Schedule, Shape, unknown

UPDATES = ("simultaneous", "alternating")
ASKABLE = frozenset({"gram", "payoff"})
KINDS: dict[str, tuple[Any, str]] = {  # of the fields of a game
    "loss": (Loss, f"a loss, such as losses.hinge; known: {', '.join(sorted(losses.LOSSES))}"),
    "pairing": (Pairing, "a pairing, such as pairing.mean(), with its brackets"),
    "optimizer": ((optax.GradientTransformation, optim.PerMember), "an optimiser, such as optax.adam(1e-3)"),
    "schedule": ((Schedule, type(None)), "a schedule, such as schedules.snapshots(1000), or None"),
    "augment": ((Augment, type(None)), "an augmentation, such as augment.diff_augment(), or None"),
}
_LOGITS: dict[str, Any] = {  # shapes of what each part of a loss takes
    "real": [lambda M, N: (N, 1)],
    "fake": [lambda M, N: (M, N, 1), lambda M, N: (1, N, 1)],
    "generator": [lambda M, N: (M, N, 1), lambda M, N: (1, N, 1)],
}


def checked_groups(side: str, groups: Any) -> Groups:
    """The groups of one side as a tuple. Raises InputError where they are something else."""
    groups = (groups,) if isinstance(groups, Group) else tuple(groups)
    if not groups or not all(isinstance(group, Group) for group in groups):
        raise InputError(f"{side} are {groups!r}; give at least one Group: [Group(network, count=4)]")
    return groups


def check_kinds(**plugs: Any) -> None:
    """Raises InputError where a field holds another kind of plug, such as a function in place of its result."""
    for name, plug in plugs.items():
        kind, known = KINDS[name]
        if not isinstance(plug, kind):
            raise InputError(f"{name} is {plug!r}; give {known}")


def check_shapes(groups_g: Groups, groups_d: Groups) -> None:
    """Raises InputError where networks do not fit together."""
    shapes = {group.network.out_shape for group in groups_g}
    if len(shapes) != 1:
        raise InputError(f"generators put out samples of shapes {sorted(shapes)}; they must agree")
    (sample_shape,) = shapes
    for group in groups_d:
        if group.network.in_shape != sample_shape:
            raise InputError(
                f"a discriminator takes samples of shape {group.network.in_shape}, but generators put out "
                f"{sample_shape}; they must agree"
            )


def check_heads(groups_d: Groups, heads: Shape, M: int) -> None:
    """Raises InputError where discriminators do not have the logits that the loss needs."""
    for k, group in enumerate(groups_d):
        seen = group.network.out_shape
        if seen == heads:
            continue
        if not heads:
            raise InputError(f"a discriminator puts out shape {seen}; it must be (), one logit per sample")
        raise InputError(
            f"with {M} generators the loss needs discriminators of {heads[0]} logits, and group {k} has "
            f"{seen[0] if seen else 1}; give its network heads={heads[0]}"
        )


def check_classes(groups_g: Groups, groups_d: Groups) -> None:
    """Raises InputError where networks count classes differently, or only one side uses labels."""
    of = lambda groups: {group.network.classes for group in groups} - {None}
    counts_g, counts_d = of(groups_g), of(groups_d)
    if len(counts_g | counts_d) > 1:
        raise InputError(f"networks are conditional on {sorted(counts_g | counts_d)} classes; they must agree")
    if counts_g != counts_d:
        (classes,) = counts_g | counts_d
        told, other = ("generators", "discriminators") if counts_g else ("discriminators", "generators")
        raise InputError(
            f"{told} are conditional on {classes} classes, but none of the {other} is, so classes would mean nothing; "
            f"give {other} classes={classes} as well"
        )


def check_update(update: str, n_critic: int) -> None:
    """Raises InputError for an unknown kind of update, or critic updates that it does not have."""
    if update not in UPDATES:
        raise unknown("update", update, UPDATES)
    if n_critic < 1 or (n_critic > 1 and update != "alternating"):
        raise InputError(
            f"n_critic is {n_critic} with {update} updates; it is at least 1, and more than 1 needs "
            "update='alternating'"
        )


def check_ema(ema: float) -> None:
    """Raises InputError where the decay of the average is out of range."""
    if not 0.0 <= ema < 1.0:
        raise InputError(f"ema is {ema}; the decay of the average is in [0, 1)")


def check_batch(batch_size: Any, coverage: str, N: int) -> None:
    """Raises InputError for an unknown coverage, or a batch that it cannot deal out among N discriminators."""
    if not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; it must be a whole number, at least 1")
    if coverage not in COVERAGES:
        raise unknown("coverage", coverage, COVERAGES)
    if COVERAGES[coverage].dealt and batch_size % N:
        below = batch_size // N * N
        near = f"{below} or {below + N}" if below else str(N)
        raise InputError(
            f"split coverage deals a batch of {batch_size} out among {N} discriminators; give a batch_size that {N} "
            f"divides, such as {near}"
        )


def check_loss(loss: Loss, heads: Shape, M: int, N: int) -> None:
    """Traces a loss on one sample; a loss with one function per member raises InputError if it counts wrong."""
    for kind, shapes in _LOGITS.items():
        logits = [jax.ShapeDtypeStruct((*shape(M, N), *heads), jnp.float32) for shape in shapes]
        jax.eval_shape(getattr(loss, kind), *logits)


def check_requests(pairing: Pairing, coverage: str) -> None:
    """Raises InputError where a pairing asks for something unknown, or for what the coverage cannot give."""
    if extra := pairing.asks - ASKABLE:
        raise unknown("request of the pairing", sorted(extra)[0], ASKABLE)
    if not COVERAGES[coverage].common and "gram" in pairing.asks:
        raise InputError(
            "the pairing asks for the Gram matrix of input gradients, which needs every discriminator on the same "
            "samples; use coverage='full'"
        )
    if "payoff" in pairing.asks and pairing.payoff_every < 1:
        raise InputError("the pairing asks for the held-out payoff; set payoff_every to a number of steps")


def check_pairs(pairing: Pairing, coverage: str, loss: Loss, M: int, N: int) -> None:
    """Raises InputError where a pairing does not fit M and N, the coverage or the loss."""
    state, before, named = pairing.init(M, N), pairing.before, None
    if before is not None:
        named = jax.eval_shape(lambda s, k: before(s, k, M, N), state, jax.random.key(0))
        opponents = named.ndim == 2 and named.shape[0] == N and jnp.issubdtype(named.dtype, jnp.integer)
        if not opponents and (named.dtype != bool or named.shape != (M, N)):
            raise InputError(
                f"`before` of the pairing gives {named.dtype} of shape {named.shape}; it must give a bool mask "
                f"[{M}, {N}], or int32 opponents [{N}, k]"
            )
    if COVERAGES[coverage].opponents and (named is None or named.dtype == bool):
        raise InputError(
            f"{coverage} coverage computes the opponents that a pairing names, and this one names none; use ring, grid "
            "or random, or another coverage"
        )
    if pairing.positive and not losses.never_negative(loss, M, N):
        fit = ", ".join(sorted(name for name, loss in losses.LOSSES.items() if losses.never_negative(loss)))
        raise InputError(
            "the pairing needs losses of generators that are never negative, and this loss is negative for some "
            f"logits; use one of: {fit}"
        )


def check_schedule(
    schedule: Schedule, groups: Groups, optimizer: optim.Optimizer, penalized: bool, dealt: bool
) -> None:
    """Raises InputError where a schedule changes what members do not have of their own, or what must not change."""
    if not isinstance(schedule.every, int) or schedule.every < 1:
        raise InputError(f"the schedule acts every {schedule.every} steps; give a whole number, at least 1")
    _check_claims(schedule.claims, groups, penalized, dealt)
    for name in sorted(schedule.claims.hyper - {"penalty"}):
        for group in groups:
            own = group.optimizer or optimizer
            if not (isinstance(own, optim.PerMember) and name in own.hyper):
                raise InputError(
                    f"the schedule changes the {name} of every member, but an optimiser has one for all; give "
                    f"optim.per_member(optax.adam, {name}=...)"
                )


def _check_claims(claims: Claims, groups: Groups, penalized: bool, dealt: bool) -> None:
    if claims.roster is not None and dealt:
        raise InputError(
            "the schedule lets members pause, and split coverage deals batches out to all; use another coverage"
        )
    if claims.roster is not None and any(group.shared for group in groups):
        raise InputError(
            "the schedule lets members pause, and shared parts move for all members of a group at once; leave shared "
            "out, or use another schedule"
        )
    if "penalty" in claims.hyper and not penalized:
        raise InputError("the schedule changes the penalty of every discriminator, and the game has none; give one")


def check_penalties(penalties: Sequence[Any], N: int) -> None:
    """Raises InputError for other plugs than penalties, or strengths that are no numbers."""
    for penalty in penalties:
        if not isinstance(penalty, Penalty):
            raise InputError(f"penalty is {penalty!r}; give a penalty, such as penalties.r1(0.1), several, or None")
        strength = penalty.strength
        dtype = strength.dtype if hasattr(strength, "dtype") else np.asarray(strength).dtype
        numbers = np.issubdtype(dtype, np.number) and np.shape(strength) in ((), (N,))
        if not numbers and not callable(strength):
            raise InputError(
                f"a penalty's strength is {strength!r}; give a number, {N} numbers, one per discriminator, or a "
                "schedule step -> number"
            )


def check_data(source: Source, groups_g: Groups, groups_d: Groups, classes: int | None, batch_size: int) -> None:
    """Raises InputError where a source has other samples, classes or parts than a game is made for, or too few."""
    source.check_batch(batch_size)
    shape, N = groups_g[0].network.out_shape, population.size(groups_d)
    if tuple(source.shape) != tuple(shape):
        raise InputError(
            f"the data have samples of shape {tuple(source.shape)}, but generators put out {shape}; they must agree"
        )
    if source.views not in (None, N):
        raise InputError(
            f"{source.name!r} has parts for {source.views} discriminators, but the game has {N}; make the view with "
            f"N={N}"
        )
    if classes is not None and source.views is not None:
        raise InputError(
            f"networks are conditional on {classes} classes, and there are no labels in {source.name!r}: reals of "
            "different discriminators would have different ones; use networks without classes, or the view all"
        )
    if classes is not None and source.classes != classes:
        fix = (
            f"give data with labels (of a stream or an iterator, say classes={classes}), or leave classes out"
            if source.classes is None
            else f"give every conditional network classes={source.classes}"
        )
        raise InputError(
            f"networks are conditional on {classes} classes, but the data {source.name!r} have "
            f"{'no labels' if source.classes is None else source.classes}; {fix}"
        )
