"""Pair losses: elementwise functions of the logits of fakes `s` and of reals `r`. The kernel takes the means.

Shapes: `s` is `[M, N, B]`, `r` is `[1, N, B]` in `fake` and `generator`, `[N, B]` in `real`.
"""

from __future__ import annotations

from collections.abc import Callable

from ensgan.losses.members import by_discriminator, microbatch, per_member
from ensgan.losses.plain import (
    LOSSES,
    hinge,
    least_squares,
    minimax,
    never_negative,
    non_saturating,
    relativistic,
    relativistic_least_squares,
    wasserstein,
)
from ensgan.losses.roles import d2, mad, mgan
from ensgan.types import Loss, unknown


def mixed(generators: tuple[str, ...], discriminators: tuple[str, ...]) -> Loss:
    """A separate loss for every member, by name (see `per_member`).

    Args:
        generators: one name per generator.
        discriminators: one name per discriminator.

    Raises:
        InputError: an unknown name, or losses that cannot be mixed.
    """
    for name in (*generators, *discriminators):
        if name not in LOSSES:
            raise unknown("loss", name, LOSSES)
    return per_member([LOSSES[name] for name in generators], [LOSSES[name] for name in discriminators])


def _microbatch(M: int, N: int, alpha: float = 0.3, base: str = "non_saturating") -> Loss:
    """A discriminator treats fakes of other generators partly as data (see `microbatch`).

    Args:
        M: number of generators.
        N: number of discriminators.
        alpha: weight of the fakes of other generators.
        base: the loss of the pairs.

    Raises:
        InputError: an unknown or relativistic base, or a negative alpha.
    """
    if base not in LOSSES:
        raise unknown("loss", base, LOSSES)
    return microbatch(LOSSES[base], alpha, M, N)


def _always(loss: Loss) -> Callable[[], Loss]:
    return lambda: loss


# Functions, like every plug of a configuration; most have no options.
NAMED: dict[str, Callable[..., Loss]] = {
    **{name: _always(loss) for name, loss in LOSSES.items()},
    "mixed": mixed,
    "microbatch": _microbatch,
    "mad": mad,
    "mgan": mgan,
    "d2": d2,
}

__all__ = [
    "LOSSES",
    "NAMED",
    "by_discriminator",
    "d2",
    "hinge",
    "least_squares",
    "mad",
    "mgan",
    "microbatch",
    "minimax",
    "mixed",
    "never_negative",
    "non_saturating",
    "per_member",
    "relativistic",
    "relativistic_least_squares",
    "wasserstein",
]
