"""Networks in stages: their composition is the network, and what is common is split from what is own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensgan import networks
from ensgan.networks.stages import joined, leaves, merged, pruned, split
from ensgan.types import InputError

CATALOGUE = {
    "mlp": networks.mlp(3, (8, 8), 2),
    "mlp with norm": networks.mlp(3, (8, 8), 1, norm="layer"),
    "mlp with batch norm": networks.mlp(3, (8, 8), 2, norm="batch"),
    "mlp with spectral norm": networks.mlp((4, 4, 1), (8, 8), 1, spectral_norm=True),
    "mlp of classes": networks.mlp(3, (8,), 2, classes=4),
    "discriminator of classes": networks.mlp_discriminator((4,), widths=(8, 8), classes=4, spectral_norm=True),
    "dcgan generator": networks.GENERATORS["dcgan"]((28, 28, 1), width=4, latent=5),
    "dcgan discriminator": networks.DISCRIMINATORS["dcgan"]((28, 28, 1), width=4, norm="batch"),
    "dcgan discriminator of classes": networks.DISCRIMINATORS["dcgan"]((28, 28, 1), width=4, classes=3),
    "r3gan generator": networks.GENERATORS["r3gan"]((16, 16, 3), width=8, group_width=8, latent=5, classes=2),
    "r3gan discriminator": networks.DISCRIMINATORS["r3gan"]((16, 16, 3), width=8, group_width=8),
    "chain": networks.chain(a=networks.mlp(3, (8,), 6), b=networks.mlp(6, (4,), 1)),
}


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_stages_of_a_network_are_the_network(name, key):
    network = CATALOGUE[name]
    params, state = network.init(key)
    params = jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(key, leaf.shape), params)  # no zeros
    x = jax.random.normal(key, (4, *network.in_shape))
    label = None if network.classes is None else jnp.arange(4) % network.classes
    whole = joined(network.stages)
    assert {name for name, _ in leaves(pruned(params, whole.names))} == {name for name, _ in leaves(params)}
    for train in (False, True):
        told = {"label": label, "train": train, "rng": key}
        want, new = network.apply(params, state, x, **told)
        found, changed = jax.jit(lambda p, s, told=told: whole.apply(p, s, x, **told))(params, state)
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), changed, pruned(new, whole.names)
        )


@pytest.mark.parametrize(
    ("shared", "first", "own"),
    [
        (("hidden.0",), True, {"hidden.1", "last"}),
        (("hidden.0", "hidden.1"), True, {"last"}),
        (("hidden",), True, {"last"}),
        (("last",), False, {"hidden.0", "hidden.1"}),
        (("hidden.1", "last"), False, {"hidden.0"}),
    ],
)
def test_a_network_is_split_where_the_shared_names_end(shared, first, own, key):
    network = CATALOGUE["mlp"]
    params, state = network.init(key)
    parts = split(network, shared)
    assert parts.common_first is first
    mine = pruned(params, parts.own.names)
    assert {name.rsplit(".", 1)[0] for name, _ in leaves(mine)} == own
    both = merged(mine, pruned(params, parts.common.names))
    jax.tree.map(np.testing.assert_array_equal, both, params)
    x = jax.random.normal(key, (4, 3))
    a, b = (parts.common, parts.own) if first else (parts.own, parts.common)
    h, _ = a.apply(pruned(params, a.names), {}, x)
    found, _ = b.apply(pruned(params, b.names), {}, h)
    np.testing.assert_allclose(found, network.apply(params, state, x)[0], rtol=1e-5)


@pytest.mark.parametrize("shared", [("hidden.0.kernel",), ("hidden.1",), ("hidden.0", "last"), ("hidden", "last")])
def test_part_of_a_stage_stages_in_the_middle_and_all_stages_do_not_split_a_network(shared):
    assert split(CATALOGUE["mlp"], shared) is None


def test_a_chain_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"trunk gives \(6,\), but head takes \(5,\); make them equal"):
        networks.trunk_and_heads(networks.mlp(3, (8,), 6), networks.mlp(5, (4,), 1))
    with pytest.raises(InputError, match=r"chain\(\) got no network"):
        networks.chain()
