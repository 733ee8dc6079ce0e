"""Two samples of normal laws, and how far numbers are apart."""

import numpy as np


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


REAL, FAKE = normal(60, 4), 1.3 * normal(60, 4, seed=1) + 0.4


def relative(x, y):
    return abs(x - y) / abs(y)
