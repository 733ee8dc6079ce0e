"""Pairings: who plays whom, and the weight of each pair (W for generators, P for discriminators).

Many pairings take `own`, the share of each discriminator's weight on its own generator (see `weights.driven`).
"""

from collections.abc import Callable

from ensgan.pairing.aggregation import geometric, harmonic, max, min, softmax
from ensgan.pairing.games import mix, nash
from ensgan.pairing.learned import bandit, hypervolume, softmax_learned
from ensgan.pairing.matching import diagonal, dropout, grid, local_and_global, mean, own_and_mean, random, ring
from ensgan.pairing.multigradient import mgd
from ensgan.pairing.weights import discriminator_weights, normalize, own_MN
from ensgan.types import Pairing

PAIRINGS: dict[str, Callable[..., Pairing]] = {
    "mean": mean,
    "diagonal": diagonal,
    "own_and_mean": own_and_mean,
    "softmax": softmax,
    "softmax_learned": softmax_learned,
    "max": max,
    "min": min,
    "geometric": geometric,
    "harmonic": harmonic,
    "hypervolume": hypervolume,
    "mgd": mgd,
    "bandit": bandit,
    "dropout": dropout,
    "random": random,
    "ring": ring,
    "grid": grid,
    "local_and_global": local_and_global,
    "mix": mix,
    "nash": nash,
}

__all__ = [
    "PAIRINGS",
    "bandit",
    "diagonal",
    "discriminator_weights",
    "dropout",
    "geometric",
    "grid",
    "harmonic",
    "hypervolume",
    "local_and_global",
    "max",
    "mean",
    "mgd",
    "min",
    "mix",
    "nash",
    "normalize",
    "own_MN",
    "own_and_mean",
    "random",
    "ring",
    "softmax",
    "softmax_learned",
]
