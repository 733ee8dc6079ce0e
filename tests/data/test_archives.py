"""Archives of images: the same data as the folder they were made of, and nothing from outside of them."""

import io
import json
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from ensgan import data
from ensgan.data import archives
from ensgan.types import InputError


def png(value, size=(6, 5)):
    file = io.BytesIO()
    pixels = np.random.default_rng(value).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


FILES = {f"{word}/{k:02}.png": png(10 * j + k) for j, word in enumerate(("10", "2", "cat")) for k in range(8)}
MORE = {"README.md": b"hello", "__MACOSX/._a": b"x", ".DS_Store": b"x"}


def packed(path, files, top=""):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(top + name, content)
        return path
    with tarfile.open(path, f"w:{path.suffix[1:]}" if path.suffix != ".tar" else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(top + name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def unpacked(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
@pytest.mark.parametrize("top", ["", "all/of/it/"])
def test_an_archive_is_the_folder(tmp_path, name, top):
    from_folder = data.folder(unpacked(tmp_path / "a", FILES | MORE), resident=True)
    found = data.folder(packed(tmp_path / name, FILES | MORE, top), resident=True)
    assert found.class_names == from_folder.class_names == ("2", "10", "cat")
    for split in data.SPLITS:
        for key in ("x", "label"):
            np.testing.assert_array_equal(found.arrays[split][key], from_folder.arrays[split][key])
    assert "skipped: 3" in found.summary()[1]
    assert found.name == "a"


def test_an_archive_can_be_streamed(tmp_path):
    found = data.folder(packed(tmp_path / "a.zip", FILES), resident=False)
    again = data.folder(packed(tmp_path / "a.tar", FILES), resident=False)
    np.testing.assert_array_equal(found.read(3, 4)["x"], again.read(3, 4)["x"])


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz"])
def test_labels_of_a_dataset_json_count_instead_of_folders(tmp_path, kind):
    labels = {name: k % 4 for k, name in enumerate(FILES)}
    files = FILES | {"dataset.json": json.dumps({"labels": list(labels.items())}).encode()}
    place = unpacked(tmp_path / "a", files) if kind == "folder" else packed(tmp_path / f"a.{kind}", files)
    found = data.folder(place, resident=True)
    assert found.class_names == ("0", "1", "2", "3")
    assert sum(np.bincount(found.arrays[split]["label"], minlength=4) for split in data.SPLITS).tolist() == [6] * 4


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"{", "is not a list of labels"),
        (b'{"labels": [["a.png"]]}', "is not a list of labels"),
        (b'{"labels": 3}', "is not a list of labels"),
        (b'{"labels": [["10/00.png", 1]]}', "has no label for '10/01.png'"),
        (
            json.dumps({"labels": [[name, [0.5, 0.5]] for name in FILES]}).encode(),
            "has labels that are not whole numbers",
        ),
        (b"[" * 100_000, "is not a list of labels"),
    ],
)
def test_a_broken_dataset_json_is_named(tmp_path, content, text):
    with pytest.raises(InputError, match=r"dataset\.json " + text.replace("[", r"\[")):
        data.folder(packed(tmp_path / "a.zip", FILES | {"dataset.json": content}))


def test_labels_that_are_null_are_none(tmp_path):
    files = {name.replace("/", "-"): content for name, content in FILES.items()} | {"dataset.json": b'{"labels": null}'}
    assert data.folder(packed(tmp_path / "a.zip", files)).classes is None


@pytest.mark.parametrize("ending", ["zip", "tar"])
@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "a/../../b.png", "C:/a.png", "..\\a.png"])
def test_a_name_that_leads_outside_is_refused(tmp_path, ending, name):
    before = sorted(tmp_path.rglob("*"))
    place = packed(tmp_path / f"a.{ending}", FILES | {name: png(0)})
    with pytest.raises(InputError, match="outside of itself"):
        data.folder(place)
    assert sorted(tmp_path.rglob("*")) == [*before, place]


def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST", 10_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(10**7))
        for name, content in FILES.items():
            archive.writestr(name.replace("/", "-"), content)
    with pytest.raises(InputError, match=r"bomb\.png is larger than"):
        data.folder(tmp_path / "a.zip")
    monkeypatch.setattr(archives, "TOGETHER", 2000)
    with pytest.raises(InputError, match="too much for a compressed"):
        data.folder(packed(tmp_path / "a.tar.gz", FILES))


def test_huge_pixels_in_a_small_file_are_refused(tmp_path):
    file = io.BytesIO()
    Image.new("1", (40_000, 40_000)).save(file, format="PNG")
    with pytest.raises(InputError, match="cannot be read as an image"):
        data.folder(packed(tmp_path / "a.zip", FILES | {"10/99.png": file.getvalue()}))


@pytest.mark.parametrize("cut", [0, 10, 200, -30])
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar"])
def test_a_broken_archive_is_one_line(tmp_path, name, cut):
    place = packed(tmp_path / name, FILES)
    place.write_bytes(place.read_bytes()[:cut] if cut else b"")
    if cut == -30 and name != "a.zip":
        return  # padding of the .tar, or the checksum of the .gz, neither of which is looked at
    with pytest.raises(InputError, match=f"{name}|no images"):
        data.folder(place)


def test_links_in_a_tar_are_not_followed(tmp_path):
    place = packed(tmp_path / "a.tar", FILES)
    with tarfile.open(place, "a") as archive:
        link = tarfile.TarInfo("10/zz.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert sum(data.folder(place).num.values()) == len(FILES)


def shard(path, samples):
    """A shard of WebDataset."""
    files = {f"{key}.{ending}": content for key, sample in samples.items() for ending, content in sample.items()}
    return packed(path, files)


LABELS = ["10", "2", "cat"]
CLS = {f"{k:04}": {"png": png(k), "cls": LABELS[k % 3].encode(), "txt": b"a cat"} for k in range(24)}
JSON = {key: {"png": each["png"], "json": json.dumps({"label": int(key) % 3}).encode()} for key, each in CLS.items()}


def halves(folder, samples):
    folder.mkdir()
    keys = list(samples)
    for k, part in enumerate((keys[:12], keys[12:])):
        shard(folder / f"{k:06}.tar", {key: samples[key] for key in part})
    return folder


@pytest.mark.parametrize("samples", [CLS, JSON])
def test_shards_are_one_data_set_with_labels_beside_the_images(tmp_path, samples):
    found = data.folder(halves(tmp_path / "w", samples), resident=True)
    one = data.folder(shard(tmp_path / "one.tar", samples), resident=True)
    assert found.class_names == one.class_names == (("2", "10", "cat") if samples is CLS else ("0", "1", "2"))
    for split in data.SPLITS:
        for key in ("x", "label"):
            np.testing.assert_array_equal(found.arrays[split][key], one.arrays[split][key])
    where = data.split_indices(24)["train"]
    names = [LABELS[k % 3] if samples is CLS else str(k % 3) for k in where]
    assert [found.class_names[k] for k in found.arrays["train"]["label"]] == names
    assert ("24 (notes: 0000.txt" if samples is CLS else "nothing skipped") in found.summary()[1]  # captions alone
    streamed = data.folder(tmp_path / "w", resident=False)
    np.testing.assert_array_equal(streamed.held_out("select", 2)["label"], found.held_out("select", 2)["label"])


def test_shards_of_equal_keys_are_different_images(tmp_path):
    place = tmp_path / "w"
    place.mkdir()
    for k in range(2):
        shard(place / f"{k}.tar", {f"{i:04}": {"png": png(100 * k + i), "cls": b"%d" % k} for i in range(12)})
    found = data.folder(place, skip_broken=True)
    assert found.facts.classes == (("0", 12), ("1", 12))
    x = np.concatenate([found.arrays[split]["x"] for split in data.SPLITS])
    assert len({image.tobytes() for image in x}) == 24


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"0003": {"png": png(3)}}, r"0003\.cls is missing; give every image its label"),
        ({"0003": {"png": png(3), "cls": b""}}, r"0003\.cls has no label, which others have"),
        ({"0003": {"png": png(3), "cls": bytes([255])}}, r"0003\.cls is not the label of an image"),
        ({"0003": {"png": png(3), "cls": b"x" * 2**20 + b"x"}}, r"0003\.cls is not the label of an image \(too long\)"),
        ({"../0003": {"png": png(3), "cls": b"1"}}, "outside of itself"),
    ],
)
def test_a_shard_with_a_wrong_label_is_named(tmp_path, change, text):
    with pytest.raises(InputError, match=text):
        data.folder(shard(tmp_path / "a.tar", CLS | change))


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"label": [1]}', b"{"])
def test_a_broken_json_beside_an_image_is_named(tmp_path, content):
    change = {"0003": {"png": png(3), "json": content}}
    with pytest.raises(InputError, match=r"0003\.json is not the label of an image"):
        data.folder(shard(tmp_path / "a.tar", JSON | change))
