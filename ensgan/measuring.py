"""What `ensgan select` and `ensgan evaluate` find of a run or of two folders of images, and how they print it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from ensgan import choices, records, runs
from ensgan.data.source import LEAST
from ensgan.evaluation import comparison, features, selection
from ensgan.evaluation.classifier import classifiable, train_classifier
from ensgan.evaluation.features import identity, of_inception
from ensgan.evaluation.folders import compare_folders, frechet_of_folders
from ensgan.evaluation.tables import evaluate_classes, evaluate_distances, evaluate_modes
from ensgan.evaluation.text import (
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
CLASSIFIER_STEPS, REPEATS = 1500, 100  # if not given


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
    classifier_steps: int = CLASSIFIER_STEPS,
    inception: str | None = None,
    repeats: int | None = None,
    cache: str | None = None,
) -> None:
    """Measures the generators of a run on the report split: modes or classes, distances, scores.

    Distances are taken in the features that the run's configuration names, or in Inception's. The mixture is the one
    that `sample --from mixture` draws from. Rankings, and who is best, are those of the select split.

    Args:
        run: the run's folder.
        num: largest number of held-out samples that distances are taken to, and of samples per generator; what each
            measure takes if not given. Scores take as many as while training.
        classifier_steps: updates of the classifier that counts classes; 0 does without, and without its features.
        inception: file of the weights of Inception-v3, by whose features images are then compared.
        repeats: halves that intervals are taken from, 100 if not given; 0 does without.
        cache: a folder that keeps features.

    Raises:
        InputError: a number out of range, other weights, or samples that are no images.
    """
    if classifier_steps < 0:
        raise InputError(f"--classifier-steps is {classifier_steps}; give 0 or more")
    repeats = _repeats(repeats)
    of = None if inception is None else of_inception(inception)
    settings = runs.load_run(run)
    game, source, state = runs.restore(run, settings)
    if of is not None and not (len(source.shape) == 3 and source.shape[-1] in (1, 3)):
        raise InputError(
            f"--inception takes images [H, W, C] with 1 or 3 channels; samples of this run are {list(source.shape)}"
        )
    count = _enough(num) or settings.held_out
    weights, text = choices.weights("mixture", game, state, source, settings, run)
    chosen = selection.select(game, state, source, num=settings.held_out)  # nothing is chosen on the report split
    scores = selection.select(game, state, source, num=settings.held_out, split="report", weights=weights)
    scores = scores._replace(rank_g=chosen.rank_g, rank_d=chosen.rank_d)
    print(f"the mixture is what `ensgan sample {run} --from mixture` draws from: {text}\n")
    law: dict[str, Any] = {"seed": settings.seed, "weights": weights}
    if source.modes is not None:
        table = evaluate_modes(game, state, source, num=num or 2500, **law)
        print(describe_modes(table) + "\n")
    elif classifiable(source) and classifier_steps:
        text = (
            f"training a classifier for {classifier_steps} steps, to count classes; --classifier-steps 0 does without"
        )
        print(text, file=sys.stderr, flush=True)
        single = source.single or source
        classifier = train_classifier(single, seed=settings.seed, steps=classifier_steps)
        classes = evaluate_classes(game, state, source, classifier, num=num, **law)
        print(describe_classes(classes) + "\n")
        if of is None and settings.features == "classifier":
            of = features.of_classifier(classifier)
    measured = partial(evaluate_distances, game, state, source, features=of, num=count, cache=cache, **law)
    each = measured(names=settings.distances, repeats=0)  # as in the log
    print(describe_distances(measured(among=[chosen.best], repeats=repeats), each) + "\n")
    print(describe_scores(scores, "report"))


def _repeats(repeats: int | None) -> int:
    if repeats is not None and (repeats < 0 or repeats == 1):
        raise InputError(f"--repeats is {repeats}; give 2 or more, or 0 for no intervals")
    return REPEATS if repeats is None else repeats


def _enough(num: int | None) -> int | None:
    if num is not None and num < LEAST:
        raise InputError(f"--num is {num}; scores need at least {LEAST} samples")
    return num


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
    halves = _repeats(repeats)
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
