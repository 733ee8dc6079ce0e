"""The law of labels."""

import numpy as np
import pytest

from ensgan import data
from ensgan.data.law import changed_law, class_law, describe_law, training_law
from ensgan.types import InputError

LABEL = np.array(["a"] * 30 + ["b"] * 10 + ["c"] * 20)
SOURCE = data.from_arrays("some", np.zeros((60, 2)), LABEL)
TRAINED = np.bincount(SOURCE.arrays["train"]["label"]) / SOURCE.num["train"]


def test_the_default_is_the_frequencies_of_the_training_data():
    for choice in (None, "training"):
        np.testing.assert_array_equal(class_law(SOURCE, choice), TRAINED)
    assert training_law(data.from_arrays("bare", np.zeros((60, 2)))) is None
    np.testing.assert_allclose(training_law(data.gaussian_ring()), np.full(8, 1 / 8))
    records = [{"x": np.zeros(2), "label": label} for label in LABEL]
    np.testing.assert_allclose(training_law(data.stream(records, classes=3)), [1 / 2, 1 / 6, 1 / 3])
    single = training_law(data.digits())
    np.testing.assert_allclose(training_law(data.stacked_digits())[123], single[1] * single[2] * single[3])


def test_other_laws():
    np.testing.assert_allclose(class_law(SOURCE, "uniform"), np.full(3, 1 / 3))
    for choice in ("1,0,3", "[1, 0, 3]", (1, 0, 3)):
        np.testing.assert_allclose(class_law(SOURCE, choice), [0.25, 0, 0.75])
    assert changed_law(SOURCE, TRAINED) is None
    assert changed_law(SOURCE, None) is None
    np.testing.assert_array_equal(changed_law(SOURCE, [1, 0, 0]), [1, 0, 0])
    assert describe_law("uniform", class_law(SOURCE, "uniform")) == "law of labels (uniform): all 3 classes alike"
    assert describe_law("1,0,3", class_law(SOURCE, "1,0,3"), "abc") == "law of labels (1,0,3): a 0.25, b 0, c 0.75"


def test_classes_without_training_samples_are_never_drawn():
    source = data.from_arrays("gap", np.zeros((60, 2)), np.arange(60) % 2 * 2, classes=4)
    assert training_law(source)[[1, 3]].tolist() == [0, 0]
    np.testing.assert_allclose(class_law(source, "uniform"), [0.5, 0, 0.5, 0])
    with pytest.raises(InputError, match="--classes gives weight to class 1, which has no training samples; give it 0"):
        class_law(source, "1,1,1,1")


@pytest.mark.parametrize("choice", ["equal", "1,2", "1,2,-1", "0,0,0", "1,2,nan", 3])
def test_bad_laws(choice):
    match = "expected training, uniform, or 3 weights ≥ 0, one per class, such as 1,1,1"
    with pytest.raises(InputError, match=match):
        class_law(SOURCE, choice)
    with pytest.raises(InputError, match="'bare' has no classes; leave it out"):
        class_law(data.from_arrays("bare", np.zeros((60, 2))), choice)


def test_large_weights_do_not_overflow():
    source = data.from_arrays("a", np.zeros((40, 2), np.float32), np.arange(40) % 4)
    np.testing.assert_array_equal(class_law(source, "1e308,1e308,1e308,1e308"), np.full(4, 0.25))
    with pytest.raises(InputError, match=r"4 weights ≥ 0, one per class, such as 1,1,1,1$"):
        class_law(source, "1,2")
