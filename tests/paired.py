"""Weights that a pairing gives to losses, and a small game that is trained with it."""

import jax
import jax.numpy as jnp
import numpy as np
import toys

from ensgan import optim
from ensgan.data import from_arrays
from ensgan.training import train
from ensgan.types import Evidence

KEY = jax.random.key(0)
SOURCE = from_arrays("points", np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32))
LOG2 = np.log(2.0)


def weights(plug, loss, mask=None, key=KEY):
    """W and P of a pairing for the losses `loss` [M, N], as numpy."""
    loss = jnp.asarray(loss, jnp.float32)
    mask = jnp.ones(loss.shape, bool) if mask is None else jnp.asarray(mask)
    gram = jnp.broadcast_to(jnp.eye(loss.shape[1])[None], (*loss.shape, loss.shape[1])) if "gram" in plug.asks else None
    fool = jax.nn.sigmoid(loss)
    evidence = Evidence(loss, -loss, fool, mask, gram, fool if "payoff" in plug.asks else None, jnp.int32(0))
    W, P, _ = jax.jit(plug.after)(plug.init(*loss.shape), evidence, key)
    return np.asarray(W), np.asarray(P)


def trained(plug, steps=50, **settings):
    """A game of two against two after some steps, its state and the last report."""
    game = toys.game(2, 2, pairing=plug, optimizer=optim.adam(0.01), **settings)
    state, info = train(game, game.init(KEY), SOURCE, steps=steps)
    assert int(state.step) == steps
    assert np.isfinite(np.asarray(info.grad_norm_g)).all()
    assert np.isfinite(np.asarray(info.grad_norm_d)).all()
    return game, state, info
