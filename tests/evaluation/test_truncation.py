"""What truncation costs, against as many held-out reals."""

import jax
from judges import SOURCE, game

from ensgan.evaluation.truncation import TruncationTable, describe_truncation, evaluate_truncation
from ensgan.metrics import Neighbours

KEY = jax.random.key(5)


def test_the_cost_is_that_of_as_many_reals_and_samples():
    play, state = game((1.0,), (0.0,), shifts=(1.0,))
    reals = SOURCE.held_out("report", 300)
    table = evaluate_truncation(play, state, reals, KEY, 0.3)
    assert table.num == 300
    assert table.plain.recall > 0.9
    assert table.truncated.recall < 0.8  # a third of the width
    assert table.truncated.precision >= table.plain.precision - 0.02
    text = describe_truncation(table)
    assert f"truncation 0.3 costs {table.plain.recall - table.truncated.recall:.3f} of recall" in text
    assert "300 samples as they come and as many truncated" in text
    same = describe_truncation(table._replace(truncated=table.plain))
    assert "costs no recall here" in same
    assert evaluate_truncation(play, state, {"x": reals["x"][:7]}, KEY, 0.3) is None


def table(plain, truncated):
    return TruncationTable(
        0.5, 10, *(Neighbours(precision=0.5, recall=r, density=1.0, coverage=0.25) for r in (plain, truncated))
    )


def test_the_cost_is_what_is_lost_of_recall():
    assert describe_truncation(table(0.9, 0.6)) == (
        "truncation 0.5 costs 0.300 of recall: against 10 held-out reals, 10 samples as they come and as many "
        "truncated: recall 0.900 0.600, coverage 0.250 0.250, precision 0.500 0.500, density 1.000 1.000"
    )
    assert "costs no recall here" in describe_truncation(table(0.6, 0.9))
