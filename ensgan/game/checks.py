"""Checks of a game before anything is compiled: each takes some parts, and raises InputError if they do not fit."""

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
from ensgan.game.meeting import COMPARE
from ensgan.game.population import Group, Groups
from ensgan.types import Augment, Claims, InputError, Loss, Pairing, Penalty, Schedule, Shape, unknown

UPDATES = ("simultaneous", "alternating")
ASKABLE = frozenset({"gram", "payoff"})
KINDS: dict[str, tuple[Any, str]] = {  # the type of each plug of a game, and what to give
    "loss": (Loss, f"a loss, such as losses.hinge; known: {', '.join(sorted(losses.LOSSES))}"),
    "pairing": (Pairing, "a pairing, such as pairing.mean(), with its brackets"),
    "optimizer": ((optax.GradientTransformation, optim.PerMember), "an optimiser, such as optax.adam(1e-3)"),
    "schedule": ((Schedule, type(None)), "a schedule, such as schedules.snapshots(1000), or None"),
    "augment": ((Augment, type(None)), "an augmentation, such as augment.diff_augment(), or None"),
}


def checked_groups(side: str, groups: Any) -> Groups:
    """The groups of one side as a tuple; one group needs no list."""
    groups = (groups,) if isinstance(groups, Group) else tuple(groups)
    if not groups or not all(isinstance(group, Group) for group in groups):
        raise InputError(f"{side} are {groups!r}; give at least one Group: [Group(network, count=4)]")
    return groups


def check_kinds(**plugs: Any) -> None:
    """Each plug has the right type; this catches names, and functions that were not called."""
    for name, plug in plugs.items():
        kind, known = KINDS[name]
        if not isinstance(plug, kind):
            raise InputError(f"{name} is {plug!r}; give {known}")


def check_shapes(groups_g: Groups, groups_d: Groups) -> None:
    """All generators put out, and all discriminators take, samples of one shape."""
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
    """Discriminators have the logits that the loss needs for M generators: `heads` is () or (C,)."""
    for k, group in enumerate(groups_d):
        seen = group.network.out_shape
        if seen == heads:
            continue
        if not heads:
            raise InputError(f"a discriminator puts out shape {seen}; it must be (), one logit per sample")
        raise InputError(
            f"with {M} generators the loss needs discriminators of {heads[0]} logits, but group {k} has "
            f"{seen[0] if seen else 1}; give its network heads={heads[0]}"
        )


def check_classes(groups_g: Groups, groups_d: Groups) -> None:
    """All conditional networks have the same number of classes, and both sides have some."""
    of = lambda groups: {group.network.classes for group in groups} - {None}
    counts_g, counts_d = of(groups_g), of(groups_d)
    if len(counts_g | counts_d) > 1:
        raise InputError(f"networks are conditional on {sorted(counts_g | counts_d)} classes; they must agree")
    if counts_g != counts_d:
        (classes,) = counts_g | counts_d
        side, other = ("generators", "discriminators") if counts_g else ("discriminators", "generators")
        raise InputError(
            f"{side} are conditional on {classes} classes, but none of the {other} is, so that classes would have no "
            f"effect; give {other} classes={classes} as well"
        )


def check_update(update: str, n_critic: int) -> None:
    """The order of updates is known, and allows as many discriminator updates."""
    if update not in UPDATES:
        raise unknown("update", update, UPDATES)
    if n_critic < 1 or (n_critic > 1 and update != "alternating"):
        raise InputError(
            f"n_critic is {n_critic} with {update} updates; it must be at least 1, and more than 1 needs "
            "update to be 'alternating'"
        )


def check_ema(ema: Any) -> None:
    """The decay of the average is in [0, 1), or a schedule."""
    if not callable(ema) and not 0.0 <= ema < 1.0:
        raise InputError(f"ema is {ema}; the decay of the average must be in [0, 1)")


def check_counts(counts: dict[str, Any], compare: str, coverage: str, N: int, pack: int) -> None:
    """The coverage and comparisons are known; counts are positive, and can be dealt out and packed."""
    if coverage not in COVERAGES:
        raise unknown("coverage", coverage, COVERAGES)
    if compare not in COMPARE:
        raise unknown("way to compare", compare, COMPARE)
    for name, count in counts.items():
        if not isinstance(count, int) or count < 1:
            raise InputError(f"{name} is {count}; it must be a whole number, at least 1")
        hands = N if COVERAGES[coverage].dealt else 1
        if count % (each := hands * pack):
            below = count // each * each
            near = f"{below} or {below + each}" if below else str(each)
            reasons = [f"{coverage} coverage deals samples out among {N} discriminators"] if hands > 1 else []
            reasons += [f"discriminators judge packs of {pack}"] if pack > 1 else []
            raise InputError(
                f"{' and '.join(reasons)}, but {name} is {count}; give a number that {each} divides, such as "
                f"{name}={near}"
            )


def check_loss(loss: Loss, heads: Shape, M: int, N: int) -> None:
    """The loss takes logits of M × N pairs; a loss of each member raises its own error if it does not."""
    logit = lambda *shape: jax.ShapeDtypeStruct((*shape, 1, *heads), jnp.float32)
    jax.eval_shape(loss.real, logit(N))
    jax.eval_shape(loss.fake, logit(M, N), logit(1, N))
    jax.eval_shape(loss.generator, logit(M, N), logit(1, N))


def check_requests(pairing: Pairing, coverage: str) -> None:
    """All requests of a pairing are known, and the coverage can meet them."""
    if extra := pairing.asks - ASKABLE:
        raise unknown("request of the pairing", sorted(extra)[0], ASKABLE)
    if not COVERAGES[coverage].common and "gram" in pairing.asks:
        raise InputError(
            "the pairing asks for the Gram matrix of input gradients, which needs every discriminator on the same "
            "samples; set coverage to 'full'"
        )
    if "payoff" in pairing.asks and pairing.payoff_every < 1:
        raise InputError("the pairing asks for the held-out payoff; set payoff_every to a number of steps")


def check_pairs(pairing: Pairing, coverage: str, loss: Loss, M: int, N: int) -> None:
    """A pairing fits M and N, the coverage and the loss."""
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
            f"{coverage} coverage computes the opponents that a pairing names, but this one names none; use ring, grid "
            "or random, or another coverage"
        )
    if pairing.positive and not losses.never_negative(loss, M, N):
        fit = ", ".join(sorted(name for name, loss in losses.LOSSES.items() if losses.never_negative(loss)))
        raise InputError(
            "the pairing needs losses of generators that are never negative, but this loss is negative for some "
            f"logits; use one of: {fit}"
        )


def check_schedule(
    schedule: Schedule, groups: Groups, optimizer: optim.Optimizer, penalized: bool, dealt: bool
) -> None:
    """The game has everything that a schedule changes: a value for each member, penalties, members that can pause."""
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
            "the schedule lets members pause, but split coverage deals batches out to all; use another coverage"
        )
    if claims.roster is not None and any(group.shared for group in groups):
        raise InputError(
            "the schedule lets members pause, but shared parts move for all members of a group together; do not give "
            "shared, or use another schedule"
        )
    if "penalty" in claims.hyper and not penalized:
        raise InputError("the schedule changes the penalty of every discriminator, but the game has none; give one")


def check_penalties(penalties: Sequence[Any], N: int) -> None:
    """All are penalties, with a number, N numbers or a schedule as strength."""
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
    """A source has the samples, classes and parts of a game, and enough samples for a batch."""
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
            f"networks are conditional on {classes} classes, but there are no labels in {source.name!r}, because its "
            "reals differ between discriminators; use networks without classes, or the view all"
        )
    if classes is not None and source.classes != classes:
        fix = (
            f"give data with labels (for a stream or an iterator, say classes={classes}), or do not give classes"
            if source.classes is None
            else f"give every conditional network classes={source.classes} (--generators.0.network.classes "
            f"{source.classes} and --discriminators.0.network.classes {source.classes})"
        )
        raise InputError(
            f"networks are conditional on {classes} classes, but the data {source.name!r} have "
            f"{'no labels' if source.classes is None else source.classes}; {fix}"
        )
