"""`ensgan evaluate --real DIR --fake DIR`: two folders of images compared."""

from __future__ import annotations

from ensgan.cli.arguments import CLASSIFIER_STEPS, repeats_or_default
from ensgan.evaluation import comparison
from ensgan.evaluation.features import identity, of_inception
from ensgan.evaluation.folders import compare_folders, frechet_of_folders
from ensgan.evaluation.text import describe_floor, format_measured
from ensgan.types import InputError, unknown

FOLDER_FEATURES = ("identity", "classifier")


def evaluate_folders(
    real: str | None,
    fake: str | None,
    *,
    features: str = "identity",
    inception: str | None = None,
    moments: bool = False,
    size: int | None = None,
    pixels: int | None = None,
    classifier_steps: int | None = None,
    num: int | None = None,
    seed: int = 0,
    repeats: int | None = None,
    cache: str | None = None,
) -> None:
    """Compares two folders of images: distances with intervals, and the floor that reals get against reals.

    Args:
        real: folder of real images.
        fake: folder of images to measure.
        features: `identity` or `classifier`.
        inception: file of the weights of Inception-v3, whose features are then taken.
        moments: the Fréchet distance alone, without an interval: no features need be held.
        size: pixels of a side that images are cropped and resized to.
        pixels: most pixels of a side for identity; 8 if not given.
        classifier_steps: updates of the classifier; 1,500 if not given.
        num: most images of each folder.
        seed: of what is drawn at random.
        repeats: halves that intervals are taken from, 100 if not given; 0 does without.
        cache: a folder that keeps features, means and covariances.

    Raises:
        InputError: a folder is missing, a number is out of range, or options exclude each other or would do nothing.
    """
    for flag, folder in (("real", real), ("fake", fake)):
        if not folder:
            raise InputError(f"--{flag} is missing; give `ensgan evaluate --real DIR --fake DIR`")
    if features not in FOLDER_FEATURES:
        raise unknown("features", features, FOLDER_FEATURES)
    halves = repeats_or_default(repeats)
    if num is not None and num < 4:
        raise InputError(f"--num is {num}; give at least 4")
    if not 0 <= seed < 2**32:
        raise InputError(f"--seed is {seed}; it must be at least 0 and below 2³²")
    trained = features == "classifier"
    if trained and (inception is not None or moments):
        raise InputError("--features classifier goes neither with --inception nor with --moments; give one of them")
    for flag, given, idle, why in (
        ("pixels", pixels, trained or inception is not None, "the features are no pixels"),
        ("classifier-steps", classifier_steps, not trained, "no classifier is trained without --features classifier"),
        ("repeats", repeats, moments, "--moments takes no interval"),
    ):
        if given is not None and idle:
            raise InputError(f"--{flag} is given, but {why}; leave it out")
    steps = CLASSIFIER_STEPS if classifier_steps is None else classifier_steps
    if steps < 1:
        raise InputError(f"--classifier-steps is {steps}; give 1 or more")
    of = identity(comparison.PIXELS if pixels is None else pixels) if inception is None else of_inception(inception)
    if moments:
        distance, reals, fakes = frechet_of_folders(
            real or "", fake or "", features=of, size=size, num=num, seed=seed, cache=cache
        )
        print(f"{fakes} fakes against {reals} reals in the features: {of.name}\nFréchet distance {distance:.6g}")
        return
    found, judge = compare_folders(
        real or "",
        fake or "",
        features=of,
        size=size,
        num=num,
        seed=seed,
        repeats=halves,
        cache=cache,
        classifier_steps=steps if trained else 0,
        strict=False,  # small folders lack some metrics, which others do not mind
    )
    print(f"{found.fakes} fakes against {found.reals} reals in the features: {found.features}")
    if judge is not None:
        print(
            "the classifier was trained on 40 % of the reals, which are not compared, and is right about "
            f"{judge.accuracy:.2%} of {judge.num} others"
        )
    print(format_measured({"value [95 % interval]" if halves else "value": found.rows}))
    print(describe_floor(found))
