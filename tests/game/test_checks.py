"""Games, and data for them, that do not fit: each is told before anything is compiled."""

import jax
import numpy as np
import pytest
import toys
from labelled import POINTS, parsed

from ensgan import networks, pairing, penalties
from ensgan.data import from_arrays, from_iterator, gaussian_ring
from ensgan.evaluation.selection import select
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.game.program import Program
from ensgan.runs.build import build
from ensgan.types import InputError


def test_data_without_these_classes_are_refused(played):
    game, state = played
    plain = from_arrays("points", POINTS)
    batches = ({"x": POINTS[:8], "label": np.arange(8) % 5} for _ in range(100))
    unsaid = from_iterator(batches, held_out=8)
    for source, message in (
        (plain, "conditional on 5 classes, but the data 'points' have no labels; give data with labels"),
        (unsaid, r"'iterator' have no labels; .* say classes=5"),
        (gaussian_ring(), "but the data 'ring' have 8; give every conditional network classes=8"),
    ):
        for use in (lambda source: Program(game, source), lambda source: select(game, state, source)):
            with pytest.raises(InputError, match=message):
                use(source)
    with pytest.raises(InputError, match="conditional on 10 classes, but the data 'ring' have 8"):
        build(parsed({"data": "ring"}))


def test_games_in_which_classes_mean_nothing_are_refused():
    g, d = (
        (lambda classes: networks.mlp(3, (4,), (2,), classes=classes)),
        (lambda c: networks.mlp(2, (4,), (), classes=c)),
    )
    for classes_g, classes_d, message in (
        (3, 4, r"conditional on \[3, 4\] classes; they must agree"),
        (3, 0, "generators are conditional on 3 .* none of the discriminators .* give discriminators classes=3"),
        (0, 3, "discriminators are conditional on 3 .* none of the generators"),
    ):
        with pytest.raises(InputError, match=message):
            Game([Group(g(classes_g), 1)], [Group(d(classes_d), 1)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"penalty": penalties.r1()._replace(strength="strong")}, "strength is 'strong'; give a number, 2 numbers"),
        ({"penalty": penalties.r1([1.0, 2.0, 3.0])}, "2 numbers, one per discriminator"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"batch_size": 8.5}, "batch_size is 8.5; it must be a whole number"),
        ({"loss": "hinge"}, "loss is 'hinge'; give a loss, such as losses.hinge; known: hinge"),
        ({"pairing": pairing.mean}, "give a pairing, such as pairing.mean.., with its brackets"),
        ({"optimizer": 1e-3}, "optimizer is 0.001; give an optimiser"),
        ({"augment": "noise"}, "augment is 'noise'; give an augmentation"),
        ({"penalty": "r1"}, "penalty is 'r1'; give a penalty"),
        ({"penalty": [penalties.r1(), None]}, "penalty is None; give a penalty"),
        ({"ema": 1.0}, "ema is 1.0"),
        ({"n_critic": 2}, "needs update to be 'alternating'"),
        ({"update": "sometimes"}, "unknown update 'sometimes'; known: alternating, simultaneous"),
        ({"pairing": pairing.diagonal()}, "needs as many of both"),
        ({"pairing": pairing.mean()._replace(asks=frozenset({"moon"}))}, "unknown request"),
        ({"pairing": pairing.mean()._replace(asks=frozenset({"payoff"}))}, "set payoff_every"),
    ],
)
def test_a_game_that_cannot_be_played_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        toys.game(3, 2, **change)


def test_networks_that_do_not_fit_are_refused():
    g, d = Group(toys.dense(3, 5, (2,)), 2), Group(toys.dense(2, 5, ()), 2)
    with pytest.raises(InputError, match=r"generators are \(\); give at least one Group"):
        Game([], [d])
    with pytest.raises(InputError, match="they must agree"):
        Game([g, Group(toys.dense(3, 5, (4,)), 1)], [d])
    with pytest.raises(InputError, match="takes samples of shape"):
        Game([g], [Group(toys.dense(3, 5, ()), 1)])
    with pytest.raises(InputError, match="one logit per sample"):
        Game([g], [Group(toys.dense(2, 5, (3,)), 1)])
    with pytest.raises(InputError, match=r"generators are .*; give at least one Group"):
        Game([g.network], [d])
    assert Game(g, d).M == 2  # one group needs no list
    with pytest.raises(InputError, match="threefry"):
        Game([g], [d]).init(jax.random.key(0, impl="rbg"))
