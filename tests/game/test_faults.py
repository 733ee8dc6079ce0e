"""The first member that is not finite is named, and nobody is updated."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from toys import run

from ensgan.game.faults import describe_fault, spoiled, stopped
from ensgan.game.game import Game
from ensgan.game.population import Group


@pytest.mark.parametrize(
    ("side", "stage", "text"),
    [
        ("generators", "w2", "generator 1 stopped being finite in step 1 (its output)"),
        ("discriminators", "w2", "discriminator 1 stopped being finite in step 1 (its output)"),
    ],
)
def test_a_member_that_is_not_finite_is_named_and_nobody_is_updated(side, stage, text):
    game = toys.game(3, 2)
    state = game.init(jax.random.key(0))
    group = getattr(state, side)[0]
    bad = {**group.params, stage: group.params[stage].at[1, 0].set(jnp.inf)}
    state = state._replace(**{side: (group._replace(params=bad),)})
    once, _ = run(game, state, toys.batch())
    twice, _ = run(game, once, toys.batch(seed=9))
    assert describe_fault(once.fault) == text
    for new in (once, twice):
        jax.tree.map(
            np.testing.assert_array_equal, new._replace(key=0, fault=0, step=0), state._replace(key=0, fault=0, step=0)
        )
        np.testing.assert_array_equal(new.fault, once.fault)
        assert int(stopped(new).step) == 0
        assert int(stopped(new).fault[0]) == -1


def test_a_fault_in_the_update_is_blamed_on_its_member():
    blow_up = optax.GradientTransformation(
        lambda p: (), lambda u, s, p=None: (jax.tree.map(lambda x: x * jnp.inf, u), s)
    )
    game = toys.game(2, 2)
    sick = Game(game.groups_g, [Group(game.groups_d[0].network, 2, optimizer=blow_up)], batch_size=8)
    new, _ = run(sick, sick.init(jax.random.key(0)), toys.batch())
    assert describe_fault(new.fault) == "discriminator 0 stopped being finite in step 1 (its update)"
    assert spoiled(new.fault)  # seen after the fact, so this update stays, but none comes after it
    after, _ = run(sick, new, toys.batch())
    jax.tree.map(np.testing.assert_array_equal, after._replace(key=0, step=0), new._replace(key=0, step=0))
    assert int(stopped(after).step) == 1


def test_a_healthy_state_has_no_fault():
    assert describe_fault(np.array([-1, -1, -1, -1])) is None
