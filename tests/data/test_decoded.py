"""Decoded images in the cache: the same samples and words with and without, and never those of other files."""

import errno
import os
import shutil
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from ensgan import data
from ensgan.data import decoded, decoding, pictures
from ensgan.data.recorded import record

NUM = 24
PIXELS = np.random.default_rng(0).integers(0, 256, (NUM, 5, 4, 3), np.uint8)
SMALL = {"size": 3, "skip_broken": True}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of images in three classes, one of them broken, which was written a while ago; and an empty cache."""
    monkeypatch.delenv(decoded.OFF, raising=False)
    monkeypatch.setenv("ENSGAN_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(decoded, "LEAST", 2)
    monkeypatch.setattr(decoded, "SETTLED", -60)
    folder = tmp_path / "images"
    for k, x in enumerate(PIXELS):
        (folder / f"class{k % 3}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(folder / f"class{k % 3}" / f"{k:02}.png")
    (folder / "class1" / "00.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("skipped")
    return folder


def entries():
    return sorted(decoded.folder().glob("*")) if decoded.folder().is_dir() else []


def same(a, b):
    assert (record(a), a.summary(), a.class_names) == (record(b), b.summary(), b.class_names)
    for split in data.SPLITS:
        for key in ("x", "label"):
            np.testing.assert_array_equal(a.arrays[split][key], b.arrays[split][key])


def without(monkeypatch, read):
    """What is read where nothing is kept."""
    with monkeypatch.context() as patch:
        patch.setenv(decoded.OFF, "off")
        return read()


def undecoded(monkeypatch, read):
    """What is read where no image can be opened."""
    with monkeypatch.context() as patch:
        for module in (decoding, pictures):
            patch.setattr(module, "opened", lambda file: pytest.fail(f"{file} is opened"))
        return read()


def packed(folder):
    file = folder.with_suffix(".zip")
    with zipfile.ZipFile(file, "w") as archive:
        for each in sorted(folder.rglob("*.*")):
            archive.write(each, each.relative_to(folder))
    return file


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_samples_and_words_are_the_same_and_nothing_is_decoded_again(place, monkeypatch, form):
    place = place if form == "folder" else packed(place)
    read = lambda: data.folder(place, **SMALL)
    plain = without(monkeypatch, read)
    assert not entries()
    same(read(), plain)
    assert len(entries()) == 1
    same(undecoded(monkeypatch, read), plain)
    assert plain.facts.skipped[-1] == (pictures.BROKEN, ("class1/00.png",))
    images = data.read_images(place, **SMALL)
    np.testing.assert_array_equal(undecoded(monkeypatch, lambda: data.read_images(place, **SMALL)), images)
    images[:] = 0  # those of the caller alone
    same(undecoded(monkeypatch, read), plain)
    stream = lambda: data.folder(place, resident=False, **SMALL)  # which decodes what it needs
    assert record(stream()) == record(without(monkeypatch, stream))


def test_other_options_are_other_pixels(place, monkeypatch):
    for options in (SMALL, {**SMALL, "size": 4}, {**SMALL, "channels": 1}, {**SMALL, "background": "black"}):
        same(data.folder(place, **options), without(monkeypatch, lambda options=options: data.folder(place, **options)))
    assert len(entries()) == 4


@pytest.mark.parametrize("change", ["pixels", "time", "name", "gone", "new", "mended"])
def test_other_files_are_other_pixels(place, monkeypatch, change):
    read = lambda: data.folder(place, **SMALL)
    read()
    file = place / "class0" / "00.png"
    before = file.stat()
    if change == "pixels":  # of the same size, and with the time that it had
        Image.fromarray(255 - PIXELS[0]).save(place / "other.png", compress_level=0)
        Image.fromarray(PIXELS[0]).save(file, compress_level=0)
        read()
        before = file.stat()
        assert (place / "other.png").stat().st_size == before.st_size
        os.replace(place / "other.png", file)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "time":
        os.utime(file, (1, 1))
    elif change == "name":
        file.rename(place / "class0" / "99.png")
    elif change == "gone":
        file.unlink()
    elif change == "new":
        shutil.copy(file, place / "class2" / "98.png")
    else:
        Image.fromarray(PIXELS[0]).save(place / "class1" / "00.png")
    kept = len(entries())
    same(read(), without(monkeypatch, read))
    assert len(entries()) == kept + 1


@pytest.mark.parametrize("damage", ["pixel", "head", "cut", "longer", "empty", "other"])
def test_what_is_damaged_is_decoded_and_written_again(place, monkeypatch, damage):
    read = lambda: data.folder(place, **SMALL)
    plain = read()
    (file,) = entries()
    content = file.read_bytes()
    line = content.index(b"\n") + 1
    head = content[:line].replace(b'"broken": [8]', b'"broken": [7]')
    assert head != content[:line]
    changed = {
        "pixel": content[:-1] + bytes([content[-1] ^ 1]),
        "head": head + content[line:],
        "cut": content[:-9],
        "longer": content + b"0",
        "empty": b"",
        "other": b"hello\nworld",
    }
    file.write_bytes(changed[damage])
    same(read(), plain)
    assert file.read_bytes() == content
    same(undecoded(monkeypatch, read), plain)


def test_a_cache_that_cannot_be_written_is_no_matter(place, tmp_path, monkeypatch, capsys):
    read = lambda: data.folder(place, **SMALL)
    plain = without(monkeypatch, read)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(decoded.os, "replace", full)
        same(read(), plain)
    assert not entries()
    with monkeypatch.context() as patch:
        patch.setattr(decoded.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
        same(read(), plain)
    assert not entries()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ENSGAN_DATA", str(tmp_path / "file"))
    same(read(), plain)
    assert capsys.readouterr() == ("", "")


def test_few_images_and_fresh_files_are_not_kept(place, monkeypatch):
    monkeypatch.setattr(decoded, "SETTLED", 60)
    data.folder(place, **SMALL)
    monkeypatch.setattr(decoded, "SETTLED", -60)
    monkeypatch.setattr(decoded, "LEAST", NUM + 1)
    data.folder(place, **SMALL)
    assert len(entries()) == 1  # 24 images and a broken one are as many as that
    monkeypatch.setattr(decoded, "LEAST", NUM + 2)
    data.folder(place, size=2, skip_broken=True)
    assert len(entries()) == 1


def test_files_that_change_while_they_are_decoded_are_not_kept(place, monkeypatch):
    real = decoding.Images.__getitem__

    def changing(self, index):
        os.utime(place / "class0" / "00.png")
        return real(self, index)

    monkeypatch.setattr(decoding.Images, "__getitem__", changing)
    data.folder(place, **SMALL)
    assert not entries()


def test_the_cache_is_bounded_and_its_owners_alone(place, monkeypatch):
    first = lambda: data.folder(place, **SMALL)
    first()
    data.folder(place, size=4, skip_broken=True)
    one = (entries()[0].stat().st_size + entries()[1].stat().st_size) // 2
    for file in entries():
        os.utime(file, (time.time() - 100,) * 2)
    undecoded(monkeypatch, first)  # so this is the one that was used last
    monkeypatch.setattr(decoded, "MOST", 2 * one + 200)
    data.folder(place, **{**SMALL, "channels": 1})
    assert len(entries()) == 2
    undecoded(monkeypatch, first)
    assert decoded.folder().stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in entries())


def test_files_of_others_in_the_folder_stay(place, tmp_path, monkeypatch):
    own = tmp_path / "own"
    own.mkdir()
    (own / "thesis.pdf").write_bytes(b"x" * 1000)
    decoded.folder().parent.mkdir(parents=True, exist_ok=True)
    decoded.folder().symlink_to(own)
    monkeypatch.setattr(decoded, "MOST", 500)
    data.folder(place, **SMALL)
    assert (own / "thesis.pdf").is_file()
