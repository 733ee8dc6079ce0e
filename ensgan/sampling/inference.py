"""Members of a trained game as functions: their samples, their logits, and the held-out payoff."""

from __future__ import annotations

import operator
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.game import execution, population
from ensgan.game.game import Game
from ensgan.game.latents import Latent
from ensgan.game.population import Group, Joined, Members, params_of, take, whole
from ensgan.game.scoring import at_least_float32, judged
from ensgan.game.state import State
from ensgan.metrics.ranks import auc
from ensgan.sampling.draws import chunks, keys, labels
from ensgan.types import Array, InputError, Network, Shape, Tree, unknown

SIDES = ("generators", "discriminators")


class Member(NamedTuple):
    """One network with arrays of its own: `network.apply(params, state, x, label=None, train=False, rng=None)[0]`."""

    network: Network
    params: Tree
    state: Tree
    latent: Latent | None  # a generator's prior, with its own scale; None of a discriminator


def find(game: Game, generators: Any, i: int) -> tuple[Group, Members, int]:
    """The group of generator i, its arrays, and the member's number in it."""
    places = list(zip(population.offsets(game.groups_g), game.groups_g, generators, strict=True))
    first, group, members = [place for place in places if place[0] <= i][-1]
    return group, members, i - first


def latents(latent: Latent, shape: Shape, key: Array, number: Array) -> Array:
    """Latents of the samples `number` `[b]` from a prior whose scale is one number, `[b, *shape]`."""
    draw = lambda k: latent.draw(k, shape)
    return jax.vmap(draw)(population.member_keys(keys(key)[1], number)) * latent.scale


def member(
    game: Game,
    state: State,
    i: int,
    average: bool = True,
    *,
    side: Literal["generators", "discriminators"] = "generators",
) -> Member:
    """One generator, or one discriminator, by its number.

    Args:
        game: what was played.
        state: the trained state.
        i: its number, from 0, through all groups of its side.
        average: whether a generator has its exponential average (else its raw weights); discriminators have none.
        side: `generators` or `discriminators`.

    Raises:
        InputError: another side, or a number that the game does not have.
    """
    if side not in SIDES:
        raise unknown("side", side, SIDES)
    groups, members = (game.groups_g, state.generators) if side == SIDES[0] else (game.groups_d, state.discriminators)
    count = population.size(groups)
    if not 0 <= operator.index(i) < count:
        raise InputError(f"asked for number {i} of the {side}; the game has {side} 0 to {count - 1}")
    first = population.offsets(groups)
    g = int(np.searchsorted(first, i, side="right")) - 1
    group, k = groups[g], int(i - first[g])
    found = whole(members[g])
    mine, net = take((params_of(found, average and side == SIDES[0]), found.state), k)
    return Member(group.network, mine, net, group.prior(k) if side == SIDES[0] else None)


def draw(member: Member, key: Array, number: Array, label: Array | None = None) -> Array:
    """The samples of some numbers from one generator: those that `sample` draws of it with the same key.

    A pure function of arrays, to be compiled and differentiated as one likes.

    Args:
        member: a generator.
        key: a key.
        number: which samples, int32 `[b]`; `jnp.arange(n)` are the first n.
        label: their classes, int32 `[b]`, where the network needs them.

    Returns:
        `[b, *sample_shape]`.

    Raises:
        InputError: a discriminator.
    """
    if member.latent is None:
        raise InputError("a discriminator draws no samples; give a generator: ensgan.member(game, state, i)")
    z = latents(member.latent, member.network.in_shape, key, number)
    return member.network.apply(member.params, member.state, z, label=label, train=False, rng=None)[0]


def every_member(game: Game, state: State, key: Array, num: int, label: Any = None, average: bool = True) -> Array:
    """`num` samples of every generator from common noise and labels, float32 `[M, num, *sample_shape]`.

    `label` is as in `sample`.
    """
    tags, parts = labels(game, key, num, label), []
    for at in chunks(num):
        told = None if tags is None else jnp.asarray(tags[at])
        each = zip(game.groups_g, state.generators, strict=True)
        of = [all_members(group, members, average, key, jnp.asarray(at), told) for group, members in each]
        parts.append(jnp.concatenate(of))
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1)[:, :num]


@partial(jax.jit, static_argnums=(0, 2))
def one_member(
    group: Group, members: Members, average: bool, k: int, key: Array, index: Array, label: Array | None
) -> Array:
    """The samples of these numbers `[b]` from member k of a group, `[b, *sample_shape]`."""
    z = latents(group.prior(k), group.network.in_shape, key, index)
    members = whole(members)
    params, net = take((params_of(members, average), members.state), k)
    return group.apply(params, net, z, label=label, train=False, rng=None)[0]


@partial(jax.jit, static_argnums=(0, 2))
def all_members(group: Group, members: Members, average: bool, key: Array, number: Array, label: Array | None) -> Array:
    """The samples of these numbers from every member of a group at common noise, `[count, b, *sample_shape]`."""
    z, members = population.common_noise(group, key, number), whole(members)

    def one(params: Any, state: Any, z: Array) -> Array:
        return group.apply(params, state, z, label=label, train=False, rng=None)[0]

    return execution.over_members(one, group.execution, group.count, (0, 0, 0))(
        params_of(members, average), members.state, z
    )


# Held-out scoring has noise of its own, the same at every step and for every member.
NOISE_SEED = 20_180_401


def held_out_logits(
    game: Game,
    state: State,
    reals: dict[str, Any],
    average: bool = True,
    key: Array | None = None,
    law: Any = None,
) -> tuple[Array, Array, Array]:
    """Generators, averaged if not said otherwise, on common noise against all discriminators on held-out reals.

    Sample b of every generator has the label of real b, if there are labels, or one drawn from the `law` `[K]`. The
    noise is that of `key`, or of NOISE_SEED.

    Returns:
        Logits of fakes `[M, N, n]` and of reals `[N, n]`, and the fakes `[M, n, ...]`.
    """
    num = len(reals["x"])
    label = reals.get("label")
    key = jax.random.key(NOISE_SEED) if key is None else key
    mine = label if law is None or label is None else labels(game, key, num, None, law)
    fakes = every_member(game, state, key, num, mine, average)
    x = _together(fakes, reals["x"])
    tags = None if label is None else jnp.concatenate([*[jnp.asarray(mine)] * game.M, jnp.asarray(label)])
    fake, real = _apart(logits(game, state.discriminators, x, tags), game.M)
    return fake, real, fakes


@jax.jit
def _together(fakes: Array, reals: Array) -> Array:
    """Fakes `[M, n, ...]` and reals `[n, ...]` as samples `[M n + n, ...]`."""
    return jnp.concatenate([fakes.reshape(-1, *fakes.shape[2:]), reals])


@partial(jax.jit, static_argnums=1)
def _apart(logit: Array, M: int) -> tuple[Array, Array]:
    """Logits `[N, M n + n]` of fakes `[M, N, n]` and of reals `[N, n]`."""
    parts = logit.reshape(len(logit), M + 1, -1).swapaxes(0, 1)
    return parts[:M], parts[M]


def logits(game: Game, discriminators: Any, x: Array, label: Array | None = None) -> Array:
    """The one logit that scores are made of, of every discriminator on every sample, float32 `[N, n]`."""
    rows = chunks(len(x))
    if len(rows) > 1:
        each = [logits(game, discriminators, x[at], None if label is None else label[at]) for at in rows]
        return jnp.concatenate(each, axis=1)[:, : len(x)]
    logit = jnp.concatenate(
        [_logits(group, members, x, label) for group, members in zip(game.groups_d, discriminators, strict=True)]
    )
    return judged(game.loss, logit, jnp.arange(game.N))


@partial(jax.jit, static_argnums=0)
def _logits(group: Any, members: Members | Joined, x: Array, label: Array | None) -> Array:
    members = whole(members)

    def one(params: Any, state: Any) -> Array:
        return at_least_float32(group.apply(params, state, x, label=label, train=False, rng=None)[0])

    return execution.over_members(one, group.execution, group.count, (0, 0))(members.params, members.state)


def payoff(game: Game, state: State, reals: dict[str, Any]) -> Array:
    """The held-out AUC matrix `fool` `[M, N]`, for pairings that ask for it."""
    fake, real, _ = held_out_logits(game, state, reals)
    return auc(fake, real)
