"""All methods of refinement on an exact density ratio: each gives the target, and reports what it cost."""

import jax.numpy as jnp
import numpy as np
import pytest
from exact_ratios import CLOSE, constant, distance, draw, judge, nothing, ratio, same

from ensgan import refine
from ensgan.types import InputError

EXACT = {
    "drs": lambda key: refine.drs(key, draw, ratio, 4000),
    "obrs": lambda key: refine.obrs(key, draw, ratio, 4000, budget=0.25),
    "mh": lambda key: refine.mh(key, draw, ratio, 4000, steps=40),
    "ddls": lambda key: refine.ddls(key, draw, ratio, 4000, generate=same, steps=300, rate=0.02),
}


@pytest.mark.parametrize("method", EXACT)
def test_the_exact_ratio_gives_the_target(method, key):
    got = EXACT[method](key)
    assert got.x.shape == (4000,)
    assert distance(got.x) < CLOSE
    assert distance(draw(key, 4000)) > 0.4  # the test can tell
    again = EXACT[method](key)
    np.testing.assert_array_equal(got.x, again.x)


@pytest.mark.parametrize("method", EXACT)
def test_a_constant_ratio_changes_nothing(method, key):
    same_law = {
        "drs": lambda: refine.drs(key, draw, constant, 4000),
        "obrs": lambda: refine.obrs(key, draw, constant, 4000, budget=0.25),
        "mh": lambda: refine.mh(key, draw, constant, 4000, steps=3),
        "ddls": lambda: refine.ddls(key, draw, constant, 4000, generate=same, steps=20, rate=0.02),
    }[method]()
    assert distance(same_law.x, 0.0, 1.0) < CLOSE
    assert same_law.acceptance == pytest.approx({"obrs": 0.25}.get(method, 1.0), abs=0.02)


def test_nothing_accepted_is_said_and_does_not_loop(key):
    with pytest.raises(InputError, match="0 have an infinite ratio and 10240 the ratio 0"):
        refine.obrs(key, draw, nothing, 4000)
    with pytest.raises(InputError, match="0 of 131072 proposals were accepted, and none of the last 131072"):
        refine.drs(key, draw, ratio, 4000, gamma=60.0, batch=1024)
    with pytest.raises(InputError, match="none of 5 proposals was accepted in any of 4000 chains"):
        refine.mh(key, draw, judge(-1.0), 4000, steps=5, start=jnp.full(3000, 1e3))


def test_ratios_that_are_not_numbers_count_as_zero(key):
    holes = judge(0.0, 0.0)
    for got in (refine.obrs(key, draw, holes, 4000, budget=0.3), refine.mh(key, draw, holes, 4000, steps=12)):
        assert np.mean(np.asarray(got.x) >= 0) > 0.99


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k: refine.obrs(k, draw, ratio, 8, budget=0.0), "budget is 0.0; it is the share of proposals"),
        (lambda k: refine.obrs(k, draw, ratio, 8, budget=1.5), "budget is 1.5"),
        (lambda k: refine.drs(k, draw, ratio, 8, budget=0.5, gamma=1.0), "one of budget, gamma and percentile"),
        (lambda k: refine.drs(k, draw, ratio, 8, percentile=101.0), "percentile is 101.0"),
        (lambda k: refine.mh(k, draw, ratio, 8, steps=0), "steps is 0; give a whole number"),
        (lambda k: refine.dot(k, draw, ratio, 8, steps=2**31), "steps is 2147483648; .* below 2³¹"),
        (lambda k: refine.dot(k, draw, ratio, 0), "asked for 0 samples"),
        (lambda k: refine.mh(k, draw, ratio, 0, steps=1), "asked for 0 samples"),
        (lambda k: refine.obrs(k, draw, ratio, 0), "asked for 0 samples"),
        (lambda k: refine.dot(k, draw, ratio, 8, lipschitz=0.0), "lipschitz is 0.0"),
        (lambda k: refine.dot(k, draw, ratio, 8, rate=float("nan")), "rate is nan"),
        (lambda k: refine.ddls(k, draw, ratio, 4000, generate=same, rate=50.0), "the rate 50 is too large; lower it"),
        (lambda k: refine.collaborative(k, draw, lambda x: -(x**4), 8, rate=9.0), "the rate 9 is too large; lower it"),
    ],
)
def test_what_cannot_be_done_is_refused(call, message, key):
    with pytest.raises(InputError, match=message):
        call(key)
