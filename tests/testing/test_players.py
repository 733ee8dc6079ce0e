"""The contract check of pairings fails on what breaks a promise."""

import jax.numpy as jnp
import pytest

from ensgan import pairing, testing


def broken(after):
    return pairing.mean()._replace(after=lambda state, e, key: after(e, *pairing.mean().after(state, e, key)))


def counting(e):
    """Weights that are the milder, the more members there are, whether they play or not."""
    return pairing.normalize(jnp.exp(jnp.where(e.mask, e.loss_g, 0.0) / e.mask.shape[1]), e.mask, axis=1)


@pytest.mark.parametrize(
    ("plug", "message"),
    [
        (broken(lambda e, W, P, state: (2 * W, P, state)), "W must sum to 1 along each row"),
        (broken(lambda e, W, P, state: (W, P.T, state)), "P has shape"),
        (broken(lambda e, W, P, state: (W + 0 * e.loss_g, P, state)), "with NaN in masked evidence, W is not finite"),
        (broken(lambda e, W, P, state: (jnp.full_like(W, 0.5), P, state)), "W has weight on masked pairs"),
        (broken(lambda e, W, P, state: (W, P, e.step)), "structure"),
        (broken(lambda e, W, P, state: (counting(e), P, state)), "beside members that play nobody"),
        (pairing.own_and_mean(0.5), "with permuted members"),
        (pairing.mean()._replace(init=lambda M, N: {"age": 0}), "arrays only"),
        (pairing.mean()._replace(init=lambda M, N: [jnp.zeros(M)] * 2), "holds an array twice"),
        (pairing.mix()._replace(mixture=lambda state: state["logits"]["g"]), "it must be 3 numbers ≥ 0 that sum to 1"),
        (pairing.mean()._replace(before=lambda state, key, M, N: jnp.ones((M, N))), "it must give a bool mask"),
    ],
)
def test_the_contract_check_finds_what_is_broken(plug, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_pairing(plug, 3, 2, symmetric=True)
