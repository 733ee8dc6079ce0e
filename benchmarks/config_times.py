"""How long the configurations take: a short run of each, as a process of its own, and what follows for the whole run.

    python benchmarks/config_times.py --out rows.jsonl
    python benchmarks/config_times.py --configs mnist_heads mnist_4x4 --data-dir DIR --out rows.jsonl

`ensgan train NAME` plays a part of its steps, without the cache of compiled programs. Seconds per step are those of the
second half, without compiling, scores and pictures. `rest` is everything else in the short run: start, compiling,
checkpoints, scores, pictures and report; a whole run scores more often where its `eval_every` says so. `minutes` is
`rest` and all steps at that pace. Configurations for a GPU are left out, and those whose data cannot be read.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rows import emit

from ensgan.reporting.files import RunFiles
from ensgan.runs import config
from ensgan.runs import directory as rundir

CONFIGS = Path(__file__).parents[1] / "configs"
SECONDS = 20.0  # of training that the short run is meant to last


def main():
    """Measures each configuration and prints its row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", nargs="+", default=sorted(path.stem for path in CONFIGS.glob("*.toml")))
    parser.add_argument("--data-dir", help="folder or archive with the data of these configurations")
    parser.add_argument("--out", help="append the rows to this file")
    options = parser.parse_args()
    for name in options.configs:
        if name.endswith("_gpu"):
            continue
        row = measure(name, options.data_dir)
        if row is not None:
            emit({"benchmark": "config_times", "config": name} | row | rundir.versions(), options.out)


def measure(name, data_dir):
    """The row of one configuration, or None where it does not run here."""
    steps = config.read(CONFIGS / f"{name}.toml")["steps"]
    first = played(name, 20, data_dir)  # how many steps fill the time?
    if first is None:
        return None
    part = min(steps, max(20, 2 * round(SECONDS / 2 / first["seconds_per_step"])))
    found = played(name, part, data_dir)
    minutes = (found["rest"] + steps * found["seconds_per_step"]) / 60
    return {"steps": steps, "played": part} | found | {"minutes": minutes}


def played(name, steps, data_dir):
    """Seconds per step and all other seconds of a run of so many steps."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "ensgan.cli", "train", name, "--steps", str(steps), "--run-dir", str(run)]
        command += ["--log-every", str(steps // 2), "--no-compile-cache"]
        if data_dir:
            command += ["--data-dir", data_dir]
        begin = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        wall = time.perf_counter() - begin
        if done.returncode:
            print(f"{name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
        lines = [json.loads(line) for line in RunFiles(run).metrics.read_text().splitlines()]
    half, end = [line for line in lines if line.get("kind") == "train" and line["step"] in (steps // 2, steps)]
    step = (end["seconds"] - half["seconds"]) / (end["step"] - half["step"])
    return {"seconds_per_step": step, "rest": wall - end["seconds"]}


if __name__ == "__main__":
    main()
