"""The games that `step_time.py` times, with the same networks, batch, loss and optimiser for every peer."""

from dataclasses import dataclass
from functools import partial

import jax
import numpy as np

from ensgan import Group, losses, networks, optim, pairing
from ensgan.game import population
from ensgan.game.game import Game

LEARNING_RATE, B1, B2, EPS = 2e-4, 0.5, 0.999, 1e-8
EMA = 0.999
LATENT = 100
REALS = 2048


@dataclass(frozen=True)
class Case:
    """One architecture: `generator()` and `discriminator()` make networks, and `shape` is the shape of a sample."""

    name: str
    shape: tuple[int, ...]
    generator: partial
    discriminator: partial


CASES = {
    case.name: case
    for case in (
        Case(
            "mlp",
            (784,),
            partial(networks.mlp, LATENT, (128, 256, 512, 1024), 784, output="tanh"),
            partial(networks.mlp, 784, (512, 256, 128), 1),
        ),
        Case(
            "dcgan",
            (32, 32, 3),
            partial(networks.dcgan_generator, (32, 32, 3), latent=LATENT, width=32),
            partial(networks.dcgan_discriminator, (32, 32, 3), width=32),
        ),
        Case(
            "r3gan",
            (32, 32, 3),
            partial(networks.r3gan_generator, (32, 32, 3), latent=LATENT, width=16, group_width=32),
            partial(networks.r3gan_discriminator, (32, 32, 3), width=16, group_width=32),
        ),
    )
}


class Problem:
    """The start of all peers: initial weights as numpy trees with a leading member axis, and the real samples."""

    def __init__(self, case: Case, members: int, batch_size: int, execute: str = "auto"):
        """Draws the weights once; every peer gets copies."""
        self.case, self.members, self.batch_size = case, members, batch_size
        self.g, self.d = case.generator(), case.discriminator()
        self.game = Game(
            [Group(self.g, members, execute=execute)],
            [Group(self.d, members, execute=execute)],
            loss=losses.non_saturating,
            pairing=pairing.mean(),
            optimizer=optim.adam(LEARNING_RATE, b1=B1, b2=B2, eps=EPS),
            ema=EMA,
            batch_size=batch_size,
        )
        state = jax.jit(self.game.init)(jax.random.key(0))
        to_numpy = partial(jax.tree.map, np.asarray)
        self.params_g, self.state_g = to_numpy(state.generators[0].params), to_numpy(state.generators[0].state)
        self.params_d, self.state_d = to_numpy(state.discriminators[0].params), to_numpy(state.discriminators[0].state)
        # Weights that start at zero (the last layers of residual blocks) would hide wrong gradients.
        rng = np.random.default_rng(0)
        nudge = lambda leaf: leaf + 0.02 * rng.standard_normal(leaf.shape, np.float32)
        self.params_g, self.params_d = jax.tree.map(nudge, (self.params_g, self.params_d))
        self.reals = np.random.default_rng(1).uniform(-1, 1, (REALS, *case.shape)).astype(np.float32)

    def first(self):
        """Noise `[M, B, Z]` of the first step and reals `[B, ...]`, to compare gradients."""
        key = jax.random.split(jax.random.key(3), 5)[0]  # the key that `round.play` draws noise from, given key 3
        z = population.noise(self.game.groups_g[0], key, 0, self.batch_size)
        return np.asarray(z), self.reals[: self.batch_size]

    def flops(self):
        """Model FLOPs of a simultaneous step: forward, and twice as many backward, for M·B fakes and N·(M·B + B)."""
        M, B = self.members, self.batch_size
        latents, samples = np.zeros((B, LATENT), np.float32), np.zeros((M * B + B, *self.case.shape), np.float32)
        return (
            3
            * M
            * (
                _flops(self.g, self.params_g, self.state_g, latents)
                + _flops(self.d, self.params_d, self.state_d, samples)
            )
        )


def _flops(network, params, state, x):
    one = lambda tree: jax.tree.map(lambda leaf: jax.numpy.asarray(leaf[0]), tree)
    forward = lambda params, x: network.apply(params, one(state), x, train=True, rng=jax.random.key(0))[0]
    return jax.jit(forward).lower(one(params), x).compile().cost_analysis()["flops"]
