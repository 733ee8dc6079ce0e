"""Mixtures and members as the methods of `refine` take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.game.game import Game
from ensgan.game.population import Group, params_of, take, whole
from ensgan.sampling.draws import CHUNK
from ensgan.sampling.inference import find
from ensgan.types import Array


@dataclass(frozen=True)
class Mixture:
    """Draws of a mixture inside a compiled program, the law of `sample`; equal for one game and its weights.

    The member of each sample is drawn independently of the others. Each member makes as many samples as it almost
    surely needs (`_most`), and not all n of them; if it should need more, it gives some twice.
    """

    game: Game
    weights: tuple[float, ...]
    average: bool

    def __call__(self, generators: Any, law: Array | None, key: Array, n: int) -> Any:
        """`n` samples, or where the classes have a law `[K]` a pair of them and their labels."""
        who = [i for i, w in enumerate(self.weights) if w > 0]
        p = np.array([self.weights[i] for i in who])
        most = [_most(n, share) for share in p / p.sum()]
        key_who, key_z, key_label = jax.random.split(key, 3)
        turn = jax.random.categorical(key_who, jnp.log(jnp.asarray(p, jnp.float32)), shape=(n,))
        label = _given(law, key_label, n)
        parts, tags = [], []
        for k, i in enumerate(who):
            mine = jnp.nonzero(turn == k, size=most[k], fill_value=0)[0]
            group, members, m = find(self.game, generators, i)
            z = _noise(group, jax.random.fold_in(key_z, i), most[k]) * group.scales[m]
            members = whole(members)
            params, state = take((params_of(members, self.average), members.state), m)
            tags.append(None if label is None else label[mine])
            parts.append(group.apply(params, state, z, label=tags[-1], train=False, rng=None)[0])
        start = np.cumsum([0, *most])[:-1]
        place = jnp.cumsum(turn[:, None] == jnp.arange(len(who))[None], axis=0)[jnp.arange(n), turn] - 1
        index = jnp.asarray(start)[turn] + place % jnp.asarray(most)[turn]
        x = jnp.concatenate(parts)[index]
        return x if label is None else (x, jnp.concatenate(tags)[index])


def _most(n: int, share: float) -> int:
    """The samples that a member with this share makes for n: a binomial number is less with probability 1 − 3·10⁻⁷."""
    return min(n, int(np.ceil(n * share + 5.0 * np.sqrt(n * share * (1.0 - share)))) + 2)


@dataclass(frozen=True)
class Latents:
    """Draws of the latents of a group's members, before they are scaled, with labels if there are classes."""

    group: Group

    def __call__(self, law: Array | None, key: Array, n: int) -> Any:
        """`n` latents, or where the classes have a law `[K]` a pair of them and their labels."""
        key_z, key_label = jax.random.split(key)
        z, label = _noise(self.group, key_z, n), _given(law, key_label, n)
        return z if label is None else (z, label)


@dataclass(frozen=True)
class OneMember:
    """Samples of one member's latents."""

    group: Group

    def __call__(self, params: Any, state: Any, scale: Array, item: Any) -> Any:
        """The samples of latents, with their labels if they have any."""
        z, label = item if isinstance(item, tuple) else (item, None)
        x = self.group.apply(params, state, z * scale, label=label, train=False, rng=None)[0]
        return x if label is None else (x, label)


def _noise(group: Group, key: Array, n: int) -> Array:
    """Latents `[n, *in_shape]` before they are scaled."""
    return jax.vmap(lambda k: group.latent.draw(k, group.network.in_shape))(jax.random.split(key, n))


def _given(law: Array | None, key: Array, n: int) -> Array | None:
    """Classes by their law; None where there are none."""
    if law is None:
        return None
    return jax.random.categorical(key, jnp.log(law), shape=(n,)).astype(jnp.int32)


@jax.jit
def log_mean_ratio(key: Array, draw: Any, generate: Any, log_ratio: Any) -> Array:
    """log E[r] over the samples of one member."""
    return jax.nn.logsumexp(log_ratio(generate(draw(key, CHUNK)))) - jnp.log(CHUNK)
