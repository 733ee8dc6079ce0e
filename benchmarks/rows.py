"""Rows of benchmarks: each one line of JSON, printed and stored."""

import json
import statistics
from pathlib import Path


def emit(row, out=None):
    """Prints a row, and appends it to the file `out` if there is one."""
    line = json.dumps(row)
    print(line, flush=True)
    if out:
        with open(out, "a") as file:
            file.write(line + "\n")


def read(path):
    """All rows of a file."""
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def spread(values):
    """Mean and standard error as text."""
    if len(values) == 1:
        return f"{values[0]:.3g}"
    return f"{statistics.mean(values):.3g} ± {statistics.stdev(values) / len(values) ** 0.5:.2g}"
