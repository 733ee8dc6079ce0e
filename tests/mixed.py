"""A game of two groups of generators with different latents, whose discriminators have several logits."""

import functools

import numpy as np
import toys

from ensgan import losses
from ensgan.game.game import Game
from ensgan.game.latents import normal
from ensgan.game.population import Group


@functools.cache  # a game is itself: programs are compiled once for each
def mixed():
    """The game, and a state of it whose members all differ."""
    game = Game(
        [
            Group(toys.dense(3, 4, (2,)), 2, latent=normal(np.float32([1.0, 0.5]))),
            Group(toys.dense(1, 4, (2,)), 1),
        ],
        [Group(toys.dense(2, 4, (4,)), 2)],
        loss=losses.mad(),
    )
    return game, toys.different(game)
