"""Gaussian mixtures in the plane, with known modes and an unlimited number of samples."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from ensgan.data.checks import check_seed
from ensgan.data.source import SPLITS, Modes, Source, check_held_out, from_arrays, sample_keys
from ensgan.types import Array, InputError, Tree


def gaussian_ring(*, modes: int = 8, radius: float = 1.0, std: float = 0.01, points: int = 0, seed: int = 0) -> Source:
    """Equal Gaussians on a circle, the 2D-ring of PacGAN (Lin et al. 2018, arXiv 1712.04086).

    Args:
        modes: number of Gaussians; the centre of Gaussian k is at angle 2πk/modes.
        radius: radius of the circle.
        std: standard deviation of a Gaussian along each axis.
        points: number of points in all four splits together; 0 draws new ones without end.
        seed: seed of the held-out samples, and of all points if their number is limited.

    Returns:
        A source of points `(2,)`, in memory; `label` is the Gaussian that a point was drawn from.

    Raises:
        InputError: fewer than one mode, or a radius or std that is not positive.
    """
    _check_count("modes", modes)
    _check_positive("radius", radius)
    angle = 2 * np.pi * np.arange(modes) / modes
    return _mixture("ring", radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), std, points, seed)


def gaussian_grid(*, side: int = 5, spacing: float = 2.0, std: float = 0.05, points: int = 0, seed: int = 0) -> Source:
    """Equal Gaussians on a square grid, the 2D-grid of PacGAN (Lin et al. 2018, arXiv 1712.04086).

    Args:
        side: number of Gaussians along each axis; with side 5 and spacing 2 the centres are {-4, -2, 0, 2, 4}².
        spacing: distance between neighbouring centres.
        std: standard deviation of a Gaussian along each axis.
        points: number of points in all four splits together; 0 draws new ones without end.
        seed: seed of the held-out samples, and of all points if their number is limited.

    Returns:
        A source of points `(2,)`, in memory; `label` is the Gaussian that a point was drawn from.

    Raises:
        InputError: a side below one, or a spacing or std that is not positive.
    """
    _check_count("side", side)
    _check_positive("spacing", spacing)
    axis = spacing * (np.arange(side) - (side - 1) / 2)
    return _mixture("grid", np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2), std, points, seed)


def _mixture(name: str, centers: np.ndarray, std: float, points: int, seed: int) -> Source:
    _check_positive("std", std)
    check_seed(seed)
    centers = centers.astype(np.float32)
    if points:
        rng = np.random.default_rng([seed, 1])
        label = rng.integers(len(centers), size=max(points, 0))
        x = centers[label] + std * rng.standard_normal((len(label), centers.shape[1]), np.float32)
        table = from_arrays(name, x.astype(np.float32), label.astype(np.int32), classes=len(centers), seed=seed)
        return dataclasses.replace(table, modes=Modes(centers, std))
    # `stream` separates the splits: one key gives four different batches.
    arrays = {split: {"centers": centers, "stream": np.uint32(i)} for i, split in enumerate(SPLITS)}

    draw, pick = _drawing(std)

    def held_out(split: str, num: int) -> dict[str, np.ndarray]:
        check_held_out(split, num)
        keys = sample_keys(jax.random.key(seed, impl="threefry2x32"), num)
        batch = jax.jit(draw)(arrays[split], keys)
        return {name: np.asarray(value) for name, value in batch.items()}

    return Source(
        name=name,
        shape=(2,),
        arrays=arrays,
        draw=draw,
        read=None,
        held_out=held_out,
        num=dict.fromkeys(SPLITS),
        classes=len(centers),
        modes=Modes(centers, std),
        pick=pick,
    )


@cache  # the same functions for every seed, so that programs are compiled once
def _drawing(std: float) -> tuple[Callable[[Tree, Array], dict[str, Array]], Callable[..., dict[str, Array]]]:
    """`draw` and `pick` of new points around the centres of a table."""

    def pick(table: Tree, i: Array, noise: Array) -> dict[str, Array]:
        centers = jnp.asarray(table["centers"])
        return {"x": centers[i] + std * jax.random.normal(noise, centers.shape[1:], np.float32), "label": i}

    def one(table: Tree, key: Array) -> dict[str, Array]:
        which, noise = jax.random.split(key)
        return pick(table, jax.random.randint(which, (), 0, len(table["centers"]), dtype=np.int32), noise)

    def draw(table: Tree, keys: Array) -> dict[str, Array]:
        def sample(key: Array) -> dict[str, Array]:
            return one(table, jax.random.fold_in(key, table["stream"]))

        return jax.vmap(sample)(keys)

    return draw, pick


def _check_count(name: str, value: int) -> None:
    if value < 1:
        raise InputError(f"{name} is {value}; expected at least 1")


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise InputError(f"{name} is {value}; expected a positive number")
