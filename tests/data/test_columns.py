"""Columns of a table: there and back."""

import numpy as np

from ensgan.data.columns import Columns, hints

COLUMNS = Columns(("a", "b"), np.array([100.0, -1.0]), np.array([10.0, 0.5]))


def test_samples_go_to_networks_and_come_back():
    x = [[110.0, -1.0], [90.0, 0.0]]
    done = COLUMNS.done(x)
    assert done.dtype == np.float32
    np.testing.assert_array_equal(done, [[1.0, 0.0], [-1.0, 2.0]])
    back = COLUMNS.undone(done)
    assert back.dtype == np.float64
    np.testing.assert_array_equal(back, x)


def test_scaling_keeps_digits_that_float32_would_lose():
    far = Columns(("a",), np.array([1e9]), np.array([1.0]))
    np.testing.assert_array_equal(far.scaled([[1e9 + 1], [1e9 + 2]]), [[1.0], [2.0]])
    np.testing.assert_array_equal(far.done([[1e9 + 1], [1e9 + 2]]), [[1.0], [2.0]])


def test_columns_that_may_be_no_measurements_are_named():
    found = {"id": np.arange(3), "key": np.array([2**53 + 2, 0, 5]), "x": np.array([1e20, 0.0, 1.0]), "word": ["a"] * 3}
    said = hints(found, ["id", "key", "x"], ["id"])
    assert len(said) == 2
    assert "column 'id' only counts the rows" in said[0]
    assert "column 'key' has whole numbers above 9,007,199,254,740,992" in said[1]
    assert hints(found, ["x"], ["id"]) == ()
