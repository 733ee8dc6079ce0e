"""A forest over logits: that of its library, as a function of arrays."""

import jax.numpy as jnp
import numpy as np
from scipy.special import expit

from ensgan.sampling.forest import forest_of, walked


def test_a_forest_is_that_of_its_library():
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    x, real = rng.normal(size=(300, 3)).astype(np.float32), rng.random(300) < 0.5
    real |= x[:, 0] * x[:, 1] > 0.5  # what no sum of logits sees
    nodes, outside = forest_of(x, real, seed=5)
    library = RandomForestClassifier(200, max_depth=8, min_samples_leaf=0.05, oob_score=True, random_state=5).fit(
        x, real
    )
    new = rng.normal(size=(200, 3)).astype(np.float32)
    np.testing.assert_allclose(expit(walked(*nodes, jnp.asarray(new.T))), library.predict_proba(new)[:, 1], atol=1e-5)
    np.testing.assert_allclose(expit(outside), library.oob_decision_function_[:, 1], atol=0.005)


def stump(left, right, least=0.01):
    """Two equal trees that send what is at most 0 in the second logit to the left."""
    tree = {"left": [1, -1, -1], "right": [2, -1, -1], "feature": [1, -2, -2], "threshold": [0.0, -2.0, -2.0]}
    nodes = {name: jnp.array([values, values]) for name, values in tree.items()}
    return {**nodes, "share": jnp.array([[0.5, left, right]] * 2)}, jnp.float32(least)


def test_a_sample_ends_in_the_leaf_on_its_side():
    logit_Nn = jnp.array([[9.0, 9.0, 9.0], [-1.0, 0.0, 1.0]])
    np.testing.assert_allclose(expit(walked(*stump(0.25, 0.75), logit_Nn)), [0.25, 0.25, 0.75], rtol=1e-5)


def test_no_leaf_is_surer_than_the_number_of_samples_allows():
    found = walked(*stump(0.0, 1.0), jnp.array([[0.0, 0.0], [-1.0, 1.0]]))
    np.testing.assert_allclose(expit(found), [0.01, 0.99], rtol=1e-4)
    assert np.isfinite(np.asarray(found)).all()
