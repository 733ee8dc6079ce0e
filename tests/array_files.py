"""Small images and their labels, as arrays, as bytes of IDX files, and as records."""

import struct

import numpy as np


def idx_bytes(x, kind=8):
    x = np.asarray(x, np.uint8)
    return struct.pack(f">BBBB{x.ndim}I", 0, 0, kind, x.ndim, *x.shape) + x.tobytes()


IMAGES = (np.arange(20 * 4 * 3) % 256).astype(np.uint8).reshape(20, 4, 3)


LABELS = np.arange(20) % 10


GOOD = idx_bytes(IMAGES)


def records(num=20, **other):
    return [{"x": np.full((2, 2), i, np.uint8), "label": i % 2} | other for i in range(num)]
