"""Two folders of images compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ensgan.data import folder, read_images
from ensgan.data.source import dequantized
from ensgan.evaluation.classifier import Classifier, train_classifier
from ensgan.evaluation.comparison import PIXELS, Comparison, compare
from ensgan.evaluation.features import Features, identity, of_classifier, statistics
from ensgan.metrics import frechet_distance
from ensgan.types import InputError

TRAINING = (0.4, 0.1, 0.25, 0.25)  # of labelled reals: trains a classifier, judges it, and the rest is compared


def compare_folders(
    real: str | Path,
    fake: str | Path,
    *,
    size: int | None = None,
    num: int | None = None,
    classifier_steps: int = 0,
    **how: Any,
) -> tuple[Comparison, Classifier | None]:
    """Compares images in two folders, made by anything.

    Args:
        real: the folder of reals. With a classifier, its subfolders are the classes.
        fake: the folder of fakes.
        size: images are cropped and resized to `size` × `size` pixels as they are read; else they have one size.
        num: the most images of each folder, drawn by `seed`; all if not given.
        classifier_steps: above 0, features are those of a classifier trained on 40 % of the reals for so many steps,
            and half of the reals, which it has not seen, are compared.
        how: the fields of `Measure`.

    Returns:
        The comparison, and the classifier if there is one.

    Raises:
        InputError: an empty folder, images of other sizes, too few of them, or no classes where a classifier is asked.
    """
    drawn, classifier = read_images(fake, size=size), None
    seed = how.get("seed", 0)
    if classifier_steps > 0:
        source = folder(real, size=size, seed=seed, resident=True, fractions=TRAINING)
        if source.classes is None or source.classes < 2:
            raise InputError(f"{real} has no classes; a classifier needs two or more, each a subfolder of images")
        there = np.concatenate([source.arrays[split]["x"] for split in ("calibrate", "report")])
        _check_shapes(there, drawn)
        classifier = train_classifier(source, seed=seed, steps=classifier_steps)
        how["features"] = of_classifier(classifier)
    else:
        there = read_images(real, size=size)
    return compare(*_chosen(there, drawn, num, seed), **how), classifier


def frechet_of_folders(
    real: str | Path,
    fake: str | Path,
    *,
    features: Features | None = None,
    size: int | None = None,
    num: int | None = None,
    seed: int = 0,
    cache: str | Path | None = None,
) -> tuple[float, int, int]:
    """The Fréchet distance alone, from means and covariances: no features are held, however many images there are.

    Args:
        real: the folder of reals.
        fake: the folder of fakes.
        features: as in `compare`.
        size: as in `compare_folders`.
        num: as in `compare_folders`.
        seed: the seed of what is drawn.
        cache: a folder that keeps means and covariances; features of images that it knows are not taken again.

    Returns:
        The distance, and how many reals and fakes there were.

    Raises:
        InputError: as in `compare_folders` and `metrics.moments`.
    """
    features = features or identity(PIXELS)
    images = _chosen(read_images(real, size=size), read_images(fake, size=size), num, seed)
    named = zip(("reals", "fakes"), images, strict=True)
    of_reals, of_fakes = (statistics(features, x, cache=cache, what=what) for what, x in named)
    return frechet_distance(of_reals, of_fakes), of_reals.n, of_fakes.n


def _chosen(real: np.ndarray, fake: np.ndarray, num: int | None, seed: int) -> list[np.ndarray]:
    """At most `num` of each, in random order, as networks see them."""
    _check_shapes(real, fake)
    rng = np.random.default_rng(seed)
    return [dequantized(part[rng.permutation(len(part))[:num]], rng, 256, False) for part in (real, fake)]


def _check_shapes(real: np.ndarray, fake: np.ndarray) -> None:
    if real.shape[1:] != fake.shape[1:]:
        shape = lambda x: "×".join(map(str, x.shape[1:]))
        fix = "give a size, to which all are cropped and resized"
        if real.shape[1:3] == fake.shape[1:3]:
            fix = "save both as grey or both as RGB images"
        raise InputError(f"real images are {shape(real)}, fake ones {shape(fake)} (height×width×channels): {fix}")
