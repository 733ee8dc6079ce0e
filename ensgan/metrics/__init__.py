"""Distances and scores of samples, as pure functions of arrays."""

from ensgan.metrics.classes import ClassScores, class_floor, class_scores, inception_score
from ensgan.metrics.copying import Copying, copying
from ensgan.metrics.diversity import duplicate_radius, duplicates, support
from ensgan.metrics.gaussian import Moments, frechet_distance, moments, moments_of_parts
from ensgan.metrics.kernels import bandwidth, gaussian_kernel, kid, mmd, squared_distances
from ensgan.metrics.measurement import Estimate, Measured, half_intervals
from ensgan.metrics.modes import ModeScores, mode_scores
from ensgan.metrics.neighbours import Neighbours, coverage, neighbours
from ensgan.metrics.ranks import placements
from ensgan.metrics.transport import Sinkhorn, sinkhorn, sliced_wasserstein, wasserstein

__all__ = [
    "ClassScores",
    "Copying",
    "Estimate",
    "Measured",
    "ModeScores",
    "Moments",
    "Neighbours",
    "Sinkhorn",
    "bandwidth",
    "class_floor",
    "class_scores",
    "copying",
    "coverage",
    "duplicate_radius",
    "duplicates",
    "frechet_distance",
    "gaussian_kernel",
    "half_intervals",
    "inception_score",
    "kid",
    "mmd",
    "mode_scores",
    "moments",
    "moments_of_parts",
    "neighbours",
    "placements",
    "sinkhorn",
    "sliced_wasserstein",
    "squared_distances",
    "support",
    "wasserstein",
]
