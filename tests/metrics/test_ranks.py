"""Placements by hand, and the area under the curve over all pairs."""

import jax.numpy as jnp
import numpy as np
import pytest

from ensgan.metrics import placements
from ensgan.metrics.ranks import auc_with_placements


def test_placements_by_hand_with_ties():
    by_real, by_fake = placements(jnp.array([1.0, 2.0]), jnp.array([0.0, 1.0, 1.0, 3.0]))
    # Real 1: one fake below, two ties of a half; real 2: three fakes below.
    np.testing.assert_allclose(by_real, [2 / 4, 3 / 4])
    # Fake 0: both reals above; fakes 1: one tie and one above; fake 3: none.
    np.testing.assert_allclose(by_fake, [1.0, 0.75, 0.75, 0.0])


def test_their_mean_is_the_auc_over_all_pairs():
    rng = np.random.default_rng(0)
    r, s = rng.integers(0, 12, 70).astype(np.float32), rng.integers(-3, 9, 50).astype(np.float32)  # many ties
    brute = np.mean((r[:, None] > s[None]) + 0.5 * (r[:, None] == s[None]))
    by_real, by_fake = placements(jnp.asarray(r), jnp.asarray(s))
    assert float(by_real.mean()) == pytest.approx(brute, abs=1e-6)
    assert float(by_fake.mean()) == pytest.approx(brute, abs=1e-6)


@pytest.mark.parametrize("num", [20, 41, 90])
def test_compiled_shares_stay_between_0_and_1(num):
    low, high = jnp.zeros(num), jnp.ones(num)
    for fake, real, want in ((low, high, 0.0), (high, low, 1.0)):
        for share in auc_with_placements(fake[None, None], real[None]):
            found = np.asarray(share)
            assert (found >= 0).all()
            assert (found <= 1).all()
            assert not np.signbit(found).any()
            np.testing.assert_allclose(found, want, atol=1e-6)
