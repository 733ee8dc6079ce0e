"""Losses that give members roles: discriminators that tell generators apart, and pairs with opposite aims.

The first kind needs discriminators with several logits, on the last axis of `s` `[M, N, B, C]` and `r` `[N, B, C]`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ensgan.losses.members import by_discriminator
from ensgan.types import Array, InputError, Loss, Roles, check_range

softplus = jax.nn.softplus


def mad() -> Loss:
    """MAD-GAN: discriminators with M + 1 classes, the data and every generator (Ghosh et al. 2018, arXiv 1704.02906).

    D_j minimises the cross entropy of the class that a sample comes from, and G_i pays −log p(data). With uniform P the
    data weigh as much as all generators together, so log p(data) − log(1 − p(data)), from which scores are computed, is
    the log density ratio of the data and the mixture. Discriminators need M + 1 logits: data first, then generators.
    """

    def against(i: Any) -> Loss:
        return Loss(
            real=_not_class(0),
            fake=lambda s, r: _cross_entropy(s, i[..., None] + 1),
            generator=lambda s, r: _not_class(0)(s),
            logit="log_ratio",
        )

    judge = lambda s, j: s[..., 0] - jax.nn.logsumexp(s[..., 1:], axis=-1)
    return _by_number(against, heads=lambda M: M + 1, judge=judge)


def mgan(beta: float = 0.01) -> Loss:
    """MGAN: one logit for the data, and a classifier of the generators (Hoang et al. 2018, arXiv 1708.02556).

    D_j minimises softplus(−r₀) + softplus(s₀) plus the cross entropy of the generator's number; G_i pays softplus(−s₀)
    plus `beta` times that cross entropy, which keeps it away from the others. Discriminators need 1 + M logits.

    Args:
        beta: β ≥ 0, weight of the cross entropy for generators; 0 is the non-saturating game.

    Raises:
        InputError: `beta` is negative.
    """
    check_range("beta", beta)

    def against(i: Any) -> Loss:
        number = lambda s: _cross_entropy(s[..., 1:], i[..., None])
        return Loss(
            real=lambda r: softplus(-r[..., 0]),
            fake=lambda s, r: softplus(s[..., 0]) + number(s),
            generator=lambda s, r: softplus(-s[..., 0]) + beta * number(s),
            logit="log_ratio",
        )

    return _by_number(against, heads=lambda M: 1 + M, judge=lambda s, j: s[..., 0])


def d2(alpha: float = 0.2, beta: float = 0.1) -> Loss:
    """D2GAN: two discriminators with opposite aims (Nguyen et al. 2017, arXiv 1709.03831, eq. 1).

    With D = softplus(logit) > 0, discriminators with an even number maximise α log D(x) − D(G(z)), those with an odd
    number −D(x) + β log D(G(z)), and generators minimise both. N is even; the paper has two discriminators. The loss of
    a generator is the mean of both terms, not their sum.

    Args:
        alpha: α > 0, at most 1 in the paper.
        beta: β > 0, at most 1 in the paper.

    Raises:
        InputError: `alpha` or `beta` is not positive.
    """
    for name, value in (("alpha", alpha), ("beta", beta)):
        check_range(name, value)
        if value == 0:
            raise InputError(f"{name} is 0; it must be positive")
    likes_data = Loss(
        real=lambda r: -alpha * _log_softplus(r),
        fake=lambda s, r: softplus(s),
        generator=lambda s, r: -softplus(s),
        logit="uncalibrated",
    )
    likes_fakes = Loss(
        real=softplus,
        fake=lambda s, r: -beta * _log_softplus(s),
        generator=lambda s, r: beta * _log_softplus(s),
        logit="uncalibrated",
    )

    def judge(s: Array, j: Array) -> Array:
        """Discriminators with an odd number have high logits on fakes, so these are negated."""
        return jnp.where((jnp.asarray(j) % 2 == 0)[:, None].reshape((1,) * (s.ndim - 2) + (-1, 1)), s, -s)

    both = by_discriminator([likes_data, likes_fakes])
    return both._replace(roles=both.roles._replace(judge=judge))


def _by_number(against: Callable[[Any], Loss], **roles: Any) -> Loss:
    """A loss that depends on the generator's number; `against(i)` is the loss of the pairs in rows i."""
    for_all = lambda s: against(jnp.arange(s.shape[0])[:, None])
    return against(None)._replace(
        fake=lambda s, r: for_all(s).fake(s, r),
        generator=lambda s, r: for_all(s).generator(s, r),
        roles=Roles(of=lambda i, j, hyper: against(jnp.asarray(i)), numbered=("g",), **roles),
    )


def _cross_entropy(s: Array, which: Array) -> Array:
    """−log softmax(s)[which] over the last axis; `which` broadcasts against the others."""
    index = jnp.broadcast_to(which, s.shape[:-1])[..., None]
    return jax.nn.logsumexp(s, axis=-1) - jnp.take_along_axis(s, index, axis=-1)[..., 0]


def _not_class(k: int) -> Callable[[Array], Array]:
    return lambda s: jax.nn.logsumexp(s, axis=-1) - s[..., k]


def _log_softplus(x: Array) -> Array:
    """log softplus(x), which tends to x as x tends to −∞."""
    low = x < -15.0
    return jnp.where(low, x, jnp.log(softplus(jnp.where(low, 0.0, x))))
