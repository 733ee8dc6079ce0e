"""Common parts of the refinement methods: portions of equal size, checks, and what counts as a ratio of 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact_ratios import draw, ratio

from ensgan import refine
from ensgan.refine import contract
from ensgan.types import InputError


def test_progress_is_told_and_portions_do_not_repeat(key):
    told = []
    got = refine.mh(key, draw, ratio, 4000, steps=4, progress=told.append)
    assert told == [1000, 2000, 3000, 4000]  # four equal portions of at most 1,024
    assert got.generated == 5
    odd = refine.mh(key, draw, ratio, 1025, steps=4)  # of two portions of 513, one chain is for nothing
    assert odd.x.shape == (1025,)
    assert odd.generated == pytest.approx(5 * 1026 / 1025)
    assert len(np.unique(np.asarray(got.x))) > 3900  # but for equal float32 numbers
    told.clear()
    refine.obrs(key, draw, ratio, 4000, budget=0.05, progress=told.append)
    assert told[-1] == 4000
    assert len(told) > 3
    assert sorted(told) == told


@pytest.mark.parametrize(
    ("num", "batch", "sizes"), [(10, 4, [4, 4, 4]), (9, 4, [3, 3, 3]), (3, 8, [3]), (5, 1, [1] * 5)]
)
def test_portions_are_as_equal_as_can_be_and_no_more_than_asked_for(num, batch, sizes):
    made, told = [], []

    def run(key, n):
        made.append((int(jax.random.randint(key, (), 0, 2**30)), n))
        first = sum(size for _, size in made[:-1])
        return {"x": np.arange(first, first + n)}, np.full(n, len(made))

    x, number, share = contract.portions(run, jax.random.key(0), num, {"batch": batch, "progress": told.append})
    assert [n for _, n in made] == sizes
    assert len({key for key, _ in made}) == len(sizes)  # of different keys
    np.testing.assert_array_equal(x["x"], np.arange(num))
    np.testing.assert_array_equal(number, np.repeat(np.arange(len(sizes)) + 1, sizes)[:num])
    assert share == pytest.approx(sum(sizes) / num)
    assert told == np.minimum(np.cumsum(sizes), num).tolist()


def test_a_sample_is_finite_if_all_of_its_leaves_are():
    tree = {"a": jnp.array([[1.0, 2.0], [jnp.nan, 0.0], [3.0, 4.0]]), "b": jnp.array([1.0, 2.0, jnp.inf])}
    x, fine = contract.finished(tree)
    assert x is tree
    np.testing.assert_array_equal(fine, [True, False, False])
    np.testing.assert_array_equal(contract.known(jnp.array([0.5, jnp.nan, jnp.inf])), [0.5, -jnp.inf, jnp.inf])


def test_a_partial_stays_what_it_is():
    partial = jax.tree_util.Partial(jnp.add, 1.0)
    assert contract.as_partial(partial) is partial
    assert isinstance(contract.as_partial(jnp.sin), jax.tree_util.Partial)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: contract.cut(0, {}), "asked for 0 samples, 1024 at a time; both are at least 1"),
        (lambda: contract.cut(5, {"batch": 0}), "asked for 5 samples, 0 at a time"),
        (lambda: contract.cut(5, {"size": 3}), "unknown keyword 'size'; known: batch, progress"),
        (lambda: contract.check_budget(0.0), "budget is 0.0; it is the share of proposals to accept"),
        (lambda: contract.check_budget(1.01), "budget is 1.01"),
        (lambda: contract.check_budget(float("nan")), "budget is nan"),
        (lambda: contract.check_steps(True), "steps is True; give a whole number"),
        (lambda: contract.check_steps(2.0), "steps is 2.0"),
        (lambda: contract.check_steps(0), "steps is 0"),
        (lambda: contract.check_steps(2**31), "steps is 2147483648; give a whole number, at least 1 and below 2³¹"),
        (lambda: contract.check_rate(0.0), "rate is 0.0; it must be a finite number above 0"),
        (lambda: contract.check_rate(float("inf"), "speed"), "speed is inf"),
        (
            lambda: contract.check_finite(np.array([True, False, False]), "rate", 0.5),
            "2 of 3 samples are not finite: the rate 0.5 is too large; lower it",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_refused(call, text):
    with pytest.raises(InputError, match=text):
        call()


def test_ends_of_what_can_be_asked_for_are_taken():
    assert contract.cut(1, {"batch": 1}) == (1, None)
    contract.check_budget(1.0)
    contract.check_steps(2**31 - 1)
    contract.check_rate(1e300)
    contract.check_finite(np.ones(3, bool), "rate", 0.5)
