"""How fast streamed data are read, and how long a loop of steps waits for them.

    python benchmarks/reading.py --threads 1 2 8 --out FILE

`jpeg`: a folder of JPEG files of 64×64 pixels. `slow`: records that each take so many milliseconds (`--record`) to
come, as from a disk far away, without work for the processor. Samples per second are those of batches read one after
the other, with nothing read ahead. `waits` is the share of time that a loop of steps waits for its batches, which are
read ahead, if a step takes `--step` milliseconds in which the host does nothing, as with an accelerator. Rounds are
interleaved; medians.
"""

import argparse
import functools
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from rows import emit

from ensgan import data
from ensgan.data import streams
from ensgan.runs import directory as rundir


class Slow:
    """Records that take a while."""

    def __init__(self, seconds, num=4096):
        self.seconds, self.num = seconds, num

    def __len__(self):
        return self.num

    def __getitem__(self, index):
        time.sleep(self.seconds)
        return {"x": np.full((64, 64, 3), index % 256, np.uint8)}


def main():
    """Measures, and prints one row for each kind of data."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2, 8])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--record", type=float, default=1.0)
    parser.add_argument("--step", type=float, default=100.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", help="append the rows to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        draw = np.random.default_rng(0)
        for k in range(2000):
            pixels = draw.integers(0, 256, (16, 16, 3), np.uint8).repeat(4, 0).repeat(4, 1)
            Image.fromarray(pixels).save(Path(folder, f"{k:04}.jpg"), quality=90)
        quietly = {"dequantize": False}
        kinds = {
            "jpeg": lambda: data.folder(folder, resident=False, **quietly),
            "slow": lambda: data.stream(Slow(options.record / 1e3), **quietly),
        }
        for kind, source in kinds.items():
            found = measured(source, options)
            shape = {name: getattr(options, name) for name in ("batch", "record", "step", "rounds")}
            emit({"benchmark": "reading", "kind": kind, **shape, "threads": found} | rundir.versions(), options.out)


def measured(source, options):
    """By the number of threads: samples per second, and the share of a loop that waits."""
    speeds, waits = ({count: [] for count in options.threads} for _ in range(2))
    for _ in range(options.rounds):
        for count in options.threads:
            with_threads(count)
            read = source().read
            begin = time.perf_counter()
            for k in range(4):
                read.compute(k, options.batch)
            speeds[count].append(4 * options.batch / (time.perf_counter() - begin))
            waits[count].append(waiting(source().read, options))
    return {
        count: {
            "samples/s": round(statistics.median(speeds[count])),
            "waits": round(statistics.median(waits[count]), 3),
        }
        for count in options.threads
    }


def waiting(read, options, steps=12):
    """The share of a loop that waits for batches, without its first step."""
    read(0, options.batch)
    begin, waited = time.perf_counter(), 0.0
    for k in range(1, steps):
        time.sleep(options.step / 1e3)
        asked = time.perf_counter()
        read(k, options.batch)
        waited += time.perf_counter() - asked
    return waited / (time.perf_counter() - begin)


def with_threads(count):
    """Lets batches be read by so many threads."""
    streams.WORKERS = count
    streams.workers = functools.cache(lambda: ThreadPoolExecutor(count))


if __name__ == "__main__":
    main()
