"""Splits, draws, held-out samples and pixels."""

import re

import jax
import numpy as np
import pytest
from toys import draw

from ensgan import data
from ensgan.data.source import check_split, to_float
from ensgan.types import InputError

SETS = {
    "digits": data.digits,
    "ring": data.gaussian_ring,
    "grid": data.gaussian_grid,
    "stacked_digits": data.stacked_digits,
}


def tiny(num=40, **options):
    """Images of 2×2 pixels in which each pixel is the index of its image."""
    x = np.broadcast_to(np.arange(num, dtype=np.uint8)[:, None, None], (num, 2, 2))
    return data.from_arrays("tiny", x, np.arange(num) % 3, **options)


def ids(table):
    return {int(i) for i in table["x"][:, 0, 0, 0]}


def test_splits_are_disjoint_complete_and_decided_by_the_seed():
    splits = data.split_indices(100, seed=3)
    assert list(splits) == list(data.SPLITS)
    assert [len(where) for where in splits.values()] == [70, 10, 10, 10]
    assert sorted(np.concatenate(list(splits.values()))) == list(range(100))
    again, other = data.split_indices(100, seed=3), data.split_indices(100, seed=4)
    assert all((again[split] == splits[split]).all() for split in splits)
    assert set(other["train"]) != set(splits["train"])


def test_train_gets_what_rounding_leaves():
    assert [len(where) for where in data.split_indices(19).values()] == [16, 1, 1, 1]
    # 0.1 * 30 is a little above 3, and 0.29 * 100 a little below 29
    assert [len(where) for where in data.split_indices(30).values()] == [21, 3, 3, 3]
    cut = data.split_indices(100, fractions=(0.4, 0.29, 0.29, 0.02))
    assert [len(where) for where in cut.values()] == [40, 29, 29, 2]


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.7, 0.1, 0.1, 0.2), (0.9, 0.1, 0.1, -0.1), (0.8, 0.1, 0.1, 0.0)])
def test_fractions_that_are_no_shares(fractions):
    with pytest.raises(InputError, match="expected 4 positive numbers"):
        data.split_indices(100, fractions=fractions)


def test_too_few_samples_for_four_splits():
    with pytest.raises(InputError, match=r"9 samples .*; give at least 10"):
        tiny(9)
    with pytest.raises(InputError, match="give at least 50"):
        data.split_indices(49, fractions=(0.4, 0.29, 0.29, 0.02))


def test_a_batch_larger_than_the_train_split():
    source = tiny()
    source.check_batch(28)
    with pytest.raises(InputError, match=r"batch of 29 .* 28 samples; lower --batch-size"):
        source.check_batch(29)
    data.gaussian_ring().check_batch(10**9)


@pytest.mark.parametrize("name", SETS)
def test_draws_follow_the_contract(name, key):
    source = SETS[name]()
    big = draw(source, source.arrays["train"], key, 8)
    assert big["x"].shape == (8, *source.shape)
    assert big["x"].dtype == np.float32
    assert big["label"].shape == (8,)
    assert big["label"].dtype == np.int32
    # sample b depends on fold_in(key, b) alone
    small = draw(source, source.arrays["train"], key, 4)
    np.testing.assert_array_equal(small["x"], big["x"][:4])
    np.testing.assert_array_equal(small["label"], big["label"][:4])
    other = draw(source, source.arrays["train"], jax.random.key(8), 8)
    assert (other["x"] != big["x"]).any()


def test_draws_can_be_batched_over_keys(key):
    source = tiny()
    table = source.arrays["train"]
    many = jax.vmap(lambda k: draw(source, table, k, 4))(jax.random.split(key, 2))
    for i, k in enumerate(jax.random.split(key, 2)):
        np.testing.assert_array_equal(many["x"][i], draw(source, table, k, 4)["x"])


@pytest.mark.parametrize("name", SETS)
def test_held_out_samples_stay_the_same_and_differ_between_splits(name):
    source = SETS[name]()
    found = {split: source.held_out(split, 50) for split in data.SPLITS}
    for split, batch in found.items():
        assert isinstance(batch["x"], np.ndarray)
        assert batch["x"].shape == (50, *source.shape)
        assert batch["x"].dtype == np.float32
        assert batch["label"].dtype == np.int32
        np.testing.assert_array_equal(source.held_out(split, 7)["x"], batch["x"][:7])
        np.testing.assert_array_equal(SETS[name]().held_out(split, 50)["x"], batch["x"])
        assert (SETS[name](seed=1).held_out(split, 50)["x"] != batch["x"]).any()
    rows = {row.tobytes() for batch in found.values() for row in batch["x"]}
    assert len(rows) == 200
    with pytest.raises(InputError, match="unknown split 'test'"):
        source.held_out("test", 1)
    with pytest.raises(InputError, match="held_out got num=0"):
        source.held_out("select", 0)


def test_held_out_gives_no_more_than_there_is():
    source = tiny()
    assert source.num == {"train": 28, "select": 4, "calibrate": 4, "report": 4}
    assert len(source.held_out("report", 100)["x"]) == 4


def test_resident_splits_hold_different_samples():
    source = tiny()
    held = [ids(source.arrays[split]) for split in data.SPLITS]
    assert set.union(*held) == set(range(40))
    assert sum(map(len, held)) == 40
    assert ids(tiny(seed=1).arrays["train"]) != held[0]


def test_draws_stay_in_their_split_and_reach_all_of_it(key):
    source = tiny()
    batch = draw(source, source.arrays["select"], key, 64)
    seen = {int(v) for v in np.floor((np.asarray(batch["x"]) + 1) * 128).ravel()}
    assert seen == ids(source.arrays["select"])
    index = np.floor((np.asarray(batch["x"])[:, 0, 0, 0] + 1) * 128)
    np.testing.assert_array_equal(batch["label"], index % 3)


def test_pixels_by_hand():
    v = np.array([0, 255, 128], np.float32)
    np.testing.assert_allclose(to_float(v, np.float32(0.5), 256), [-255 / 256, 255 / 256, 1 / 256], atol=1e-7)
    np.testing.assert_array_equal(to_float(v, np.float32(0), 256), [-1, 0.9921875, 0])


def test_middles_of_cells_where_there_is_no_noise(key):
    source = tiny(dequantize=False)
    middles = {(i + 0.5) / 128 - 1 for i in ids(source.arrays["train"])}
    assert set(np.asarray(draw(source, source.arrays["train"], key, 32)["x"]).ravel().tolist()) <= middles
    assert set(source.held_out("train", 28)["x"].ravel().tolist()) == middles


def test_to_uint8_undoes_dequantisation():
    assert data.to_uint8([-1.0, 0.0, 1.0, -7.0, 7.0, np.nan, 1 / 256]).tolist() == [
        0,
        128,
        255,
        0,
        255,
        0,
        128,
    ]
    pixels = np.arange(256, dtype=np.float32)
    np.testing.assert_array_equal(data.to_uint8(to_float(pixels, np.float32(0.5), 256)), pixels)


IMAGES = (np.arange(20 * 4 * 3) % 256).astype(np.uint8).reshape(20, 4, 3)


LABELS = np.arange(20) % 10


def test_the_former_name_still_works():
    assert data.resident is data.from_arrays


def test_labels_and_pixels_beyond_what_was_said():
    with pytest.raises(InputError, match=r"labels 0..9; expected 0..4"):
        data.from_arrays("some", IMAGES, LABELS, classes=5)
    with pytest.raises(InputError, match="a pixel 239; expected pixels below levels=17"):
        data.from_arrays("some", IMAGES, levels=17)


def test_every_source_of_the_table_takes_a_seed():
    files = {"mnist", "stacked_mnist", "idx", "npz", "folder", "table", "fashion_mnist", "kmnist"}
    files |= {"cifar10", "cifar100", "svhn", "stl10", "medmnist", "hf", "tfds"}
    assert set(data.SOURCES) == {*SETS, *files}
    for name in SETS:
        assert data.SOURCES[name](seed=5).name == name


@pytest.mark.parametrize("num", [12, 31, 32, 41, 79])
def test_a_split_that_is_too_small_is_named_with_fractions_that_would_do(num):
    with pytest.raises(
        InputError, match=r"the select split of 'few' has . samples?, and scores need at least 8"
    ) as caught:
        check_split(data.from_arrays("few", np.zeros((num, 3))), "select")
    shares, batch = re.search(
        r"--data.fractions ([0-9.,]*) with --batch-size ([0-9]+) or less", str(caught.value)
    ).groups()
    source = data.from_arrays("few", np.zeros((num, 3)), fractions=tuple(map(float, shares.split(","))))
    check_split(source, "select")
    source.check_batch(int(batch))
    if num >= 32:
        check_split(source, "report")


def test_what_else_gives_a_split_more_samples():
    for source, match in (
        (data.from_arrays("few", np.zeros((10, 3))), "give more data: at least 12 samples"),
        (data.gaussian_ring(points=40), "give more by --data.points"),
        (data.from_iterator([np.zeros((9, 2))], held_out=3), "hold out more"),
    ):
        with pytest.raises(InputError, match=match):
            check_split(source, "select")
    with pytest.raises(
        InputError, match="because select would be empty; give at least 10, or a larger share to select"
    ):
        data.from_arrays("few", np.zeros((9, 3)))
    with pytest.raises(InputError, match=r"1 sample cannot be divided .*; give at least 10$"):  # by no shares
        data.from_arrays("few", np.zeros((1, 3)))
