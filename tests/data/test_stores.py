"""Data at an address: fetched once, again when they change, and refused in plain words."""

from pathlib import Path

import numpy as np
import pytest
from faulty_store import FaultyStore, stored
from small_runs import settings

from ensgan.data import npz, stores
from ensgan.data.stores import fetched, is_address, listed, store
from ensgan.runs.bucket import Bucket
from ensgan.runs.build import source_of
from ensgan.types import InputError

ADDRESS = "faulty://bucket/data"


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(stores, "WAIT", 0.0)
    monkeypatch.setenv("ENSGAN_DATA", str(tmp_path / "cache"))
    FaultyStore.reset()
    yield
    FaultyStore.reset()


def points(tmp_path, seed):
    x = np.random.default_rng(seed).normal(size=(400, 2)).astype(np.float32)
    np.savez(tmp_path / "points.npz", x=x)
    files, root = store(f"{ADDRESS}/points.npz")
    files.pipe_file(root, (tmp_path / "points.npz").read_bytes())
    return npz(tmp_path / "points.npz").checksum()


def test_data_are_fetched_once_and_again_when_they_change(tmp_path, monkeypatch, capsys):
    config = settings(data={"name": "npz", "path": f"{ADDRESS}/points.npz"})
    first = points(tmp_path, 0)
    assert source_of(config).checksum() == first
    assert "fetching faulty://bucket/data/points.npz, 3," in capsys.readouterr().err
    assert source_of(config).checksum() == first
    assert capsys.readouterr().err == ""
    second = points(tmp_path, 1)
    assert source_of(config).checksum() == second != first
    assert config.data.options["path"] == f"{ADDRESS}/points.npz"


def test_a_folder_of_data(tmp_path):
    files, root = store(f"{ADDRESS}/set/")
    for name in ("a/1.png", "b/2.png"):
        files.pipe_file(f"{root}/{name}", name.encode())
    files.pipe_file(f"{root}2/x", b"of a neighbour whose name begins alike")
    FaultyStore.chance = 0.1
    place = fetched(f"{ADDRESS}/set/")
    assert place.name == "set"
    found = {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert found == stored(f"{ADDRESS}/set") == {"a/1.png": b"a/1.png", "b/2.png": b"b/2.png"}
    assert fetched(f"{ADDRESS}/set/") == place


def test_what_breaks_off_leaves_nothing(tmp_path, monkeypatch):
    points(tmp_path, 0)
    monkeypatch.setattr(FaultyStore, "get_file", lambda self, source, target: open(target, "wb").close())
    with pytest.raises(
        InputError, match=r"points.npz cannot be fetched \(OSError: .* has 3\d* bytes, and 0 of them came"
    ):
        fetched(f"{ADDRESS}/points.npz")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (f"{ADDRESS}/none.npz", "there is nothing at faulty://bucket/data/none.npz; check its name, and whether"),
        ("blub://bucket/x", "is of a kind that fsspec does not know; give an address such as s3://bucket/folder"),
        ("s3://me:secret@bucket/x", r"^s3://… has a password or a key in the address"),
        ("https://host/x.npz?signature=secret", r"^https://… has a password or a key in the address"),
    ],
)
def test_wrong_addresses(address, message):
    with pytest.raises(InputError, match=message) as caught:
        fetched(address)
    assert "secret" not in str(caught.value)


def test_a_store_that_refuses():
    FaultyStore.refuses = OSError("503")
    with pytest.raises(
        InputError, match=r"cannot be read \(OSError: 503\); check its name, the connection and the cred"
    ):
        fetched(f"{ADDRESS}/points.npz")


def test_requests_are_made_again_but_not_for_ever():
    asked = []

    def fails(error, times):
        asked.append(error)
        if len(asked) <= times:
            raise error
        return "done"

    assert stores.tried(fails, OSError("503"), 5) == "done"
    asked.clear()
    with pytest.raises(OSError, match="503"):
        stores.tried(fails, OSError("503"), 100)
    assert len(asked) == stores.TRIES
    asked.clear()
    with pytest.raises(PermissionError):
        stores.tried(fails, PermissionError("403"), 100)
    assert len(asked) == 1


def test_what_is_an_address():
    assert is_address("s3://bucket/x")
    assert is_address("gs://bucket")
    assert not any(map(is_address, ("hf:name", "C:\\data", "runs/s3:/x", "", None, 3)))


def test_an_address_with_one_slash():
    with pytest.raises(InputError, match=r"^s3:/b/x has one slash where an address has two; write s3://b/x$"):
        is_address("s3:/b/x")
    with pytest.raises(InputError, match="write gs://b/x, as text, since a Path keeps one slash only"):
        is_address(Path("gs://b/x"))


def test_names_that_lead_outside():
    files, root = store(ADDRESS)
    files.pipe_file(f"{root}/x", b"x")
    FaultyStore.store["/bucket/data/../../evil"] = FaultyStore.store["/bucket/data/x"]
    with pytest.raises(InputError, match=r"has a file '../../evil', which would be outside of its folder"):
        listed(files, root)


@pytest.mark.parametrize("address", ["memory://", "memory:///"])
def test_an_address_without_a_name(address):
    with pytest.raises(InputError, match=f"{address} has no name of a bucket; give an address such as"):
        store(address)
    with pytest.raises(InputError, match=f"{address} has no name of a bucket"):
        Bucket(address)
