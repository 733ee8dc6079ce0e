"""The promises of SECURITY.md, one test for each."""

import io
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_runs import settings

from ensgan import data
from ensgan.cli import main as cli
from ensgan.evaluation.torch_files import read_tensors
from ensgan.reporting import write_report
from ensgan.reporting.files import RunFiles, read_json, write_json
from ensgan.runs import run as run_module
from ensgan.runs import series
from ensgan.runs.bucket import Bucket
from ensgan.runs.build import TABLES
from ensgan.runs.parsing import parse
from ensgan.types import InputError, printable

SHORT = {"steps": 2, "log_every": 2, "eval_every": 2, "checkpoint_every": 2, "distances": [], "data": "digits"}


class Bomb:
    """What a stranger would pickle."""

    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "x.npz", x=np.array([Bomb()], dtype=object))
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(Bomb()))
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Bomb()))
    for read in (
        lambda: data.npz("x.npz"),
        lambda: data.cifar10("."),
        lambda: read_tensors(tmp_path / "w.pt"),
    ):
        with pytest.raises(InputError):
            read()
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.pkl").write_bytes(pickle.dumps(Bomb()))
    (tmp_path / "set" / "set.py").write_text("import os; os.mkdir('exploded')")
    with pytest.raises(InputError, match="has no table"):
        data.hf("set")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"loss": "os.system"},
        {"loss": {"name": "__import__('os').mkdir('exploded')"}},
        {"penalty": {"class_path": "os.mkdir", "init_args": {"path": "exploded"}}},
        {"data": {"name": "ring", "class_path": "os.mkdir"}},
        {"generators": {"count": 2, "network": {"name": "builtins.print"}}},
        {"track": ["os:mkdir"]},
    ],
)
def test_a_configuration_cannot_run_code(tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        parse(change, TABLES)
    assert not list(tmp_path.iterdir())


def test_an_archive_writes_nothing(tmp_path):
    file = io.BytesIO()
    Image.new("L", (4, 4)).save(file, format="PNG")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in [f"{k:02}.png" for k in range(40)]:
            archive.writestr(name, file.getvalue())
    data.folder(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr("../out.png", file.getvalue())
    with pytest.raises(InputError, match="outside of itself"):
        data.folder(tmp_path / "a.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    assert not (tmp_path.parent / "out.png").exists()


def test_a_series_stays_in_its_folder(tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    for name in ("../run", "/tmp/run", "a/../../run"):
        write_json(folder / series.FILE, {"runs": {name: {}}})
        assert cli.main(["resume", str(folder)]) == 2
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["series", "series.json"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("security") / "run"
    run_module.run(settings(**SHORT, name="<script>alert(1)"), folder)
    return folder


def test_a_report_cannot_run_a_script(run):
    files = RunFiles(run)
    evil = "<img src=x onerror=alert(1)>"
    write_json(files.versions, {**read_json(files.versions), "device": evil, evil: evil})
    write_json(files.config, {**read_json(files.config), "wandb": evil})
    found = read_json(files.data)
    write_json(files.data, {**found, "class_law": {"text": evil}})
    page = write_report(run).read_text()
    assert "<script" not in page
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page  # scripts have no place in it
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror" in page
    for word in ("http://", "https://", "src='", "@import", "url(http"):
        assert word not in page.replace("http://www.w3.org", ""), word


def test_a_name_cannot_drive_the_terminal(tmp_path):
    assert printable("a\x1b[31mb\x07\x9b\u202e\tc\r\n") == "a\\x1b[31mb\\x07\\x9b\\u202e\tc\r\n"
    for name in ("\x1b[31mred", "\x07bell"):
        (tmp_path / "x" / name).mkdir(parents=True)
        for k in range(20):
            Image.fromarray(np.full((4, 4), k, np.uint8)).save(tmp_path / "x" / name / f"{k}.png")
    command = [sys.executable, "-m", "ensgan.cli", "data", "folder", "--data-dir", "x", "--out", "x.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"\x07" not in done.stdout + done.stderr
    assert rb"\x1b[31mred" in done.stdout
    (tmp_path / "x" / "\x1b[2Jnote.exe").write_bytes(b"x")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300)
    assert done.returncode == 2
    assert b"\x1b" not in done.stderr


def test_downloads_are_checked(tmp_path, monkeypatch):
    from ensgan.data import known
    from ensgan.data.downloads import Remote

    (tmp_path / "other.mat").write_bytes(b"another file")
    monkeypatch.setenv("ENSGAN_DATA", str(tmp_path / "cache"))
    there = (tmp_path / "cache" / "svhn").resolve()
    there.mkdir(parents=True)
    (there / "train_32x32.mat").write_bytes(b"what somebody put there")
    monkeypatch.setitem(known.FILES, "svhn", {"train_32x32.mat": Remote("http://127.0.0.1:9/x", "0" * 32)})
    with pytest.raises(InputError, match="no connection"):  # it is not the published one, so it is asked for again
        data.svhn()


def test_damage_is_found(run, tmp_path):
    """Here that of the settings; `tests/runs/test_damage.py` tries every file."""
    files = RunFiles(run)
    text = files.config.read_text()
    assert '"steps": 2' in text
    (tmp_path / "config.json").write_text(text.replace('"steps": 2', '"steps": 6'))
    with pytest.raises(ValueError, match="not what was written"):
        read_json(tmp_path / "config.json")


def test_keys_of_trackers_are_not_read():
    package = Path(data.__file__).parent.parent
    for path in package.rglob("*.py"):
        assert "API_KEY" not in path.read_text()


@pytest.mark.parametrize("address", ["memory://me:secret@bucket/x", "memory://bucket/x?signature=secret"])
def test_credentials_of_stores_are_not_read(address, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ENSGAN_RUNS", str(tmp_path / "runs"))
    place = ["--run-dir", str(tmp_path / "x")]
    for command in (
        ["train", "ring8", "--run-dir", address],
        ["train", "ring8", "--data", "npz", "--data.path", address, *place],
        ["sample", address],
    ):
        assert cli.main(command) == 2
        assert "has a password or a key in the address" in (err := capsys.readouterr().err)
        assert "secret" not in err
    assert not list(tmp_path.rglob("*"))
    store = pytest.importorskip("fsspec").filesystem("memory")
    store.pipe_file("/bucket/y/x", b"")
    monkeypatch.setitem(store.store, "/bucket/y/../../../evil", store.store["/bucket/y/x"])
    with pytest.raises(InputError, match="outside of its folder"):
        Bucket("memory://bucket/y").pull()


def test_every_promise_has_its_test():
    promises = [
        line for line in (Path(__file__).parents[1] / "SECURITY.md").read_text().splitlines() if line[:1].isdigit()
    ]
    assert len(promises) == 10
    here = Path(__file__).read_text()
    assert here.count("\ndef test_") == len(promises) + 1
