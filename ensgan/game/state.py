"""The state of a game: everything that changes during training."""

from __future__ import annotations

from typing import Any, NamedTuple

from ensgan.game.population import Population
from ensgan.metrics.ratings import Ratings
from ensgan.types import Array, Tree


class State(NamedTuple):
    """Everything that changes during training: arrays in plain containers, which any mesh can store and restore."""

    generators: Population
    discriminators: Population
    pairing: Tree  # of the pairing plug
    payoff: Array  # [M, N] held-out AUC if the pairing asks for it, else ½
    augment: Array  # scalar in [0, 1]: probability that a sample is augmented
    hyper: dict[str, Array]  # hyper-parameters that a schedule can change: kinds of losses, factors of penalties
    roster: Any  # who plays and learns, if that changes, else ()
    schedule: Tree  # of the schedule plug
    ratings: Ratings  # float32 [M + N] each: Elo and Glicko-2 of every member by held-out scores
    rated: Array  # int32 scalar: the step of the last scores that the ratings include; −1 if there are none
    running: Any  # [3, M, N] running means of loss_g, loss_d and fool with `split` coverage, else ()
    fault: Array  # int32 [4]: step, side, member, cause of the first member that was not finite; −1 if all are finite
    step: Array  # int32 scalar: number of updates so far
    key: Array  # the seed; every draw is a pure function of (key, step)
