"""Sides of a comparison, of few numbers."""

import numpy as np

from ensgan.evaluation.contest import Contender, Curve

TITLES = {"frechet": "Fréchet distance", "recall": "recall", "spread": "spread"}


def curve(end, frechet, recall=None, flops=2.0):
    steps = np.array([10.0, 20.0, float(end)])
    values = {"frechet": np.array([9.0, 5.0, frechet])}
    if recall is not None:
        values["recall"] = np.array([0.1, 0.2, recall])
    return Curve({"steps": steps, "seconds": steps / 5, **({"flops": steps * flops} if flops else {})}, values)


def side(name, values, **options):
    runs = {seed: curve(30, value, value / 10, **options) for seed, value in enumerate(values)}
    return Contender(name, runs, {seed: {"the data": f"digits ({seed})"} for seed in runs})
