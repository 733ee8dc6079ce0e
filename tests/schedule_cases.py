"""A game for every schedule."""

import numpy as np
import optax
import toys

from ensgan import losses, optim, pairing, penalties, schedules
from ensgan.data import from_arrays

POINTS = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
SOURCE = from_arrays("points", POINTS)
TRAIN = SOURCE.num["train"]
RATES = optim.per_member(optax.sgd, learning_rate=np.full(4, 0.1, np.float32))
THREE = losses.per_member([losses.minimax, losses.non_saturating, losses.least_squares] * 2, [losses.minimax] * 2)
CASES = {
    "tournament": lambda: (
        schedules.tournament(10, learning_rate=0.1),
        {"M": 4, "N": 4, "optimizer": RATES},
    ),
    "population_based": lambda: (
        schedules.population_based(10, hyper=("learning_rate", "penalty")),
        {"M": 4, "N": 4, "optimizer": RATES, "penalty": penalties.r1(0.1)},
    ),
    "children": lambda: (schedules.children(10), {"M": 6, "N": 2, "loss": THREE}),
    "snapshots": lambda: (schedules.snapshots(10), {"M": 3, "N": 1}),
    "branch": lambda: (schedules.branch(10), {"M": 3, "N": 3}),
    "history": lambda: (schedules.history(10), {"M": 3, "N": 3}),
    "double_oracle": lambda: (schedules.double_oracle(10), {"M": 3, "N": 3, "pairing": pairing.nash(10)}),
    "messengers": lambda: (schedules.messengers(10), {"M": 3, "N": 5, "pairing": pairing.local_and_global()}),
    "exchange": lambda: (schedules.exchange(10), {"M": 2, "N": 3}),
    "adagan": lambda: (
        schedules.adagan(10, classifier_steps=5, samples=TRAIN),
        {"M": 3, "N": 3, "pairing": pairing.diagonal()},
    ),
    "cascade": lambda: (schedules.cascade(10, samples=TRAIN), {"M": 3, "N": 3, "pairing": pairing.diagonal()}),
}


def made(name):
    schedule, settings = CASES[name]()
    return toys.game(**settings, schedule=schedule), schedule


def params(state, side="generators"):
    return np.asarray(getattr(state, side)[0].params["w1"])
