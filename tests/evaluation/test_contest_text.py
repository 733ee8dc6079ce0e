"""Comparisons as text: every value in each form, and names that cannot do harm."""

import csv
import io

import numpy as np
from sides import TITLES, side

from ensgan.evaluation.contest import contest
from ensgan.evaluation.contest_text import comma_separated, describe, heading, latex, markdown, sentences


def test_every_form_holds_the_numbers_and_escapes_the_names():
    name = "a_<script>|&"
    found = contest([side(name, [1.0, 1.5, 2.0]), side("b", [2.0, 2.5, 3.5])], TITLES)
    rows = list(csv.DictReader(io.StringIO(comma_separated(found))))
    assert len(rows) == 2 * 3 * 2 * 3  # sides, seeds, metrics, scores
    assert [r["value"] for r in rows if (r["side"], r["seed"], r["metric"]) == ("b", "2", "frechet")][-1] == "3.5"
    assert f"{name} (3 seeds)" in describe(found)
    assert "a_<script>\\|&" in markdown(found).split("\n")[2]
    assert r"a\_<script>|\&" in latex(found)


ONE = contest([side("a", [1.0, 1.5]), side("b", [2.0, 2.5])], TITLES)


def test_the_heading_says_where_and_whether_there_are_several_seeds():
    assert heading(ONE) == (
        "mixtures of generators at 60 FLOPs: means over seeds, each with its own split of the data, and 95 % bootstrap "
        "intervals"
    )
    alone = [side("a", [1.0], flops=None), side("b", [2.0], flops=None)]
    assert heading(contest(alone, TITLES)) == "mixtures of generators at 30 steps"
    assert heading(contest(alone, TITLES, axis="seconds")) == "mixtures of generators at 6 seconds of training"


def test_few_seeds_of_several_sides_make_no_claim():
    note = "Note: with fewer than 5 seeds a side, nothing here is a claim."
    assert note in sentences(ONE)
    assert note not in sentences(contest([side("a", [1.0])], TITLES))  # nothing is compared
    many = [side(name, [1.0, 1.5, 2.0, 2.5, 3.0]) for name in ("a", "b")]
    assert note not in sentences(contest(many, TITLES))
    warned = ONE._replace(warnings=["the data differ"])
    assert sentences(warned)[-1] == "Warning: the data differ."


def test_columns_of_a_terminal_are_aligned_and_end_without_spaces():
    lines = describe(ONE).splitlines()
    rows = lines[2:5]
    assert [row.split("  ")[0] for row in rows[1:]] == ["Fréchet distance", "recall"]
    assert rows[0].index("a (2 seeds)") == rows[1].index("1.25") == rows[2].index("0.125")
    assert not [line for line in lines if line != line.rstrip()]


def test_a_table_for_latex_is_whole():
    lines = latex(ONE).splitlines()
    head = lines.index(r"\begin{tabular}{lrr}")
    assert all(line.startswith("% ") for line in lines[:head])
    assert lines[head + 1] == r"\toprule"
    assert lines[head + 2] == r" & a (2 seeds) & b (2 seeds) \\"
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
    odd = latex(contest([side(r"\~^&%$#_{}", [1.0])], TITLES))
    assert r"\textbackslash{}\textasciitilde{}\textasciicircum{}\&\%\$\#\_\{\}" in odd


def test_axes_that_a_run_does_not_know_are_empty_cells():
    rows = list(csv.DictReader(io.StringIO(comma_separated(contest([side("a", [1.0], flops=None)], TITLES)))))
    assert rows[0] == {
        "side": "a", "seed": "0", "flops": "", "steps": "10", "seconds": "2", "metric": "frechet", "value": "9",
    }  # fmt: skip


def test_what_is_not_defined_is_said():
    never = side("a", [1.0])
    never.runs[0].values["frechet"][:] = np.nan
    text = markdown(contest([never, side("b", [2.0])], TITLES))
    assert "| Fréchet distance | not defined | 2 |" in text
