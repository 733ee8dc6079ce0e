"""Plain losses by arithmetic, and the signs of their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensgan import losses
from ensgan.losses import LOSSES

# At s = 1 and r = 2. softplus(x) = log(1 + e^x) is 1.313262 at 1, .313262 at -1 and .126928 at -2.
VALUES = {
    "minimax": (0.126928, 1.313262, -1.313262),  # -log σ(2), -log(1 - σ(1)), log(1 - σ(1))
    "non_saturating": (0.126928, 1.313262, 0.313262),  # the last is -log σ(1)
    "least_squares": (0.5, 0.5, 0.0),  # ½(2-1)², ½ 1², ½(1-1)²
    "hinge": (0.0, 2.0, -1.0),  # max(0, 1-2), max(0, 1+1), -1
    "wasserstein": (-2.0, 1.0, -1.0),
    "relativistic": (0.0, 0.313262, 1.313262),  # softplus(1-2), softplus(2-1)
    "relativistic_least_squares": (0.0, 0.0, 1.0),  # (2-1-1)², (2-1)²
}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_values(name):
    loss, s, r = LOSSES[name], jnp.full((1, 1, 1), 1.0), jnp.full((1, 1, 1), 2.0)
    got = [float(v.squeeze()) for v in (loss.real(r[0]), loss.fake(s, r), loss.generator(s, r))]
    assert got == pytest.approx(VALUES[name], abs=1e-5)


def test_the_other_side_of_the_hinge():
    assert float(losses.hinge.real(jnp.float32(-1.0))) == 2.0  # max(0, 1 + 1)
    assert float(losses.hinge.fake(jnp.float32(-3.0), jnp.float32(0.0))) == 0.0  # max(0, 1 - 3)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_discriminators_push_reals_up_and_fakes_down_and_generators_the_other_way(name):
    # At s = r = 0, where nobody can tell, no player is at rest but the one that asks for r = s.
    loss, zero = LOSSES[name], jnp.float32(0.0)
    total = lambda s, r: loss.real(r) + loss.fake(s, r)
    d_s, d_r = jax.grad(total, argnums=(0, 1))(zero, zero)
    assert d_r < 0  # descent raises r
    g_s = float(jax.grad(loss.generator)(zero, zero))
    if name == "least_squares":
        assert d_s == 0  # a fake's target is 0
    else:
        assert d_s > 0
    if name == "relativistic_least_squares":
        assert g_s == 0  # r - s = 0 is what generators want
        assert float(jax.grad(loss.generator)(jnp.float32(-1.0), zero)) < 0
    else:
        assert g_s < 0


@pytest.mark.parametrize("name", [n for n in LOSSES if LOSSES[n].logit != "uncalibrated"])
def test_the_logit_at_the_optimum_is_the_log_density_ratio(name):
    # Two points with shares p of reals and q of fakes: the gradient vanishes at log p/q.
    loss, p, q = LOSSES[name], jnp.array([0.8, 0.2]), jnp.array([0.5, 0.5])
    pair = lambda t: (q[:, None] * p[None] * (loss.real(t)[None] + loss.fake(t[:, None], t[None]))).sum()
    best = jnp.log(p / q)
    np.testing.assert_allclose(jax.grad(pair)(best), 0.0, atol=1e-6)
    shift = float(jnp.abs(jax.grad(pair)(best + 1.0)).max())
    assert (shift < 1e-6) == (LOSSES[name].logit == "log_ratio_plus_constant")
