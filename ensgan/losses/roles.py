"""Losses in which players have roles: discriminators that tell generators apart, and pairs with opposite aims.

The first kind needs discriminators of several logits, on the last axis of `s` `[M, N, B, C]` and `r` `[N, B, C]`.
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

    D_j minimises the cross entropy of the class that a sample comes from, and G_i pays −log p(data). With P uniform the
    data have as much weight as all generators together, so that log p(data) − log(1 − p(data)), by which scores are
    made, is the log density ratio of the data and the mixture. Discriminators need M + 1 logits: data, then generators.
    """

    def against(i: Any) -> Loss:
        return Loss(
            real=_not_class(0),
            fake=lambda s, r: _cross_entropy(s, i[..., None] + 1),
            generator=lambda s, r: _not_class(0)(s),
            logit="log_ratio",
            roles=Roles(heads=lambda M: M + 1, judge=lambda s, j: s[..., 0] - jax.nn.logsumexp(s[..., 1:], axis=-1)),
        )

    return _by_number(against)


def mgan(beta: float = 0.01) -> Loss:
    """MGAN: one logit for the data, and a classifier that names the generator (Hoang et al. 2018, arXiv 1708.02556).

    D_j minimises softplus(−r₀) + softplus(s₀) and the cross entropy of the generator's number; G_i pays softplus(−s₀)
    and `beta` times that cross entropy, so that it keeps away from the others. Discriminators need 1 + M logits.

    Args:
        beta: β ≥ 0, weight of being told apart; 0 is the non-saturating game.

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
            roles=Roles(heads=lambda M: 1 + M, judge=lambda s, j: s[..., 0]),
        )

    return _by_number(against)


def d2(alpha: float = 0.2, beta: float = 0.1) -> Loss:
    """D2GAN: two discriminators of opposite taste (Nguyen et al. 2017, arXiv 1709.03831, eq. 1).

    With D = softplus(logit) > 0, discriminators of even number maximise α log D(x) − D(G(z)), those of odd number
    −D(x) + β log D(G(z)), and generators minimise the same. N is even; two are what the paper has. A generator's loss
    is the mean of both terms, not their sum.

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
        """Scores ask who looks more real, and those of odd number have high logits on fakes."""
        return jnp.where((jnp.asarray(j) % 2 == 0)[:, None].reshape((1,) * (s.ndim - 2) + (-1, 1)), s, -s)

    both = by_discriminator([likes_data, likes_fakes])
    return both._replace(roles=both.roles._replace(judge=judge))


def _by_number(against: Callable[[Any], Loss]) -> Loss:
    """A loss that depends on the generator's number; `against(i)` is that of the pairs in rows i."""
    all_of_them = lambda s: against(jnp.arange(s.shape[0])[:, None])
    one = against(None)
    return one._replace(
        fake=lambda s, r: all_of_them(s).fake(s, r),
        generator=lambda s, r: all_of_them(s).generator(s, r),
        roles=one.roles._replace(of=lambda i, j, hyper: against(jnp.asarray(i)), numbered=("g",)),
    )


def _cross_entropy(s: Array, which: Array) -> Array:
    """−log softmax(s)[which] over the last axis; `which` broadcasts against the others."""
    index = jnp.broadcast_to(which, s.shape[:-1])[..., None]
    return jax.nn.logsumexp(s, axis=-1) - jnp.take_along_axis(s, index, axis=-1)[..., 0]


def _not_class(k: int) -> Callable[[Array], Array]:
    return lambda s: jax.nn.logsumexp(s, axis=-1) - s[..., k]


def _log_softplus(x: Array) -> Array:
    """log softplus(x), which is x for very negative x."""
    low = x < -15.0
    return jnp.where(low, x, jnp.log(softplus(jnp.where(low, 0.0, x))))
