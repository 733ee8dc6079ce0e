"""What a search chooses from, as flags give it."""

import pytest
from small_runs import settings

from ensgan.runs.space import Range, as_dict, from_dict, ranges
from ensgan.types import InputError


def test_ranges_have_the_type_of_their_setting():
    found = ranges(
        ["--pairing.lam=1..4", "optimizer.learning-rate = 1e-4..1e-2,log", "batch_size=8..64,log"], settings()
    )
    assert found == {
        "pairing.lam": Range(1.0, 4.0, False, False),
        "optimizer.learning_rate": Range(1e-4, 1e-2, True, False),
        "batch_size": Range(8, 64, True, True),
    }
    assert ranges(["pairing.lam=-.5...5"], settings()) == {"pairing.lam": Range(-0.5, 0.5, False, False)}
    space = {**found, "loss": ("hinge", "relativistic")}
    assert from_dict(as_dict(space)) == space


@pytest.mark.parametrize(
    ("texts", "text"),
    [
        (["pairing.lam"], "give a setting and its bounds"),
        (["pairing.lam=1"], "give a setting and its bounds"),
        (["pairing.lam=1,2"], "give a setting and its bounds"),
        (["pairing.lam=1..2,sqrt"], "give a setting and its bounds"),
        (["pairing.lam=a..b"], "give a setting and its bounds"),
        (["pairing.lam=1..inf"], "give a setting and its bounds"),
        (["pairing.lam=2..1"], "the first bound must be below the second"),
        (["pairing.lam=1..1.0"], "the first bound must be below the second"),
        (["pairing.lam=0..1,log"], "needs bounds above 0"),
        (["pairing.lam=1..2", "pairing.lam=1..3"], "names the setting twice"),
        (["pairing=1..2"], "pairing is no number; give its values by --set pairing=A,B"),
        (["dtype=1..2"], "dtype is no number"),
        (["overwrite=0..1"], "unknown argument --overwrite"),
        (["generators.0.remat=0..1"], "remat is no number"),
        (["generators.0.network.widths=1..2"], "widths is no number"),
        (["seed=0..3"], "are given by --seeds"),
        (["pairing.lamb=1..2"], "did you mean --pairing.lam"),
        (["stepz=10..20"], "did you mean --steps"),
        (["batch_size=.5..2"], "batch"),
    ],
)
def test_other_ranges_are_refused_in_one_line(texts, text):
    with pytest.raises(InputError, match=text) as error:
        ranges(texts, settings())
    assert "\n" not in str(error.value)
