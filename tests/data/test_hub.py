"""Data sets of Hugging Face: what `datasets` writes, the splits of its files, and one line where the hub is away."""

import numpy as np
import pytest
from PIL import Image

from ensgan import data
from ensgan.cli import main as cli
from ensgan.types import InputError

NUM = 40
PIXELS = np.random.default_rng(0).integers(0, 256, (NUM, 6, 5, 3), np.uint8)
NAMES = ["cat", "dog", "eel"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One data set in both forms: `save_to_disk`, and the .parquet files that the hub has."""
    import datasets

    place = tmp_path_factory.mktemp("hf")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    rows = {"image": list(map(Image.fromarray, PIXELS)), "label": [k % 3 for k in range(NUM)]}
    train = datasets.Dataset.from_dict(rows, features=features)
    test = train.select(range(20))
    datasets.DatasetDict({"train": train, "test": test}).save_to_disk(place / "disk")
    (place / "hub" / "data").mkdir(parents=True)
    for k in range(2):
        train.shard(2, k, contiguous=True).to_parquet(place / "hub" / "data" / f"train-{k:05}-of-00002.parquet")
    test.to_parquet(place / "hub" / "data" / "test-00000-of-00001.parquet")
    (place / "hub" / "README.md").write_text("hello")
    return place


def pixels(source):
    order = np.argsort(np.concatenate(list(data.split_indices(NUM, 0).values())))
    return tuple(np.concatenate([source.arrays[split][key] for split in data.SPLITS])[order] for key in ("x", "label"))


@pytest.mark.parametrize("form", ["disk", "hub"])
def test_both_forms_are_the_images_and_the_names_of_their_classes(written, form):
    x, label = pixels(found := data.hf(which=str(written / form)))
    np.testing.assert_array_equal(x, PIXELS)
    assert label.tolist() == [k % 3 for k in range(NUM)]
    assert (found.class_names, found.name) == (tuple(NAMES), form)
    assert data.hf(which=f"{written / form}:test").facts.num == 20
    assert data.hf(written / form, which="test").facts.num == 20
    small = data.hf(which=str(written / form), size=3, channels=1)
    assert small.shape == (3, 3, 1)
    assert "resized to 3×3 (Lanczos filter, antialiased)" in small.summary()[1]
    with pytest.raises(InputError, match=r"unknown split of .* 'valid'; known: test, train"):
        data.hf(which=f"{written / form}:valid")
    with pytest.raises(InputError, match=r"unknown column for --data\.y 'species'"):
        data.hf(which=str(written / form), y="species")


def test_the_command_line_reads_a_name_with_a_split(written, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["data", f"hf:{written / 'hub'}:test", "--data.x", "image", "--data.flip"]) == 0
    printed = capsys.readouterr().out
    for text in ("20 images, 5 wide, 6 high", "3 classes: 0 = cat (7)", "mirrored at random in training"):
        assert text in printed


def test_numbers_are_points(tmp_path):
    import datasets

    rows = np.random.default_rng(0).normal(size=(30, 2))
    datasets.Dataset.from_dict({"a": rows[:, 0], "b": rows[:, 1], "label": [0, 1] * 15}).save_to_disk(tmp_path / "d")
    found = data.hf(which=str(tmp_path / "d"))
    assert (found.shape, found.columns.names, found.classes) == ((2,), ("a", "b"), 2)
    with pytest.raises(InputError, match=r"--data\.flip is for images"):
        data.hf(which=str(tmp_path / "d"), flip=True)


def test_without_a_connection_one_line_says_what_to_do(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"^someone/thing cannot be had from the hub .*--data-dir DIR$"):
        data.hf(which="someone/thing:train")
    with pytest.raises(InputError, match="nowhere is missing; give a folder, or the name"):
        data.hf(which="./nowhere")
    with pytest.raises(InputError, match="hf needs a data set"):
        data.hf()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no table"):
        data.hf(tmp_path / "empty")


def test_what_the_hub_gives_is_its_tables_alone(written, monkeypatch):
    """No other file is asked for, so there is no code and nothing pickled to trust."""
    import huggingface_hub

    asked = []

    def download(name, *, repo_type, revision, allow_patterns):
        asked.append((name, repo_type, revision, allow_patterns))
        return str(written / ("hub" if revision else "nothing"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert data.hf(which="someone/thing").facts.num == NUM
    assert asked == [
        ("someone/thing", "dataset", revision, "*train*.parquet") for revision in (None, "refs/convert/parquet")
    ]
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(written / "nothing"))
    with pytest.raises(InputError, match=r"someone/thing has no \.parquet files of a split 'test'"):
        data.hf(which="someone/thing:test")
