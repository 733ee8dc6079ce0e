"""Files that are downloaded: checked, kept whole or not at all, and where they are looked for."""

import pytest
from known_files import CONTENT

from ensgan import data
from ensgan.data import known
from ensgan.data.downloads import Remote, cache, fetched
from ensgan.types import InputError


def test_a_file_of_another_checksum_is_not_kept(server, tmp_path):
    served, _ = server
    served["svhn/train_32x32.mat"] = b"something else"
    with pytest.raises(InputError, match="its checksum is another one, so it was not kept"):
        data.svhn()
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]


def test_a_download_that_is_cut_off_leaves_nothing(server, tmp_path):
    served, _ = server
    served["svhn/train_32x32.mat"] = CONTENT["svhn"]["train_32x32.mat"][:100]
    with pytest.raises(InputError, match=r"train_32x32\.mat"):
        data.svhn()
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]


def test_without_a_network_a_line_says_what_to_put_where(server, tmp_path, monkeypatch):
    away = {"train_32x32.mat": Remote("http://127.0.0.1:9/x", "0")}
    monkeypatch.setitem(known.FILES, "svhn", away)
    with pytest.raises(InputError, match=r"no connection to http://127.*; put train_32x32\.mat into .*cache/svhn, or"):
        data.svhn()
    served, _ = server
    del served["kmnist/" + known.LABELS]
    with pytest.raises(InputError, match="404"):
        data.kmnist()


def test_a_folder_may_hold_files_unpacked_and_with_either_name(tmp_path):
    name = "train-images-idx3-ubyte.gz"
    files = {name: Remote("http://127.0.0.1:9/x", "0")}
    for there in ("train-images.idx3-ubyte", "train-images.idx3-ubyte.gz", "train-images-idx3-ubyte", name):
        (tmp_path / there).write_bytes(b"x")  # each is preferred to those before it
        assert fetched("some", files, tmp_path) == {name: tmp_path / there}


def test_a_folder_that_lacks_a_file_is_named_with_all_that_is_needed(tmp_path):
    files = {name: Remote("http://127.0.0.1:9/x", "0") for name in ("a.bin", "b.bin")}
    (tmp_path / "a.bin").write_bytes(b"x")
    with pytest.raises(InputError, match=r"has no b\.bin; put a\.bin, b\.bin there"):
        fetched("some", files, tmp_path)
    with pytest.raises(InputError, match=r"nowhere is missing; give the folder that has a\.bin, b\.bin"):
        fetched("some", files, tmp_path / "nowhere")


def test_the_cache_is_where_the_user_wants_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ENSGAN_DATA", "~/own")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache() == tmp_path / "own"
    monkeypatch.setenv("ENSGAN_DATA", "")
    assert cache() == tmp_path / "xdg" / "ensgan" / "data"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache() == tmp_path / ".cache" / "ensgan" / "data"
