"""Members: the same result however they are executed, and noise that belongs to a member and a sample."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from flax import nnx
from staged import TWO_STAGES

from ensgan import networks
from ensgan.game import population
from ensgan.game.execution import member_vjp, over_members
from ensgan.game.latents import normal
from ensgan.game.population import Group, common_noise, noise
from ensgan.networks import from_nnx
from ensgan.types import InputError

NET = toys.dense(3, 5, (2,))
KEY = jax.random.key(1)


def fn(w, x, shared, label):
    """One member: `shared` is differentiated too, `label` is not and may be None."""
    assert label is None
    y = jnp.tanh(x @ w["a"]) * shared
    return y, {"sum": y.sum()}


@pytest.mark.parametrize("how", ["vmap", "unroll", "remat"])
def test_pullbacks_of_all_members_are_those_of_each(how):
    keys = jax.random.split(KEY, 4)
    w = {"a": jax.random.normal(keys[0], (3, 4, 2))}
    x, shared = jax.random.normal(keys[1], (3, 5, 4)), jax.random.normal(keys[2], (5, 2))
    c = jax.random.normal(keys[3], (3, 5, 2))
    run = member_vjp(fn, how, 3, (0, 0, None, None), wrt=3)

    @jax.jit
    def everything(w, x, shared, c):
        out, aux, pull = run(w, x, shared, None)
        return out, aux, pull(c)

    out, aux, grads = everything(w, x, shared, c)
    assert grads[2].shape == (3, 5, 2)  # of a shared argument each member has its own cotangent
    for k in range(3):
        one = lambda w, x, s: fn(w, x, s, None)
        want, pull, want_aux = jax.vjp(one, {"a": w["a"][k]}, x[k], shared, has_aux=True)
        np.testing.assert_allclose(out[k], want, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(aux["sum"][k], want_aux["sum"], rtol=1e-5, atol=1e-6)
        got = jax.tree.map(lambda leaf, k=k: leaf[k], grads)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), got, pull(c[k]))


def test_rematerialised_members_hold_the_activations_of_one():
    N, B, F = 8, 64, 512
    deep = lambda w, x: (jnp.tanh(jnp.tanh(jnp.tanh(x @ w) @ w) @ w)[:, 0], ())

    def scratch(how):
        def both(w, x, c):
            out, _, pull = member_vjp(deep, how, N, (0, None), wrt=1)(w, x)
            return pull(c * out)

        shapes = [(N, F, F), (B * 4, F), (N, B * 4)]
        arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
        return jax.jit(both).lower(*arrays).compile().memory_analysis().temp_size_in_bytes

    assert scratch("remat") < scratch("vmap") / 3


def test_only_the_first_arguments_are_differentiated():
    w, x = {"a": jnp.ones((2, 3, 2))}, jnp.ones((2, 5, 3))
    for how in ("vmap", "unroll", "remat"):
        _, _, pull = member_vjp(fn, how, 2, (0, 0, None, None), wrt=1)(w, x, jnp.ones((5, 2)), None)
        assert len(pull(jnp.ones((2, 5, 2)))) == 1


def test_a_function_over_members_takes_stacked_and_shared_arguments():
    a, b = jnp.arange(3.0), jnp.float32(10.0)
    one = lambda a, b: {"x": a + b}
    for how in ("vmap", "unroll", "remat"):
        np.testing.assert_array_equal(over_members(one, how, 3, (0, None))(a, b)["x"], [10.0, 11.0, 12.0])


def test_noise_belongs_to_a_member_and_a_sample():
    three = noise(Group(NET, 3), KEY, 0, 8)
    assert three.shape == (3, 8, 3)
    np.testing.assert_array_equal(noise(Group(NET, 3), KEY, 0, 5), three[:, :5])  # not to how many samples there are
    np.testing.assert_array_equal(noise(Group(NET, 1), KEY, 2, 8)[0], three[2])  # nor to the grouping of members
    assert len(np.unique(three)) == three.size


def test_common_noise_is_the_same_for_every_member():
    z = np.asarray(common_noise(Group(NET, 2), KEY, jnp.arange(4)))
    np.testing.assert_array_equal(z[0], z[1])
    assert len(np.unique(z[0])) == z[0].size
    np.testing.assert_array_equal(common_noise(Group(NET, 1), KEY, jnp.arange(2, 4))[0], z[0, 2:])


def test_the_scale_of_the_latent_is_each_members_own():
    plain = noise(Group(NET, 3), KEY, 0, 4)
    scaled = noise(Group(NET, 3, latent=normal(np.array([1.0, 2.0, 0.0]))), KEY, 0, 4)
    np.testing.assert_allclose(scaled, plain * np.array([1.0, 2.0, 0.0])[:, None, None])
    np.testing.assert_allclose(noise(Group(NET, 3, latent=normal(0.5)), KEY, 0, 4), 0.5 * plain)


def test_members_are_numbered_through_the_groups():
    groups = (Group(NET, 2), Group(NET, 3), Group(NET, 1))
    assert population.size(groups) == 6
    assert population.offsets(groups) == [0, 2, 5]


class Convolutional(nnx.Module):
    def __init__(self, rngs):
        self.down = nnx.Conv(2, 4, (4, 4), (2, 2), rngs=rngs)
        self.up = nnx.ConvTranspose(4, 1, (4, 4), (2, 2), rngs=rngs)

    def __call__(self, x):
        return self.up(jnp.tanh(self.down(x)))


def test_how_members_run_follows_from_the_group_and_the_backend():
    conv, cpu = NET._replace(convolutional=True), jax.default_backend() == "cpu"
    for network, execute, products, how, execution_on_shared_input in (
        (NET, "auto", False, "vmap", "unroll" if cpu else "vmap"),
        (NET, "matmul", False, "vmap", "unroll" if cpu else "vmap"),
        (conv, "auto", cpu, "vmap", "unroll" if cpu else "vmap"),
        (conv, "matmul", True, "vmap", "unroll" if cpu else "vmap"),
        (conv, "vmap", False, "vmap", "vmap"),
        (conv, "unroll", False, "unroll", "unroll"),
    ):
        group = Group(network, 2, execute=execute)
        assert (group.products, group.execution, group.execution_on_shared_input) == (
            products,
            how,
            execution_on_shared_input,
        ), execute
    group = Group(conv, 2, execute="matmul", remat=True)
    assert (group.products, group.execution, group.execution_on_shared_input) == (True, "remat", "remat")
    assert Group(conv, 65).execution_on_shared_input == "vmap"


def test_every_way_to_execute_gives_the_same():
    network = from_nnx(Convolutional, (4, 4, 2), (4, 4, 1))
    draw = np.random.default_rng(0)
    array = lambda *shape: jnp.asarray(draw.standard_normal(shape))
    with jax.enable_x64(True):
        blank = jax.eval_shape(lambda: network.init(KEY)[0])
        params = jax.tree.map(lambda leaf: array(3, *leaf.shape), blank)
        x, c = array(3, 2, 4, 4, 2), array(3, 2, 4, 4, 1)
        found = {}
        for execute in ("vmap", "unroll", "matmul"):
            group = Group(network, 3, execute=execute)
            one = lambda params, x, apply=group.apply: apply(params, {}, x, train=True)

            @jax.jit
            def everything(params, x, c, group=group, one=one):
                out, _, pull = member_vjp(one, group.execution, 3, (0, 0), wrt=2)(params, x)
                return out, pull(c), over_members(one, group.execution_on_shared_input, 3, (0, None))(params, x[0])

            assert ("conv_general_dilated" in str(jax.make_jaxpr(everything)(params, x, c))) == (execute != "matmul")
            found[execute] = everything(params, x, c)
        close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
        jax.tree.map(close, found["matmul"], found["vmap"])
        jax.tree.map(close, found["unroll"], found["vmap"])


def test_groups_that_cannot_be_run_are_refused():
    with pytest.raises(InputError, match="a group has 0 members"):
        Group(NET, 0)
    with pytest.raises(InputError, match="unknown way to execute members 'threads'; known: auto, matmul, unroll, vmap"):
        Group(NET, 1, execute="threads")
    with pytest.raises(InputError, match=r"the latent scale has shape \(2,\) in a group of 3 members"):
        Group(NET, 3, latent=normal(np.ones(2)))


def test_trunk_stands_for_all_stages_but_the_last():
    deep = networks.mlp_discriminator((2,), widths=(4, 4, 4))
    by_name = Group(deep, 2, shared=("hidden.0", "hidden.1", "hidden.2"))
    assert set(by_name.parts.common.names) >= {"hidden.0", "hidden.2"}
    assert Group(deep, 2, shared=("trunk",)).shared == by_name.shared
    assert Group(networks.mlp_discriminator((2,), widths=()), 2, shared=("trunk",)).shared == ()
    assert Group(TWO_STAGES, 2, shared=("trunk",)).shared == ("trunk",)
    with pytest.raises(InputError, match="unknown shared part 'trunk'; known: b, w1, w2"):
        Group(toys.dense(2, 4, ()), 2, shared=("trunk",))
