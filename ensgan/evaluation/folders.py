"""Two sets of samples compared, from folders of images or from files of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ensgan.data import Source, folder, from_arrays
from ensgan.data.archives import is_archive
from ensgan.data.facts import facts_of, notes
from ensgan.data.source import dequantized
from ensgan.evaluation.classifier import Classifier, classifiable, train_classifier
from ensgan.evaluation.comparison import PIXELS, Comparison, compare
from ensgan.evaluation.features import Features, identity, of_classifier, statistics
from ensgan.evaluation.files import read_samples
from ensgan.metrics import frechet_distance
from ensgan.types import InputError

TRAINING = (0.4, 0.1, 0.25, 0.25)  # of labelled reals: trains a classifier, judges it, and the rest is compared


def compare_folders(
    real: str | Path,
    fake: str | Path,
    *,
    size: int | None = None,
    span: tuple[float, float] | None = None,
    num: int | None = None,
    classifier_steps: int = 0,
    **how: Any,
) -> tuple[Comparison, Classifier | None]:
    """Compares samples in two folders of images or files of arrays, made by anything.

    Args:
        real: the reals. With a classifier, its subfolders are the classes, or the labels in a file.
        fake: the fakes.
        size: images are cropped and resized to `size` × `size` pixels as they are read; else they have one size.
        span: as in `files.read_samples`.
        num: the most images of each, drawn by `seed`; all if not given.
        classifier_steps: above 0, features are those of a classifier trained on 40 % of the reals for so many steps,
            and half of the reals, which it has not seen, are compared.
        how: the fields of `Measure`.

    Returns:
        The comparison, and the classifier if there is one.

    Raises:
        InputError: an empty folder or file, images of other sizes, or no classes where a classifier is asked.
    """
    (drawn, _), classifier = read_samples(fake, size=size, span=span), None
    seed = how.get("seed", 0)
    if classifier_steps > 0:
        source = _labelled(real, size, span, seed)
        there = np.concatenate([source.arrays[split]["x"] for split in ("calibrate", "report")])
        _check_shapes(there, drawn)
        classifier = train_classifier(source, seed=seed, steps=classifier_steps)
        how["features"] = of_classifier(classifier)
    else:
        there, _ = read_samples(real, size=size, span=span)
    found = compare(*_seen(_drawn(there, drawn, num, seed), seed), **how)
    return found._replace(notes=(*found.notes, *_odd("reals", there), *_odd("fakes", drawn))), classifier


def _odd(name: str, x: np.ndarray) -> list[str]:
    """What may be a mistake in images, as before training."""
    return [f"{name}: {text}" for text in notes(facts_of(x))] if x.dtype == np.uint8 else []


def _labelled(real: str | Path, size: int | None, span: tuple[float, float] | None, seed: int) -> Source:
    """Reals with classes, to train a classifier with."""
    if Path(real).is_dir() or is_archive(Path(real)):
        source = folder(real, size=size, seed=seed, resident=True, fractions=TRAINING)
    else:
        x, label = read_samples(real, size=size, span=span)
        source = from_arrays(Path(real).name, x, label, seed=seed, fractions=TRAINING)
    if not classifiable(source):
        few = "has no classes" if (source.classes or 0) < 2 else "has too few images of its second class"
        raise InputError(
            f"{real} {few}; a classifier needs images of two or more, each in a subfolder, or labels in a file"
        )
    return source


def frechet_of_folders(
    real: str | Path,
    fake: str | Path,
    *,
    features: Features | None = None,
    size: int | None = None,
    span: tuple[float, float] | None = None,
    num: int | None = None,
    seed: int = 0,
    cache: str | Path | None = None,
) -> tuple[float, int, int]:
    """The Fréchet distance alone, from means and covariances: no features are held, however many images there are.

    Args:
        real: the reals.
        fake: the fakes.
        features: as in `compare`.
        size: as in `compare_folders`.
        span: as in `compare_folders`.
        num: as in `compare_folders`.
        seed: the seed of what is drawn.
        cache: a folder that keeps means and covariances; features of images that it knows are not taken again.

    Returns:
        The distance, and how many reals and fakes there were.

    Raises:
        InputError: as in `compare_folders` and `metrics.moments`.
    """
    features = features or identity(PIXELS)
    there, drawn = (read_samples(path, size=size, span=span)[0] for path in (real, fake))
    images = _seen(_drawn(there, drawn, num, seed), seed)
    named = zip(("reals", "fakes"), images, strict=True)
    of_reals, of_fakes = (statistics(features, x, cache=cache, what=what) for what, x in named)
    return frechet_distance(of_reals, of_fakes), of_reals.n, of_fakes.n


def _drawn(real: np.ndarray, fake: np.ndarray, num: int | None, seed: int) -> list[np.ndarray]:
    """At most `num` of each, in random order."""
    _check_shapes(real, fake)
    rng = np.random.default_rng(seed)
    return [part[rng.permutation(len(part))[:num]] for part in (real, fake)]


def _seen(samples: list[np.ndarray], seed: int) -> list[np.ndarray]:
    """Samples as networks see them, pixels without noise."""
    return [dequantized(part, np.random.default_rng(seed), 256, False) for part in samples]


def _check_shapes(real: np.ndarray, fake: np.ndarray) -> None:
    if real.shape[1:] != fake.shape[1:]:
        shape = lambda x: "×".join(map(str, x.shape[1:]))
        if 2 in (real.ndim, fake.ndim):
            kind = lambda x: f"points of {shape(x)} numbers" if x.ndim == 2 else f"images of {shape(x)}"
            raise InputError(f"reals are {kind(real)} and fakes {kind(fake)}; give samples of one shape")
        least = min(*real.shape[1:3], *fake.shape[1:3])
        fix = f"give a size to which all are cropped and resized, such as --size {least}"
        if real.shape[1:3] == fake.shape[1:3]:
            fix = "save both as grey or both as RGB images"
        raise InputError(f"real images are {shape(real)}, fake ones {shape(fake)} (height×width×channels): {fix}")
