"""Configurations become games."""

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.data import from_arrays
from ensgan.game.placement import start
from ensgan.game.program import Program
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


def test_seeds_play_the_same_game_and_compile_once():
    tree = {"reals": 8, "steps": 2, "generators": [{"count": 2}], "discriminators": [{"count": 2}]}
    one, other = (
        build_game(parse({**tree, "seed": seed, "name": f"run{seed}"}, TABLES)[0], (2,), 140) for seed in (0, 1)
    )
    assert one is other
    sources = [from_arrays("points", np.random.default_rng(seed).normal(size=(200, 2)), seed=seed) for seed in (0, 1)]
    programs = [Program(one, source) for source in sources]
    states = [start(one, seed) for seed in (0, 1)]
    for program, state in zip(programs, states, strict=True):
        program.compile(state)
    assert programs[0]._run is programs[1]._run
    assert programs[0].flops == programs[1].flops > 0.0
    weights = [np.asarray(jax.tree.leaves(state.generators[0].params)[-1]) for state in states]
    assert (weights[0] != weights[1]).any()
    changed = build_game(parse({**tree, "reals": 16}, TABLES)[0], (2,), 140)
    assert changed is not one
    assert changed.reals == 16
