"""Assertions of the contract checks: each passes on what is right, and names what is wrong."""

import jax.numpy as jnp
import numpy as np
import pytest

from ensgan import pairing
from ensgan.testing import assertions

WHOLE = np.ones((2, 2), bool)


def test_evidence_has_what_a_pairing_asks_for_and_is_the_same_for_a_step():
    plain = assertions.evidence_of(pairing.mean(), WHOLE, 3)
    assert (plain.gram, plain.payoff, int(plain.step)) == (None, None, 3)
    asking = pairing.mean()._replace(asks=frozenset({"gram", "payoff"}))
    found = assertions.evidence_of(asking, WHOLE, 3)
    assert found.gram.shape == (2, 2, 2)
    np.testing.assert_array_equal(found.payoff, found.fool)
    np.testing.assert_array_equal(found.loss_g, plain.loss_g)
    assert not np.array_equal(assertions.evidence_of(asking, WHOLE, 4).loss_g, found.loss_g)
    gram = np.asarray(found.gram)
    np.testing.assert_allclose(gram, gram.swapaxes(1, 2), rtol=1e-6)  # of inner products
    positive = assertions.evidence_of(asking._replace(positive=True), WHOLE, 3)
    np.testing.assert_array_equal(positive.loss_g, np.abs(found.loss_g))


def test_changes_reach_every_matrix_but_the_mask():
    found = assertions.evidence_of(pairing.mean(), WHOLE, 0)
    changed = assertions.matrices(found, lambda a: a + 1.0)
    for name in ("loss_g", "loss_d", "fool"):
        np.testing.assert_allclose(getattr(changed, name), getattr(found, name) + 1.0)
    assert changed.mask is found.mask
    assert changed.gram is None


@pytest.mark.parametrize(
    ("weight", "mask", "text"),
    [
        ([[0.5, 0.5]], WHOLE, r"W has shape \(1, 2\); it must be \(2, 2\)"),
        ([[np.nan, 1.0], [0.5, 0.5]], WHOLE, "W is not finite"),
        ([[-0.5, 1.5], [0.5, 0.5]], WHOLE, "W has negative weights"),
        ([[0.5, 0.5], [0.5, 0.5]], [[True, False], [True, True]], "W has weight on masked pairs"),
        ([[0.5, 0.5], [0.5, 0.4]], WHOLE, r"W must sum to 1 along each row; got \[1.0, 0.9\]"),
    ],
)
def test_weights_that_break_their_promise_are_named(weight, mask, text):
    with pytest.raises(AssertionError, match=text):
        assertions.sums_to_one("W", weight, mask, 1, "row")


def test_rows_that_nobody_plays_need_no_sum():
    assertions.sums_to_one("W", [[0.5, 0.5], [0.0, 0.0]], [[True, True], [False, False]], 1, "row")
    with pytest.raises(AssertionError, match="along each column"):
        assertions.sums_to_one("P", [[0.5, 0.5], [0.0, 0.0]], [[True, True], [False, False]], 0, "column")


@pytest.mark.parametrize("weights", [[0.5, 0.4], [1.5, -0.5], [1.0], [[0.5, 0.5]]])
def test_mixtures_are_as_many_shares_as_generators(weights):
    assertions.is_mixture([0.25, 0.75], 2)
    with pytest.raises(AssertionError, match="it must be 2 numbers ≥ 0 that sum to 1"):
        assertions.is_mixture(weights, 2)


def test_numbers_of_any_type_are_looked_at():
    assertions.finite("x", {"a": jnp.ones(2, jnp.bfloat16), "b": np.arange(3), "c": True})
    with pytest.raises(AssertionError, match="x is not finite"):
        assertions.finite("x", {"a": jnp.array([1.0, jnp.inf], jnp.bfloat16)})


@pytest.mark.parametrize(
    ("new", "text"),
    [
        ({"b": np.zeros(2, np.float32)}, "the state changed its structure"),
        ({"a": np.zeros(3, np.float32)}, r"the state changed its form from \['float32\[2\]'\] to \['float32\[3\]'\]"),
        ({"a": np.zeros(2, np.int32)}, "the state changed its form"),
    ],
)
def test_forms_are_structure_shapes_and_types(new, text):
    old = {"a": np.zeros(2, np.float32)}
    assertions.same_form("the state", old, {"a": np.ones(2, np.float32)})
    with pytest.raises(AssertionError, match=text):
        assertions.same_form("the state", old, new)


def test_trees_are_close_up_to_rounding_of_the_largest_number():
    assertions.close("it", {"a": np.array([1000.0, 0.005])}, {"a": np.array([1000.0, 0.0])})
    with pytest.raises(AssertionError, match="it gives another result"):
        assertions.close("it", {"a": np.array([1000.0, 0.02])}, {"a": np.array([1000.0, 0.0])})
    with pytest.raises(AssertionError, match="another structure"):
        assertions.close("it", {"a": 1.0}, {"b": 1.0})
    assertions.close("it", np.zeros((0,)), np.zeros((0,)))
