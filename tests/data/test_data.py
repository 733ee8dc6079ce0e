"""Splits, draws, Gaussian mixtures and samples in a few files."""

import gzip
import struct

import jax
import numpy as np
import pytest

from ensgan import data
from ensgan.data.checks import checked_labels, checked_samples
from ensgan.data.source import sample_keys, to_float
from ensgan.types import InputError

draw = jax.jit(lambda source, table, key, size: source.draw(table, sample_keys(key, size)), static_argnums=(0, 3))
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


# Splits


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
    with pytest.raises(InputError, match=r"9 samples .* at least 10 are needed"):
        tiny(9)
    with pytest.raises(InputError, match="at least 50 are needed"):
        data.split_indices(49, fractions=(0.4, 0.29, 0.29, 0.02))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_bad_seed(seed):
    for make in (data.gaussian_ring, tiny):
        with pytest.raises(InputError, match="it must be at least 0 and below"):
            make(seed=seed)


def test_a_batch_larger_than_the_train_split():
    source = tiny()
    source.check_batch(28)
    with pytest.raises(InputError, match=r"batch of 29 .* 28 samples: lower batch_size or give more data"):
        source.check_batch(29)
    data.gaussian_ring().check_batch(10**9)


# Draws


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
    with pytest.raises(InputError, match="asked for 0 samples"):
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


def test_streams_of_a_synthetic_source_differ_for_one_key(key):
    source = data.gaussian_ring()
    drawn = [draw(source, source.arrays[split], key, 4)["x"] for split in data.SPLITS]
    assert len({np.asarray(x).tobytes() for x in drawn}) == 4


# Pixels


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


def test_digits():
    source = data.digits()
    assert (source.shape, source.classes, source.resumable) == ((8, 8, 1), 10, True)
    assert source.num == {"train": 1260, "select": 179, "calibrate": 179, "report": 179}
    x = source.held_out("train", 1260)["x"]
    assert x.min() < -0.99
    assert 0.99 < x.max() <= 1
    assert source.arrays["train"]["x"].max() == 16
    assert source.arrays["train"]["x"].dtype == np.uint8


# Gaussian mixtures


def test_ring_statistics(key):
    source = data.gaussian_ring(modes=4, radius=2.0, std=0.1)
    np.testing.assert_allclose(source.modes.centers, [[2, 0], [0, 2], [-2, 0], [0, -2]], atol=1e-6)
    assert source.modes.std == 0.1
    assert source.classes == 4
    assert source.num == dict.fromkeys(data.SPLITS)
    batch = draw(source, source.arrays["train"], key, 8000)
    off = np.asarray(batch["x"]) - source.modes.centers[np.asarray(batch["label"])]
    np.testing.assert_allclose(off.std(axis=0), 0.1, rtol=0.05)
    np.testing.assert_allclose(off.mean(axis=0), 0, atol=0.006)
    np.testing.assert_allclose(np.bincount(batch["label"]) / 8000, 0.25, atol=0.025)


def test_default_modes_are_those_of_pacgan():
    ring, grid = data.gaussian_ring().modes, data.gaussian_grid().modes
    assert len(ring.centers) == 8
    assert ring.std == 0.01
    np.testing.assert_allclose(np.linalg.norm(ring.centers, axis=1), 1, atol=1e-6)
    assert len(np.unique(ring.centers.round(3), axis=0)) == 8
    assert grid.std == 0.05
    assert {tuple(c) for c in grid.centers.tolist()} == {(a, b) for a in range(-4, 5, 2) for b in range(-4, 5, 2)}


@pytest.mark.parametrize(
    ("make", "options", "match"),
    [
        (data.gaussian_ring, {"modes": 0}, "modes is 0; expected at least 1"),
        (data.gaussian_grid, {"side": 0}, "side is 0; expected at least 1"),
        (data.gaussian_ring, {"radius": 0.0}, "radius is 0.0; expected a positive number"),
        (data.gaussian_grid, {"spacing": float("inf")}, "spacing is inf"),
        (data.gaussian_ring, {"std": -1.0}, "std is -1.0"),
        (data.gaussian_grid, {"std": float("nan")}, "std is nan"),
    ],
)
def test_bad_mixtures(make, options, match):
    with pytest.raises(InputError, match=match):
        make(**options)


# IDX


def idx_bytes(x, kind=8):
    x = np.asarray(x, np.uint8)
    return struct.pack(f">BBBB{x.ndim}I", 0, 0, kind, x.ndim, *x.shape) + x.tobytes()


IMAGES = (np.arange(20 * 4 * 3) % 256).astype(np.uint8).reshape(20, 4, 3)
LABELS = np.arange(20) % 10


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dot", ["-", "."])
def test_mnist_files(tmp_path, zipped, dot):
    for stem, value in ((f"train-images{dot}idx3-ubyte", IMAGES), (f"train-labels{dot}idx1-ubyte", LABELS)):
        raw = idx_bytes(value)
        (tmp_path / (stem + ".gz" * zipped)).write_bytes(gzip.compress(raw) if zipped else raw)
    source = data.mnist(tmp_path, pad=2)
    assert (source.shape, source.classes) == ((8, 7, 1), 10)
    for split, where in data.split_indices(20).items():
        table = source.arrays[split]
        np.testing.assert_array_equal(table["x"][:, 2:-2, 2:-2, 0], IMAGES[where])
        np.testing.assert_array_equal(table["label"], LABELS[where])
        assert table["x"][:, :2].max() == 0


def test_idx_with_channels_and_without_labels(tmp_path):
    file = tmp_path / "images"
    file.write_bytes(idx_bytes(IMAGES[:, None].transpose(0, 2, 3, 1).repeat(3, axis=3)))
    source = data.idx(file)
    assert (source.shape, source.classes) == ((4, 3, 3), None)
    assert set(source.arrays["train"]) == {"x"}
    assert set(source.held_out("select", 1)) == {"x"}


GOOD = idx_bytes(IMAGES)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", r"begins with bytes \[\]; expected an IDX file"),
        (b"\x89PNG....", r"begins with bytes \[89 50 4e 47\]"),
        (GOOD[:2] + b"\x0d" + GOOD[3:], "IDX type 0x0d; expected 0x08"),
        (idx_bytes(LABELS), "has 1 dimensions; expected 3 or 4"),
        (GOOD[:9], "ends within its header, after 9 bytes"),
        (GOOD[:-1], r"holds 239 bytes of values, but its header says \[20, 4, 3\], which is 240"),
        (GOOD + b"x", "holds 241 bytes of values"),
        (gzip.compress(GOOD, mtime=0)[:-9], "truncated or broken gzip"),
        (gzip.compress(GOOD, mtime=0)[:12] + b"\xff" * 40, "truncated or broken gzip"),
        (idx_bytes(np.zeros((10, 3, 4, 5))), "expected 1 to 4 channels on the last axis"),
        (idx_bytes(np.zeros((10, 0, 4))), "expected samples that are not empty"),
    ],
)
def test_bad_idx_files(tmp_path, content, match):
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(content)
    with pytest.raises(InputError, match=match) as caught:
        data.mnist(tmp_path)
    assert file.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_errors_of_idx_and_mnist(tmp_path):
    with pytest.raises(InputError, match="nowhere is not a directory"):
        data.mnist(tmp_path / "nowhere")
    with pytest.raises(InputError, match="has no train-images-idx3-ubyte"):
        data.mnist(tmp_path)
    with pytest.raises(InputError, match="nothing is missing; expected an IDX file"):
        data.idx(tmp_path / "nothing")
    (tmp_path / "images").write_bytes(GOOD)
    (tmp_path / "labels").write_bytes(idx_bytes(LABELS[:19]))
    with pytest.raises(InputError, match=r"labels holds 19 labels, but .*images holds 20 images"):
        data.idx(tmp_path / "images", labels=tmp_path / "labels")
    with pytest.raises(InputError, match="pad is -1"):
        data.idx(tmp_path / "images", pad=-1)


# NumPy files


@pytest.mark.parametrize(("x", "label"), [("x", "y"), ("images", "label"), ("anything", "labels")])
def test_npz_names(tmp_path, x, label):
    np.savez(tmp_path / "a.npz", **{x: IMAGES, label: LABELS})
    source = data.npz(tmp_path / "a.npz")
    assert (source.name, source.shape, source.classes) == ("a.npz", (4, 3, 1), 10)
    where = data.split_indices(20)["report"]
    np.testing.assert_array_equal(source.arrays["report"]["x"][..., 0], IMAGES[where])
    np.testing.assert_array_equal(source.arrays["report"]["label"], LABELS[where])


def test_points_are_drawn_as_they_are(tmp_path, key):
    points = np.random.default_rng(0).normal(size=(30, 5))
    np.save(tmp_path / "a.npy", points)
    source = data.npz(tmp_path / "a.npy")
    assert source.shape == (5,)
    rows = {row.tobytes() for row in points.astype(np.float32)}
    drawn = draw(source, source.arrays["train"], key, 8)["x"]
    assert {row.tobytes() for row in np.asarray(drawn)} <= rows
    assert {row.tobytes() for row in source.held_out("select", 9)["x"]} <= rows


def test_bad_npz_files(tmp_path):
    file = tmp_path / "a.npz"
    with pytest.raises(InputError, match=r"is missing; expected an .npz"):
        data.npz(file)
    np.savez(file, x=IMAGES)
    whole = file.read_bytes()
    for content in (b"", b"no numbers here", whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(InputError, match="is no NumPy file, is broken"):
            data.npz(file)
    np.save(tmp_path / "o.npy", np.array([{}, None], object), allow_pickle=True)
    with pytest.raises(InputError, match="holds Python objects"):
        data.npz(tmp_path / "o.npy")
    np.savez(file, x=np.array([{}, None], object))
    with pytest.raises(InputError, match=r"an array of .* holds Python objects"):
        data.npz(file)
    np.savez(file, a=IMAGES, b=IMAGES)
    with pytest.raises(InputError, match=r"holds arrays \['a', 'b'\]; expected samples under 'x'"):
        data.npz(file)
    np.savez(file, y=LABELS)
    with pytest.raises(InputError, match=r"holds arrays \['y'\]"):
        data.npz(file)


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (np.zeros((20, 4), np.int64), "int64 .*; expected uint8 images or float32 samples"),
        (np.zeros((20, 4), np.uint8), "expected images"),
        (np.zeros(20), "expected images"),
        (np.zeros((20, 3, 8, 8), np.uint8), "expected 1 to 4 channels on the last axis"),
        (np.full((20, 2), np.nan), "NaN or infinite"),
        (np.full((20, 2), 1e300), "NaN or infinite"),
        (np.full((20, 2, 2), 255.0), r"float images in \[255, 255\]; expected \[-1, 1\]"),
    ],
)
def test_bad_samples(tmp_path, x, match):
    np.savez(tmp_path / "a.npz", x=x)
    with pytest.raises(InputError, match=match):
        data.npz(tmp_path / "a.npz")


def test_good_samples_settle_their_types():
    assert checked_samples(np.zeros((2, 3), np.float64), "x").dtype == np.float32
    assert checked_samples(jax.numpy.zeros((2, 3), jax.numpy.bfloat16), "x").dtype == np.float32
    assert checked_samples(np.zeros((2, 3, 4), np.uint8), "x").shape == (2, 3, 4, 1)
    assert checked_labels(np.zeros(2, np.uint8), 2, "y").dtype == np.int32


@pytest.mark.parametrize(
    ("label", "match"),
    [
        (np.zeros((20, 1), int), r"expected integers \[20\]"),
        (np.zeros(20), r"float64 \[20\]; expected integers"),
        (np.arange(20) - 1, r"labels -1..18; expected 0..K-1"),
    ],
)
def test_bad_labels(label, match):
    with pytest.raises(InputError, match=match):
        data.from_arrays("some", IMAGES, label)


def test_labels_and_pixels_beyond_what_was_said():
    with pytest.raises(InputError, match=r"labels 0..9; expected 0..4"):
        data.from_arrays("some", IMAGES, LABELS, classes=5)
    with pytest.raises(InputError, match="a pixel 239; expected pixels below levels=17"):
        data.from_arrays("some", IMAGES, levels=17)


def test_every_source_of_the_table_takes_a_seed():
    files = {"mnist", "stacked_mnist", "idx", "npz", "folder"}
    assert set(data.SOURCES) == {*SETS, *files}
    for name in SETS:
        assert data.SOURCES[name](seed=5).name == name


def test_a_mixture_may_have_a_fixed_number_of_points():
    source = data.gaussian_ring(points=1000, seed=3)
    assert source.num["train"] == 700
    assert source.modes is not None
    x, label = source.arrays["train"]["x"], source.arrays["train"]["label"]
    np.testing.assert_allclose(np.linalg.norm(x - source.modes.centers[label], axis=1).mean(), 0.01 * 1.2533, rtol=0.1)
    assert set(label) == set(range(8))
