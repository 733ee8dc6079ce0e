"""Samples that are trees."""

import jax
import jax.numpy as jnp
import numpy as np

from ensgan import refine


def test_trees_of_samples_keep_together_and_labels_do_not_move(key):
    def pairs(key, n):
        x = jax.random.normal(key, (n, 2))
        return x, (x[:, 0] > 0).astype(jnp.int32)

    says = lambda pair: 2.0 * pair[1] - 0.1 * jnp.square(pair[0]).sum(-1)
    x, label = refine.obrs(key, pairs, says, 300, budget=0.4).x
    np.testing.assert_array_equal(label, np.asarray(x[:, 0]) > 0)
    assert label.mean() > 0.75  # ones are e² times as likely
    before = pairs(jax.random.fold_in(key, 0), 30)
    x, label = refine.collaborative(key, pairs, says, 30, steps=3).x
    np.testing.assert_array_equal(label, before[1])
    assert (np.abs(x) < np.abs(before[0])).all()
