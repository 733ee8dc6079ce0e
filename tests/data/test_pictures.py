"""How images become pixels of one size, with one or three channels, and which are left out."""

import io

import numpy as np
import pytest
from image_files import COLOURS, fill
from PIL import Image

from ensgan import data
from ensgan.data.pictures import Cell, Listed, check, looked
from ensgan.types import InputError


def test_grey_and_colour(tmp_path):
    fill(tmp_path, COLOURS[..., 0])
    grey = data.folder(tmp_path, dequantize=False)
    assert grey.shape == (4, 4, 1)
    np.testing.assert_array_equal(grey.arrays["train"]["x"][..., 0], COLOURS[data.split_indices(24)["train"], ..., 0])
    assert data.folder(tmp_path, channels=3).shape == (4, 4, 3)
    fill(tmp_path, COLOURS[:1], "colour.png")
    assert data.folder(tmp_path).shape == (4, 4, 3)
    assert data.folder(tmp_path, channels=1).shape == (4, 4, 1)


def test_sixteen_bits_are_refused(tmp_path):
    fill(tmp_path, COLOURS[..., 0].astype(np.uint16) * 200)
    with pytest.raises(InputError, match=r"00.png has mode I;16 of Pillow .16 or 32 bits a pixel.; expected 8-bit"):
        data.folder(tmp_path)


def test_mixed_sizes_need_a_size(tmp_path):
    fill(tmp_path)
    wide = np.zeros((2, 6, 3), np.uint8)
    wide[:, 2:4] = 200  # the centred square
    fill(tmp_path, [wide], "wide.png")
    with pytest.raises(InputError, match=r"00.png is 4×4, .*wide.png is 6×2 .*give a size .*--data.size 64"):
        data.folder(tmp_path)
    source = data.folder(tmp_path, size=2)
    assert source.shape == (2, 2, 3)
    pixels = np.concatenate([table["x"] for table in source.arrays.values()])
    assert (pixels == 200).all(axis=(1, 2, 3)).sum() == 1


def test_broken_images_are_named_and_may_be_left_out(tmp_path):
    fill(tmp_path / "a")
    fill(tmp_path / "b")
    cut = tmp_path / "b" / "03.png"
    cut.write_bytes(cut.read_bytes()[:-40])
    (tmp_path / "a" / "away.png").symlink_to("nowhere.png")
    with pytest.raises(InputError, match=r"(03|away).png cannot be read as an image \(.*--data.skip-broken"):
        data.folder(tmp_path)
    for resident in (True, False):
        source = data.folder(tmp_path, skip_broken=True, resident=resident)
        assert source.facts.num == 47
        assert source.facts.classes == (("a", 24), ("b", 23))
        assert "skipped: 2 (broken: a/away.png, b/03.png)" in source.summary()[1]
    for file in (tmp_path / "a").iterdir():
        file.unlink()
    for file in (tmp_path / "b").iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"none of 24 images can be read, first .*00.png"):
        data.folder(tmp_path, skip_broken=True)


def listed(files, label=None, names=None):
    return Listed(files, label, names, lambda file: file.name)


def cell(name, pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return Cell(name, file.getvalue())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": 0}, "size is 0; expected 1 to 4096 pixels"),
        ({"size": 4097}, "size is 4097"),
        ({"channels": 4}, r"channels is 4; expected 1 \(grey\) or 3 \(RGB\)"),
        ({"background": "no colour"}, "background is 'no colour'"),
    ],
)
def test_options_that_no_picture_can_have_are_refused(options, text):
    check(**{"size": 4096, "channels": 3, "background": "#ff8000", "other": "ignored"})
    with pytest.raises(InputError, match=text):
        check(**options)


def test_only_headers_are_read_to_settle_the_form():
    cut = [Cell(str(k), cell("", COLOURS[k]).content[:60]) for k in range(2)]  # the header is whole, the pixels are not
    found = looked(listed(cut))
    assert (found.images.shape, found.images.mode) == ((4, 4, 3), "RGB")
    with pytest.raises(InputError, match="0 cannot be read as an image"):
        found.images.pixels()


def test_classes_are_in_natural_order_and_count_what_is_there():
    cells = [cell(str(k), COLOURS[k]) for k in range(12)]
    found = looked(listed(cells, ["c10", "c9", "c9"] * 4))
    assert found.names == ("c9", "c10")
    source = found.source("some", True, {"seed": 0})
    assert source.facts.classes == (("c9", 8), ("c10", 4))
    given = looked(listed(cells, ["c10", "c9", "c9"] * 4, ("c10", "none", "c9"))).source("some", True, {"seed": 0})
    assert given.facts.classes == (("c10", 4), ("none", 0), ("c9", 8))
    assert found.told(None) is None
