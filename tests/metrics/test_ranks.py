"""Placements by hand, and the area under the curve over all pairs."""

import jax.numpy as jnp
import numpy as np
import pytest

from ensgan.metrics import placements


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
