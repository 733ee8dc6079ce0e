"""The form of records: what readers compute with passes, and what would break them does not."""

import pytest

from ensgan.reporting.forms import is_sound, of_one_game, shape

SCORE = {
    "kind": "score",
    "step": 3,
    "fool": [[0.5, None], [0.25, 1.0]],
    "score_g": [0.5, 0.6],
    "error_g": [0.1, None],
    "rank_g": [1, 0],
    "coverage": [0.1, 0.2, 0.3],
    "ratings": {key: [1.0, 2.0, 3.0, 4.0] for key in ("elo", "glicko", "deviation", "volatility")},
    "modes": {"names": ["generator 0", "mixture"], "hq": [0.5, None], "total": 8},
    "distances": {
        "num": 10,
        "features": "identity",
        "mmd": {"title": "MMD", "generators": [1.0, None], "mixture": 0.5, "floor": None},
    },
}


@pytest.mark.parametrize(
    "record",
    [SCORE, {**SCORE, "rank_g": [1]}, {}, {"kind": "event", "step": 1, "cause": "x"}, {"fool": None, "step": 1}],
)
def test_what_a_run_writes_is_sound(record):
    assert is_sound(record)


@pytest.mark.parametrize(
    "change",
    [
        {"step": "3"},
        {"step": None},
        {"step": True},
        {"fool": [[0.5, 0.5], [0.5]]},
        {"fool": [0.5, 0.5]},
        {"error_g": [0.1, 1e308]},
        {"fool": [["<script>", 0.5], [0.5, 0.5]]},
        {"fool": [True, [0.5, 0.5]]},
        {"error_g": [0.1]},
        {"rank_g": [1, 5]},
        {"rank_g": ["a", 0]},
        {"rank_g": [0, 0]},
        {"rank_g": 1},
        {"score_g": None},
        {"coverage": {"a": 1}},
        {"loss_g": [[1.0, 2.0]], "weight_g": [[1.0], [2.0]]},
        {"mmd_floor": "low"},
        {"ratings": {"elo": [1.0]}},
        {"ratings": [1.0]},
        {"modes": {"names": ["one"], "hq": [0.5, 0.6]}},
        {"modes": {"hq": [0.5]}},
        {"distances": {"num": 10, "features": "identity", "mmd": {}}},
        {"distances": {"mmd": SCORE["distances"]["mmd"]}},
        {"distances": "none"},
    ],
)
def test_what_would_break_a_reader_is_not_sound(change):
    assert not is_sound({**SCORE, **change})


def test_records_of_one_game_have_arrays_of_equal_sizes():
    train = {"kind": "train", "fool": [[0.5]]}  # another kind may have other sizes
    other = {"kind": "score", "fool": [[0.5, 0.5, 0.5]]}
    rests = {**SCORE, "rank_g": [1]}  # one of the generators
    assert of_one_game([SCORE, rests]) == [True, True]
    assert of_one_game([SCORE, train, other, {**SCORE, "fool": None}, SCORE]) == [True, True, False, True, True]


def test_a_shape_is_that_of_numbers_and_nulls_alone():
    assert shape([[1, None], [2.0, 3]]) == (2, 2)
    assert shape([]) == (0,)
    assert shape(None) is None
    for wrong in ([1, [2]], "text", [{}], [[1], [2, 3]]):
        with pytest.raises(ValueError, match=r"neither a number|several sizes"):
            shape(wrong)
