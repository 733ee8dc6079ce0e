"""Archives of images: the same data as the folder they were made of, and nothing from outside of them."""

import io
import tarfile
import zipfile

import numpy as np
import pytest
from archive_files import FILES, packed, png, unpacked
from PIL import Image

from ensgan import data
from ensgan.data import archives
from ensgan.types import InputError

MORE = {"README.md": b"hello", "__MACOSX/._a": b"x", ".DS_Store": b"x"}


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


@pytest.mark.parametrize("ending", ["zip", "tar"])
@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "a/../../b.png", "C:/a.png", "..\\a.png"])
def test_a_name_that_leads_outside_is_refused(tmp_path, ending, name):
    before = sorted(tmp_path.rglob("*"))
    place = packed(tmp_path / f"a.{ending}", FILES | {name: png(0)})
    with pytest.raises(InputError, match="outside of itself"):
        data.folder(place)
    assert sorted(tmp_path.rglob("*")) == [*before, place]


@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_backslashes_between_folders_are_named(tmp_path, ending):
    with pytest.raises(InputError, match=r"names a file with a backslash, .*; pack the folder again"):
        data.folder(packed(tmp_path / f"a.{ending}", FILES | {"cat\\9.png": png(0)}))


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


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_names_that_occur_twice_are_counted(tmp_path, ending):
    place = tmp_path / f"a.{ending}"
    each = [(f"{k % 20:02}.png", png(k)) for k in range(25)]
    if ending == "zip":
        with zipfile.ZipFile(place, "w") as file:
            for name, content in each:
                file.writestr(name, content)
    else:
        with tarfile.open(place, "w") as file:
            for name, content in each:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    found = data.folder(place, resident=True)
    assert found.facts.num == 20
    assert "5 (earlier files of the same name: 00.png" in found.summary()[1]
