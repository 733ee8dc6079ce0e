"""Labels of images in dataset.json, and in the files beside them."""

import json

import numpy as np
import pytest
from archive_files import FILES, packed, png, shard, unpacked

from ensgan import data
from ensgan.types import InputError


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
            "has labels that are no whole numbers and no texts",
        ),
        (
            json.dumps({"labels": [[name, 1] for name in FILES] + [["10/00.png", 2]]}).encode(),
            "has several labels for '10/00.png'",
        ),
        (b"[" * 100_000, "is not a list of labels"),
    ],
)
def test_a_broken_dataset_json_is_named(tmp_path, content, text):
    with pytest.raises(InputError, match=r"dataset\.json " + text.replace("[", r"\[")):
        data.folder(packed(tmp_path / "a.zip", FILES | {"dataset.json": content}))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_dataset_json_may_name_classes_in_any_encoding_of_unicode(tmp_path, encoding):
    labels = [[name, "kätzchen" if k % 2 else "dog"] for k, name in enumerate(FILES)] + [["gone.png", "dog"]]
    text = json.dumps({"labels": labels}, ensure_ascii=False).encode(encoding)
    for place in (
        unpacked(tmp_path / "a", FILES | {"dataset.json": text}),
        packed(tmp_path / "a.zip", FILES | {"dataset.json": text}),
    ):
        found = data.folder(place, resident=True)
        assert found.facts.classes == (("dog", 12), ("kätzchen", 12))
        assert "labels without an image: gone.png" in found.summary()[1]


def test_labels_that_are_null_are_none(tmp_path):
    files = {name.replace("/", "-"): content for name, content in FILES.items()} | {"dataset.json": b'{"labels": null}'}
    assert data.folder(packed(tmp_path / "a.zip", files)).classes is None
    buckets = FILES | {"dataset.json": b'{"labels": null}'}  # folders that only hold a thousand images each
    assert data.folder(packed(tmp_path / "b.zip", buckets)).classes is None
    assert data.folder(unpacked(tmp_path / "b", buckets)).classes is None
    assert data.folder(packed(tmp_path / "c.zip", FILES | {"dataset.json": b'{"made": "by hand"}'})).classes == 3


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
