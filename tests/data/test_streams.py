"""Records read by step, and iterators."""

import functools
import itertools
import sys
import threading

import numpy as np
import pytest
from array_files import records

from ensgan import data
from ensgan.data import streams
from ensgan.types import InputError


def pixels(batch):
    return [int(v) for v in np.floor((batch["x"][:, 0, 0, 0] + 1) * 128)]


@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_read_depends_on_the_step_and_not_on_what_was_read_before(prefetch):
    source = data.stream(records(), prefetch=0, classes=2)
    expected = [source.read(step, 4) for step in range(8)]
    other = data.stream(records(), prefetch=prefetch, classes=2)
    for step in (5, 0, 1, 2, 7, 7, 3, 6, 4):
        batch = other.read(step, 4)
        assert batch["x"].shape == (4, 2, 2, 1)
        assert batch["x"].dtype == np.float32
        assert batch["label"].dtype == np.int32
        np.testing.assert_array_equal(batch["x"], expected[step]["x"])
        np.testing.assert_array_equal(batch["label"], expected[step]["label"])
        np.testing.assert_array_equal(batch["label"], np.array(pixels(batch)) % 2)
    np.testing.assert_array_equal(other.read(0, 2)["label"], expected[0]["label"][:2])


def test_an_epoch_sees_each_training_sample_once_and_epochs_differ():
    source = data.stream(records())
    train = data.split_indices(20)["train"]
    first, second = ([pixels(source.read(step, 7)) for step in steps] for steps in ((0, 1), (2, 3)))
    assert sorted(first[0] + first[1]) == sorted(second[0] + second[1]) == sorted(train)
    assert first != second
    assert pixels(data.stream(records(), seed=1).read(0, 7)) != first[0]
    assert pixels(source.held_out("report", 9)) == data.split_indices(20)["report"].tolist()


def test_noise_depends_on_seed_and_step():
    same = [{"x": np.zeros((2, 2), np.uint8)}] * 20
    source = data.stream(same)
    assert (source.read(0, 4)["x"] != source.read(1, 4)["x"]).any()
    assert (source.read(0, 4)["x"] != data.stream(same, seed=1).read(0, 4)["x"]).any()
    assert (source.held_out("select", 2)["x"] != source.held_out("report", 2)["x"]).any()


def test_points_are_streamed_as_they_are():
    source = data.stream([{"x": np.array([i, 2.0])} for i in range(20)])
    assert source.shape == (2,)
    np.testing.assert_array_equal(source.held_out("select", 2)["x"][:, 0], data.split_indices(20)["select"])


def test_prefetch_reads_ahead_and_stays_bounded():
    asked, seen = [], threading.Event()

    class Slow(list):
        def __getitem__(self, index):
            asked.append(index)
            if len(asked) >= 21 + 3 * 4:
                seen.set()
            return super().__getitem__(index)

    source = data.stream(Slow(records()), prefetch=2)
    source.read(0, 4)
    assert seen.wait(10)  # steps 1 and 2 are read without being asked for
    source.read.pool.shutdown()
    assert len(asked) == 21 + 3 * 4  # all 20 are looked at first, and one of them twice


def test_errors_in_the_background_come_with_their_step():
    bad = records()
    source = data.stream(bad, prefetch=2)
    order = [pixels(source.read(step, 7)) for step in (0, 1)]
    source = data.stream(bad, prefetch=2)
    bad[order[1][0]] = {}
    assert pixels(source.read(0, 7)) == order[0]
    for _ in range(2):
        with pytest.raises(InputError, match="give 'x'"):
            source.read(1, 7)


def test_without_grain(monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(InputError, match=r"pip install 'ensgan\[data\]'"):
        data.stream(records())


def counting(size=4, **other):
    """Batches of points whose first coordinate counts the samples."""
    for i in itertools.count():
        index = np.arange(i * size, (i + 1) * size)
        yield {"x": np.stack([index, index * 0], axis=1).astype(np.float64), "label": index % 3} | other


def test_iterator_holds_out_its_first_samples_and_streams_the_rest():
    source = data.from_iterator(counting(), held_out=3, classes=3)
    assert (source.shape, source.resumable, source.draw) == ((2,), False, None)
    assert source.facts.hints == ()
    assert "give classes=10, or their names" in data.from_iterator(counting(), held_out=3).summary()[2]
    assert source.num == {"train": None, "select": 3, "calibrate": 3, "report": 3}
    for split, start in (("select", 0), ("calibrate", 3), ("report", 6)):
        assert source.held_out(split, 99)["x"][:, 0].tolist() == [start, start + 1, start + 2]
        assert source.held_out(split, 2)["label"].tolist() == [start % 3, (start + 1) % 3]
    batch = source.read(0, 4)
    assert batch["x"].dtype == np.float32
    assert batch["x"][:, 0].tolist() == [12, 13, 14, 15]  # 9 are held out, 3 more came with them
    assert source.read(1, 4)["x"][:, 0].tolist() == [16, 17, 18, 19]
    with pytest.raises(InputError, match="batch of 4, but batch_size is 5"):
        source.read(2, 5)
    with pytest.raises(InputError, match="keeps no training samples"):
        source.held_out("train", 1)


def test_iterator_of_images():
    source = data.from_iterator(itertools.repeat(np.full((2, 3, 3), 255, np.uint8)), shape=(3, 3, 1), held_out=1)
    x = source.read(0, 2)["x"]
    assert x.dtype == np.float32
    assert x.shape == (2, 3, 3, 1)
    assert 0.992 < x.min() < x.max() <= 1


@pytest.mark.parametrize(
    ("iterator", "options", "match"),
    [
        (3, {}, "is a int; give an iterator"),
        ([], {}, "ended before its first batch"),
        ([np.zeros((2, 2))], {}, "ended after 2 samples, but 3 are held out"),
        (counting(), {"shape": (3,)}, r"samples of shape \(2,\), but shape is \(3,\)"),
        (counting(), {"held_out": 0}, "held_out is 0"),
        (counting(), {"seed": -1}, "seed is -1"),
        (counting(), {"classes": 2}, r"labels 0..2; expected 0..1"),
        ([np.zeros((2, 2)), np.zeros((2, 3))], {}, r"float32 \[3\], but the first was float32 \[2\]"),
        ([{"y": 1}], {}, r"has keys \['y'\]"),
        ([np.zeros((2, 2), int)], {}, "expected uint8 images or float32"),
        ([np.full((2, 2), np.inf)], {}, "NaN or infinite"),
    ],
)
def test_bad_iterators(iterator, options, match):
    with pytest.raises(InputError, match=match):
        data.from_iterator(iterator, **({"held_out": 1} | options))


def test_an_iterator_that_ends_while_training():
    source = data.from_iterator(itertools.islice(counting(), 2), held_out=1)
    source.read(0, 4)
    with pytest.raises(InputError, match="ended at step 1; give an iterator that does not end"):
        source.read(1, 4)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("rows", [range(0, 4), range(3, 8), range(5, 6)])
def test_a_part_of_a_batch_reads_its_own_records_alone(rows, flip):
    class Counted(list):
        def __getitem__(self, index):
            seen.add(index)
            return super().__getitem__(index)

    seen = set()
    source = data.stream(Counted(records(40)), prefetch=0, classes=2, flip=flip)
    whole = source.read(3, 8)
    seen.clear()
    part = source.read_part(3, 8, rows)
    for name, column in whole.items():
        np.testing.assert_array_equal(part[name], column[rows.start : rows.stop])
    assert len(seen) == len(rows)


def test_the_records_of_a_batch_are_read_side_by_side(monkeypatch):
    together = threading.Barrier(2, timeout=20)

    class Meeting(list):
        meet = False

        def __getitem__(self, index):
            if self.meet:
                together.wait()  # goes on once two records are being read
            return super().__getitem__(index)

    monkeypatch.setattr(streams, "WORKERS", 2)
    monkeypatch.setattr(streams, "workers", functools.cache(streams.workers.__wrapped__))
    found = Meeting(records(40))
    source = data.stream(found, prefetch=0, classes=2)
    found.meet = True
    assert source.read(0, 4)["x"].shape == (4, 2, 2, 1)


def test_records_that_read_another_stream_do_not_wait_for_ever():
    inner = data.stream(records(40), prefetch=0, classes=2)

    class Nested(list):
        def __getitem__(self, index):
            inner.read(index, 8)
            return super().__getitem__(index)

    source = data.stream(Nested(records(40)), prefetch=0, classes=2)
    found = []
    reader = threading.Thread(target=lambda: found.append(source.read(0, 16)), daemon=True)
    reader.start()
    reader.join(timeout=60)
    assert found


@pytest.mark.parametrize("prefetch", [-1, 1.5, "2"])
def test_a_wrong_number_of_batches_ahead(prefetch):
    with pytest.raises(InputError, match=r"prefetch is .*; it counts batches"):
        data.stream(records(40), prefetch=prefetch, classes=2)
