"""Tiny networks and games, and a plain reference of one step: loops over members and autodiff, nothing shared."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ensgan import data, losses, pairing
from ensgan.data.source import sample_keys
from ensgan.game import population
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.game.step import step
from ensgan.types import Network


def dense(in_dim, hidden, out_shape, *, coupled=False, state=False):
    """Two layers as bare functions; `coupled` centres its hidden layer over the batch, `state` counts calls."""
    out_dim = int(np.prod(out_shape))

    def init(key):
        k1, k2 = jax.random.split(key)
        params = {
            "w1": jax.random.normal(k1, (in_dim, hidden)) / jnp.sqrt(1.0 * in_dim),
            "w2": jax.random.normal(k2, (hidden, out_dim)) / jnp.sqrt(1.0 * hidden),
            "b": jnp.zeros((hidden,)),
        }
        return params, {"calls": jnp.zeros(())} if state else {}

    def apply(params, state, x, *, label=None, train=False, rng=None):
        h = x @ params["w1"] + params["b"][None]
        if coupled:
            h = h - h.mean(axis=0, keepdims=True)
        y = jnp.tanh(h) @ params["w2"]
        new = {"calls": state["calls"] + 1} if state and train else state
        return y.reshape(x.shape[0], *out_shape), new

    return Network(init, apply, (in_dim,), tuple(out_shape), batch_coupled=coupled)


def game(M=3, N=2, *, batch_size=8, hidden=5, coupled=False, heads=(), shared=(), **settings):
    """M generators of 2-D points from 3 numbers against N discriminators, trained by plain gradient steps of size 1."""
    settings = {"loss": losses.non_saturating, "pairing": pairing.mean(), "optimizer": optax.sgd(1.0), **settings}
    return Game(
        [Group(dense(3, hidden, (2,)), M, shared=shared)],
        [Group(dense(2, hidden, heads, coupled=coupled), N)],
        batch_size=batch_size,
        **settings,
    )


def some(*names, of):
    """The cases of a test that runs over a table; those that are not named are slow."""
    assert set(names) <= set(of)
    return [name if name in names else pytest.param(name, marks=pytest.mark.slow) for name in sorted(of)]


def filled(network, *members):
    """Parameters and state of the right shapes, none of them zero; compiling `init` takes far longer."""
    draw = np.random.default_rng(0)
    blank = jax.eval_shape(lambda: network.init(jax.random.key(0)))
    return jax.tree.map(lambda leaf: jnp.float32(draw.uniform(0.1, 0.3, (*members, *leaf.shape))), blank)


def batch(size=8, seed=3):
    return {"x": jax.random.normal(jax.random.key(seed), (size, 2))}


def members(groups, population_):
    """Every member's network and its own params and state, one after the other."""
    take = lambda tree, k: jax.tree.map(lambda leaf: leaf[k], tree)
    return [
        (group.network, take(m.params, k), take(m.state, k))
        for group, m in zip(groups, population_, strict=True)
        for k in range(group.count)
    ]


def latents(game_, state, round_key_index=None):
    """The noise of the step that comes next, one array `[B, Z]` per generator."""
    _, key_round, _ = jax.random.split(jax.random.fold_in(state.key, 2 * state.step + 1), 3)
    if round_key_index is not None:
        key_round = jax.random.fold_in(key_round, round_key_index)
    key_noise = jax.random.split(key_round, 5)[0]
    out = []
    for first, group in zip(population.offsets(game_.groups_g), game_.groups_g, strict=True):
        out.extend(population.noise(group, key_noise, first, game_.fakes))
    return out


def reference(game_, state, real, W, P, z, omega=None, label=None):
    """Gradients of every member from the definitions in plain loops: L_G_i and L_D_j one at a time."""
    generators = members(game_.groups_g, state.generators)
    discriminators = members(game_.groups_d, state.discriminators)
    loss, B = game_.loss, len(z[0])
    reals = [real] * len(discriminators) if real.ndim == 2 else list(real)
    omega = jnp.full((len(discriminators), B), 1.0 / B) if omega is None else omega

    def fake(i, params):
        net, _, net_state = generators[i]
        return net.apply(params, net_state, z[i], label=label, train=True)[0]

    def logits(j, params, x):
        net, _, net_state = discriminators[j]
        return net.apply(params, net_state, x, label=label, train=True)[0]

    def pair(kind, i, j, *values):
        """What a pair pays, from the logits of one member each."""
        its = loss if loss.roles.of is None else loss.roles.of(jnp.array([[i]]), jnp.array([j]), state.hyper)
        lead = (None,) if kind == "real" else (None, None)
        return getattr(its, kind)(*(value[lead] for value in values))[(0,) * len(lead)]

    share = lambda j: omega[j] if loss.relativistic else jnp.full((B,), 1.0 / B)

    def loss_g(params, i):
        x = fake(i, params)
        total = 0.0
        for j, (_, params_d, _) in enumerate(discriminators):
            s, r = logits(j, params_d, x), logits(j, params_d, reals[j])
            total += W[i, j] * (share(j) * pair("generator", i, j, s, r)).sum()
        return total

    def loss_d(params, j):
        r = logits(j, params, reals[j])
        total = (omega[j] * pair("real", 0, j, r)).sum()
        for i, (_, params_g, _) in enumerate(generators):
            s = logits(j, params, fake(i, params_g))
            total += P[i, j] * (share(j) * pair("fake", i, j, s, r)).sum()
        return total

    @jax.jit
    def every():
        grads_g = [jax.grad(loss_g)(params, i) for i, (_, params, _) in enumerate(generators)]
        grads_d = [jax.grad(loss_d)(params, j) for j, (_, params, _) in enumerate(discriminators)]
        return grads_g, grads_d

    return every()


def run(game, state, batch):
    """One step, compiled: the new state and its report."""
    return jax.jit(lambda s, b: step(game, s, b))(state, batch)


def taken(old, new, groups):
    """The gradients that a step of size 1 took, one tree per member."""
    out = []
    for group, a, b in zip(groups, old, new, strict=True):
        delta = jax.tree.map(lambda x, y: x - y, a.params, b.params)
        out.extend(jax.tree.map(lambda leaf, k=k: leaf[k], delta) for k in range(group.count))
    return out


def assert_close(got, want, tolerance=1e-5):
    """Every leaf agrees to `tolerance` of the largest number in it, or of 1 if that is larger."""
    for path, a in jax.tree_util.tree_leaves_with_path(got):
        b = dict(jax.tree_util.tree_leaves_with_path(want))[path]
        scale = max(float(np.abs(np.asarray(b)).max()), 1.0)
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=tolerance * scale, rtol=0, err_msg=str(path))


def check(game, batch, seed=0):
    """A step of size 1 moves every weight by the gradient of `reference`, in float64.

    There a right gradient is right to ten digits, and a wrong one is not.
    """
    with jax.enable_x64(True):
        batch = {name: jnp.asarray(np.asarray(value), jnp.float64) for name, value in batch.items()}
        state = game.init(jax.random.key(seed))
        new, info = run(game, state, batch)
        omega = batch["weight"] / batch["weight"].sum(axis=1, keepdims=True) if "weight" in batch else None
        z = latents(game, state)
        want_g, want_d = reference(game, state, batch["x"], info.weight_g, info.weight_d, z, omega)
        assert_close(taken(state.generators, new.generators, game.groups_g), want_g, 1e-9)
        assert_close(taken(state.discriminators, new.discriminators, game.groups_d), want_d, 1e-9)
        return info


def masked(mask):
    """A pairing with equal weights that plays the pairs of a mask."""
    return pairing.mean()._replace(before=lambda state, key, M, N: jnp.asarray(mask))


def traces(fn):
    """`fn`, and a list that grows by one each time jax traces it."""
    count = []

    def counted(*args):
        count.append(1)
        return fn(*args)

    return counted, count


def points(num, seed, shift=0.0):
    """Normal points of three numbers."""
    return (np.random.default_rng(seed).standard_normal((num, 3)) + shift).astype(np.float32)


def quadrants(num=200, classes=4, **options):
    """8×8 images whose class is the bright quadrant."""
    label = np.arange(num) % classes
    x = np.full((num, 8, 8), 40, np.uint8)
    for k in range(num):
        row, column = divmod(int(label[k]), 2)
        x[k, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 200 + k % 40
    return data.from_arrays("quadrants", x, label, **options)


# A batch of a source that is held in memory.
draw = jax.jit(lambda source, table, key, size: source.draw(table, sample_keys(key, size)), static_argnums=(0, 3))


def different(game):
    """A state in which averages, weights and members all differ; nothing is initialised or trained."""
    draw = np.random.default_rng(0)

    def fill(leaf):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.key(1)
        return jnp.asarray(np.abs(draw.normal(scale=0.3, size=leaf.shape)), leaf.dtype)

    return jax.tree.map(fill, jax.eval_shape(game.init, jax.random.key(0)))


def played(optimizer, steps=3):
    """A game with this optimiser, and its state after some steps."""
    playing = game(4, 3, optimizer=optimizer)
    state, one = playing.init(jax.random.key(0)), jax.jit(lambda state, batch: step(playing, state, batch))
    for seed in range(steps):
        state, _ = one(state, batch(seed=seed))
    return playing, state
