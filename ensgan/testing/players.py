"""Checks of pairings and schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.data import Source
from ensgan.game.coverage import as_mask
from ensgan.game.game import Game
from ensgan.game.state import State
from ensgan.pairing import own_MN
from ensgan.testing.assertions import close, evidence_of, finite, is_mixture, matrices, same_form, sums_to_one
from ensgan.types import Array, Evidence, Pairing, Schedule, Tree


def check_pairing(pairing: Pairing, M: int = 3, N: int = 3, *, symmetric: bool = False) -> None:
    """Checks weights, masks, state and tracing of a pairing.

    Args:
        pairing: the plug.
        M: number of generators to try it with.
        N: number of discriminators to try it with.
        symmetric: whether permuting members must permute the weights, and members that play nobody must not change the
            weights of others; false for pairings that depend on member numbers or on chance.
    """
    state, key, traces = pairing.init(M, N), jax.random.key(0), []
    distinct = len({id(leaf) for leaf in jax.tree.leaves(state)})
    assert distinct == len(jax.tree.leaves(state)), "the state holds an array twice; buffers are donated, so make two"
    if pairing.mixture is not None:
        is_mixture(pairing.mixture(state), M)
    for leaf in jax.tree.leaves(state):
        assert isinstance(leaf, jax.Array | np.ndarray), f"the state holds {leaf!r}; it must hold arrays only"
    mask = _played(pairing, state, key, M, N)

    def after(state: Tree, evidence: Evidence, key: Array) -> tuple[Array, Array, Tree]:
        traces.append(1)
        return pairing.after(state, evidence, key)

    run = jax.jit(after)
    for step in range(3):
        evidence = evidence_of(pairing, mask, step)
        W, P, new = run(state, evidence, jax.random.fold_in(key, step))
        sums_to_one("W", W, mask, 1, "row")
        sums_to_one("P", P, mask, 0, "column")
        same_form("the state of the pairing", state, new)
        state = new
    assert len(traces) == 1, "the pairing is traced again on a later call; its state changes its form or type"

    keys = jax.random.split(key, 2)
    batched = jax.jit(jax.vmap(pairing.after, in_axes=(None, None, 0)))(state, evidence, keys)[:2]
    close("under vmap over keys the pairing", [leaf[1] for leaf in batched], list(run(state, evidence, keys[1])[:2]))

    if pairing.before is None:  # it can be given a mask, so it must respect one
        mask = (own_MN(M, N) > 0) | (jnp.arange(M)[:, None] < jnp.arange(N)[None])
    sick = evidence_of(pairing, mask, 3)
    sick = matrices(sick, lambda a: jnp.where(mask.reshape(M, N, *[1] * (a.ndim - 2)), a, jnp.nan))
    if sick.gram is not None:
        sick = sick._replace(gram=jnp.where(mask[:, None, :], sick.gram, jnp.nan))
    W, P, new = run(state, sick, key)
    sums_to_one("with NaN in masked evidence, W", W, mask, 1, "row")
    sums_to_one("with NaN in masked evidence, P", P, mask, 0, "column")
    finite("with NaN in masked evidence, the state of the pairing", new)

    if symmetric:
        _check_symmetric(pairing, run, key, M, N)


def _played(pairing: Pairing, state: Tree, key: Array, M: int, N: int) -> Array:
    """Checks the pairs that `before` names, and returns them as a mask."""
    if pairing.before is None:
        return jnp.ones((M, N), bool)
    pairs = jax.jit(pairing.before, static_argnums=(2, 3))(state, key, M, N)
    opponents = jnp.issubdtype(pairs.dtype, jnp.integer) and pairs.ndim == 2 and pairs.shape[0] == N
    seen = f"before gave {pairs.dtype} of shape {pairs.shape}"
    assert opponents or (pairs.shape == (M, N) and pairs.dtype == bool), (
        f"{seen}; it must give a bool mask {(M, N)}, or integers ({N}, k), the opponents of each discriminator"
    )
    mask = as_mask(pairs, M, N)
    if opponents:
        within = bool(((pairs >= -1) & (pairs < M)).all())
        assert within, f"before names opponents outside 0 to {M - 1}; use -1 for nobody"
        met = (pairs >= 0).sum(axis=1)
        assert bool((met == mask.sum(axis=0)).all()), "before names an opponent twice for one discriminator"
    return mask


def _check_symmetric(pairing: Pairing, run: Callable[..., Any], key: Array, M: int, N: int) -> None:
    """Permuted members have permuted weights, and members that play nobody do not change the weights of others."""
    state, rows, columns = pairing.init(M, N), np.roll(np.arange(M), 1), np.roll(np.arange(N), -1)
    permute = lambda a: a[rows][:, columns]
    evidence = evidence_of(pairing, jnp.ones((M, N), bool), 4)
    moved = matrices(evidence, permute)
    if moved.gram is not None:
        moved = moved._replace(gram=moved.gram[:, :, columns])
    want = [permute(a) for a in run(state, evidence, key)[:2]]
    close("with permuted members the pairing", list(run(state, moved, key)[:2]), want)

    # One more member on each side, which plays nobody.
    more, state = pairing.init(M + 1, N + 1), pairing.init(M, N)
    there = jnp.zeros((M + 1, N + 1), bool).at[:M, :N].set(True)
    for step in range(3):
        evidence = evidence_of(pairing, there, step)
        fewer = matrices(evidence, lambda a: a[:M, :N])._replace(mask=there[:M, :N])
        if fewer.gram is not None:
            fewer = fewer._replace(gram=fewer.gram[:, :, :N])
        *weights, more = run(more, evidence, key)
        *want, state = run(state, fewer, key)
        close("beside members that play nobody the pairing", [a[:M, :N] for a in weights], want)


def check_schedule(schedule: Schedule, game: Game, source: Source, *, rounds: int = 3, num: int = 64) -> State:
    """Checks that a schedule is a pure function that keeps the form of a state, and that its claims hold.

    Args:
        schedule: the plug.
        game: a game with this schedule, `game.schedule`.
        source: data of that game.
        rounds: number of calls, at steps every, 2·every, ..., and also at 0 if it claims `at_start`.
        num: number of held-out samples that it may use.

    Returns:
        The last state, for further checks.
    """
    assert game.schedule is schedule, "the game has another schedule; give a game that was made with this one"
    claims, state = schedule.claims, jax.jit(game.init)(jax.random.key(0))
    for turn in range(0 if claims.at_start else 1, rounds + 1):
        state = state._replace(step=jnp.int32(turn * schedule.every))
        before = jax.tree.map(np.asarray, state._replace(key=()))
        new = schedule.between(game, state, source, num)
        again = schedule.between(game, state, source, num)
        same_form("the state", state._replace(key=()), new._replace(key=()))
        same = lambda a, b: jax.tree.all(jax.tree.map(lambda x, y: bool((np.asarray(x) == np.asarray(y)).all()), a, b))
        assert same(before, state._replace(key=())), "the schedule changes the state that it is given"
        assert same(new._replace(key=()), again._replace(key=())), "the schedule gives another state on a second call"
        assert new.key is state.key, "the schedule changes the key"
        assert int(new.step) == int(state.step), "the schedule changes the step"
        finite("the members after the schedule", [new.generators, new.discriminators])
        if claims.mixture is not None:
            is_mixture(claims.mixture(new), game.M)
        if claims.weight is not None:
            weights = np.asarray(claims.weight(new.schedule))
            good = weights.shape == (source.num["train"],) and (weights >= 0).all() and 0 < weights.sum() < np.inf
            assert good, "weights of samples must be one number ≥ 0 for each sample, with a finite sum above 0"
        if claims.roster is not None:
            alive = [bool(each.any()) for each in new.roster]
            assert all(alive), f"nobody plays or nobody learns on a side: {new.roster._fields} are {alive}"
        state = new
    return state
