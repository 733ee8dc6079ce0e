"""The collectives of a compiled program, read from its text."""

import re

import numpy as np

SIZE = {"f32": 4, "s32": 4, "u32": 4, "pred": 1}


def collectives(text):
    """Kind and bytes of the result of every collective of a compiled program."""
    found = []
    for line in text.splitlines():
        match = re.search(r"= (\(.*?\)|\S+) (all-gather|reduce-scatter|all-reduce|all-to-all)(-start)?\(", line)
        if match:
            arrays = re.findall(r"(\w+)\[([\d,]*)\]", match[1])
            size = sum(SIZE[kind] * int(np.prod([int(n) for n in dims.split(",") if n])) for kind, dims in arrays)
            found.append((match[2], size))
    return found
