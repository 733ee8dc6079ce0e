"""`ensgan evaluate --real A --fake B`: two folders of images, or files of arrays, compared."""

from __future__ import annotations

from ensgan.cli.checks import CLASSIFIER_STEPS, counted, repeats_or_default, span_of
from ensgan.data.checks import check_seed
from ensgan.evaluation import comparison
from ensgan.evaluation.features import identity, of_inception
from ensgan.evaluation.folders import compare_folders, frechet_of_folders
from ensgan.evaluation.text import describe_floor, format_measured
from ensgan.metrics.checks import Undefined
from ensgan.types import InputError, unknown

FOLDER_FEATURES = ("identity", "classifier")


def folders(
    *,
    real: str | None = None,
    fake: str | None = None,
    features: str = "identity",
    inception: str | None = None,
    moments: bool = False,
    size: int | None = None,
    range_: str | None = None,
    pixels: int | None = None,
    classifier_steps: int | None = None,
    num: int | None = None,
    seed: int = 0,
    repeats: int | None = None,
    cache: str | None = None,
) -> None:
    """Compare two folders of images, or files of arrays: distances with intervals, and the value that reals get.

    Args:
        real: folder of real images, a .zip or .tar of one, or a .npz or .npy file of images or points.
        fake: folder or file to measure, such as `ensgan sample` writes.
        features: identity compares pixels; classifier trains one on the reals, whose subfolders or labels are the
            classes.
        inception: compare images by Inception-v3 with the weights in this file: FID, KID and more.
        moments: the Fréchet distance alone, without an interval, so that no features need be held in memory.
        size: crop and resize all images to so many pixels a side (default: all must have one size).
        range_: the values of black and white in files of float images, such as 0,1 (default: -1,1).
        pixels: largest side in pixels for identity; larger images are averaged (default 8).
        classifier_steps: updates of the classifier (default 1500).
        num: largest number of images of each folder (default: all).
        seed: seed of everything drawn at random.
        repeats: number of half-samples for the confidence intervals (default 100; 0 = no intervals).
        cache: a folder that keeps features, means and covariances for the next time.

    Raises:
        InputError: a folder is missing, a number is out of range, or options exclude each other or would do nothing.
    """
    trained, halves = features == "classifier", repeats_or_default(repeats)
    check_seed(seed, "--seed")
    span = span_of(range_)
    _check(real, fake, features, num)
    _check_idle(trained, inception is not None, moments, pixels, classifier_steps, repeats)
    steps = CLASSIFIER_STEPS if classifier_steps is None else classifier_steps
    if steps < 1:
        raise InputError(f"--classifier-steps is {steps}; give 1 or more")
    of = identity(comparison.PIXELS if pixels is None else pixels) if inception is None else of_inception(inception)
    if moments:
        try:
            distance, reals, fakes = frechet_of_folders(
                real or "", fake or "", features=of, size=size, span=span, num=num, seed=seed, cache=cache
            )
            sides = f"{counted(fakes, 'fake')} against {counted(reals, 'real')}"
            print(f"{sides} in the features: {of.name}\nFréchet distance {distance:.6g}")
        except Undefined as error:
            print(f"Fréchet distance  not defined, because {error}")
        return
    found, judge = compare_folders(
        real or "",
        fake or "",
        features=of,
        size=size,
        span=span,
        num=num,
        seed=seed,
        repeats=halves,
        cache=cache,
        classifier_steps=steps if trained else 0,
        strict=False,  # small folders lack some metrics, which others do not mind
    )
    sides = f"{counted(found.fakes, 'fake')} against {counted(found.reals, 'real')}"
    print(f"{sides} in the features: {found.features}")
    if judge is not None:
        print(
            "the classifier was trained on 40 % of the reals, which are not compared, and is right about "
            f"{judge.accuracy:.2%} of {judge.num} others"
        )
    print(format_measured({"value [95 % interval]" if halves else "value": found.rows}, found.refused))
    print(describe_floor(found))


def _check(real: str | None, fake: str | None, features: str, num: int | None) -> None:
    for flag, folder in (("real", real), ("fake", fake)):
        if not folder:
            raise InputError(
                f"--{flag} is missing; give `ensgan evaluate --real A --fake B`, folders of images, archives of them, "
                "or .npz files"
            )
    if features not in FOLDER_FEATURES:
        raise unknown("features", features, FOLDER_FEATURES)
    if num is not None and num < 4:
        raise InputError(f"--num is {num}; give at least 4")


def _check_idle(
    trained: bool, inception: bool, moments: bool, pixels: int | None, steps: int | None, repeats: int | None
) -> None:
    """Raises InputError for flags that exclude each other, or would do nothing."""
    if trained and (inception or moments):
        raise InputError("--features classifier goes neither with --inception nor with --moments; give one of them")
    for flag, given, idle, why in (
        ("pixels", pixels, trained or inception, "the features are no pixels"),
        ("classifier-steps", steps, not trained, "no classifier is trained without --features classifier"),
        ("repeats", repeats, moments, "--moments takes no interval"),
    ):
        if given is not None and idle:
            raise InputError(f"--{flag} is given, but {why}; leave it out")
