"""Configurations become games."""

import jax
import jax.numpy as jnp

from ensgan.game.step import step
from ensgan.runs.build import TABLES, build_game
from ensgan.runs.parsing import parse


def test_networks_compute_in_bfloat16_and_everything_else_stays_in_float32():
    small = {"count": 2, "network": {"name": "mlp", "widths": [8]}}
    tree = {"dtype": "bfloat16", "reals": 8, "generators": [small], "discriminators": [small]}
    game = build_game(parse(tree, TABLES)[0], (4,), 100)
    products = lambda group: {
        eqn.invars[0].aval.dtype.name
        for eqn in jax.make_jaxpr(group.network.apply)(
            *jax.eval_shape(group.network.init, jax.random.key(0)), jnp.zeros((8, *group.network.in_shape))
        ).eqns
        if eqn.primitive.name == "dot_general"
    }
    assert all(products(group) == {"bfloat16", "float32"} for group in game.groups)  # the last layer stays exact
    state = game.init(jax.random.key(0))
    new, info = jax.jit(lambda state: step(game, state, {"x": jnp.ones((8, 4))}))(state)
    types = {leaf.dtype.name for leaf in jax.tree.leaves((new.generators, new.discriminators, info))}
    assert types <= {"float32", "int32"}
    assert jnp.isfinite(info.loss_g).all()
