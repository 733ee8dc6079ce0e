"""Pair losses: elementwise functions of the logits of fakes `s` and of reals `r`. The kernel takes the means.

Everything is written in logits (softplus instead of log-sigmoid of a probability), so nothing saturates to infinity.
Shapes: `s` is `[M, N, B]`, `r` is `[1, N, B]` in `fake` and `generator`, `[N, B]` in `real`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.types import Array, InputError, Loss, check_range

softplus = jax.nn.softplus

minimax = Loss(
    real=lambda r: softplus(-r),
    fake=lambda s, r: softplus(s),
    generator=lambda s, r: -softplus(s),
    logit="log_ratio",
)
"""The saturating game, V = E log σ(r) + E log(1 − σ(s)) (Goodfellow et al. 2014, arXiv 1406.2661, eq. 1)."""

non_saturating = minimax._replace(generator=lambda s, r: softplus(-s))
"""Generators maximise E log σ(s) instead (Goodfellow et al. 2014, section 3)."""

least_squares = Loss(
    real=lambda r: 0.5 * (r - 1.0) ** 2,
    fake=lambda s, r: 0.5 * s**2,
    generator=lambda s, r: 0.5 * (s - 1.0) ** 2,
    logit="uncalibrated",
)
"""LSGAN with targets 0, 1, 1 (Mao et al. 2017, arXiv 1611.04076, eq. 9)."""

hinge = Loss(
    real=lambda r: jax.nn.relu(1.0 - r),
    fake=lambda s, r: jax.nn.relu(1.0 + s),
    generator=lambda s, r: -s,
    logit="uncalibrated",
)
"""The hinge loss (Lim & Ye 2017, arXiv 1705.02894; Miyato et al. 2018, arXiv 1802.05957, eq. 16-17)."""

wasserstein = Loss(
    real=lambda r: -r,
    fake=lambda s, r: s,
    generator=lambda s, r: -s,
    logit="uncalibrated",
)
"""The dual of the Wasserstein distance; needs clipping or a penalty (Arjovsky et al. 2017, arXiv 1701.07875)."""

relativistic = Loss(
    real=jnp.zeros_like,
    fake=lambda s, r: softplus(s - r),
    generator=lambda s, r: softplus(r - s),
    logit="log_ratio_plus_constant",
    relativistic=True,
)
"""RpGAN: real b against fake b (Jolicoeur-Martineau 2018, arXiv 1807.00734; Huang et al. 2024, arXiv 2501.05441)."""

relativistic_least_squares = Loss(
    real=jnp.zeros_like,
    fake=lambda s, r: (r - s - 1.0) ** 2,
    generator=lambda s, r: (r - s) ** 2,
    logit="uncalibrated",
    relativistic=True,
)
"""Discriminators want r − s = 1, generators want r − s = 0 (relativistic pairs with least squares)."""

LOSSES: dict[str, Loss] = {
    "minimax": minimax,
    "non_saturating": non_saturating,
    "least_squares": least_squares,
    "hinge": hinge,
    "wasserstein": wasserstein,
    "relativistic": relativistic,
    "relativistic_least_squares": relativistic_least_squares,
}


def per_member(generators: Sequence[Loss], discriminators: Sequence[Loss]) -> Loss:
    """A different loss for every member: G_i pays by `generators[i]`, D_j by `discriminators[j]`.

    The distinct losses are computed once each and chosen by `where`, so ten members with two losses cost two.

    Args:
        generators: M losses, one per generator.
        discriminators: N losses, one per discriminator. They are all relativistic or none is, because weights of reals
            enter the two kinds differently.

    Raises:
        InputError: a list is empty, or relativistic and plain losses are mixed.
    """
    if not generators or not discriminators:
        raise InputError("per_member needs one loss per member; got an empty list")
    if len({loss.relativistic for loss in (*generators, *discriminators)}) != 1:
        raise InputError("per_member mixes relativistic and plain losses; use only one of the two kinds")
    kinds = {loss.logit for loss in discriminators}
    logit = kinds.pop() if len(kinds) == 1 else "uncalibrated"

    def select(losses: Sequence[Loss], field: str, index: Any) -> Callable[..., Array]:
        def value(*logits: Array) -> Array:
            out = jnp.zeros_like(logits[0])
            for loss in dict.fromkeys(losses):
                mine = jnp.isin(index, jnp.array([k for k, other in enumerate(losses) if other == loss]))
                out = jnp.where(mine, getattr(loss, field)(*logits), out)
            return out

        return value

    def of(i: Any, j: Any) -> Loss:
        return Loss(
            real=select(discriminators, "real", j[:, None]),
            fake=select(discriminators, "fake", j[None, :, None]),
            generator=select(generators, "generator", i[..., None]),
            logit=logit,
            relativistic=generators[0].relativistic,
        )

    def all_of_them(field: str, axis: int, losses: Sequence[Loss]) -> Callable[..., Array]:
        def value(*logits: Array) -> Array:
            if logits[0].shape[axis] != len(losses):
                members = f"{logits[0].shape[axis]} {'generators' if field == 'generator' else 'discriminators'}"
                raise InputError(f"per_member has {len(losses)} losses for {members}; give one each")
            return getattr(whole, field)(*logits)

        return value

    whole = of(np.arange(len(generators))[:, None], np.arange(len(discriminators)))
    return whole._replace(
        real=all_of_them("real", 0, discriminators),
        fake=all_of_them("fake", 1, discriminators),
        generator=all_of_them("generator", 0, generators),
        of=of,
    )


def microbatch(loss: Loss, alpha: Any, M: int, N: int) -> Loss:
    """D_j tells its own generator's fakes from the data, and takes those of other generators for data, with weight α.

    microbatchGAN (Mordido, Yang & Meinel 2020, arXiv 2001.03376). Own is i ≡ j modulo min(M, N), as in pairings. With
    the pairing `mean`, whose weights are 1/M and 1/N, and `minimax`, both players have that paper's value function

        V = Σ_j ( E log D_j(x) + E log(1 − D_j(own fakes)) + α E log D_j(fakes of others) )

    where generators pay its sum over j. Other losses put `real` and `fake` in the place of −log D and −log(1 − D), and
    against a discriminator that is not its own a generator then pays `fake`: it wants to be told from the data there.
    With α = 0 each discriminator has its own generator alone.

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
    if loss.relativistic or loss.of is not None:
        kind = "is relativistic" if loss.relativistic else "differs between members"
        raise InputError(f"the loss of microbatch {kind}; give one plain loss, such as non_saturating")
    # A generator of the saturating game plays for the value function itself, and so it does everywhere.
    saturating = loss.generator == minimax.generator
    told = (lambda s, r: -loss.real(s)) if saturating else loss.fake
    k = min(M, N)

    def of(i: Any, j: Any) -> Loss:
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
            return getattr(of(np.arange(M)[:, None], np.arange(N)), field)(s, r)

        return value

    return Loss(loss.real, all_of_them("fake"), all_of_them("generator"), logit="uncalibrated", of=of)
