"""The contract checks of losses, networks and augmentations pass on what ships and fail on what breaks a promise."""

import jax
import jax.numpy as jnp
import pytest
import toys

from ensgan import augment, losses, networks, testing
from ensgan.types import Augment, Loss


@pytest.mark.parametrize(
    "network",
    [
        networks.mlp(3, (4,), 2, norm="batch"),
        networks.mlp(2, (4,), 1, spectral_norm=True),
    ],
)
def test_networks_keep_the_contract(network):
    testing.check_network(network)


def test_networks_with_labels_get_them():
    plain = toys.dense(2, 5, ())

    def apply(params, state, x, *, label, train, rng):
        y, state = plain.apply(params, state, x)
        return y + label.astype(y.dtype), state

    testing.check_network(plain._replace(apply=apply), classes=3)


def changed(**fields):
    return toys.dense(2, 5, ())._replace(**fields)


BASE = toys.dense(2, 5, (), state=True)


def noisy(params, state, x, *, label, train, rng):
    return BASE.apply(params, state, x)[0] + jax.random.normal(rng, (x.shape[0],)), state


def counts_always(params, state, x, *, label, train, rng):
    return BASE.apply(params, state, x)[0], {"calls": state["calls"] + 1}


def drops_state(params, state, x, *, label, train, rng):
    return BASE.apply(params, state, x)[0], {} if train else state


def rooted(params, state, x, *, label, train, rng):
    return jnp.sqrt(jnp.abs(params["b"]).sum()) + BASE.apply(params, state, x)[0], state


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (changed(batch_coupled=True), "does not move the output of sample 0"),
        (toys.dense(2, 5, (), coupled=True)._replace(batch_coupled=False), "changing sample 1 moves"),
        (changed(out_shape=(1,)), "out_shape says"),
        (changed(init=lambda key: BASE.init(jax.random.key(0))), "same parameters for two keys"),
        (BASE._replace(apply=counts_always), "with train=False, the state changed"),
        (BASE._replace(apply=drops_state), "with train=True, the state changed its structure"),
        (BASE._replace(apply=rooted), "the gradient of parameters and inputs is not finite"),
    ],
)
def test_the_network_check_finds_what_is_broken(network, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_network(network)


def test_a_network_that_needs_a_key_to_evaluate_fails():
    with pytest.raises(TypeError):  # jax refuses None for a key
        testing.check_network(BASE._replace(apply=noisy))


@pytest.mark.parametrize("name", ["adaptive", "noise"])
def test_augmentations_keep_the_contract(name):
    testing.check_augment(augment.AUGMENTS[name](), (4, 4, 3))


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (lambda keys, x, strength: x + 1.0, "at strength 0"),
        (lambda keys, x, strength: x - strength * x.mean(), "sample 0 gives another result"),
        (
            lambda keys, x, strength: x + strength * jax.random.normal(keys[-1], x.shape),
            "sample 0 gives another result",
        ),
        (lambda keys, x, strength: x[..., :1] * strength, "became"),
        (lambda keys, x, strength: x + strength * 0.0 * jnp.sqrt(x * 0.0), "the gradient is not finite"),
    ],
)
def test_the_augmentation_check_finds_what_is_broken(apply, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_augment(Augment(apply), (3,))
    with pytest.raises(AssertionError, match="it must be a probability"):
        testing.check_augment(Augment(apply, strength=2.0), (3,))


def test_the_check_of_networks_finds_labels_that_nobody_looks_at():
    network = toys.dense(2, 5, ())._replace(classes=3)
    with pytest.raises(AssertionError, match="other labels change neither outputs nor gradients"):
        testing.check_network(network)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fake": lambda s, r: s - s.mean()}, "fake is not elementwise"),
        ({"fake": lambda s, r: s.mean()}, "fake gave shape"),
        ({"generator": lambda s, r: r - s}, "declare relativistic=True"),
        ({"real": lambda r: jnp.log(1.0 + jnp.exp(-r))}, "real for logits of size 100 is not finite"),
        ({"generator": lambda s, r: jnp.sqrt(jnp.abs(s))}, "the gradient of generator for logits of size 0"),
        ({"logit": "odds"}, "logit is 'odds'"),
    ],
)
def test_the_contract_check_finds_what_is_broken(change, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_loss(losses.wasserstein._replace(**change))
    assert isinstance(losses.wasserstein, Loss)
    for loss, side in ((losses.mad(), "g"), (losses.mgan(), "g"), (losses.d2(), "d")):
        with pytest.raises(AssertionError, match=rf"numbers of members; declare Roles\(numbered=\('{side}',\)\)"):
            testing.check_loss(loss._replace(roles=loss.roles._replace(numbered=())))
