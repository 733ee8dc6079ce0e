"""Commands name the address of a run, and not the folder where they work on it."""

import io

import pytest
from faulty_store import FaultyStore, stored
from small_runs import settings

from ensgan.cli import main as cli
from ensgan.cli import streams
from ensgan.cli.places import place_of
from ensgan.data import stores
from ensgan.runs import run as run_module
from ensgan.runs.copies import copy_of
from ensgan.types import InputError

ADDRESS = "faulty://bucket/runs/x"


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(stores, "WAIT", 0.0)
    monkeypatch.setenv("ENSGAN_RUNS", str(tmp_path / "a"))
    FaultyStore.reset()
    yield
    FaultyStore.reset()


def test_commands_on_an_address(tmp_path, monkeypatch, capsys):
    with place_of(ADDRESS, training=True) as folder:
        run_module.run(settings(steps=2, eval_every=2), folder)
    assert f"note: {ADDRESS} is worked on in {copy_of(ADDRESS)}, and saved from there" in capsys.readouterr().err
    monkeypatch.setenv("ENSGAN_RUNS", str(tmp_path / "b"))
    assert cli.main(["sample", ADDRESS, "--num", "4", "--out", str(tmp_path / "x.npz")]) == 0
    assert cli.main(["select", f"{ADDRESS}/"]) == 0
    assert "selection.json" in stored(ADDRESS)
    assert cli.main(["report", ADDRESS]) == 0
    assert cli.main(["compare", ADDRESS, f"other={ADDRESS}"]) == 2  # each run once
    assert cli.main(["compare", f"mine={ADDRESS}"]) == 0
    assert "mine" in capsys.readouterr().out
    assert cli.main(["resume", ADDRESS]) == 2
    assert f"ensgan: {ADDRESS} has done 2 steps; to go on" in capsys.readouterr().err
    assert cli.main(["train", "ring8", "--run-dir", ADDRESS]) == 2
    assert f"{ADDRESS} already holds a run; continue it with `ensgan resume {ADDRESS}`" in capsys.readouterr().err


def test_a_place_without_a_run(capsys):
    assert cli.main(["report", "faulty://bucket/none"]) == 2
    assert "no run at faulty://bucket/none: it has no config.json" in capsys.readouterr().err
    assert not copy_of("faulty://bucket/none").exists()


def test_a_user_that_there_is_not_is_no_traceback(capsys):
    for argv in (["sample", "~nobody-of-this-name/run"], ["data", "folder", "--data-dir", "~nobody-of-this-name/a"]):
        assert cli.main(argv) == 2
        assert "~nobody-of-this-name" in capsys.readouterr().err


def test_messages_name_the_address():
    out = io.BytesIO()
    plain = streams.Plain(io.BufferedWriter(out), encoding="utf-8", line_buffering=True)

    def work():
        with place_of(ADDRESS) as folder:
            print(f"report: {folder}/report.html", file=plain)
            raise InputError(f"{folder}/report.html is lost")

    with pytest.raises(InputError, match=f"^{ADDRESS}/report.html is lost$"):
        work()
    print(copy_of(ADDRESS), file=plain)
    assert out.getvalue().decode().splitlines() == [f"report: {ADDRESS}/report.html", str(copy_of(ADDRESS))]


@pytest.mark.parametrize(
    "argv",
    [
        ["sample", ADDRESS, "--out", "s3://bucket/x.png"],
        ["export", ADDRESS, "--to", "s3://bucket/x"],
        ["compare", ADDRESS, "--out", "x.md, s3://bucket/x.html"],
    ],
)
def test_files_are_not_written_to_an_address(argv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(argv) == 2
    assert f"{argv[2]} is s3://bucket/x" in (text := capsys.readouterr().err)
    assert "an address, and files are written on this machine alone; give a path" in text
    assert not list(tmp_path.iterdir())
