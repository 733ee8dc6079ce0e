"""A long run, watched from the operating system: memory, open files and threads must stay flat.

    python benchmarks/soak.py --minutes 60 --out FILE

`ensgan train` plays 2×2 members on the ring until the time is over, with a record every 200 steps, a score, a
checkpoint and a report every 2,000. Every few seconds /proc tells the resident memory of the process, its open files
and threads. The row has the medians of the second and of the last quarter of the time, and the sizes of log and report.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rows import emit

from ensgan.reporting import read_metrics
from ensgan.reporting.files import RunFiles
from ensgan.runs import directory as rundir

CONFIG = """
steps = 100000000
batch_size = 8
log_every = 200
eval_every = 2000
checkpoint_every = 2000
held_out = 64
data = "ring"
generators = {count = 2, network = {name = "mlp", latent = 2, widths = [8]}}
discriminators = {count = 2, network = {name = "mlp", widths = [8]}}
"""


def main():
    """Runs, watches, and prints one row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks")
    parser.add_argument("--out", help="append the row to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file, run = Path(folder, "soak.toml"), Path(folder, "run")
        file.write_text(CONFIG)
        command = [sys.executable, "-m", "ensgan.cli", "train", str(file), "--run-dir", str(run)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        looks, end = [], time.monotonic() + 60 * options.minutes
        while time.monotonic() < end and process.poll() is None:
            time.sleep(options.every)
            looks.append(look(process.pid))
        process.send_signal(signal.SIGTERM)
        code = process.wait(300)
        files = RunFiles(run)
        records = read_metrics(files.metrics)
        sizes = {f"{name} MB": round(getattr(files, name).stat().st_size / 1e6, 2) for name in ("metrics", "report")}
    quarter = len(looks) // 4
    row = {"benchmark": "soak", "minutes": options.minutes, "steps": records[-1]["step"], "code": code, **sizes}
    row["second quarter"] = middle(looks[quarter : 2 * quarter])
    row["last quarter"] = middle(looks[-quarter:])
    emit(row | rundir.versions(), options.out)


def middle(looks):
    """Medians of some looks."""
    found = map(statistics.median, zip(*looks, strict=True))
    return dict(zip(("MB", "files", "threads"), (round(each, 1) for each in found), strict=True))


def look(pid):
    """Resident megabytes, open files and threads of a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1e3, len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"])


if __name__ == "__main__":
    main()
