"""Which members a file of a run speaks of: their checksum tells states of one step apart."""

from __future__ import annotations

from zlib import crc32

import jax
import numpy as np

from ensgan.game.state import State


def checksum(state: State) -> int:
    """The CRC-32 of all arrays of both sides; the same after a checkpoint is written and read."""
    value = 0
    for leaf in jax.tree.leaves((state.generators, state.discriminators)):
        value = crc32(np.asarray(leaf).tobytes(), value)
    return value
