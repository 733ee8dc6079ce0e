"""Data sets of TensorFlow Datasets: what the library writes, its splits and versions, and one line where it is away."""

import io
import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from ensgan import data
from ensgan.cli import main as cli
from ensgan.types import InputError

NUM = 40
PIXELS = np.random.default_rng(0).integers(0, 256, (NUM, 6, 5, 3), np.uint8)
NAMES = ["cat", "dog", "eel"]


def png(x):
    file = io.BytesIO()
    Image.fromarray(x).save(file, "PNG")
    file.seek(0)
    return file


def write(place, version, features, rows):
    """A data set `tiny` as the library itself writes it; the key of a row is its number."""
    library = pytest.importorskip("tensorflow_datasets", reason="the extra tfds is not installed")

    class Tiny(library.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = library.core.Version(version)

        def _info(self):
            return library.core.DatasetInfo(builder=self, features=library.features.FeaturesDict(features(library)))

        def _split_generators(self, _):
            return {"train": enumerate(rows(NUM)), "test": enumerate(rows(NUM // 2))}

        def _generate_examples(self):
            raise NotImplementedError

    library.disable_progress_bar()
    Tiny(data_dir=place, file_format="array_record").download_and_prepare()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    place = tmp_path_factory.mktemp("tfds")
    images = lambda library: {
        "image": library.features.Image(shape=(6, 5, 3), encoding_format="png"),
        "label": library.features.ClassLabel(names=NAMES),
        "caption": library.features.Text(),
        "box": library.features.Tensor(shape=(4,), dtype=np.float32),
        "number": np.int64,
    }
    box = np.zeros(4, np.float32)
    for version, pixels in (("2.0.0", 255 - PIXELS), ("10.0.0", PIXELS)):
        rows = lambda num, pixels=pixels: [
            {"image": png(pixels[k]), "label": k % 3, "caption": f"row {k}", "box": box, "number": k}
            for k in range(num)
        ]
        write(place, version, images, rows)
    return place


def pixels(source, of=PIXELS):
    """All samples, in the order of `of`; the library shuffles what it writes."""
    x, label = (np.concatenate([source.arrays[split][key] for split in data.SPLITS]) for key in ("x", "label"))
    order = [int(np.flatnonzero((x == each).all(axis=(1, 2, 3)))[0]) for each in of[: len(x)]]
    return x[order], label[order]


def test_a_prepared_set_is_its_images_and_the_names_of_their_classes(written):
    x, label = pixels(found := data.tfds(written, which="tiny"))
    np.testing.assert_array_equal(x, PIXELS)
    assert label.tolist() == [k % 3 for k in range(NUM)]
    assert (found.class_names, found.name) == (tuple(NAMES), "tiny")
    assert found.facts.skipped == (("other columns", ("box", "caption", "number")),)
    for path, which in (
        (written, "tiny:2.0.0:test"),
        (written, "tiny:test"),
        (written / "tiny", "test"),
        (written / "tiny" / "2.0.0", "test"),
    ):
        assert data.tfds(path, which=which).facts.num == NUM // 2
    assert data.tfds(written).facts.num == NUM
    small = data.tfds(written, which="tiny", x="image", y="number", size=3, channels=1)
    assert (small.shape, small.classes) == ((3, 3, 1), NUM)


def test_another_version_is_read_where_it_is_named(written):
    x, _ = pixels(data.tfds(written, which="tiny:2.0.0:train"), 255 - PIXELS)
    np.testing.assert_array_equal(x, 255 - PIXELS)


def test_the_command_line_reads_a_name_with_a_split(written, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(written))
    for words in (["tfds:tiny:test"], [f"tfds:{written / 'tiny'}:test"]):
        assert cli.main(["data", *words, "--data.flip"]) == 0
        printed = capsys.readouterr().out
        for text in ("20 images, 5 wide, 6 high", "3 classes: 0 = cat (7)", "mirrored at random in training"):
            assert text in printed


def test_numbers_are_points_in_the_order_of_their_names(tmp_path):
    rows = lambda num: [{"b": float(k), "a": -float(k), "label": k % 2} for k in range(num)]
    write(tmp_path, "1.0.0", lambda library: {"b": np.float32, "a": np.float32, "label": np.int64}, rows)
    found = data.tfds(tmp_path, which="tiny")
    assert (found.shape, found.columns.names, found.classes) == ((2,), ("a", "b"), 2)
    assert (found.arrays["train"]["x"].sum(axis=1) == 0).all()


def test_what_is_wrong_is_one_line(written, tmp_path):
    for path, which, text in (
        (written, "tiny:valid", r"unknown split of .* 'valid'; known: test, train"),
        (written, "mnistt", r"unknown data set of TensorFlow Datasets 'mnistt' .*; known: .*mnist"),
        (tmp_path / "nowhere", "tiny", "is missing; give the folder"),
        (None, "", "tfds needs a data set; give its name, --data tfds:NAME"),
        (tmp_path, "", "holds no data set that TensorFlow Datasets prepared"),
    ):
        with pytest.raises(InputError, match=text):
            data.tfds(path, which=which)
    with pytest.raises(InputError, match=r"unknown column for --data\.y 'species'"):
        data.tfds(written, which="tiny", y="species")


def test_without_a_connection_one_line_says_what_to_do(tmp_path, monkeypatch, capsys):
    library = pytest.importorskip("tensorflow_datasets", reason="the extra tfds is not installed")

    def away(*_, **__):
        raise OSError("no route\nto the host")

    monkeypatch.setattr(library, "data_source", away)
    with pytest.raises(InputError, match=r"^mnist is not prepared in .* \(no route\); where .*--data-dir DIR$"):
        data.tfds(tmp_path, which="mnist")
    assert capsys.readouterr().out.startswith("preparing mnist of TensorFlow Datasets in ")


def test_other_forms_and_damage_are_one_line(written, tmp_path):
    place = shutil.copytree(written / "tiny" / "2.0.0", tmp_path / "tiny")
    file = next(place.glob("tiny-train*"))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match=r"cannot be read .*prepare it as array_record"):
        data.tfds(place)
    info = json.loads((place / "dataset_info.json").read_text())
    (place / "dataset_info.json").write_text(json.dumps({**info, "fileFormat": "tfrecord"}))
    with pytest.raises(InputError, match=r"cannot be read .*prepare it as array_record"):
        data.tfds(place)
    (place / "dataset_info.json").write_text("{")
    with pytest.raises(InputError, match=r"cannot be read"):
        data.tfds(place)
    (place / "features.json").unlink()
    with pytest.raises(InputError, match=r"features\.json cannot be read"):
        data.tfds(place)


def test_no_code_beside_the_data_is_run(written, tmp_path, monkeypatch):
    """The library would import the module that a folder names."""
    place = shutil.copytree(written / "tiny" / "2.0.0", tmp_path / "tiny")
    (tmp_path / "stranger.py").write_text("raise SystemExit('was run')")
    monkeypatch.syspath_prepend(tmp_path)
    text = (place / "features.json").read_text()
    changed = text.replace("tensorflow_datasets.core.features.text_feature.Text", "stranger.Text")
    assert changed != text
    (place / "features.json").write_text(changed)
    with pytest.raises(InputError, match=r"names stranger\.Text, which is no feature of TensorFlow Datasets"):
        data.tfds(place)
    assert "stranger" not in sys.modules


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(InputError, match=r"which is not installed: pip install 'ensgan\[tfds\]'"):
        data.tfds(tmp_path, which="tiny")
