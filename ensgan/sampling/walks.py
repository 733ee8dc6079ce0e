"""Ways from one sample of a generator to another, through its latents."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.game.game import Game
from ensgan.game.latents import Latent
from ensgan.game.population import Group, Members, params_of, take, whole
from ensgan.game.state import State
from ensgan.sampling import draws
from ensgan.sampling.inference import find, latents
from ensgan.types import Array, InputError


def walk(
    game: Game,
    state: State,
    key: Array,
    paths: int,
    steps: int,
    *,
    weights: Any = None,
    average: bool = True,
    label: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Samples on the way from one latent to another, each path with one generator and one class.

    Paths go as the prior says (`Latent.between`): on a circle for normals, where every point has the law of the prior,
    and straight otherwise.

    Args:
        game: what was played.
        state: the trained state.
        key: a key.
        paths: number of ways.
        steps: number of samples on each, with both ends, at least 2.
        weights: probabilities of the M generators, as in `sample`.
        average: as in `sample`.
        label: the class of each path, int32 `[paths]`, for conditional generators.

    Returns:
        float32 `[paths, steps, *sample_shape]`, and the number of the generator of each path.

    Raises:
        InputError: fewer than 1 path or 2 steps, or weights that `sample` refuses.
    """
    if paths < 1 or steps < 2:
        raise InputError(f"asked for {paths} paths of {steps} samples; give at least 1 of 2")
    p = draws.probabilities(game, state, weights)
    member = np.asarray(draws.components(key, jnp.asarray(p, jnp.float32), jnp.arange(paths)))
    out = np.zeros((paths, steps, *game.sample_shape), np.float32)
    for n, i in enumerate(member):
        group, members, k = find(game, state.generators, int(i))
        tag = None if label is None else jnp.full((steps,), int(label[n]), np.int32)
        out[n] = np.asarray(_path(group, members, average, steps, k, key, jnp.asarray([2 * n, 2 * n + 1]), tag))
    return out, member


@partial(jax.jit, static_argnums=(0, 2, 3))
def _path(
    group: Group, members: Members, average: bool, steps: int, k: int, key: Array, ends: Array, label: Array | None
) -> Array:
    """The samples of member k between two latents, `[steps, *sample_shape]`."""
    prior: Latent = group.prior(k)
    first, last = latents(prior, group.network.in_shape, key, ends)
    z = jax.vmap(lambda t: prior.between(first, last, t))(jnp.linspace(0.0, 1.0, steps))
    members = whole(members)
    params, net = take((params_of(members, average), members.state), k)
    return group.apply(params, net, z, label=label, train=False, rng=None)[0]
