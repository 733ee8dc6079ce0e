"""Rules by which logits become one score, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from judges import SOURCE, X, game
from scipy.special import logit

from ensgan.sampling import combine, rules
from ensgan.types import InputError


def test_rules_by_hand():
    p = np.array([[0.2, 0.5], [0.5, 0.5], [0.9, 0.5]])
    s = jnp.asarray(logit(p), jnp.float32)
    odds = p / (1 - p)
    want = {
        "mean_logit": np.log(odds).mean(0),
        "mean_probability": logit(p.mean(0)),
        "log_mean_ratio": np.log(odds.mean(0)),
        "minimum": [np.log(0.25), 0.0],
        "median": [0.0, 0.0],
    }
    assert set(want) == set(combine.RULES)
    for name, rule in combine.RULES.items():
        np.testing.assert_allclose(rule(s), want[name], atol=1e-6, err_msg=name)
        np.testing.assert_allclose(rule(s[:1]), s[0], atol=1e-6, err_msg=name)  # of one discriminator, its logit
        np.testing.assert_allclose(rule(1e4 * s[:1]), 1e4 * s[0], rtol=1e-5, err_msg=name)  # without overflow


def test_who_cannot_tell_has_no_weight():
    playing, state = game([1.0, 0.0], [0.0, 0.0])
    for rule in ("weighted", "nash"):
        judge = combine.fit(playing, state, SOURCE, rule)
        same = combine.fit(*game([1.0], [0.0]), SOURCE, "mean_logit")
        np.testing.assert_allclose(judge.log_ratio(X), same.log_ratio(X), atol=1e-4)
    # Where nobody can, all count alike, and the ratio is 1.
    judge = combine.fit(*game([0.0, 0.0], [1.0, 5.0]), SOURCE, "weighted")
    np.testing.assert_allclose(judge.log_ratio(X), 0.0, atol=0.05)


def test_weights_of_a_stacked_judge_are_by_hand():
    s = jnp.array([[1.0, -2.0], [3.0, 0.0]])
    np.testing.assert_allclose(rules.stacked(jnp.array([0.5, 2.0]), jnp.float32(-1.0), s), [5.5, -2.0])


def test_weights_follow_how_often_a_discriminator_is_right():
    """Of two discriminators one is always right, S = 1, and one three times of four, 2 S − 1 = ½; a third is wrong."""
    real = np.array([True, True, False, False])
    logit = np.array([[2.0, 3.0, 0.0, 1.0], [1.0, 3.0, 0.0, 2.0], [0.0, 1.0, 2.0, 3.0]], np.float32)
    scored = rules.Scored(logit, real, lambda: np.array([0.0, 0.25, 0.75]), 0)
    (share,), other = rules.JUDGES["weighted"].fit(scored)
    np.testing.assert_allclose(share, [2 / 3, 1 / 3, 0.0], rtol=1e-6)
    assert other is None
    (equal,), _ = rules.JUDGES["weighted"].fit(scored._replace(logit_Nn=logit[2:].repeat(2, axis=0)))
    np.testing.assert_allclose(equal, [0.5, 0.5])
    (payoff,), _ = rules.JUDGES["nash"].fit(scored)
    np.testing.assert_allclose(rules.JUDGES["nash"].apply(payoff, jnp.asarray(logit)), payoff @ logit, rtol=1e-6)


def test_rules_that_are_fitted_are_those_that_need_samples():
    assert set(rules.FITTED) == {"weighted", "nash", "stacking", "forest"}
    for name in rules.RULES:
        assert rules.JUDGES[name].fit(None) == ((), None)


def test_flat_places_have_no_gradient():
    assert rules.is_smooth(None, None)
    assert rules.is_smooth("stacking", "logistic")
    assert not rules.is_smooth("forest", "logistic")
    assert not rules.is_smooth("stacking", "isotonic")
    with pytest.raises(InputError, match="unknown rule 'luck'; known: forest, log_mean_ratio"):
        rules.is_smooth("luck", None)
    with pytest.raises(InputError, match="unknown calibration 'none'; known: isotonic"):
        rules.is_smooth(None, "none")
