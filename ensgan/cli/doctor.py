"""`ensgan doctor`: what a report of a bug should contain, and whether this installation works."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from importlib import metadata, util
from pathlib import Path

import jax
import numpy as np

from ensgan.cli import compiled
from ensgan.data import decoded, downloads
from ensgan.runs import directory as rundir
from ensgan.runs import run as training
from ensgan.runs.build import TABLES
from ensgan.runs.config import Config
from ensgan.runs.parsing import parse
from ensgan.runs.restore import load_run, restore
from ensgan.sampling.sampler import sample
from ensgan.types import InputError

EXTRAS = {
    "data": "grain", "parquet": "pyarrow", "tensorboard": "tensorboardX", "wandb": "wandb", "trackio": "trackio",
    "optuna": "optuna", "tfds": "tensorflow_datasets", "cloud": "s3fs", "export": "safetensors", "onnx": "onnxruntime",
}  # fmt: skip
VARIABLES = ("JAX_", "XLA_", "CUDA_VISIBLE", "TPU_", "ENSGAN_", "OMP_NUM_THREADS")
SMALL = {
    "steps": 20, "batch_size": 16, "log_every": 10, "eval_every": 20, "checkpoint_every": 10, "held_out": 64,
    "distances": [], "data": "ring",
    "generators": {"count": 2, "network": {"name": "mlp", "latent": 2, "widths": [16]}},
    "discriminators": {"count": 2, "network": {"name": "mlp", "widths": [16]}},
}  # fmt: skip


def doctor(*, quick: bool = False) -> None:
    """Print versions, devices, caches and variables, and train, stop, resume and sample a tiny game.

    Args:
        quick: leave out the training.

    Raises:
        InputError: the tiny game did not come out as it should.
    """
    for name, version in rundir.versions().items():
        if version:
            print(f"{name:<18} {version}")
    there = [name for name, package in EXTRAS.items() if util.find_spec(package) is not None]
    for name in there:
        print(f"{'extra ' + name:<18} {EXTRAS[name]} {_version(EXTRAS[name])}")
    missing = [name for name in EXTRAS if name not in there]
    print(f"{'extras missing':<18} {', '.join(missing) or 'none'}")
    for device in jax.devices()[:16]:
        print(f"{'device':<18} {device.device_kind} {device.id}{_memory(device)}")
    print(f"{'processors':<18} {os.cpu_count()}")
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    print(f"{'free here':<18} {free:,.1f} GiB")
    for name, folder in (("compiled programs", compiled.folder_of_machine()), ("downloaded data", downloads.cache())):
        print(f"{name:<18} {folder} ({_size(folder)})")
    print(f"{'decoded images':<18} {decoded.folder()} ({_size(decoded.folder())}; safe to remove)")
    for name in sorted(os.environ):
        if name.startswith(VARIABLES):
            print(f"{'variable':<18} {name}={os.environ[name]}")
    if not quick:
        _try()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "of unknown version"


def _memory(device: jax.Device) -> str:
    limit = (device.memory_stats() or {}).get("bytes_limit") if device.platform != "cpu" else None
    return f", {limit / 2**30:,.1f} GiB" if limit else ""


def _size(folder: Path) -> str:
    if not folder.is_dir():
        return "not there yet"
    return f"{sum(file.stat().st_size for file in folder.rglob('*') if file.is_file()) / 2**20:,.0f} MiB"


def _try() -> None:
    """Trains in two parts, and compares with one part."""
    print("\ntraining a tiny game, in one part and in two")
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="ensgan-") as folder:
        config: Config = parse(SMALL, TABLES)[0]
        half: Config = parse({**SMALL, "steps": 10}, TABLES)[0]
        whole, parts = Path(folder, "whole"), Path(folder, "parts")
        training.run(config, whole)
        training.run(half, parts)
        training.run(config, parts, resume=True)
        found = [restore(run, load_run(run)) for run in (whole, parts)]
        states = [jax.tree.leaves((state.generators, state.discriminators)) for *_, state in found]
        same = all(np.array_equal(a, b) for a, b in zip(*states, strict=True))
        game, _, state = found[0]
        x = np.asarray(sample(game, state, jax.random.key(0), 100))
    if not np.isfinite(x).all():
        raise InputError("the tiny game made samples that are not finite; please report this, with all lines above")
    if not same and jax.default_backend() == "cpu":
        raise InputError("a resumed run is not the one that was not stopped; please report this, with all lines above")
    print(f"all is well: trained, resumed {'bit for bit' if same else 'to rounding'} and sampled", end="")
    print(f" in {time.perf_counter() - begin:.1f} seconds")
