"""Samples are checked before they are measured, in any form in which they come."""

import jax.numpy as jnp
import numpy as np
import pytest
from normals import REAL

from ensgan import metrics
from ensgan.metrics.checks import Undefined, check_finite, check_pair, check_samples, check_varied
from ensgan.types import InputError


def test_equal_reals_give_no_unit_of_length():
    for metric in (
        lambda: metrics.sinkhorn(np.ones((60, 4)), REAL),
        lambda: metrics.duplicate_radius(np.ones((60, 4))),
    ):
        with pytest.raises(InputError, match="all 60 reals are equal, so that their distances give no unit of length"):
            metric()


def test_samples_become_float64():
    for x in (
        [[1, 2], [3, 4]],
        np.array([[True, False], [False, True]]),
        np.ones((2, 2), np.float16),
        jnp.ones((2, 2)),
    ):
        found = check_samples(x)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, np.asarray(x, float))


@pytest.mark.parametrize(
    ("x", "text"),
    [
        ([1.0, 2.0], r"these have the shape \[2\]; expected one row per sample, \[n, D\]"),
        (np.zeros((3, 0)), r"these have the shape \[3, 0\]"),
        (np.zeros((2, 2, 2)), r"the shape \[2, 2, 2\]"),
        ([[1.0], [np.nan], [np.inf]], "2 of 3 these hold NaN or infinite numbers"),
        ([["a"], ["b"]], "these hold numbers of type <U1; expected real numbers"),
        ([[None], [1]], "these hold numbers of type object"),
        ([[1j], [2]], "these hold numbers of type complex128"),
        ([[1], [1, 2]], "these hold rows of different lengths"),
        ([[1.0]], "there are 1 these; this needs at least 2: give more"),
    ],
)
def test_what_are_no_samples_is_named(x, text):
    with pytest.raises(InputError, match=text):
        check_samples(x, "these")


def test_one_sample_is_enough_where_a_part_is_checked():
    assert check_finite([[1.0]], "this").shape == (1, 1)
    assert len(check_samples(np.zeros((3, 1)), least=3)) == 3
    with pytest.raises(InputError, match="there are 2 samples; this needs at least 3"):
        check_samples(np.zeros((2, 1)), least=3)


def test_equal_samples_are_undefined_and_nearly_equal_ones_are_not():
    same = np.full((3, 2), 0.1)
    with pytest.raises(Undefined, match="all 3 fakes are equal"):
        check_varied(same, "fakes")
    same[2, 1] = np.nextafter(0.1, 1.0)
    check_varied(same, "fakes")


def test_reals_and_fakes_fit_together():
    real, fake = check_pair(np.zeros((3, 2)), np.ones((4, 2)))
    assert (real.shape, fake.shape) == ((3, 2), (4, 2))
    with pytest.raises(InputError, match="reals have 2 features and fakes 1; give the same of both"):
        check_pair(np.zeros((3, 2)), np.zeros((3, 1)))
    with pytest.raises(InputError, match="there are 3 reals and 4 fakes; give as many of both"):
        check_pair(real, fake, equal=True)
    with pytest.raises(InputError, match="there are 1 fakes; this needs at least 2"):
        check_pair(real, fake[:1])
    check_pair(real[:1], fake[:1], least=1, equal=True)


BAD = {
    "a number": np.float32(1),
    "nothing": None,
    "no samples": REAL[:0],
    "no features": REAL[:, :0],
    "texts": np.array([["a", "b"]] * 9),
    "rows of different lengths": [[1.0, 2.0], [3.0]],
    "complex numbers": REAL + 1j,
    "three axes": REAL[:, None],
}
OF_TWO = {
    **{
        name: getattr(metrics, name) for name in ("coverage", "copying", "kid", "neighbours", "sinkhorn", "wasserstein")
    },
    "mmd": lambda real, fake: metrics.mmd(real, fake, 1.0),
    "sliced_wasserstein": metrics.sliced_wasserstein,
    "squared_distances": metrics.squared_distances,
    "placements": metrics.placements,
}
OF_ONE = {
    **{name: getattr(metrics, name) for name in ("bandwidth", "duplicate_radius", "moments", "inception_score")},
    "duplicates": lambda x: metrics.duplicates(x, 0.1),
    "mode_scores": lambda x: metrics.mode_scores(x, REAL[:3], 0.1),
    "centers": lambda x: metrics.mode_scores(REAL, x, 0.1),
    "class_scores": lambda x: metrics.class_scores(x, np.ones(3) / 3),
    "law": lambda x: metrics.class_scores(np.arange(3), x),
    "class_floor": lambda x: metrics.class_floor(x, 100),
}
POSSIBLE = {("duplicates", "no features")}  # all points of no dimension are equal


@pytest.mark.parametrize("name", [*OF_TWO, *OF_ONE])
def test_whatever_is_no_samples_is_refused(name):
    for kind, wrong in BAD.items():
        if (name, kind) in POSSIBLE:
            continue
        for call in (
            (lambda f=OF_TWO[name], x=wrong: f(x, REAL), lambda f=OF_TWO[name], x=wrong: f(REAL, x))
            if name in OF_TWO
            else (lambda f=OF_ONE[name], x=wrong: f(x),)
        ):
            with pytest.raises(InputError):
                call()


def test_a_law_sums_to_1():
    with pytest.raises(InputError, match=r"law is \[2\] with sum 0.9; expected shares \[K\] with sum 1"):
        metrics.class_floor(np.array([0.4, 0.5]), 10)
    with pytest.raises(InputError, match="num is 0; expected at least 1 sample"):
        metrics.class_floor(np.array([0.5, 0.5]), 0)


def test_an_mmd_has_as_many_of_both():
    with pytest.raises(InputError, match=r"there are 60 reals and 50 fakes; give as many of both"):
        metrics.mmd(REAL, REAL[:50], 1.0)


def test_coverage_of_nan_is_no_number():
    with pytest.raises(InputError, match="60 of 60 fakes hold NaN or infinite numbers"):
        metrics.coverage(REAL, np.full_like(REAL, np.nan))
