"""What members have in common is stored once, runs once, and moves by the mean of their gradients."""

from types import SimpleNamespace

import definition
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from staged import GENERATOR, TWO_STAGES, game

from ensgan.game.common import divided, features
from ensgan.game.population import Group, whole
from ensgan.game.step import step


@pytest.mark.parametrize("shared_g", [("first",), ("last",)])
@pytest.mark.parametrize("shared_d", [(), ("trunk",), ("head",)])
def test_common_stages_first_or_last_on_either_side(shared_g, shared_d):
    definition.check(game(shared_g=shared_g, shared_d=shared_d), toys.batch(8))


def test_what_is_common_is_stored_once_and_moves_once():
    played = game(shared_g=("last",), optimizer=optax.adam(1e-2))
    state = played.init(jax.random.key(0))
    (members,) = state.generators
    assert set(members.params) == {"first"}
    assert set(members.common.params) == {"last"}
    assert {len(leaf) for leaf in jax.tree.leaves(members.common.params)} == {1}
    new, _ = jax.jit(lambda s: step(played, s, toys.batch(8)))(state)
    last = whole(new.generators[0]).params["last"]
    assert all(bool((leaf == leaf[:1]).all()) for leaf in jax.tree.leaves(last))
    first = whole(new.generators[0]).params["first"]["w1"]
    assert not bool((first[0] == first[1]).all())


def test_a_gradient_is_divided_into_each_members_own_and_the_mean_of_what_is_common():
    group = Group(GENERATOR, 3, shared=("last",))
    shapes = jax.eval_shape(lambda: GENERATOR.init(jax.random.key(0))[0])
    draw = np.random.default_rng(0)
    grad = jax.tree.map(lambda leaf: draw.normal(size=(3, *leaf.shape)), shapes)
    found = divided(group, grad)
    assert set(found.own) == {"first"}
    assert set(found.common) == {"last"}
    jax.tree.map(np.testing.assert_array_equal, found.own["first"], grad["first"])
    want = jax.tree.map(lambda leaf: leaf.mean(axis=0, keepdims=True), grad["last"])
    jax.tree.map(np.testing.assert_allclose, found.common["last"], want)
    alone = divided(Group(GENERATOR, 3), grad)
    assert alone.own is grad
    assert alone.common == ()


def test_a_trunk_takes_any_axes_in_front_and_gives_the_mean_over_heads():
    group = Group(TWO_STAGES, 4, shared=("trunk",))
    params, net = toys.filled(TWO_STAGES, 1)
    common = SimpleNamespace(params={"trunk": params["trunk"]}, state={"trunk": net["trunk"]})
    draw = np.random.default_rng(0)
    fake, real = (np.float32(draw.normal(size=shape)) for shape in ((3, 5, 2), (6, 2)))
    first = {name: leaf[0] for name, leaf in params["trunk"].items()}
    bias = lambda p, x: p["b"].reshape(*[1] * (x.ndim - 1), -1)
    trunk = lambda p, x: jnp.tanh(x @ p["w1"] + bias(p, x)) @ p["w2"]
    c_fake, c_real = (np.float32(draw.normal(size=shape)) for shape in ((3, 5, 4), (6, 4)))

    @jax.jit
    def both(fake, real):
        found = features(group, SimpleNamespace(common=common), (fake, real), (None, None), None)
        paid = lambda p, fake: (trunk(p, fake) * c_fake).sum() + (trunk(p, real) * c_real).sum()
        want, want_x = jax.grad(paid, argnums=(0, 1))(first, fake)
        mine = found.fake, found.real, found.weights(c_fake, c_real)["trunk"], found.inputs(c_fake)
        return mine, (trunk(first, fake), trunk(first, real), jax.tree.map(lambda leaf: leaf[None] / 4, want), want_x)

    toys.assert_close(*both(fake, real))
