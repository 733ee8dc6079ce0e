"""Numbers of reals and fakes, and their classes: gradients of both sides are those of the definition."""

import definition
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
from labelled import conditional

from ensgan import losses, networks, pairing
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.game.step import step
from ensgan.types import InputError

COUNTS = [(8, 2), (4, 8), (12, 4)]  # M·F is below R (and does not divide it), above it, and equal to it


def game(M=3, N=2, reals=8, fakes=2, **settings):
    settings = {
        "loss": losses.relativistic,
        "pairing": pairing.own_and_mean(0.3),
        "optimizer": optax.sgd(1.0),
        **settings,
    }
    return Game(
        [Group(toys.dense(3, 4, (2,)), M)], [Group(toys.dense(2, 4, ()), N)], reals=reals, fakes=fakes, **settings
    )


@pytest.mark.parametrize("compare", ["one", "all"])
@pytest.mark.parametrize(("reals", "fakes"), COUNTS)
def test_gradients_are_those_of_the_definition(reals, fakes, compare):
    definition.check(game(reals=reals, fakes=fakes, compare=compare), toys.batch(reals))


@pytest.mark.parametrize("name", toys.some("hinge", "relativistic_least_squares", of=losses.LOSSES))
def test_every_loss_has_counts(name):
    definition.check(game(loss=losses.LOSSES[name], reals=4, fakes=3, compare="all"), toys.batch(4))


@pytest.mark.parametrize("compare", ["one", "all"])
@pytest.mark.parametrize(("reals", "fakes"), [(8, 2), (4, 8)])
def test_split_coverage_deals_both_counts(reals, fakes, compare):
    definition.check(game(reals=reals, fakes=fakes, compare=compare, coverage="split"), toys.batch(reals))


@pytest.mark.parametrize("compare", ["one", "all"])
def test_neighbours_meet_the_same_reals(compare):
    settings = {"M": 4, "N": 4, "reals": 8, "fakes": 3, "compare": compare, "pairing": pairing.ring(1)}
    definition.check(game(**settings), toys.batch(8))
    definition.check(game(**settings, coverage="neighbours"), toys.batch(8))


@pytest.mark.parametrize("coverage", ["full", "split"])
@pytest.mark.parametrize(("reals", "fakes"), [(8, 2), (4, 8)])
def test_conditional_fakes_have_the_classes_of_the_reals_that_they_meet(reals, fakes, coverage):
    with jax.enable_x64(True):
        wide = (
            networks.mlp_generator((2,), latent=3, widths=(4,), classes=3, dtype="float64"),
            networks.mlp_discriminator((2,), widths=(4,), classes=3, dtype="float64"),
        )
    conditional = Game(
        [Group(wide[0], 2)],
        [Group(wide[1], 2)],
        loss=losses.relativistic,
        pairing=pairing.own_and_mean(0.3),
        optimizer=optax.sgd(1.0),
        reals=reals,
        fakes=fakes,
        compare="one",
        coverage=coverage,
    )
    definition.check(conditional, {**toys.batch(reals), "label": jnp.arange(reals) % 3})


def test_both_meetings_estimate_one_loss():
    # The mean over batches of what a pair pays is the same; one comparison for each fake has more variance.
    from ensgan.game.round import play

    def pays(compare):
        played = game(M=2, N=1, reals=16, fakes=8, compare=compare, pairing=pairing.mean())
        state = played.init(jax.random.key(0))
        one = lambda key: play(played, state, {"x": jax.random.normal(key, (16, 2))}, None, key).scores.measured
        return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(1), 2000)))[:, :2]

    one, every = pays("one"), pays("all")
    error = np.sqrt(one.var(axis=0) / 2000)
    assert (np.abs(one.mean(axis=0) - every.mean(axis=0)) < 4 * error).all()
    assert (every.var(axis=0) < one.var(axis=0)).all()


def test_counts_by_default():
    mlp = toys.dense(2, 4, ())
    make = lambda M, N, **settings: Game([Group(toys.dense(3, 4, (2,)), M)], [Group(mlp, N)], **settings)
    count = lambda made: (made.reals, made.fakes, made.compare)
    assert count(make(4, 4)) == (64, 64, "one")  # complete members
    assert count(make(4, 2)) == (64, 16, "all")  # parts of one mixture
    assert count(make(4, 4, pairing=pairing.mean())) == (64, 16, "all")
    assert count(make(1, 1)) == (64, 64, "one")
    assert count(make(4, 1, reals=10)) == (10, 2, "all")
    assert count(make(4, 1, batch_size=8)) == (8, 8, "one")
    assert count(make(4, 4, fakes=16, compare="one")) == (64, 16, "one")
    heads = networks.trunk_and_heads(toys.dense(2, 4, (5,)), toys.dense(5, 4, ()))
    trunk = Game([Group(toys.dense(3, 4, (2,)), 4)], [Group(heads, 4, shared=("trunk",))])
    assert count(trunk) == (64, 16, "all")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reals": 0}, "reals is 0; it must be a whole number"),
        ({"fakes": 2.5}, "fakes is 2.5; it must be a whole number"),
        ({"batch_size": 8, "fakes": 4}, "batch_size=8 is short for reals=8 and fakes=8, but other numbers"),
        ({"compare": "some"}, "unknown way to compare 'some'"),
        ({"coverage": "split", "reals": 7}, "reals is 7; give a number that 2 divides, such as reals=6 or 8"),
        ({"coverage": "split", "fakes": 3}, "fakes is 3; give a number that 2 divides, such as fakes=2 or 4"),
    ],
)
def test_counts_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        game(**{"reals": 8, "fakes": 2, **settings} if "batch_size" not in settings else {"reals": None, **settings})


@pytest.mark.slow
def test_other_numbers_for_the_classes_are_the_same_game(key):
    """Rows of every table and the labels, permuted alike."""
    order = np.array([3, 0, 4, 1, 2])  # class k is now called order[k]
    game = conditional()
    state = game.init(key)

    def renamed(tree):
        there = lambda path, leaf: leaf.at[:, order].set(leaf) if "embedding" in str(path) else leaf
        return jax.tree_util.tree_map_with_path(there, tree)

    run = jax.jit(lambda s, b: step(game, s, b))
    batch = toys.batch() | {"label": jnp.arange(8) % 5}
    new, info = run(state, batch)
    changed = state._replace(generators=renamed(state.generators), discriminators=renamed(state.discriminators))
    other, report = run(changed, batch | {"label": jnp.asarray(order)[batch["label"]]})
    toys.assert_close(renamed(new.generators), other.generators)
    toys.assert_close(renamed(new.discriminators), other.discriminators)
    toys.assert_close(info, report)
    _, untold = run(state, batch | {"label": batch["label"][::-1]})
    assert not np.allclose(untold.loss_g, info.loss_g)  # labels matter


def test_one_step_is_its_definition_with_labels():
    with jax.enable_x64(True):
        net = lambda *sizes, classes: networks.mlp(*sizes, classes=classes, dtype="float64")
        game = Game(
            [Group(net(3, (5,), (2,), classes=4), 1), Group(net(3, (5,), (2,), classes=0), 1)],
            [Group(net(2, (5,), (), classes=4), 1), Group(net(2, (5,), (), classes=0), 1)],
            loss=losses.relativistic,
            pairing=pairing.own_and_mean(0.3),
            optimizer=optax.sgd(1.0),
            batch_size=8,
        )
        batch = {"x": toys.batch()["x"].astype(float), "label": jnp.array([0, 3, 1, 1, 2, 0, 3, 3], jnp.int32)}
        state = game.init(jax.random.key(0))
        new, info = jax.jit(lambda s, b: step(game, s, b))(state, batch)
        z = toys.latents(game, state)
        want = toys.reference(game, state, batch["x"], info.weight_g, info.weight_d, z, label=batch["label"])
        for side, groups, wanted in (
            ("generators", game.groups_g, want[0]),
            ("discriminators", game.groups_d, want[1]),
        ):
            got = toys.taken(getattr(state, side), getattr(new, side), groups)
            toys.assert_close(got, wanted, 1e-9)
