"""A run at an address: trained there, gone on with elsewhere, and kept on this machine where the store refuses."""

import sys
import threading

import pytest
from faulty_store import FaultyStore, contents, stored, trained
from small_runs import assert_same_bits, final, settings

from ensgan.data import stores
from ensgan.runs import mirror
from ensgan.runs import run as run_module
from ensgan.runs.copies import copy_of
from ensgan.runs.restore import load_run
from ensgan.types import InputError

ADDRESS = "faulty://bucket/runs/x"


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    for module, name, value in (
        (stores, "WAIT", 0.0),
        (mirror, "EVERY", 0.02),
        (mirror, "LONGEST", 0.05),
        (mirror, "PATIENCE", 2.0),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setenv("ENSGAN_RUNS", str(tmp_path / "a"))
    FaultyStore.reset()
    yield
    FaultyStore.reset()


@pytest.mark.bits
def test_a_run_goes_on_on_another_machine(whole, monkeypatch, tmp_path):
    FaultyStore.chance = 0.1
    with mirror.folder_of(ADDRESS, training=True, fresh=True) as folder:
        run_module.run(settings(steps=10), folder)
    assert stored(ADDRESS) == contents(copy_of(ADDRESS))
    monkeypatch.setenv("ENSGAN_RUNS", str(tmp_path / "b"))
    with mirror.folder_of(ADDRESS, training=True) as folder:
        run_module.run(load_run(folder, {"steps": 20}), folder, resume=True)
        assert folder == copy_of(ADDRESS)
    assert stored(ADDRESS) == contents(folder)
    assert_same_bits(final(folder), final(whole))
    donor = settings(init_from=[f"{ADDRESS}:step:15"], steps=1)
    run_module.run(donor, tmp_path / "young")


def test_what_is_saved_while_it_is_worked_in(capsys):
    saved = threading.Event()
    with mirror.folder_of(ADDRESS, training=True) as folder:
        trained(folder, 20)
        for _ in range(500):
            if stored(ADDRESS) == contents(folder):
                saved.set()
                break
            saved.wait(0.02)
        assert saved.is_set()
        (folder / "metrics.jsonl").write_text("grows")
        saved.clear()
        saved.wait(0.2)
        assert stored(ADDRESS)["metrics.jsonl"] != b"grows"  # but with the next checkpoint
    assert stored(ADDRESS) == contents(folder)
    assert capsys.readouterr().err == ""


def test_a_store_that_refuses_for_a_while_stops_nothing(capsys):
    waited = threading.Event()
    with mirror.folder_of(ADDRESS, training=True) as folder:
        FaultyStore.refuses = OSError("503 slow down")
        trained(folder, 20)
        waited.wait(0.5)
        FaultyStore.refuses = None
        for _ in range(500):
            if stored(ADDRESS) == contents(folder):
                break
            waited.wait(0.02)
        waited.wait(0.2)
    said = capsys.readouterr().err.splitlines()
    assert [line.startswith(f"note: {ADDRESS}: ") for line in said] == [True, True]
    assert "not saved there now (OSError: 503 slow down); it is kept here, and tried again" in said[0]
    assert said[1].endswith("everything is saved there again")


def test_a_store_that_refuses_to_the_end(monkeypatch, capsys):
    monkeypatch.setattr(mirror, "PATIENCE", 0.1)

    def work():
        with mirror.folder_of(ADDRESS, training=True) as folder:
            trained(folder, 20)
            FaultyStore.refuses = PermissionError("403 expired")
            if failing:
                raise InputError("training failed")

    failing = False
    with pytest.raises(
        InputError, match=rf"not everything is at {ADDRESS} \(PermissionError: 403 expired\), but it is"
    ):
        work()
    assert str(copy_of(ADDRESS)) in capsys.readouterr().err or contents(copy_of(ADDRESS))
    failing, FaultyStore.refuses = True, None
    with pytest.raises(InputError, match="training failed"):
        work()
    assert "but it is safe in" in capsys.readouterr().err
    FaultyStore.refuses = None
    with mirror.folder_of(ADDRESS):
        pass  # any command saves it later
    assert stored(ADDRESS) == contents(copy_of(ADDRESS))


def test_an_address_that_cannot_be_used(monkeypatch):
    FaultyStore.refuses = PermissionError("403")
    with pytest.raises(InputError, match=r"cannot be read \(PermissionError: 403\)"), mirror.folder_of(ADDRESS):
        pass
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(InputError, match=r"not installed: pip install 'ensgan\[cloud\]'"), mirror.folder_of(ADDRESS):
        pass


def test_what_is_wrong_is_said_of_the_address():
    with pytest.raises(InputError, match=f"no run at {ADDRESS}: it has"), mirror.folder_of(ADDRESS) as folder:
        load_run(folder)


def test_a_folder_is_itself(tmp_path):
    with mirror.folder_of(str(tmp_path)) as folder:
        assert folder == tmp_path


def test_interrupted_twice_it_does_not_wait(monkeypatch):
    monkeypatch.setattr(mirror, "PATIENCE", 1e9)

    def work():
        with mirror.folder_of(ADDRESS) as folder:
            trained(folder, 20)
            FaultyStore.refuses = OSError("503")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
