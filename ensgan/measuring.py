"""What `ensgan select` and `ensgan evaluate` find of a run or of two folders of images, and how they print it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from ensgan import comparison, evaluation, features, records, runs, selection
from ensgan.features import identity, of_inception
from ensgan.reporting import (
    describe_classes,
    describe_distances,
    describe_floor,
    describe_mixtures,
    describe_modes,
    describe_players,
    describe_scores,
    format_measured,
)
from ensgan.types import InputError, unknown

FOLDER_FEATURES = ("identity", "classifier")


def select(run: Path, *, num: int | None = None, method: str | None = None) -> None:
    """Ranks both sides on the select split, fits mixtures, and stores the one that `sample --from mixture` takes.

    Args:
        run: the run's folder.
        num: largest number of held-out samples; the run's own if not given.
        method: the mixture to take; the one that is best on the select split if not given.

    Raises:
        InputError: an unknown method, or too few samples.
    """
    if method not in (None, *selection.MIXTURES):
        raise unknown("method", method, selection.MIXTURES)
    settings = runs.load_run(run)
    game, source, state = runs.restore(run, settings)
    num, step = _enough(num) or settings.held_out, int(state.step)
    scores = selection.select(game, state, source, num=num, fit=True)
    print(describe_scores(scores, "select"))
    assert scores.fitted is not None
    meta = selection.meta_game(game, state, scores.fool)
    taken = records.save_selection(run, scores, meta, step, method)
    print("\n" + describe_players(scores, meta))
    print("\n" + describe_mixtures(scores.fitted))
    print(f"\n`ensgan sample {run} --from mixture` now takes {taken}; all of this is in selection.json")


def evaluate(
    run: Path,
    *,
    num: int | None = None,
    classifier_steps: int = 1500,
    inception: str | None = None,
    repeats: int = 100,
    cache: str | None = None,
) -> None:
    """Measures the generators of a run on the report split: modes or classes, distances, scores.

    Distances are taken in the features that the run's configuration names, or in Inception's.

    Args:
        run: the run's folder.
        num: largest number of held-out samples, and of samples per generator; what each measure takes if not given.
        classifier_steps: updates of the classifier that counts classes; 0 does without, and without its features.
        inception: file of the weights of Inception-v3, by whose features images are then compared.
        repeats: halves that intervals are taken from; 0 does without.
        cache: a folder that keeps features.

    Raises:
        InputError: a number out of range, other weights, or samples that are no images.
    """
    if classifier_steps < 0:
        raise InputError(f"--classifier-steps is {classifier_steps}; give 0 or more")
    _check_repeats(repeats)
    of = None if inception is None else of_inception(inception)
    settings = runs.load_run(run)
    game, source, state = runs.restore(run, settings)
    if of is not None and not (len(source.shape) == 3 and source.shape[-1] in (1, 3)):
        raise InputError(
            f"--inception takes images [H, W, C] with 1 or 3 channels; samples of this run are {list(source.shape)}"
        )
    count = _enough(num) or settings.held_out
    scores = selection.select(game, state, source, num=count, split="report")
    if source.modes is not None:
        table = evaluation.evaluate_modes(game, state, source, num=num or 2500, seed=settings.seed)
        print(describe_modes(table) + "\n")
    elif features.classifiable(source) and classifier_steps:
        text = (
            f"training a classifier for {classifier_steps} steps, to count classes; --classifier-steps 0 does without"
        )
        print(text, file=sys.stderr, flush=True)
        single = source.single or source
        classifier = features.train_classifier(single, seed=settings.seed, steps=classifier_steps)
        classes = evaluation.evaluate_classes(game, state, source, classifier, num=num, seed=settings.seed)
        print(describe_classes(classes) + "\n")
        if of is None and settings.features == "classifier":
            of = features.of_classifier(classifier)
    best = selection.select(game, state, source, num=settings.held_out).best  # chosen on another split
    measured = partial(
        evaluation.evaluate_distances, game, state, source, features=of, num=count, seed=settings.seed, cache=cache
    )
    each = measured(names=settings.distances, repeats=0)  # as in the log
    print(describe_distances(measured(among=[best], repeats=repeats), each) + "\n")
    print(describe_scores(scores, "report"))


def _check_repeats(repeats: int) -> None:
    if repeats < 0 or repeats == 1:
        raise InputError(f"--repeats is {repeats}; give 2 or more, or 0 for no intervals")


def _enough(num: int | None) -> int | None:
    if num is not None and num < selection.LEAST:
        raise InputError(f"--num is {num}; scores need at least {selection.LEAST} samples")
    return num


def evaluate_folders(
    real: str | None,
    fake: str | None,
    *,
    features: str = "identity",
    inception: str | None = None,
    moments: bool = False,
    size: int | None = None,
    pixels: int = comparison.PIXELS,
    classifier_steps: int = 1500,
    num: int | None = None,
    seed: int = 0,
    repeats: int = 100,
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
        pixels: most pixels of a side for identity.
        classifier_steps: updates of the classifier.
        num: most images of each folder.
        seed: of what is drawn at random.
        repeats: halves that intervals are taken from; 0 does without.
        cache: a folder that keeps features, means and covariances.

    Raises:
        InputError: a folder is missing, a number is out of range, or options exclude each other.
    """
    for flag, folder in (("real", real), ("fake", fake)):
        if not folder:
            raise InputError(f"--{flag} is missing; give `ensgan evaluate --real DIR --fake DIR`")
    if features not in FOLDER_FEATURES:
        raise unknown("features", features, FOLDER_FEATURES)
    _check_repeats(repeats)
    if num is not None and num < 4:
        raise InputError(f"--num is {num}; give at least 4")
    if not 0 <= seed < 2**32:
        raise InputError(f"--seed is {seed}; it must be at least 0 and below 2³²")
    if features == "classifier" and classifier_steps < 1:
        raise InputError(f"--classifier-steps is {classifier_steps}; give 1 or more")
    steps = classifier_steps if features == "classifier" else 0
    if steps and (inception is not None or moments):
        raise InputError("--features classifier goes neither with --inception nor with --moments; give one of them")
    of = identity(pixels) if inception is None else of_inception(inception)
    if moments:
        distance, reals, fakes = comparison.frechet_of_folders(
            real or "", fake or "", features=of, size=size, num=num, seed=seed, cache=cache
        )
        print(f"{fakes} fakes against {reals} reals in the features: {of.name}\nFréchet distance {distance:.6g}")
        return
    found, judge = comparison.compare_folders(
        real or "",
        fake or "",
        features=of,
        size=size,
        num=num,
        seed=seed,
        repeats=repeats,
        cache=cache,
        classifier_steps=steps,
        strict=inception is None,  # most folders have fewer images than it has features, which others do not mind
    )
    print(f"{found.fakes} fakes against {found.reals} reals in the features: {found.features}")
    if judge is not None:
        print(
            "the classifier was trained on 40 % of the reals, which are not compared, and is right about "
            f"{judge.accuracy:.2%} of {judge.num} others"
        )
    print(format_measured({"value [95 % interval]" if repeats else "value": found.rows}))
    print(describe_floor(found))
