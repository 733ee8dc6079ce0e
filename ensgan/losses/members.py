"""Losses that differ from member to member, or from opponent to opponent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ensgan.losses.plain import minimax
from ensgan.types import Array, InputError, Loss, Roles, check_range


def per_member(generators: Sequence[Loss], discriminators: Sequence[Loss]) -> Loss:
    """A separate loss for every member: G_i pays by `generators[i]`, D_j by `discriminators[j]`.

    Each distinct loss is computed once and selected by `where`, so ten members with two losses cost two. The choice of
    each member is part of the state, so that a schedule can change it.

    Args:
        generators: M losses, one per generator.
        discriminators: N losses, one per discriminator. Either all losses are relativistic or none is, because weights
            of reals enter the two kinds differently.

    Raises:
        InputError: a list is empty, the losses cannot be mixed, or one of them has several logits.
    """
    if not generators or not discriminators:
        raise InputError("per_member got an empty list; give one loss per member")
    kinds = list(dict.fromkeys((*generators, *discriminators)))
    _check_alike("per_member", kinds)
    logit = _common_logit(discriminators)
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
            logit=logit,
            relativistic=kinds[0].relativistic,
        )

    def for_all(field: str, axis: int, losses: Sequence[Loss]) -> Callable[..., Array]:
        def value(*logits: Array) -> Array:
            if logits[0].shape[axis] != len(losses):
                members = f"{logits[0].shape[axis]} {'generators' if field == 'generator' else 'discriminators'}"
                raise InputError(f"per_member has {len(losses)} losses for {members}; give one loss per member")
            whole = of(np.arange(len(generators))[:, None], np.arange(len(discriminators)), start)
            return getattr(whole, field)(*logits)

        return value

    return Loss(
        real=for_all("real", 0, discriminators),
        fake=for_all("fake", 1, discriminators),
        generator=for_all("generator", 0, generators),
        logit=logit,
        relativistic=kinds[0].relativistic,
        roles=Roles(of=of, start=start),
    )


def by_discriminator(losses: Sequence[Loss]) -> Loss:
    """Both sides of the game against D_j use `losses[j]`; the list is repeated until every discriminator has one.

    Args:
        losses: at least one; their number divides N.

    Raises:
        InputError: no losses, losses that cannot be mixed, or N is not a multiple of their number.
    """
    if not losses:
        raise InputError("by_discriminator got an empty list; give at least one loss")
    _check_alike("by_discriminator", losses)
    logit = _common_logit(losses)

    def of(i: Any, j: Any, hyper: Mapping[str, Any]) -> Loss:
        del i, hyper
        which = jnp.asarray(j) % len(losses)
        return Loss(
            real=_select(losses, "real", which[:, None]),
            fake=_select(losses, "fake", which[None, :, None]),
            generator=_select(losses, "generator", which[None, :, None]),
            logit=logit,
            relativistic=losses[0].relativistic,
        )

    def for_all(field: str, axis: int) -> Callable[..., Array]:
        def value(*logits: Array) -> Array:
            N = logits[0].shape[axis]
            if N % len(losses):
                raise InputError(
                    f"{len(losses)} losses in turn for {N} discriminators; give a multiple of {len(losses)}"
                )
            return getattr(of(None, np.arange(N), {}), field)(*logits)

        return value

    return of(None, np.arange(len(losses)), {})._replace(
        real=for_all("real", 0),
        fake=for_all("fake", 1),
        generator=for_all("generator", 1),
        roles=Roles(of=of, numbered=("d",)),
    )


def microbatch(loss: Loss, alpha: Any, M: int, N: int) -> Loss:
    """D_j separates its own generator's fakes from the data and, with weight α, treats other generators' fakes as data.

    microbatchGAN (Mordido, Yang & Meinel 2020, arXiv 2001.03376). As in pairings, G_i is the own generator of D_j if
    i ≡ j modulo min(M, N). With the pairing `mean`, whose weights are 1/M and 1/N, and with `minimax`, both players
    have the value function of that paper, where generators pay the sum over j:

        V = Σ_j ( E log D_j(x) + E log(1 − D_j(own fakes)) + α E log D_j(fakes of others) )

    Other losses replace −log D and −log(1 − D) by `real` and `fake`. Against a discriminator that is not its own, a
    generator then pays `fake`, since there it wants its fakes to be recognised. With α = 0 each discriminator learns
    from its own generator alone: members are then complete if M ≤ N, although `mean` declares parts.

    The paper splits one generator's batch into micro-batches and lets α rise during training. Here each micro-batch is
    the batch of a separate generator, and α is constant. The two agree only if all generators share their weights.

    Args:
        loss: the loss of the pairs: one loss for all, not relativistic.
        alpha: α, at least 0; at most 1 in the paper.
        M: number of generators.
        N: number of discriminators.

    Raises:
        InputError: a relativistic loss, a loss that differs between members, a negative α, or logits of another M or N.
    """
    check_range("alpha", alpha)
    if loss.relativistic or loss.roles.of is not None:
        kind = "is relativistic" if loss.relativistic else "differs between members"
        raise InputError(f"the loss of microbatch {kind}; give one plain loss, such as non_saturating")
    # In the saturating game a generator minimises the value function itself, so it does that against others as well.
    saturating = loss.generator == minimax.generator
    recognised = (lambda s, r: -loss.real(s)) if saturating else loss.fake
    k = min(M, N)

    def of(i: Any, j: Any, hyper: Any) -> Loss:
        del hyper
        own = (i % k == j[None] % k)[..., None]
        count = (M - 1 - j % k) // k + 1  # number of D_j's own generators
        one, other = 1.0 / count, alpha / jnp.maximum(M - count, 1)
        share = jnp.where(own, one[None, :, None], other[None, :, None])
        return Loss(
            real=loss.real,
            fake=lambda s, r: M * share.astype(s.dtype) * jnp.where(own, loss.fake(s, r), loss.real(s)),
            generator=lambda s, r: N * share.astype(s.dtype) * jnp.where(own, loss.generator(s, r), recognised(s, r)),
            logit="uncalibrated",
        )

    def for_all(field: str) -> Callable[[Array, Array], Array]:
        def value(s: Array, r: Array) -> Array:
            if s.shape[:2] != (M, N):
                raise InputError(
                    f"microbatch was made for {M} generators and {N} discriminators, but there are {s.shape[0]} and "
                    f"{s.shape[1]}; give these numbers"
                )
            return getattr(of(np.arange(M)[:, None], np.arange(N), {}), field)(s, r)

        return value

    roles = Roles(of=of, numbered=("g", "d"))
    return Loss(loss.real, for_all("fake"), for_all("generator"), logit="uncalibrated", roles=roles)


def _check_alike(name: str, losses: Sequence[Loss]) -> None:
    if len({loss.relativistic for loss in losses}) != 1:
        raise InputError(f"{name} mixes relativistic and plain losses; use only one of the two kinds")
    if any(loss.roles.heads is not None or loss.roles.of is not None for loss in losses):
        raise InputError(f"{name} got a loss of several logits or of member numbers; give losses with one logit")


def _common_logit(losses: Sequence[Loss]) -> Any:
    """`Loss.logit` if all losses agree, else `uncalibrated`."""
    return losses[0].logit if len({loss.logit for loss in losses}) == 1 else "uncalibrated"


def _select(losses: Sequence[Loss], field: str, which: Array) -> Callable[..., Array]:
    """For every logit, the value of the loss with the index `which`."""

    def value(*logits: Array) -> Array:
        out = jnp.zeros_like(logits[0])
        for k, loss in enumerate(losses):
            out = jnp.where(which == k, getattr(loss, field)(*logits), out)
        return out

    return value
