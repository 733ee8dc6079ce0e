"""How fast a member learns: at the usual pace nothing changes, and a factor of 0 stops it."""

import jax
import numpy as np
import optax
import pytest
import toys
from toys import played

from ensgan import optim
from ensgan.pace import Pace, is_pace, pace_of, paced

ADAM = optim.adam(1e-2, b1=0.5)


@pytest.mark.parametrize(
    "optimizer", [ADAM, optim.adam((1e-2,) * 4, b1=0.5)], ids=["one rate", "a rate for each member"]
)
def test_at_the_usual_pace_nothing_changes(optimizer):
    if isinstance(optimizer, optim.PerMember):
        params = {"w": jax.random.normal(jax.random.key(0), (4, 3))}
        plain, slow = optim.stacked(optimizer, 4), optim.stacked(paced(optimizer), 4)
        one, _ = plain.update(params, plain.init(params), params)
        other, _ = slow.update(params, slow.init(params), params)
        np.testing.assert_array_equal(one["w"], other["w"])
        return
    (_, one), (_, other) = played(optimizer), played(paced(optimizer))
    toys.assert_close([g.params for g in one.generators], [g.params for g in other.generators], 1e-6)
    assert pace_of(one.generators[0].optimizer) is None
    np.testing.assert_array_equal(pace_of(other.generators[0].optimizer).factor, np.ones(4))


@pytest.mark.parametrize("optimizer", [ADAM, optax.sgd(1.0)])
def test_updates_are_multiplied_by_the_factor_in_their_own_type(optimizer):
    params = {"w": np.array([1.0, -2.0], np.float32), "h": jax.numpy.ones(2, "bfloat16")}
    slow = paced(optimizer)
    state = slow.init(params)
    assert pace_of(state) == Pace(1.0, 0)
    whole, _ = slow.update(params, state, params)
    set_to = lambda factor: jax.tree.map(
        lambda leaf: Pace(factor, leaf.healings) if is_pace(leaf) else leaf, state, is_leaf=is_pace
    )
    half, after = slow.update(params, set_to(np.float32(0.25)), params)
    np.testing.assert_allclose(half["w"], 0.25 * whole["w"], rtol=1e-6)
    assert half["h"].dtype == params["h"].dtype
    assert float(pace_of(after).factor) == 0.25  # the optimiser does not change it
    rest, _ = slow.update(params, set_to(np.float32(0.0)), params)
    assert not any(np.asarray(leaf, np.float32).any() for leaf in jax.tree.leaves(rest))


def test_an_optimiser_without_a_pace_has_none():
    assert pace_of(ADAM.init({"w": np.zeros(2, np.float32)})) is None
    assert pace_of(()) is None
    assert not is_pace((1.0, 0))
