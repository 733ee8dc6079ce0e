"""Losses that differ from member to member, or from opponent to opponent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ensgan.losses.plain import minimax
from ensgan.types import Array, InputError, Loss, Roles, check_range


def per_member(generators: Sequence[Loss], discriminators: Sequence[Loss]) -> Loss:
    """A different loss for every member: G_i pays by `generators[i]`, D_j by `discriminators[j]`.

    The distinct losses are computed once each and chosen by `where`, so ten members with two losses cost two. Who has
    which is part of the state, so that a schedule may change it.

    Args:
        generators: M losses, one per generator.
        discriminators: N losses, one per discriminator. They are all relativistic or none is, because weights of reals
            enter the two kinds differently.

    Raises:
        InputError: a list is empty, losses are mixed that do not go together, or one of them has several logits.
    """
    if not generators or not discriminators:
        raise InputError("per_member needs one loss per member; got an empty list")
    kinds = list(dict.fromkeys((*generators, *discriminators)))
    _check_alike("per_member", kinds)
    logits = {loss.logit for loss in discriminators}
    start = {
        "loss_g": np.array([kinds.index(loss) for loss in generators], np.int32),
        "loss_d": np.array([kinds.index(loss) for loss in discriminators], np.int32),
    }

    def of(i: Any, j: Any, hyper: Mapping[str, Any]) -> Loss:
        mine, theirs = jnp.asarray(hyper["loss_g"])[i][..., None], jnp.asarray(hyper["loss_d"])[j]
        return Loss(
            real=_select(kinds, "real", theirs[:, None]),
            fake=_select(kinds, "fake", theirs[None, :, None]),
            generator=_select(kinds, "generator", mine),
            logit=logits.copy().pop() if len(logits) == 1 else "uncalibrated",
            relativistic=kinds[0].relativistic,
        )

    def all_of_them(field: str, axis: int, losses: Sequence[Loss]) -> Callable[..., Array]:
        def value(*logits: Array) -> Array:
            if logits[0].shape[axis] != len(losses):
                members = f"{logits[0].shape[axis]} {'generators' if field == 'generator' else 'discriminators'}"
                raise InputError(f"per_member has {len(losses)} losses for {members}; give one each")
            whole = of(np.arange(len(generators))[:, None], np.arange(len(discriminators)), start)
            return getattr(whole, field)(*logits)

        return value

    return Loss(
        real=all_of_them("real", 0, discriminators),
        fake=all_of_them("fake", 1, discriminators),
        generator=all_of_them("generator", 0, generators),
        logit=logits.copy().pop() if len(logits) == 1 else "uncalibrated",
        relativistic=kinds[0].relativistic,
        roles=Roles(of=of, start=start),
    )


def by_discriminator(losses: Sequence[Loss]) -> Loss:
    """The whole game that is played against D_j, on both sides, is `losses[j]`, repeated as often as it takes.

    Args:
        losses: at least one; their number divides N.

    Raises:
        InputError: no losses, losses that do not go together, or N that is no multiple of their number.
    """
    if not losses:
        raise InputError("by_discriminator needs at least one loss; got an empty list")
    _check_alike("by_discriminator", losses)
    logits = {loss.logit for loss in losses}

    def of(i: Any, j: Any, hyper: Mapping[str, Any]) -> Loss:
        del i, hyper
        which = jnp.asarray(j) % len(losses)
        return Loss(
            real=_select(losses, "real", which[:, None]),
            fake=_select(losses, "fake", which[None, :, None]),
            generator=_select(losses, "generator", which[None, :, None]),
            logit=logits.copy().pop() if len(logits) == 1 else "uncalibrated",
            relativistic=losses[0].relativistic,
        )

    def all_of_them(field: str, axis: int) -> Callable[..., Array]:
        def value(*logits: Array) -> Array:
            N = logits[0].shape[axis]
            if N % len(losses):
                raise InputError(
                    f"{len(losses)} losses in turn for {N} discriminators; give a multiple of {len(losses)}"
                )
            return getattr(of(None, np.arange(N), {}), field)(*logits)

        return value

    return of(None, np.arange(len(losses)), {})._replace(
        real=all_of_them("real", 0),
        fake=all_of_them("fake", 1),
        generator=all_of_them("generator", 1),
        roles=Roles(of=of, numbered=("d",)),
    )


def microbatch(loss: Loss, alpha: Any, M: int, N: int) -> Loss:
    """D_j tells its own generator's fakes from the data, and takes those of other generators for data, with weight α.

    microbatchGAN (Mordido, Yang & Meinel 2020, arXiv 2001.03376). Own is i ≡ j modulo min(M, N), as in pairings. With
    the pairing `mean`, whose weights are 1/M and 1/N, and `minimax`, both players have that paper's value function

        V = Σ_j ( E log D_j(x) + E log(1 − D_j(own fakes)) + α E log D_j(fakes of others) )

    where generators pay its sum over j. Other losses put `real` and `fake` in the place of −log D and −log(1 − D), and
    against a discriminator that is not its own a generator then pays `fake`: it wants to be told from the data there.
    With α = 0 each discriminator has its own generator alone: members are then complete, where M ≤ N, though `mean`
    calls them parts.

    In the paper, micro-batches are the parts of one generator's batch, and α rises in training. Here each is the batch
    of a generator of its own, an ensemble's reading of it, and α is constant: the same only where all generators have
    one set of weights.

    Args:
        loss: what pairs play: one loss for all, not relativistic.
        alpha: α, at least 0; the paper's is at most 1.
        M: how many generators.
        N: how many discriminators.

    Raises:
        InputError: a relativistic loss, one that is each member's own, a negative α, or logits of another M or N.
    """
    check_range("alpha", alpha)
    if loss.relativistic or loss.roles.of is not None:
        kind = "is relativistic" if loss.relativistic else "differs between members"
        raise InputError(f"the loss of microbatch {kind}; give one plain loss, such as non_saturating")
    # A generator of the saturating game plays for the value function itself, and so it does everywhere.
    saturating = loss.generator == minimax.generator
    told = (lambda s, r: -loss.real(s)) if saturating else loss.fake
    k = min(M, N)

    def of(i: Any, j: Any, hyper: Any) -> Loss:
        del hyper
        own = (i % k == j[None] % k)[..., None]
        count = (M - 1 - j % k) // k + 1  # generators that are D_j's own
        one, other = 1.0 / count, alpha / jnp.maximum(M - count, 1)
        share = jnp.where(own, one[None, :, None], other[None, :, None])
        return Loss(
            real=loss.real,
            fake=lambda s, r: M * share.astype(s.dtype) * jnp.where(own, loss.fake(s, r), loss.real(s)),
            generator=lambda s, r: N * share.astype(s.dtype) * jnp.where(own, loss.generator(s, r), told(s, r)),
            logit="uncalibrated",
        )

    def all_of_them(field: str) -> Callable[[Array, Array], Array]:
        def value(s: Array, r: Array) -> Array:
            if s.shape[:2] != (M, N):
                raise InputError(
                    f"microbatch was made for {M} generators and {N} discriminators, but there are {s.shape[0]} and "
                    f"{s.shape[1]}; give those"
                )
            return getattr(of(np.arange(M)[:, None], np.arange(N), {}), field)(s, r)

        return value

    return Loss(
        loss.real,
        all_of_them("fake"),
        all_of_them("generator"),
        logit="uncalibrated",
        roles=Roles(of=of, numbered=("g", "d")),
    )


def _check_alike(name: str, losses: Sequence[Loss]) -> None:
    if len({loss.relativistic for loss in losses}) != 1:
        raise InputError(f"{name} mixes relativistic and plain losses; use only one of the two kinds")
    if any(loss.roles.heads is not None or loss.roles.of is not None for loss in losses):
        raise InputError(f"{name} takes losses of one logit that do not depend on member numbers themselves")


def _select(losses: Sequence[Loss], field: str, which: Array) -> Callable[..., Array]:
    """The values of the loss whose place in `losses` is `which`, an integer for every logit."""

    def value(*logits: Array) -> Array:
        out = jnp.zeros_like(logits[0])
        for k, loss in enumerate(losses):
            out = jnp.where(which == k, getattr(loss, field)(*logits), out)
        return out

    return value
