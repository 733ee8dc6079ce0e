"""Tables of distances and of known modes for the generators of a game."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from toys import points

from ensgan import metrics
from ensgan.data import from_arrays, gaussian_ring
from ensgan.evaluation.features import Features
from ensgan.evaluation.tables import evaluate_distances, evaluate_modes
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.runs import records
from ensgan.types import InputError, Network


def test_one_generator_without_distances_leaves_those_of_the_others():
    game = toys.game(2, 1)
    source = from_arrays("points", points(200, 0)[:, :2])
    state = game.init(jax.random.key(0))
    broken = jax.tree.map(lambda leaf: leaf.at[0].set(jnp.nan), state.generators[0].average)
    state = state._replace(generators=(state.generators[0]._replace(average=broken),))
    table = evaluate_distances(game, state, source, names=["mmd"], repeats=0)
    assert table.generators[0].rows == {}
    assert "NaN" in table.generators[0].refused["MMD² (Gaussian)"]
    assert np.isfinite(table.generators[1].rows["MMD² (Gaussian)"].value)
    record = records.distance_record(table, ["mmd"])
    assert record["mmd"]["generators"][0] is record["mmd"]["mixture"] is None
    assert np.isfinite([record["mmd"]["generators"][1], record["mmd"]["floor"]]).all()


def test_the_floor_of_a_classifier_comes_from_reals_that_it_has_not_seen():
    game, source = toys.game(2, 1), from_arrays("points", points(400, 0)[:, :2])
    state = game.init(jax.random.key(0))
    seen = {row.tobytes() for row in source.held_out("train", 400)["x"]}

    def of(x):  # sure of one of two classes, on the training reals alone
        sure = np.array([20.0 * (row.tobytes() in seen) for row in np.asarray(x)])
        side = np.where(np.arange(len(x)) % 2, 1.0, -1.0)
        return np.stack([*np.asarray(x).T, sure * side, -sure * side], axis=1)

    how = {"features": Features("own", of, classes=2), "num": 40, "repeats": 0}
    table = evaluate_distances(game, state, source, **how)
    assert table.mixture.rows["classifier score"].floor == pytest.approx(1.0)  # of training reals it would be 2
    assert table.mixture.floor == 40
    # Others have no such reason, and take training reals.
    plain = evaluate_distances(game, state, source, names=["frechet"], num=40, repeats=0).mixture
    pair = (metrics.moments(source.held_out(split, 40)["x"]) for split in ("report", "train"))
    assert plain.rows["Fréchet distance"].floor == pytest.approx(metrics.frechet_distance(*pair), rel=1e-5)


SOURCE = from_arrays("points", np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32))
GAME = toys.game(3, 2)


@pytest.fixture(scope="module")
def state():
    return GAME.init(jax.random.key(0))


def ring_generator(source):
    """Draws from the ring itself: its one number is how many of the modes, so that a member may miss some."""
    centers, std = jnp.asarray(source.modes.centers), source.modes.std

    def apply(params, state, z, *, label, train, rng):
        which = jnp.floor(jax.scipy.stats.norm.cdf(z[:, 0]) * params["modes"]).astype(int)
        return centers[which] + std * z[:, 1:], state

    return Network(lambda key: ({"modes": jnp.float32(8.0)}, {}), apply, (3,), (2,))


def test_a_perfect_generator_scores_as_the_perfect_sampler():
    source = gaussian_ring()
    game = Game([Group(ring_generator(source), 2)], GAME.groups_d, batch_size=8)
    state = game.init(jax.random.key(0))
    half = state.generators[0]._replace(average={"modes": jnp.array([8.0, 4.0])})
    table = evaluate_modes(game, state._replace(generators=(half,)), source, repeats=10)
    assert table.names == ["generator 0", "generator 1", "mixture", "perfect sampler"]
    assert (table.total, table.num) == (8, 2500)
    good, few, mixed, perfect = table.scores
    assert good.modes == mixed.modes == perfect.modes == 8
    for one in (good, few, mixed, perfect):
        assert one.hq == pytest.approx(1 - np.exp(-4.5), abs=0.01)
        assert one.spread == pytest.approx(1.0, abs=0.05)
    assert few.modes == 4
    assert few.kl == pytest.approx(np.log(2), abs=0.02)
    assert good.kl < 0.01
    # Half of the modes have shares 3/16, the others 1/16: KL is ¾ log 3/2 + ¼ log ½.
    assert mixed.kl == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5), abs=0.02)
    assert perfect.kl < 0.01
    assert 0 < table.perfect_error.hq < 0.01
    only = evaluate_modes(game, state._replace(generators=(half,)), source, repeats=1, weights=[0.0, 1.0])
    assert only.scores[2].modes == 4


def test_modes_of_other_data_are_not_known(state):
    with pytest.raises(InputError, match="modes are known for ring and grid only, not for points"):
        evaluate_modes(GAME, state, SOURCE)
