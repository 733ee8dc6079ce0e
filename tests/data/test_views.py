"""Views: each discriminator draws its reals from a part of the data that is its own."""

import dataclasses

import jax
import numpy as np
import pytest
import toys

from ensgan import data, losses, networks, pairing
from ensgan.data.source import sample_keys
from ensgan.devices import mesh
from ensgan.game.batches import draw_batch
from ensgan.game.game import Game
from ensgan.game.placement import start
from ensgan.game.population import Group
from ensgan.game.program import Program, drawn_step, trace
from ensgan.game.step import step
from ensgan.networks import projection_of
from ensgan.runs.build import TABLES, build
from ensgan.runs.checkpoint import Checkpoints
from ensgan.runs.parsing import parse
from ensgan.types import InputError

POINTS = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)


SOURCE = data.from_arrays("points", POINTS)


def parts(source):
    """The samples of each discriminator, by their numbers in the train split."""
    table = source.arrays["train"]
    return [set(index[:size].tolist()) for index, size in zip(table["index"], table["size"], strict=True)]


@pytest.mark.parametrize("N", [1, 3, 8])
def test_shards_are_disjoint_as_equal_as_can_be_and_cover_the_train_split(N):
    source = data.shards(SOURCE, N, seed=5)
    found = parts(source)
    assert sorted(np.concatenate([list(part) for part in found])) == list(range(140))
    sizes = [len(part) for part in found]
    assert max(sizes) - min(sizes) <= 1
    assert source.num == {**SOURCE.num, "train": min(sizes)}
    assert source.views == N
    assert parts(data.shards(SOURCE, N, seed=5)) == found
    assert N == 1 or parts(data.shards(SOURCE, N, seed=6)) != found


def test_shards_by_class_hold_the_classes_of_a_discriminator_and_no_others():
    digits = data.digits()
    source = data.shards(digits, 4, by="class")
    label = digits.arrays["train"]["label"]
    found = parts(source)
    assert [{int(label[i]) for i in part} for part in found] == [{0, 4, 8}, {1, 5, 9}, {2, 6}, {3, 7}]
    assert sum(map(len, found)) == len(label)
    assert source.classes is None
    assert list(source.held_out("select", 9)) == ["x"]


def test_shards_of_a_mixture_are_its_components():
    ring = data.gaussian_ring(std=0.001)
    source = data.shards(ring, 4, by="class")
    x = jax.jit(source.draw)(source.arrays["train"], sample_keys(jax.random.key(0), 64))["x"]
    assert x.shape == (4, 64, 2)
    nearest = ((np.asarray(x)[:, :, None] - ring.modes.centers[None, None]) ** 2).sum(-1).argmin(-1)
    assert [set(row.tolist()) for row in nearest] == [{0, 4}, {1, 5}, {2, 6}, {3, 7}]
    assert source.num["train"] is None
    np.testing.assert_array_equal(source.held_out("select", 20)["x"], ring.held_out("select", 20)["x"])


def test_a_diet_is_a_share_without_repetition_and_a_bag_is_all_of_it_with_some():
    source = data.diet(SOURCE, 3, share=0.25, seed=2)
    assert [len(part) for part in parts(source)] == [35] * 3  # of 140, no sample twice
    assert source.arrays["train"]["size"].tolist() == [35] * 3
    assert len({frozenset(part) for part in parts(source)}) == 3
    # A member's diet does not depend on how many there are.
    assert parts(data.diet(SOURCE, 5, share=0.25, seed=2))[:3] == parts(source)
    assert parts(data.diet(SOURCE, 2, share=1.0)) == [set(range(140))] * 2

    bags = data.bags(SOURCE, 40)
    assert bags.arrays["train"]["size"].tolist() == [140] * 40
    distinct = np.mean([len(part) for part in parts(bags)]) / 140
    assert distinct == pytest.approx(1 - np.exp(-1), abs=0.02)
    assert parts(data.bags(SOURCE, 3)) == parts(bags)[:3]


def test_a_draw_depends_on_its_key_and_its_discriminator_alone():
    source = data.shards(SOURCE, 3)
    table, keys = source.arrays["train"], sample_keys(jax.random.key(1), 50)
    draw = jax.jit(source.draw)
    whole = np.asarray(draw(table, keys)["x"])
    np.testing.assert_array_equal(draw(table, keys[::-1])["x"], whole[:, ::-1])
    for j, part in enumerate(parts(source)):
        mine = SOURCE.arrays["train"]["x"][sorted(part)]
        assert all((x == mine).all(axis=1).any() for x in whole[j])
        assert len(np.unique(whole[j], axis=0)) > 20  # and not the same one all over
    # Where all have the same data, they still draw on their own.
    same = data.diet(SOURCE, 2, share=1.0)
    x = jax.jit(same.draw)(same.arrays["train"], keys)["x"]
    assert (x[0] != x[1]).any(axis=1).mean() > 0.9


def test_held_out_splits_stay_whole():
    source = data.diet(SOURCE, 2, share=0.1)
    for split in data.SPLITS:
        np.testing.assert_array_equal(source.held_out(split, 200)["x"], SOURCE.held_out(split, 200)["x"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: data.shards(SOURCE, 141),
            "leave 1 of 141 discriminators without data, first D140; use 140 discriminators or fewer",
        ),
        (
            lambda: data.shards(data.gaussian_ring(modes=2), 3, by="class"),
            "leave 1 of 3 discriminators without data, first D2; use 2 discriminators or fewer",
        ),
        (lambda: data.shards(data.gaussian_ring(), 2), "is unlimited, so random shards .* use by='class'"),
        (lambda: data.diet(data.gaussian_grid(), 2), "is unlimited, so a share of it .* use the view all"),
        (lambda: data.bags(data.gaussian_grid(), 2), "is unlimited, so a bootstrap"),
        (lambda: data.shards(SOURCE, 2, by="class"), "'points' has no labels"),
        (lambda: data.shards(SOURCE, 2, by="size"), "unknown rule for shards 'size'; known: class, random"),
        (lambda: data.shards(SOURCE, 0), "got N=0 discriminators"),
        (lambda: data.diet(SOURCE, 2, share=0.0), r"share is 0.0; .* in \(0, 1\]"),
        (lambda: data.diet(SOURCE, 2, share=1.5), "share is 1.5"),
        (
            lambda: data.diet(SOURCE, 2, share=1e-3),
            "share is 0.001, less than one of 140 samples; give more, such as 0.0071",
        ),
        (lambda: data.bags(data.shards(SOURCE, 2), 2), "already is a view"),
        (lambda: data.bags(data.from_iterator([{"x": POINTS}] * 50), 2), "is streamed, .* hold them in memory"),
        (lambda: data.bags(dataclasses.replace(SOURCE, pick=None), 2), "cannot be picked by number"),
    ],
)
def test_a_view_that_cannot_be_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_view_must_fit_the_game():
    with pytest.raises(InputError, match="has parts for 3 discriminators, but the game has 2; make the view with N=2"):
        Program(toys.game(2, 2), data.shards(SOURCE, 3))
    with pytest.raises(InputError, match=r"a batch of 8 is larger than the train split of 'points, 0\.05 of it"):
        Program(toys.game(2, 2), data.diet(SOURCE, 2, share=0.05))

    told = lambda inputs, outputs: Group(networks.mlp(inputs, (5,), outputs, classes=3), 2)
    game = Game([told(3, 2)], [told(2, 1)], batch_size=8)
    labelled = data.from_arrays("labelled", POINTS, np.arange(200) % 3)
    Program(game, labelled)
    with pytest.raises(InputError, match="there are no labels in 'labelled, shards'"):
        Program(game, data.shards(labelled, 2))


def test_gradients_with_shards_are_those_of_the_definition():
    source = data.shards(SOURCE, 2)
    game = toys.game(1, 2, loss=losses.relativistic, batch_size=4, hidden=3)
    state = game.init(jax.random.key(0))
    batch = draw_batch(game, source.draw, state, source.arrays["train"])
    assert batch["x"].shape == (2, 4, 2)
    new, info = jax.jit(lambda state: drawn_step(game, source.draw, state, source.arrays["train"]))(state)
    z = toys.latents(game, state)
    want_g, want_d = toys.reference(game, state, batch["x"], np.asarray(info.weight_g), np.asarray(info.weight_d), z)
    for got, want in zip(toys.taken(state.generators, new.generators, game.groups_g), want_g, strict=True):
        toys.assert_close(got, want)
    for got, want in zip(toys.taken(state.discriminators, new.discriminators, game.groups_d), want_d, strict=True):
        toys.assert_close(got, want)


@pytest.mark.slow
def test_shards_and_projections_on_a_mesh_are_those_of_one_device(tmp_path):
    source = data.shards(SOURCE, 2)
    discriminator = networks.projected(toys.dense(1, 5, (), state=True), 2)
    game = Game([Group(toys.dense(3, 5, (2,)), 1)], [Group(discriminator, 2, execute="vmap")], batch_size=6)
    fixed = np.asarray(projection_of(game.init(jax.random.key(0)).discriminators[0].state))
    assert len(np.unique(fixed[:, 0, 0])) == 2
    alone, report = Program(game, source)(start(game), 3)
    there = mesh.make(1, 3)  # a mean of three equal numbers need not be that number
    state, info = Program(game, source, there)(start(game, 0, there), 3)
    plain = lambda state: jax.tree.map(np.asarray, state._replace(key=0))
    toys.assert_close(plain(state), plain(alone), 1e-4)
    toys.assert_close(jax.tree.map(np.asarray, info), jax.tree.map(np.asarray, report), 1e-4)

    # Projections are neither trained nor moved, and a checkpoint brings them back.
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        checkpoints.save(3, alone)
    with Checkpoints(tmp_path / "checkpoints", read_only=True) as checkpoints:
        _, back = checkpoints.restore(alone)
    for after in (alone, state, back):
        np.testing.assert_array_equal(projection_of(after.discriminators[0].state), fixed)


def test_a_configuration_names_its_view():
    tree = {"batch_size": 8, "discriminators": [{"count": 2}, {"count": 3}]}
    game, source = build(parse(tree, TABLES, ["--view", "diet", "--view.share", "0.2"])[0])
    assert (source.views, game.N) == (5, 5)
    assert [len(part) for part in parts(source)] == [252] * 5  # of 1,258
    assert build(parse(tree, TABLES)[0])[1].views is None
    seeds = [parts(build(parse(tree, TABLES, ["--view", "bags", "--seed", str(s)])[0])[1]) for s in (1, 2)]
    assert seeds[0] != seeds[1]
    with pytest.raises(InputError, match="unknown view 'slices'; known: all, bags, diet, shards"):
        parse({"view": "slices"}, TABLES)
    with pytest.raises(InputError, match=r"'view\.N'"):
        parse({"view": {"name": "shards", "N": 3}}, TABLES)
    config = parse({**tree, "data": "ring", "view": {"name": "shards", "by": "class"}}, TABLES)[0]
    assert build(config)[1].arrays["train"]["index"].tolist() == [[0, 5], [1, 6], [2, 7], [3, 3], [4, 4]]


def test_a_plan_is_made_without_the_data():
    game = Game([Group(networks.mlp(3, (4,), (8, 8, 1)), 2)], [Group(networks.mlp((8, 8, 1), (4,), ()), 2)])
    outline = data.shards(data.outline("digits"), 2, by="class")
    traced = trace(game, outline, None, loop=False)  # from shapes, as `plan` does
    assert (2, 630) in {leaf.shape for leaf in jax.tree.leaves(traced.in_avals)}  # of 1,259 samples


def test_micro_batches_of_their_own_alone_are_the_diagonal_game():
    # With α = 0 and everybody played alike, what is left are games of two.
    game = toys.game(2, 2, hidden=3, loss=losses.microbatch(losses.non_saturating, 0.0, 2, 2))
    own = toys.game(2, 2, hidden=3, pairing=pairing.diagonal())
    after = [jax.jit(lambda s, g=g: step(g, s, toys.batch()))(g.init(jax.random.key(0)))[0] for g in (game, own)]
    toys.assert_close(after[0].discriminators, after[1].discriminators)
    toys.assert_close(after[0].generators, after[1].generators)
