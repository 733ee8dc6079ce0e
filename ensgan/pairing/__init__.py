"""Pairings: who plays whom, and how much each game counts (weights W for generators, P for discriminators)."""

from collections.abc import Callable

from ensgan.pairing.aggregation import max, min, softmax
from ensgan.pairing.matching import diagonal, dropout, grid, local_and_global, mean, own_and_mean, ring
from ensgan.pairing.weights import discriminator_weights, normalize, own_MN
from ensgan.types import Pairing

PAIRINGS: dict[str, Callable[..., Pairing]] = {
    "mean": mean,
    "diagonal": diagonal,
    "own_and_mean": own_and_mean,
    "softmax": softmax,
    "max": max,
    "min": min,
    "dropout": dropout,
    "ring": ring,
    "grid": grid,
    "local_and_global": local_and_global,
}

__all__ = [
    "PAIRINGS",
    "diagonal",
    "discriminator_weights",
    "dropout",
    "grid",
    "local_and_global",
    "max",
    "mean",
    "min",
    "normalize",
    "own_MN",
    "own_and_mean",
    "ring",
    "softmax",
]
