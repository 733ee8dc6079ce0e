"""A judge says whether its score is a density ratio, and how to make one of it."""

import numpy as np
import pytest
from jax.tree_util import Partial

from ensgan.sampling.judge import Judge
from ensgan.types import InputError

SCORE = Partial(lambda x: x)


def test_only_a_judge_of_a_known_law_is_calibrated():
    judge = Judge(SCORE, "log_ratio", "stacking", True)
    assert not judge.calibrated
    assert judge._replace(law=np.array([1.0])).calibrated


@pytest.mark.parametrize("meaning", ["uncalibrated", "log_ratio_plus_constant"])
def test_a_score_that_is_no_ratio_says_how_to_calibrate_it(meaning):
    assert Judge(SCORE, "log_ratio", "median", True).log_ratio is SCORE
    with pytest.raises(InputError, match=rf"is {meaning}, .*ensgan\.combine\.fit\(game, state, source, 'median'\)"):
        _ = Judge(SCORE, meaning, "median", True).log_ratio
