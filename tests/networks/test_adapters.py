"""Modules of flax as pairs of pure functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from labelled import LABEL

from ensgan import networks
from ensgan.networks.adapters import output_shape
from ensgan.types import InputError


class NnxNet(nnx.Module):
    def __init__(self, rngs):
        self.a = nnx.Linear(3, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.rest = nnx.List([nnx.Linear(8, 8, rngs=rngs), nnx.Linear(8, 2, rngs=rngs)])

    def __call__(self, x):
        x = self.drop(self.norm(self.a(x)))
        for layer in self.rest:
            x = layer(x)
        return x


class LinenNet(linen.Module):
    @linen.compact
    def __call__(self, x, train=False):
        x = linen.BatchNorm(use_running_average=not train)(linen.Dense(8)(x))
        return linen.Dense(2)(linen.Dropout(0.5, deterministic=not train)(x))


ADAPTED = {
    "nnx": lambda: networks.from_nnx(NnxNet, 3, 2),
    "linen": lambda: networks.from_linen(LinenNet(), 3, 2),
}


@pytest.fixture(scope="module", params=sorted(ADAPTED))
def built(request):
    """A network, three members of it, the second of them built alone, and its jitted apply."""
    network = ADAPTED[request.param]()
    keys = jax.random.split(jax.random.key(3), 3)
    apply = jax.jit(network.apply, static_argnames="train")
    return network, jax.jit(jax.vmap(network.init))(keys), jax.jit(network.init)(keys[1]), apply


def test_member_of_a_stack_is_the_single_network_of_its_key(built):
    _, stack, single, _ = built
    assert jax.tree.structure(stack) == jax.tree.structure(single)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-6), stack, single)


def test_trees_are_plain_dicts_with_string_keys_and_arrays(built):
    def check(tree):
        if isinstance(tree, dict):
            assert type(tree) is dict
            assert all(isinstance(k, str) for k in tree)
            list(map(check, tree.values()))
        else:
            assert isinstance(tree, jax.Array)
            assert tree.dtype == jnp.float32  # no keys, no counters

    list(map(check, built[2]))


def test_state_changes_in_training_only(built, key):
    _, _, (params, state), apply = built
    x = 1 + jax.random.normal(key, (16, 3))
    y, same = apply(params, state, x, rng=key)
    jax.tree.map(np.testing.assert_array_equal, same, state)
    _, after = apply(params, state, x, train=True, rng=key)
    assert any(jax.tree.leaves(jax.tree.map(lambda a, b: bool(jnp.any(a != b)), after, state)))
    moved, _ = apply(params, after, x, rng=key)
    assert not np.allclose(moved, y)


def test_dropout_depends_on_the_rng_in_training_only(built, key):
    _, _, (params, state), apply = built
    x = jax.random.normal(key, (16, 3))
    run = lambda n, train: apply(params, state, x, train=train, rng=jax.random.key(n))[0]
    np.testing.assert_array_equal(run(0, True), run(0, True))
    assert not np.allclose(run(0, True), run(1, True))
    np.testing.assert_array_equal(run(0, False), run(1, False))


def test_jit_of_vmap_of_grad(built, key):
    network, (params, state), *_ = built
    x = jax.random.normal(key, (4, 3))

    def loss(params, state):
        y, state = network.apply(params, state, x, train=True, rng=key)
        return jnp.sum(y**2), state

    def grad_sum(params, state):
        return jax.vmap(jax.grad(loss, has_aux=True))(params, state)

    grads, after = jax.jit(grad_sum)(params, state)
    assert jax.tree.map(jnp.shape, grads) == jax.tree.map(jnp.shape, params)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    one = lambda tree: jax.tree.map(lambda a: a[2], tree)
    alone, _ = jax.jit(jax.grad(loss, has_aux=True))(one(params), one(state))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-4), one(grads), alone)


def test_what_a_network_is_is_found(built):
    assert built[0].batch_coupled
    assert not built[0].convolutional
    assert not networks.mlp(2, (4,), 1).batch_coupled
    assert networks.mlp(2, (4,), 1, norm="batch").batch_coupled
    assert networks.mlp(2, (4,), 1, norm="batch").synced
    assert networks.from_nnx(NnxNet, 3, 2, batch_coupled=False, convolutional=True)[4:8] == (False, True, False, None)
    assert networks.from_linen(linen.Conv(2, (3, 3)), (4, 4, 1), (4, 4, 2)).convolutional


def test_label_train_and_rngs_reach_the_module(key):
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.table = nnx.Embed(5, 3, rngs=rngs)

        def __call__(self, x, *, label=None, train, rngs):
            y = x if label is None else x + self.table(label)
            return y + jax.random.normal(rngs.noise(), y.shape) if train else y

    class Linen(linen.Module):
        @linen.compact
        def __call__(self, x, label):
            return x + linen.Embed(5, 3)(label)

    x, label = jnp.zeros((2, 3)), jnp.array([0, 4])
    for network in (networks.from_nnx(Net, 3, 3), networks.from_linen(Linen(), 3, 3)):
        params, state = jax.jit(network.init)(key)
        table = jax.tree.leaves(params)[0]
        np.testing.assert_array_equal(network.apply(params, state, x, label=label)[0], table[label])
    network = networks.from_nnx(Net, 3, 3)
    params, state = jax.jit(network.init)(key)
    np.testing.assert_array_equal(network.apply(params, state, x)[0], x)
    noisy = lambda n: network.apply(params, state, x, train=True, rng=jax.random.key(n))[0]
    assert not np.allclose(noisy(0), noisy(1))
    with pytest.raises(InputError, match="pass rng=key"):
        network.apply(params, state, x, train=True)


def test_every_stream_of_a_module_gets_its_own_key(key):
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.a, self.b = nnx.Dropout(0.5, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return jnp.concatenate([self.a(x), self.b(x)], -1)

    network = networks.from_nnx(Net, 32, 64)
    assert network.init(key) == ({}, {})
    y, _ = network.apply({}, {}, jnp.ones((1, 32)), train=True, rng=key)
    assert not np.array_equal(y[0, :32], y[0, 32:])


def test_a_logit_is_not_a_point_with_one_coordinate(key):
    assert [output_shape(s) for s in (1, (), (1,), 2)] == [(), (), (1,), (2,)]
    for out, n, shape in ((1, 1, (5,)), ((), 1, (5,)), ((1,), 1, (5, 1)), (3, 3, (5, 3))):
        network = networks.from_nnx(lambda rngs, n=n: nnx.Linear(2, n, rngs=rngs), 2, out)
        params, state = jax.jit(network.init)(key)
        assert network.apply(params, state, jnp.ones((5, 2)))[0].shape == shape


def test_wrong_shapes_are_refused(key):
    linear = lambda rngs: nnx.Linear(2, 3, rngs=rngs)
    with pytest.raises(InputError, match=r"gives \['B', 3\] for \['B', 2\]; expected \['B', 4\]"):
        networks.from_nnx(linear, 2, 4)
    with pytest.raises(InputError, match=r"expected \['B'\]"):
        networks.from_linen(linen.Dense(3), 2, 1)
    with pytest.raises(InputError, match=r"fails on an input of shape \['B', 5\]"):
        networks.from_nnx(linear, 5, 3)
    with pytest.raises(InputError, match="positive int"):
        networks.from_nnx(linear, 0, 3)
    network = networks.from_nnx(linear, 2, 3)
    with pytest.raises(InputError, match=r"input of shape \[4, 3\]; expected \[B, 2\]"):
        network.apply(*network.init(key), jnp.ones((4, 3)))


class Told(nnx.Module):
    """A first layer that takes a label."""

    def __init__(self, rngs):
        self.embed = nnx.Embed(4, 2, rngs=rngs)

    def __call__(self, x, label):
        return x + self.embed(label)


class LinenTold(linen.Module):
    """The same in linen."""

    @linen.compact
    def __call__(self, x, label):
        return x + linen.Embed(4, 2)(label)


def test_a_chain_hands_keywords_to_layers_that_take_them(key):
    x = jax.random.normal(key, (4, 2))
    chain = lambda *first: lambda rngs: nnx.Sequential(*(f(rngs) for f in first), jnp.tanh, nnx.Dropout(0.5, rngs=rngs))
    plain = networks.from_nnx(chain(lambda rngs: nnx.Linear(2, 2, rngs=rngs)), 2, 2)
    params, state = plain.init(key)
    want = jnp.tanh(x @ params["layers"]["0"]["kernel"])
    np.testing.assert_allclose(plain.apply(params, state, x, label=LABEL)[0], want, rtol=1e-5)
    dropped = plain.apply(params, state, x, label=LABEL, train=True, rng=key)[0]
    assert set(np.unique(np.asarray(dropped == 0))) == {True, False}
    told = networks.from_nnx(chain(Told), 2, 2, classes=4)
    params, state = told.init(key)
    want = jnp.tanh(x + params["layers"]["0"]["embed"]["embedding"][LABEL])
    np.testing.assert_allclose(told.apply(params, state, x, label=LABEL)[0], want, rtol=1e-5)
    for first in (linen.Dense(2), LinenTold()):
        network = networks.from_linen(linen.Sequential([first, linen.tanh]), 2, 2)
        assert network.apply(*network.init(key), x, label=LABEL)[0].shape == (4, 2)


def test_networks_that_count_wrong_are_refused():
    linear = lambda rngs: nnx.Linear(2, 2, rngs=rngs)
    with pytest.raises(InputError, match="the module takes no labels; let its __call__ take the keyword `label`"):
        networks.from_nnx(linear, 2, 2, classes=3)
    with pytest.raises(InputError, match="the module takes no labels"):
        networks.from_linen(linen.Dense(2), 2, 2, classes=3)
    with pytest.raises(InputError, match="classes is -1; give a whole number from 1 to"):
        networks.mlp(2, (4,), (2,), classes=-1)
