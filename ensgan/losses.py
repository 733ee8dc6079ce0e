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

from ensgan.types import Array, InputError, Loss

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


def never_negative(loss: Loss, M: int = 1, N: int = 1) -> bool:
    """Whether no generator is paid: `generator` of logits between −30 and 30 is nowhere below 0.

    What is only known while a program runs (a traced number in the loss) passes.

    Args:
        loss: the loss.
        M: how many generators it is for; matters where every member has its own loss.
        N: how many discriminators.
    """
    grid = np.array([-30.0, -3.0, -1.0, -0.3, 0.0, 0.3, 1.0, 3.0, 30.0], np.float32)
    s, r = (logits.ravel() for logits in np.meshgrid(grid, grid))
    paid = loss.generator(jnp.broadcast_to(s, (M, N, len(s))), jnp.broadcast_to(r, (1, N, len(r))))
    return isinstance(paid, jax.core.Tracer) or bool((paid >= -1e-6).all())


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
