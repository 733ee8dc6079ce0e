"""Environment variables that JAX cannot use are named in one line, before anything is made."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import jax
import pytest
from programs import program

from ensgan import environment


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("JAX_PLATFORMS", "cuda", "unset it to take the devices that are there, or set it to cpu"),
        ("JAX_PLATFORMS", "nonsense", "'nonsense' is not in the list of known backends"),
        ("JAX_NUM_CPU_DEVICES", "many", "correct it, or unset it"),
        ("JAX_NUM_CPU_DEVICES", "0", "there must be at least 1 device"),
        ("JAX_NUM_CPU_DEVICES", "1000000", "no more than 2,048 devices can be simulated"),
        ("JAX_DEFAULT_DEVICE", "nonsense", "unset it to take the devices that are there"),
        ("JAX_DEFAULT_DEVICE", "gpu", "unset it to take the devices that are there, or set it to cpu"),
        ("JAX_ENABLE_X64", "maybe", "invalid truth value"),
        ("XLA_FLAGS", "--nonsense", "Unknown flag in XLA_FLAGS: --nonsense"),
        ("XLA_FLAGS", "nonsense", 'Could not open file "nonsense"'),
    ],
)
def test_a_variable_that_jax_cannot_use_is_named(name, value, why, tmp_path):
    if (
        value in ("cuda", "gpu")
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JAX_DISABLE_JIT", True),
        ("JAX_NO_TRACING", True),
        ("JAX_NUMPY_DTYPE_PROMOTION", "strict"),
        ("JAX_DEFAULT_PRNG_IMPL", "rbg"),
        ("JAX_THREEFRY_PARTITIONABLE", False),
        ("JAX_TRANSFER_GUARD_HOST_TO_DEVICE", "disallow"),
    ],
)
def test_a_setting_that_programs_here_cannot_use_is_named(name, value, monkeypatch):
    assert environment.setting_fault() is None
    monkeypatch.setenv(name, str(value))
    assert environment.setting_fault() is None  # what counts is what JAX made of it
    monkeypatch.setattr(jax, "config", SimpleNamespace(**{name.lower(): value}))
    fault = environment.setting_fault()
    assert fault == f"the environment variable {name} is {str(value)!r}, with which ensgan does not work; unset it"


def test_what_programs_need_is_what_jax_does_by_default():
    for name, values in environment.NEEDED.items():
        assert getattr(jax.config, name.lower(), values[0]) in values, name


def test_a_program_ends_before_it_begins_where_a_setting_would_stop_it(tmp_path):
    done = program("train", "ring8", "--run-dir", str(tmp_path / "run"), JAX_NUMPY_DTYPE_PROMOTION="strict")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert done.stderr.startswith(b"ensgan: the environment variable JAX_NUMPY_DTYPE_PROMOTION is 'strict'")
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


def test_flags_of_xla_that_are_empty_are_not_tried(monkeypatch):
    monkeypatch.setattr(environment.subprocess, "run", lambda *args, **more: pytest.fail("a process was started"))
    for flags in ("", "  "):
        monkeypatch.setenv("XLA_FLAGS", flags)
        assert environment.xla_fault() is None
    monkeypatch.delenv("XLA_FLAGS")
    assert environment.xla_fault() is None


@pytest.mark.parametrize(
    ("code", "stderr", "why"),
    [
        (0, "", None),
        (1, "Traceback: something else", None),  # reported as what it is, later
        (
            -6,
            "noise\nF1129 01:02 7 parse.cc:99] Unknown flag in XLA_FLAGS: --nonsense\ncannot parse it",
            "(Unknown flag in XLA_FLAGS: --nonsense); correct it, or unset it",
        ),
    ],
)
def test_what_xla_says_against_its_flags_is_one_line(code, stderr, why, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--nonsense")
    ended = SimpleNamespace(returncode=code, stderr=stderr)
    monkeypatch.setattr(environment.subprocess, "run", lambda *args, **more: ended)
    fault = environment.xla_fault()
    if why is None:
        assert fault is None
    else:
        assert fault == f"the environment variable XLA_FLAGS is '--nonsense', which JAX cannot use {why}"


@pytest.mark.parametrize(
    ("variables", "error", "text"),
    [
        ({}, None, None),
        ({"JAX_NUM_CPU_DEVICES": "0"}, "anything", "JAX_NUM_CPU_DEVICES is '0', .*there must be at least 1 device"),
        (
            {"JAX_PLATFORMS": "tpu"},
            "no tpu. (set JAX_PLATFORMS=x)",
            r"is 'tpu', .* \(no tpu\); unset it .*, or set it to cpu",
        ),
        ({"JAX_PLATFORM_NAME": "tpu"}, "", "JAX_PLATFORM_NAME is 'tpu', .*no such device, or no package of JAX for it"),
        ({}, "no\n luck", "JAX finds no device: no luck; set JAX_PLATFORMS=cpu to compute without"),
        ({}, "", "JAX finds no device: RuntimeError"),
    ],
)
def test_a_device_that_is_not_there_is_blamed_on_the_variable_that_asked_for_it(variables, error, text, monkeypatch):
    for name in (*environment.PLATFORMS, "JAX_NUM_CPU_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def devices():
        if error is not None:
            raise RuntimeError(error)
        return [1]

    monkeypatch.setattr(jax, "devices", devices)
    fault = environment.device_fault()
    assert fault is None if text is None else re.search(text, fault)
