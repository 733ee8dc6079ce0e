"""Networks of two stages, and a game whose members have one of them in common."""

import optax
import toys

from ensgan import losses, networks, pairing
from ensgan.game.game import Game
from ensgan.game.population import Group

TWO_STAGES = networks.trunk_and_heads(toys.dense(2, 6, (4,)), toys.dense(4, 5, ()))


GENERATOR = networks.chain(first=toys.dense(3, 5, (4,)), last=toys.dense(4, 6, (2,)))


def game(M=3, N=3, shared_g=(), shared_d=("trunk",), **settings):
    settings = {
        "loss": losses.relativistic,
        "pairing": pairing.own_and_mean(0.3),
        "optimizer": optax.sgd(1.0),
        "reals": 8,
        "fakes": 4,
        **settings,
    }
    return Game([Group(GENERATOR, M, shared=shared_g)], [Group(TWO_STAGES, N, shared=shared_d)], **settings)
