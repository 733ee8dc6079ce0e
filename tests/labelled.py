"""A small conditional game, labels, data with labels, and the configuration of a small conditional run."""

import jax.numpy as jnp
import numpy as np
import optax

from ensgan import networks, pairing
from ensgan.data import from_arrays
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.runs.build import TABLES
from ensgan.runs.parsing import parse

LABEL = jnp.array([2, 0, 2, 3])
POINTS = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
SOURCE = from_arrays("points", POINTS, np.arange(200) % 5)


def conditional(M=2, N=2, classes=5, **settings):
    g = networks.mlp(3, (6,), (2,), classes=classes)
    d = networks.mlp((2,), (6,), (), classes=classes)
    settings = {"optimizer": optax.sgd(0.1), "batch_size": 8, "pairing": pairing.softmax(1.0), **settings}
    return Game([Group(g, M, execute="vmap")], [Group(d, N, execute="vmap")], **settings)


TREE = {
    "steps": 2,
    "batch_size": 8,
    "log_every": 2,
    "eval_every": 2,
    "checkpoint_every": 2,
    "held_out": 40,
    "data": "digits",
    "generators": {"count": 2, "network": {"name": "mlp", "latent": 2, "widths": [8], "classes": 10}},
    "discriminators": {"count": 2, "network": {"name": "mlp", "widths": [8], "classes": 10}},
}


def parsed(changes):
    return parse({**TREE, **changes}, TABLES)[0]
