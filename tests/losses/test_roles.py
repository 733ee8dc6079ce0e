"""Losses that give members roles, by arithmetic."""

import jax.numpy as jnp
import numpy as np
import pytest

from ensgan import losses
from ensgan.types import InputError

LOG2, LOG3 = np.log(2.0), np.log(3.0)


def test_the_classes_of_mad_by_hand():
    # Two generators, one discriminator, one sample each; classes: data, G0, G1.
    p = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    s, r = jnp.log(jnp.asarray(p, jnp.float32))[:, None, None], jnp.log(jnp.array([[[[0.6, 0.3, 0.1]]]]))
    loss = losses.mad()
    assert loss.roles.heads(2) == 3
    np.testing.assert_allclose(loss.real(r[0]), [[-np.log(0.6)]], rtol=1e-6)
    np.testing.assert_allclose(loss.fake(s, r).ravel(), -np.log([0.3, 0.7]), rtol=1e-6)
    np.testing.assert_allclose(loss.generator(s, r).ravel(), -np.log([0.5, 0.1]), rtol=1e-6)
    np.testing.assert_allclose(loss.roles.judge(s, jnp.arange(1)).ravel(), np.log([0.5 / 0.5, 0.1 / 0.9]), atol=1e-6)
    # The pairs of generator 1 alone, as on a device that holds no other.
    np.testing.assert_allclose(
        loss.roles.of(jnp.array([[1]]), jnp.arange(1), {}).fake(s[1:], r), -np.log([[[0.7]]]), rtol=1e-6
    )


def test_the_classifier_of_mgan_by_hand():
    s = jnp.array([[[[2.0, 0.0, LOG3]]], [[[-1.0, 0.0, LOG3]]]])  # C says 1/4 for G0 and 3/4 for G1
    loss, softplus = losses.mgan(beta=0.5), lambda x: np.log1p(np.exp(x))
    want = softplus(np.array([2.0, -1.0])) - np.log([0.25, 0.75])
    np.testing.assert_allclose(loss.fake(s, s[:1]).ravel(), want, rtol=1e-6)
    want = softplus(np.array([-2.0, 1.0])) - 0.5 * np.log([0.25, 0.75])
    np.testing.assert_allclose(loss.generator(s, s[:1]).ravel(), want, rtol=1e-6)
    plain = losses.mgan(beta=0.0)
    np.testing.assert_allclose(plain.generator(s, s[:1]), losses.non_saturating.generator(s[..., 0], None), rtol=1e-6)
    np.testing.assert_array_equal(loss.roles.judge(s, jnp.arange(1)), s[..., 0])


def test_the_two_discriminators_of_d2_by_hand():
    # D = softplus(logit): at log(e - 1) it is 1, where its logarithm is 0; at log(e^2 - 1) it is 2.
    one, two = np.log(np.expm1(1.0)), np.log(np.expm1(2.0))
    s, r = jnp.full((1, 2, 1), two, jnp.float32), jnp.full((1, 2, 1), one, jnp.float32)
    loss = losses.d2(alpha=0.2, beta=0.1)
    np.testing.assert_allclose(loss.real(r[0]).ravel(), [0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(loss.fake(s, r).ravel(), [2.0, -0.1 * LOG2], rtol=1e-5)
    np.testing.assert_allclose(loss.generator(s, r).ravel(), [-2.0, 0.1 * LOG2], rtol=1e-5)
    np.testing.assert_allclose(loss.roles.judge(s, jnp.arange(2)).ravel(), [two, -two], rtol=1e-6)
    with pytest.raises(InputError, match="2 losses in turn for 3 discriminators"):
        loss.real(jnp.zeros((3, 1)))
    with pytest.raises(InputError, match="alpha is 0"):
        losses.d2(alpha=0)
