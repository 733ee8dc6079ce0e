"""Runs beside each other: values at equal work, words that the rows carry, and texts that cannot do harm."""

import numpy as np
import pytest
from sides import TITLES, curve, side

from ensgan.evaluation.contest import Contender, Curve, contest, verdict, warnings
from ensgan.types import InputError


def test_values_are_taken_where_the_shortest_run_ends_at_equal_flops():
    cheap, dear = side("cheap", [1.0, 1.2], flops=1.0), side("dear", [3.0, 3.4], flops=2.0)
    found = contest([cheap, dear], TITLES)
    assert (found.axis, found.position) == ("flops", 30.0)
    line = found.lines[0]
    np.testing.assert_allclose(line.means[0].mean, 1.1)
    np.testing.assert_allclose(line.means[1].mean, 7.0)  # dear has spent as much after 15 steps: halfway from 9 to 5
    assert contest([cheap, dear], TITLES, axis="steps").lines[0].means[1].mean == pytest.approx(3.2)


def test_without_flops_of_every_run_steps_are_compared():
    found = contest([side("a", [1.0]), side("b", [2.0], flops=None)], TITLES)
    assert (found.axis, found.position) == ("steps", 30.0)
    with pytest.raises(InputError, match="does not know its FLOPs"):
        contest([side("a", [1.0]), side("b", [2.0], flops=None)], TITLES, axis="flops")


def test_outside_of_the_scores_nothing_is_known():
    one = curve(30, 1.0)
    assert np.isnan(one.at("frechet", "steps", 5.0))
    assert one.at("frechet", "steps", 15.0) == 7.0
    assert np.isnan(one.at("kid", "steps", 15.0))


def test_sides_whose_steps_differ_by_a_few_flops_are_compared_at_their_only_score():
    one, other = (Contender(name, {0: curve(30, value)}, {}) for name, value in (("one", 1.0), ("other", 2.0)))
    for side_of, flops in ((one, 60.0), (other, 60.003)):
        side_of.runs[0].axes["flops"][:] = flops
        side_of.runs[0].values["frechet"][:2] = np.nan
    line = contest([one, other], TITLES).lines[0]
    assert [mean.mean for mean in line.means] == [1.0, 2.0]
    assert line.lacking == ["", ""]
    assert np.isnan(one.runs[0].at("frechet", "flops", 59.0))


def test_a_side_without_a_score_at_the_common_work_is_said():
    early, late = side("early", [1.0]), Contender("late", {0: curve(30, 1.0)}, {})
    late.runs[0].axes["flops"][:] += 100
    line = contest([early, late], TITLES).lines[0]
    assert verdict(line, ["early", "late"]) == [
        "Fréchet distance: not defined; late was first scored at 120 FLOPs, after the 60 where they are compared."
    ]
    never = Contender("never", {0: curve(30, 1.0)}, {})
    never.runs[0].values["frechet"][:] = np.nan
    assert "never had a finite value" in verdict(contest([early, never], TITLES).lines[0], ["early", "never"])[0]


def test_words_follow_the_direction_of_a_metric():
    few, many = [2.0, 2.1, 2.2], [2.0, 2.1, 2.2, 2.05, 2.15, 2.25]
    lower = [value - 1 for value in many]
    said = lambda a, b: [verdict(line, ["a", "b"])[0] for line in contest([side("a", a), side("b", b)], TITLES).lines]
    frechet, recall = said(many, lower)
    assert frechet.startswith("Fréchet distance: b is ahead of a: -1 [")
    assert recall.startswith("recall: b is behind a: -0.1 [")
    assert "may be ahead of" in said(few, [value - 1 for value in few])[0]
    assert "cannot be told from" in said(many, list(reversed(many)))[0]


def test_what_should_be_the_same_and_is_not_is_said():
    a, b = side("a", [1.0, 2.0]), side("b", [1.0, 2.0])
    assert warnings([a, b]) == []
    other = b._replace(facts={**b.facts, 1: {"the data": "faces (7)"}})
    assert warnings([a, other]) == ["the data differ: a has digits (1), b has faces (7)"]
    apart = Contender("c", {9: curve(40, 1.0)}, {})
    assert "no seed in common" in warnings([a, apart])[0]
    uneven = Contender("d", {0: curve(40, 1.0), 1: curve(50, 1.0)}, a.facts)
    assert warnings([a, uneven]) == ["the runs of d end at different steps, from 40 to 50"]


def test_metrics_by_name_and_those_that_a_side_lacks():
    a, b = side("a", [1.0]), Contender("b", {0: curve(30, 2.0)}, {})
    assert [line.metric for line in contest([a, b], TITLES).lines] == ["frechet"]
    with pytest.raises(InputError, match="recall was not measured by b; common metrics: frechet"):
        contest([a, b], TITLES, metrics=["recall"])
    with pytest.raises(InputError, match="unknown metric 'fid'; known: frechet, recall"):
        contest([a, b], TITLES, metrics=["fid"])
    with pytest.raises(InputError, match="has no scores yet"):
        contest([Contender("a", {0: Curve({"steps": np.zeros(0)}, {})}, {})], TITLES)
