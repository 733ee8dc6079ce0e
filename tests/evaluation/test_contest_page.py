"""Comparisons as a page: tables, words and curves of every axis that all sides know, and names that cannot do harm."""

import numpy as np
from made_runs import Page
from sides import TITLES, curve, side

from ensgan.evaluation.contest import Contender, contest
from ensgan.evaluation.contest_page import contest_page


def test_a_page_holds_the_numbers_and_escapes_the_names():
    name = "a_<script>|&"
    found = contest([side(name, [1.0, 1.5, 2.0]), side("b", [2.0, 2.5, 3.5])], TITLES)
    page = contest_page(found)
    assert "<script>" not in page
    assert "a_&lt;script&gt;|&amp;" in page
    for text in ("1.5", "Over FLOPs", "Every seed", "nothing here is a claim"):
        assert text in page


def test_curves_are_over_the_axes_that_all_sides_know():
    found = Page(contest_page(contest([side("a", [1.0, 2.0]), side("b", [2.0, 3.0], flops=None)], TITLES)))
    assert found.wrong == []
    assert "At equal length" in found.text
    assert "Over FLOPs" not in found.text
    for text in ("Over steps", "Over seconds", "Fréchet distance: b − a", "a against b"):
        assert text in found.text, text
    assert len(found.images) == 4  # two metrics over two axes


def test_one_side_has_no_differences_and_many_are_counted():
    alone = Page(contest_page(contest([side("a", [1.0, 2.0])], TITLES, metrics=["frechet"])))
    assert "carried by the rows" not in alone.text
    many = Page(contest_page(contest([side(name, [1.0]) for name in "abcd"], TITLES, metrics=["frechet"])))
    assert "4 sides" in many.text
    assert "a, b, c, d" in many.text


def test_seeds_that_a_side_lacks_and_values_that_nobody_has_leave_gaps():
    never = Contender("b", {7: curve(30, np.nan)}, {})
    never.runs[7].values["frechet"][:] = np.nan
    page = Page(contest_page(contest([side("a", [1.0]), never], TITLES)))
    assert "–" in page.text
    assert page.text.count("not defined") >= 3  # its mean, the difference, and in words
    uneven = Contender("c", {0: curve(30, 1.0), 1: curve(40, 1.0)}, {})
    assert len(Page(contest_page(contest([uneven], TITLES))).images) == 3
