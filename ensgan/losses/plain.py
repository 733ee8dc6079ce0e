"""Losses that are the same for all members: elementwise functions of the logits of fakes `s` and of reals `r`.

They are written in logits (softplus, not the logarithm of a probability), so that they do not saturate to infinity.
Shapes: `s` is `[M, N, B]`, `r` is `[1, N, B]` in `fake` and `generator`, `[N, B]` in `real`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.types import Loss

softplus = jax.nn.softplus

minimax = Loss(
    real=lambda r: softplus(-r),
    fake=lambda s, r: softplus(s),
    generator=lambda s, r: -softplus(s),
    logit="log_ratio",
)
"""The saturating game, V = E log σ(r) + E log(1 − σ(s)) (Goodfellow et al. 2014, arXiv 1406.2661, eq. 1)."""

non_saturating = minimax._replace(generator=lambda s, r: softplus(-s))
"""Generators maximise E log σ(s) (Goodfellow et al. 2014, section 3)."""

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
"""Relativistic pairs with least squares: discriminators aim at r − s = 1, generators at r − s = 0."""

LOSSES: dict[str, Loss] = {
    "minimax": minimax,
    "non_saturating": non_saturating,
    "least_squares": least_squares,
    "hinge": hinge,
    "wasserstein": wasserstein,
    "relativistic": relativistic,
    "relativistic_least_squares": relativistic_least_squares,
}
"""Losses without options that are the same for all members."""


def never_negative(loss: Loss, M: int = 1, N: int = 1) -> bool:
    """Whether `generator` is at least 0 for all logits between −30 and 30.

    A loss with a traced number passes, because that number is only known while a program runs.

    Args:
        loss: the loss.
        M: number of generators; matters if every member has its own loss.
        N: number of discriminators.
    """
    grid = np.array([-30.0, -3.0, -1.0, -0.3, 0.0, 0.3, 1.0, 3.0, 30.0], np.float32)
    s, r = (logits.ravel() for logits in np.meshgrid(grid, grid))
    heads = () if loss.roles.heads is None else (loss.roles.heads(M),)
    full = lambda x, rows: jnp.broadcast_to(x.reshape(-1, *[1] * len(heads)), (rows, N, len(x), *heads))
    paid = loss.generator(full(s, M), full(r, 1))
    return isinstance(paid, jax.core.Tracer) or bool((paid >= -1e-6).all())
