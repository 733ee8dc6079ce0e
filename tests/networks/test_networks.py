import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from ensgan import networks
from ensgan.networks.adapters import output_shape
from ensgan.types import InputError

SMALL = {
    "mlp": {"widths": (8, 8)},
    "dcgan": {"width": 4},
    "r3gan": {"width": 8, "group_width": 8},
    "unrolled_gan": {"width": 2, "norm": "none"},
}


def small(table, name, shape, **options):
    factory = table[name]
    known = inspect.signature(factory).parameters
    given = {k: v for k, v in (SMALL[name] | options).items() if k in known}
    return factory(shape, **given)


def filled(network, *members):
    """Parameters and state of the right shapes, none of them zero; compiling `init` takes far longer."""
    draw = np.random.default_rng(0)
    blank = jax.eval_shape(lambda: network.init(jax.random.key(0)))
    return jax.tree.map(lambda leaf: jnp.float32(draw.uniform(0.1, 0.3, (*members, *leaf.shape))), blank)


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


def test_a_logit_and_a_point_with_one_coordinate_are_told_apart(key):
    assert [output_shape(s) for s in (1, (), (1,), 2)] == [(), (), (1,), (2,)]
    for out, n, shape in ((1, 1, (5,)), ((), 1, (5,)), ((1,), 1, (5, 1)), (3, 3, (5, 3))):
        network = networks.from_nnx(lambda rngs, n=n: nnx.Linear(2, n, rngs=rngs), 2, out)
        params, state = jax.jit(network.init)(key)
        assert network.apply(params, state, jnp.ones((5, 2)))[0].shape == shape


def test_wrong_shapes_are_told(key):
    linear = lambda rngs: nnx.Linear(2, 3, rngs=rngs)
    with pytest.raises(InputError, match=r"yields \['B', 3\] from \['B', 2\]; expected \['B', 4\]"):
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


def test_unknown_names_list_the_known_ones():
    for options, known in (
        ({"activation": "sine"}, "leaky_relu"),
        ({"output": "sigmoid"}, "linear, tanh"),
        ({"norm": "group"}, "batch, layer, none"),
        ({"init": "zeros"}, "he, lecun"),
        ({"dtype": "float16"}, "bfloat16, float32, float64"),
    ):
        with pytest.raises(InputError, match=f"unknown .* known: .*{known}"):
            networks.mlp(2, (4,), 1, **options)
    with pytest.raises(InputError, match="jax_enable_x64"):
        networks.mlp(2, (4,), 1, dtype="float64")
    with pytest.raises(InputError, match=r"\[30, 30, 1\]; expected .* one of 28, 32, 64"):
        networks.dcgan_generator((30, 30, 1))
    with pytest.raises(InputError, match="size, size, channels"):
        networks.r3gan_discriminator((32, 28, 1))
    with pytest.raises(InputError, match="multiple of group_width 16"):
        networks.r3gan_generator((8, 8, 1), width=12)


def test_mlp_computes_what_it_says(key):
    network = networks.mlp((1, 2), (5,), (3, 1), activation="leaky_relu", negative_slope=0.1, output="tanh")
    params, state = filled(network)
    params["hidden"]["0"]["bias"] -= 0.4
    x = jax.random.normal(key, (4, 1, 2))
    hidden, last = params["hidden"]["0"], params["last"]
    h = x.reshape(4, 2) @ hidden["kernel"] + hidden["bias"][None]
    y = jnp.tanh(jnp.where(h > 0, h, 0.1 * h) @ last["kernel"] + last["bias"][None])
    np.testing.assert_allclose(network.apply(params, state, x)[0], y.reshape(4, 3, 1), atol=1e-6)


def test_mlp_generator_ends_in_tanh_for_images_only(key):
    for shape, bounded in (((2,), False), ((1,), False), ((2, 2, 1), True)):
        network = networks.mlp_generator(shape, latent=4, widths=(8,))
        params, state = filled(network)
        y, _ = network.apply(params, state, 1e3 * jax.random.normal(key, (8, 4)))
        assert (float(jnp.abs(y).max()) <= 1) == bounded
        assert y.shape == (8, *shape)


CASES = [
    ("mlp", (2,)),
    ("mlp", (4, 4, 1)),
    ("dcgan", (64, 64, 3)),
    ("dcgan", (32, 32, 3)),
    ("dcgan", (28, 28, 1)),
]
CASES += [("r3gan", (size, size, 1)) for size in (8, 28, 64)]
CASES += [("unrolled_gan", (size, size, 3)) for size in (8, 28, 32)]


@pytest.mark.parametrize(("name", "shape"), CASES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_pair_in_the_tables_fits_its_samples(name, shape, dtype):
    assert list(networks.GENERATORS) == list(networks.DISCRIMINATORS) == sorted(SMALL)
    generator = small(networks.GENERATORS, name, shape, latent=6, dtype=dtype)
    discriminator = small(networks.DISCRIMINATORS, name, shape, dtype=dtype)
    assert (generator.in_shape, generator.out_shape) == ((6,), shape)
    assert (discriminator.in_shape, discriminator.out_shape) == (shape, ())
    assert not discriminator.batch_coupled
    assert generator.convolutional == discriminator.convolutional == (name != "mlp")
    for network in (generator, discriminator):
        params, state = jax.eval_shape(lambda n=network: n.init(jax.random.key(0)))
        assert {leaf.dtype for leaf in jax.tree.leaves((params, state))} == {jnp.dtype("float32")}
        x = jax.ShapeDtypeStruct((3, *network.in_shape), jnp.float32)
        y, _ = jax.eval_shape(lambda p, s, x, n=network: n.apply(p, s, x), params, state, x)
        assert (y.shape, y.dtype) == ((3, *network.out_shape), jnp.float32)


@pytest.mark.parametrize(
    ("name", "shape"), [("dcgan", (28, 28, 1)), ("r3gan", (8, 8, 2)), ("unrolled_gan", (28, 28, 3))]
)
def test_convolutional_pairs_learn_from_every_parameter(name, shape, key):
    generator = small(networks.GENERATORS, name, shape, latent=6)
    discriminator = small(networks.DISCRIMINATORS, name, shape)
    (p, s), (q, t) = filled(generator, 2), filled(discriminator)
    z = jax.random.normal(key, (2, 6))

    @jax.jit
    def grads(p, q):
        def loss(p, q):
            x, _ = jax.vmap(lambda p, s: generator.apply(p, s, z, train=True))(p, s)
            y, _ = discriminator.apply(q, t, x.reshape(4, *shape), train=True)
            return jnp.sum(y)

        return jax.grad(loss, (0, 1))(p, q)

    for path, leaf in jax.tree.leaves_with_path(grads(p, q)):
        assert np.isfinite(leaf).all(), path
        assert jnp.any(leaf != 0), path


def test_the_pair_of_unrolled_gan_has_the_published_sizes():
    count = lambda network: [leaf.shape for leaf in jax.tree.leaves(jax.eval_shape(network.init, jax.random.key(0))[0])]
    kernels = lambda network: sorted(shape for shape in count(network) if len(shape) > 1)
    generator = networks.unrolled_gan_generator((28, 28, 3))
    assert generator.in_shape == (256,)
    up = [(3, 3, 64, 32), (3, 3, 32, 16), (3, 3, 16, 8), (3, 3, 8, 3)]
    assert kernels(generator) == sorted([(256, 4 * 4 * 64), *up])
    quarter = networks.unrolled_gan_discriminator((28, 28, 3), width=2)
    assert kernels(quarter) == sorted([(3, 3, 3, 2), (3, 3, 2, 4), (3, 3, 4, 8), (4 * 4 * 8, 1)])
    assert quarter.batch_coupled
    assert generator.batch_coupled
    # Batch norm after every layer but the last: a scale and a shift for each channel.
    assert sorted(leaf.shape for leaf in jax.tree.leaves(jax.eval_shape(quarter.init, jax.random.key(0))[1])) == sorted(
        2 * [(2,), (4,), (8,)]
    )


def test_r3gan_starts_with_residual_branches_that_do_nothing(key):
    network = networks.r3gan_discriminator((8, 8, 1), width=8, group_width=8)
    leave = jax.jit(lambda key: network.init(key)[0]["stages"]["1"]["0"]["leave"])(key)
    assert list(leave) == ["kernel"]
    assert not jnp.any(leave["kernel"])


def spectral_convolution(rngs):
    return networks.SpectralNorm(nnx.Conv(3, 4, (2, 2), use_bias=False, rngs=rngs), rngs=rngs)


def spectral_dense(rngs):
    return networks.SpectralNorm(nnx.Linear(12, 4, use_bias=False, rngs=rngs), rngs=rngs)


@pytest.mark.parametrize("factory", [spectral_dense, spectral_convolution])
def test_spectral_norm_divides_by_the_largest_singular_value(factory, key):
    shape = (12,) if factory is spectral_dense else (5, 5, 3)
    network = networks.from_nnx(factory, shape, (*shape[:-1], 4))
    assert not network.batch_coupled
    params, state = jax.jit(network.init)(key)
    x = jax.random.normal(key, (2, *shape))
    kernel = params["layer"]["kernel"]
    scaled = jax.tree.map(lambda a: 7 * a, params)  # σ is exactly linear, whatever the vectors are
    evaluate = jax.jit(network.apply)
    np.testing.assert_allclose(evaluate(scaled, state, x)[0], evaluate(params, state, x)[0], rtol=1e-5, atol=1e-6)
    other = state
    train = jax.jit(lambda state, x: network.apply(params, state, x, train=True))
    for i in range(60):
        y, state = train(state, x)
        _, other = train(other, x + i)
    np.testing.assert_array_equal(state["u"], other["u"])
    sigma = np.linalg.svd(np.asarray(kernel).reshape(-1, 4), compute_uv=False)[0]
    plain = (
        x @ kernel
        if kernel.ndim == 2
        else jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    )
    np.testing.assert_allclose(y, plain / sigma, rtol=1e-4, atol=1e-5)
    evaluated, same = evaluate(params, state, x)
    np.testing.assert_array_equal(same["u"], state["u"])
    np.testing.assert_allclose(evaluated, y, rtol=1e-4, atol=1e-5)


def test_gradient_flows_through_the_singular_value_with_constant_vectors(key):
    network = networks.from_nnx(spectral_dense, 12, 4)
    params, state = filled(network)
    train = lambda _, state: network.apply(params, state, jnp.ones((1, 12)), train=True)[1]
    state = jax.lax.fori_loop(0, 200, train, state)
    x = jax.random.normal(key, (3, 12))
    kernel = params["layer"]["kernel"]
    got = jax.grad(lambda p: jnp.sum(jnp.sin(network.apply(p, state, x, train=True)[0])))(params)
    u, _, vt = np.linalg.svd(np.asarray(kernel), full_matrices=False)
    sigma = lambda k: u[:, 0] @ k @ vt[0]
    bias = params["bias"][None]
    want = jax.grad(lambda k: jnp.sum(jnp.sin(x @ k / sigma(k) + bias)))(kernel)
    np.testing.assert_allclose(got["layer"]["kernel"], want, rtol=1e-3, atol=1e-4)


def test_spectral_networks_under_vmap_and_grad(key):
    network = networks.mlp_discriminator((2,), widths=(4,), spectral_norm=True)
    params, state = filled(network, 3)
    x = jax.random.normal(key, (5, 2))
    run = jax.jit(lambda p, s: jax.vmap(jax.grad(lambda p, s: network.apply(p, s, x, train=True)[0].sum()))(p, s))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run(params, state)))
    assert not networks.dcgan_discriminator((28, 28, 1), width=4, spectral_norm=True).batch_coupled
    with pytest.raises(ValueError, match="use_bias=False"):
        networks.SpectralNorm(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
