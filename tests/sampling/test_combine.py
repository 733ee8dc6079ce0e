"""Judges of discriminators whose density ratio is known: rules by hand, what is fitted, and what is refused."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from judges import RATIO, SOURCE, X, game, line

from ensgan import losses
from ensgan.cli.judge import fitted_judge
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.runs import export
from ensgan.runs.restore import Opened
from ensgan.sampling import combine
from ensgan.sampling.inference import held_out_logits, logits
from ensgan.types import InputError, Roster


def test_a_plain_judge_is_its_rule_on_the_logits():
    playing, state = game([1.0, 3.0, 2.0], [0.0, 1.0, -1.0])
    for rule in ("median", "log_mean_ratio"):
        judge = combine.plain(playing, state, rule)
        want = combine.RULES[rule](
            jnp.array([1.0, 3.0, 2.0])[:, None] * (X[:, 0] - 0.5)[None] + jnp.array([[0.0], [1], [-1]])
        )
        np.testing.assert_allclose(judge.log_ratio(X), want, atol=1e-5)
        assert not judge.calibrated


@pytest.mark.parametrize("loss", ["wasserstein", "relativistic"])
def test_a_loss_without_a_ratio_must_be_calibrated_first(loss):
    playing, state = game([40.0, -7.0], [300.0, 1.0], loss=losses.LOSSES[loss])
    raw = combine.plain(playing, state, "median")
    assert raw.meaning in ("uncalibrated", "log_ratio_plus_constant")
    np.testing.assert_allclose(raw.score(X), 16.5 * RATIO + 150.5, rtol=1e-4)
    with pytest.raises(InputError, match=r"calibrate it with ensgan.combine.fit\(game, state, source, 'median'\)"):
        raw.log_ratio(X)


@pytest.mark.parametrize(
    ("rule", "loss"),
    [
        *((rule, losses.wasserstein) for rule in (*combine.RULES, *combine.FITTED)),
        ("stacking", losses.non_saturating),
        ("log_mean_ratio", losses.non_saturating),
    ],
)
def test_every_rule_is_calibrated_to_the_ratio(rule, loss):
    """With logits that differ in scale and offset, even in sign, where the loss allows it."""
    ratios = loss is losses.non_saturating
    playing, state = game(
        *(([2.0, 2.0, 1.5], [0.3, 0.1, 0.2]) if ratios else ([50.0, -3.0, 0.1], [70, 5, -1])), loss=loss
    )
    judge = combine.fit(playing, state, SOURCE, rule)
    off = np.abs(judge.log_ratio(X) - RATIO)
    assert off.mean() < 0.25
    assert off.max() < (0.9 if rule == "forest" else 0.25)
    assert judge.calibrated
    np.testing.assert_array_equal(judge.law, [1.0])
    assert judge.smooth == (rule != "forest")
    assert judge.after.brier < judge.before.brier
    assert judge.after.error < 0.08
    assert abs(judge.after.z) < 3.5


def test_temperature_and_isotonic_calibrate_as_well():
    playing, state = game([3.0, 3.0], [0.0, 0.0])
    for name, smooth in (("temperature", True), ("isotonic", False)):
        judge = combine.fit(playing, state, SOURCE, "mean_logit", calibrate=name)
        assert np.abs(judge.log_ratio(X) - RATIO).mean() < 0.25
        assert judge.smooth == smooth
        assert judge.after.error < judge.before.error


def test_a_judge_is_calibrated_against_the_sampler_that_was_asked_for():
    """N(1, 1) against N(0, 1) is x − ½, against N(2, 1) it is 3/2 − x, and against both it is bent."""
    playing, state = game([1.0, 2.0], [0.0, 0.0], shifts=(0.0, 2.0))
    first, second = (combine.fit(playing, state, SOURCE, weights=w) for w in ([3.0, 0.0], [0.0, 1.0]))
    np.testing.assert_allclose(first.log_ratio(X), RATIO, atol=0.25)
    np.testing.assert_allclose(second.log_ratio(X), 1.0 - RATIO, atol=0.25)
    np.testing.assert_array_equal(first.law, [1.0, 0.0])
    np.testing.assert_array_equal(combine.fit(playing, state, SOURCE).law, [0.5, 0.5])


def test_a_judge_that_cannot_tell_says_so(capsys):
    for slopes, told in (([1.0, 2.0], False), ([0.0, 0.0], True)):
        playing, state = game(slopes, [1.0, 5.0])
        fitted_judge(Opened(Path(), None, playing, SOURCE, state, None), np.ones(1))
        assert ("no better than chance" in capsys.readouterr().err) == told


def test_who_takes_no_part_does_not_judge():
    alone = Roster(jnp.ones(1, bool), jnp.array([False, True]), jnp.ones(1, bool), jnp.array([False, True]))
    playing, state = game([-90.0, 1.0], [7.0, 0.0])
    state = state._replace(roster=alone)
    np.testing.assert_array_equal(combine.judges(playing, state), [1])
    np.testing.assert_allclose(combine.plain(playing, state, "minimum").log_ratio(X), RATIO, atol=1e-5)
    want = combine.fit(*game([1.0], [0.0]), SOURCE, "mean_logit").log_ratio(X)
    for rule in ("mean_logit", "nash", "weighted"):
        np.testing.assert_allclose(combine.fit(playing, state, SOURCE, rule).log_ratio(X), want, atol=1e-4)
    shaped = combine.fit(playing, state, SOURCE).shape(1.0 + X)  # the law of X and the data, which have other means
    assert np.isfinite(shaped(X)).all()
    broken = game([np.inf, 1.0], [0.0, 0.0])[1]._replace(roster=alone)
    combine.fit(playing, broken, SOURCE, "mean_logit")  # who does not judge may be whatever it likes


def test_losses_that_were_drawn_anew_leave_no_ratio():
    several = losses.per_member([losses.least_squares], [losses.non_saturating, losses.non_saturating])
    playing = Game([Group(line((1,)), 1)], [Group(line(()), 2)], loss=several, batch_size=8)
    state = playing.init(jax.random.key(0))
    slope = {"a": jnp.array([50.0, 3.0]), "b": jnp.array([-25.0, -1.5])}
    state = state._replace(discriminators=(state.discriminators[0]._replace(params=slope),))
    redrawn = state._replace(hyper={**state.hyper, "loss_d": 1 - state.hyper["loss_d"]})
    assert [combine.plain(playing, each).meaning for each in (state, redrawn)] == ["log_ratio", "uncalibrated"]
    near, far = (combine.fit(playing, each, SOURCE, "minimum") for each in (redrawn, state))
    assert np.abs(near.log_ratio(X) - RATIO).max() < 0.25 < np.abs(far.log_ratio(X) - RATIO).max()
    kinds = [export.judge(playing, each, 0).about["logit"] for each in (state, redrawn)]
    assert kinds == ["log_ratio", "uncalibrated"]


def test_the_order_of_discriminators_does_not_matter():
    a, b = np.array([2.0, 0.5, 1.0]), np.array([0.0, 1.0, -1.0])
    order = [2, 0, 1]
    for rule in ("stacking", "weighted"):
        one, other = (combine.fit(*game(a[o], b[o]), SOURCE, rule) for o in ([0, 1, 2], order))
        np.testing.assert_allclose(one.log_ratio(X), other.log_ratio(X), atol=1e-3)


def test_what_cannot_be_judged_is_refused():
    playing, state = game([1.0], [0.0])
    with pytest.raises(InputError, match=r"the rule stacking is fitted on held-out data; use combine.fit\("):
        combine.plain(playing, state, "stacking")
    with pytest.raises(InputError, match="unknown rule 'best'; known: log_mean_ratio, mean_logit"):
        combine.plain(playing, state, "best")
    with pytest.raises(InputError, match="unknown rule 'best'; known: forest, log_mean_ratio"):
        combine.fit(playing, state, SOURCE, "best")
    with pytest.raises(InputError, match="unknown calibration 'beta'"):
        combine.fit(playing, state, SOURCE, calibrate="beta")
    with pytest.raises(InputError, match="there are 10 reals of the calibrate split"):
        combine.fit(playing, state, SOURCE, num=10)
    with pytest.raises(InputError, match="give 1 numbers ≥ 0"):
        combine.fit(playing, state, SOURCE, weights=[1.0, 1.0])
    broken = game([1.0, np.inf], [0.0, 0.0])
    with pytest.raises(InputError, match="discriminator 1 has logits that are not finite"):
        combine.fit(*broken, SOURCE)


def test_the_logits_of_a_judge_are_those_of_scores():
    playing, state = game([1.0, 3.0], [0.0, 1.0])
    reals = SOURCE.held_out("select", 20)
    _, real, _ = held_out_logits(playing, state, reals)
    np.testing.assert_array_equal(logits(playing, state.discriminators, jnp.asarray(reals["x"])), real)
