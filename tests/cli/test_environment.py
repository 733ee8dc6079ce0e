"""The program elsewhere: other encodings, closed output, variables that JAX cannot use, paths that are no text."""

import asyncio
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from ensgan.cli import main as cli
from ensgan.reporting import read_metrics
from ensgan.runs.build import TABLES
from ensgan.runs.checkpoint import Checkpoints
from ensgan.runs.parsing import parse
from ensgan.runs.restore import load_run, restore
from ensgan.runs.run import run
from ensgan.types import InputError

SMALL = {
    "steps": 2,
    "batch_size": 4,
    "eval_every": 2,
    "held_out": 10,
    "distances": [],
    "generators": {"count": 1, "network": {"name": "mlp", "latent": 2, "widths": [4]}},
    "discriminators": {"count": 1, "network": {"name": "mlp", "widths": [4]}},
}
LATIN = os.fsdecode(b"latin\xe9")  # the name of a folder that is not UTF-8


def settings(**changes):
    return parse({**SMALL, "data": "ring", **changes}, TABLES)[0]


def program(*argv, shell="", **variables):
    line = [sys.executable, "-m", "ensgan.cli", *argv]
    line = ["sh", "-c", f'"$0" "$@" {shell}', *line] if shell else line
    environment = {**os.environ, "XLA_FLAGS": "", **variables}
    return subprocess.run(line, capture_output=True, timeout=120, env=environment)


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", b"1/(? - loss)"), ("cp1252", b"1/(? - loss)"), ("utf-8", "1/(η − loss)".encode())],
)
def test_output_has_any_encoding(encoding, shown):
    done = program("methods", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout
    assert done.stdout.decode(encoding).count("\n") > 50


@pytest.mark.parametrize(
    ("shell", "code", "error"),
    [
        (">&-", 0, b""),
        ("<&- >&- 2>&-", 0, b""),
        (">/dev/full", 2, b"ensgan: the work is done, but its output is lost: No space left on device\n"),
        ("| head -n 1 >/dev/null", 0, b""),
    ],
)
def test_output_may_be_closed_or_full(shell, code, error):
    done = program("methods", shell=shell)
    assert (done.returncode, done.stderr) == (code, error)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("JAX_PLATFORMS", "cuda", "unset it to take the devices that are there, or set it to cpu"),
        ("JAX_PLATFORMS", "nonsense", "'nonsense' is not in the list of known backends"),
        ("JAX_NUM_CPU_DEVICES", "many", "correct it, or unset it"),
        ("JAX_NUM_CPU_DEVICES", "0", "there must be at least 1 device"),
        ("JAX_ENABLE_X64", "maybe", "invalid truth value"),
        ("XLA_FLAGS", "--nonsense", "Unknown flag in XLA_FLAGS: --nonsense"),
        ("XLA_FLAGS", "nonsense", 'Could not open file "nonsense"'),
    ],
)
def test_a_variable_that_jax_cannot_use_is_named(name, value, why, tmp_path):
    if (
        value == "cuda"
        and b"gpu"
        in subprocess.run(
            [sys.executable, "-c", "import jax; print(jax.default_backend())"], capture_output=True
        ).stdout
    ):
        pytest.skip("there is a GPU")
    done = program("train", "ring8", "--run-dir", str(tmp_path / "run"), **{name: value})
    error = done.stderr.decode()
    assert done.returncode == 2, error
    assert error.startswith(f"ensgan: the environment variable {name} is {value!r}, which JAX cannot use (")
    assert why in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_process_of_several_names_the_variable_too(tmp_path):
    group = ("--coordinator", "127.0.0.1:9871", "--num-processes", "1", "--process-id", "0")
    done = program("train", "ring8", "--run-dir", str(tmp_path / "run"), *group, JAX_PLATFORMS="nonsense")
    assert done.returncode == 2
    assert done.stderr.startswith(b"ensgan: the environment variable JAX_PLATFORMS is 'nonsense', which JAX cannot use")


def test_a_variable_that_is_wrong_for_a_library_can_be_caught():
    code = "try:\n import ensgan\nexcept ImportError as error:\n print(error)"
    environment = {**os.environ, "JAX_ENABLE_X64": "maybe"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.startswith("the environment variable JAX_ENABLE_X64 is 'maybe'")


@pytest.mark.parametrize(("there", "here", "fix"), [(32, 64, "unset it"), (64, 32, "JAX_ENABLE_X64=1")])
def test_a_checkpoint_of_another_precision_names_the_variable(there, here, fix, tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"a": np.zeros(3, f"float{there}"), "b": np.zeros(2, np.int32)})
    like = {"a": np.zeros(3, f"float{here}"), "b": np.zeros(2, np.int32)}
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(InputError, match=f"numbers of {there} bits.*JAX_ENABLE_X64.*") as told,
    ):
        checkpoints.restore(like)
    assert fix in str(told.value)


def test_paths_that_are_not_utf8_a_thread_and_a_running_loop(tmp_path):
    pictures, folder = tmp_path / LATIN, tmp_path / f"run-{LATIN}"
    pictures.mkdir()
    draw = np.random.default_rng(0)
    for i in range(100):
        Image.fromarray(draw.integers(0, 255, (4, 4), np.uint8)).save(pictures / f"{i}.png")
    config = settings(data={"name": "folder", "path": str(pictures)})

    async def inside():
        return run(config, folder)

    with ThreadPoolExecutor() as pool:
        assert pool.submit(lambda: asyncio.run(inside())).result().step == 2
    assert json.loads((folder / "config.json").read_text())["data"]["path"] == str(pictures)
    assert r"latin\udce9" in (folder / "report.html").read_text()
    assert int(restore(folder, load_run(folder))[2].step) == 2
    done = program("resume", str(folder), "--steps", "3", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert os.fsencode(folder / "report.html") in done.stdout  # byte for byte, whatever the encoding
    assert read_metrics(folder / "metrics.jsonl")[-1]["step"] == 3
    assert program("sample", str(folder), "--out", str(folder / "more.npz")).returncode == 0
    assert (folder / "more.npz").is_file()


def test_a_tilde_is_the_home_in_flags_and_files(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "points.npz", x=np.random.default_rng(0).normal(size=(80, 2)).astype(np.float32))
    tree = {**SMALL, "data": {"name": "npz", "path": "~/points.npz"}}
    (tmp_path / "own.json").write_text(json.dumps(tree), encoding="utf-8-sig")  # with a mark before the text
    assert cli.main(["train", "~/own.json", "--run-dir=~/run"]) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["path"] == str(tmp_path / "points.npz")
    assert cli.main(["sample", "~/run", "--out=~/more.npz"]) == 0
    assert (tmp_path / "more.npz").is_file()
    assert cli.main(["train", "~/own.json", "--run-dir", "~/other", "--data-dir=~/none.npz"]) == 2
    assert str(tmp_path / "none.npz") in capsys.readouterr().err


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.nowhere", "nonsense", "Agg"])
def test_pictures_need_no_backend_and_no_settings_of_the_user(backend, tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nsavefig.bbox: tight\nsavefig.dpi: 10\nfont.size: 40\n")
    code = (
        "import numpy, hashlib; from ensgan.reporting.figures import scatter_panel, heat_map; "
        "x = numpy.arange(8.0).reshape(4, 2); "
        "print(hashlib.md5(scatter_panel(x, x, '#000000').tobytes() + heat_map(x / 8)).hexdigest()); "
        "import sys; assert 'matplotlib.pyplot' not in sys.modules"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("MPLBACKEND", "MATPLOTLIBRC")}
    shown = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**environment, **more})
        for more in ({}, {"MPLBACKEND": backend, "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")})
    ]
    assert shown[0].stdout == shown[1].stdout != "", shown[1].stderr
