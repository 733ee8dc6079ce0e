"""Reals beside generated samples."""

import numpy as np

from ensgan.runs import gallery


def test_reals_are_picked_by_class():
    x = np.arange(6.0).reshape(6, 1, 1, 1)
    reals, label = gallery.by_class({"x": x + 1, "label": np.array([1, 0, 1, 1, 0, 1])}, 3, 3)
    np.testing.assert_array_equal(label.reshape(3, 3), [[0, 1, 2]] * 3)
    # Class 0 has two, so the first comes again; class 2 has none.
    np.testing.assert_array_equal(reals["x"].reshape(3, 3), [[2, 1, 0], [5, 3, 0], [2, 4, 0]])
