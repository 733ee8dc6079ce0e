"""`ensgan evaluate`: the generators of a run measured on held-out data."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

import jax
import numpy as np

from ensgan.cli import choices
from ensgan.cli.checks import CLASSIFIER_STEPS, enough, repeats_or_default
from ensgan.data import Source
from ensgan.data.law import training_law
from ensgan.evaluation import features, selection
from ensgan.evaluation.classifier import classifiable, train_classifier
from ensgan.evaluation.copying import TRAIN, describe_copying, evaluate_copying
from ensgan.evaluation.features import of_inception
from ensgan.evaluation.tables import evaluate_classes, evaluate_distances, evaluate_modes
from ensgan.evaluation.text import describe_classes, describe_distances, describe_modes, describe_scores
from ensgan.runs.restore import Opened, opened
from ensgan.sampling import draws
from ensgan.sampling.inference import every_member
from ensgan.sampling.sampler import sample
from ensgan.types import InputError


def evaluate(
    run: Path,
    *,
    num: int | None = None,
    classifier_steps: int = CLASSIFIER_STEPS,
    inception: str | None = None,
    repeats: int | None = None,
    cache: str | None = None,
    classes: str | None = None,
    data_dir: str | None = None,
    from_step: str | None = None,
) -> None:
    """Measure the generators of a run on held-out data (report split): modes or classes, distances, copies, scores.

    `ensgan evaluate --real A --fake B` compares two folders of images or .npz files instead; it has its own --help.

    Distances are taken in the features that the run's configuration names, or in Inception's. The mixture is the one
    that `sample --from mixture` draws from. Rankings, and who is best, are those of the select split.

    Args:
        run: the run's folder.
        num: largest number of held-out samples for distances, and of samples per generator for modes and classes
            (default: as each measure takes). Scores take as many as while training.
        classifier_steps: updates of the classifier that counts classes; 0 = no classes, and no features of it.
        inception: compare images by Inception-v3 with the weights in this file: FID, KID and more.
        repeats: number of half-samples for the confidence intervals (default 100; 0 = no intervals).
        cache: a folder that keeps features, means and covariances for the next time.
        classes: law of the labels: training (the frequencies of the data), uniform, or one weight per class, such as
            0.2,0.8 (default: the run's own).
        data_dir: where the data are now (default: where they were).
        from_step: the step of the checkpoint to take, or best (default: the newest).

    Raises:
        InputError: a number out of range, other weights, or samples that are not images.
    """
    if classifier_steps < 0:
        raise InputError(f"--classifier-steps is {classifier_steps}; give 0 or more")
    repeats = repeats_or_default(repeats)
    of = None if inception is None else of_inception(inception)
    found = opened(run, data_dir, from_step)
    game, source, state, settings = found.game, found.data(), found.state, found.config
    if of is not None and not (len(source.shape) == 3 and source.shape[-1] in (1, 3)):
        raise InputError(
            f"--inception takes images [H, W, C] with 1 or 3 channels; samples of this run are {list(source.shape)}"
        )
    count = enough(num) or settings.held_out
    shares = choices.law(classes, found)
    _tell_law(classes, shares, source)
    weights, text = choices.weights("mixture", found, classes=shares)
    chosen = selection.select(
        game, state, source, num=settings.held_out, classes=shares
    )  # nothing is chosen on the report split
    scores = selection.select(
        game, state, source, num=settings.held_out, split="report", weights=weights, classes=shares
    )
    scores = scores._replace(rank_g=chosen.rank_g, rank_d=chosen.rank_d)
    print(f"the mixture is what `ensgan sample {quote(str(run))} --from mixture` draws from: {text}\n")
    law: dict[str, Any] = {"seed": settings.seed, "weights": weights, "classes": shares}
    if source.modes is not None:
        table = evaluate_modes(game, state, source, num=num or 2500, **law)
        print(describe_modes(table) + "\n")
    elif classifier_steps and source.classes is not None and len(source.shape) == 3 and not classifiable(source):
        print("classes are not counted, because a classifier needs two or more in memory to train with\n")
    elif classifiable(source) and classifier_steps:
        text = f"training a classifier for {classifier_steps} steps, to count classes; --classifier-steps 0 skips it"
        print(text, file=sys.stderr, flush=True)
        single = source.single or source
        classifier = train_classifier(single, seed=settings.seed, steps=classifier_steps)
        counts = evaluate_classes(game, state, source, classifier, num=num, **law)
        print(describe_classes(counts) + "\n")
        if of is None and settings.features == "classifier":
            of = features.of_classifier(classifier)
    measured = partial(evaluate_distances, game, state, source, features=of, num=count, cache=cache, **law)
    each = measured(names=settings.distances, repeats=0)  # as in the log
    print(describe_distances(measured(among=[chosen.best], repeats=repeats), each) + "\n")
    samples = _samples(found, min(count, source.num["report"] or count), weights, shares)
    most = TRAIN if inception is None else count  # Inception takes a second for a few images
    by = {"features": of, "num": count, "train": most, "seed": settings.seed, "cache": cache}
    print(describe_copying(evaluate_copying(source, samples, **by), str(run)) + "\n")
    print(describe_scores(scores, "report"))


def _tell_law(choice: str | None, shares: np.ndarray | None, source: Source) -> None:
    """Says that reals do not follow the law of labels that `--classes` gives."""
    usual = training_law(source)
    if choice is not None and shares is not None and usual is not None and not np.allclose(shares, usual, atol=1e-6):
        print("held-out reals keep their own class shares, so distances are between two laws of labels")


def _samples(found: Opened, num: int, weights: Any, shares: Any) -> dict[str, Any]:
    """Samples of every generator and of the mixture."""
    game, state = found.game, found.state
    key = jax.random.fold_in(jax.random.key(found.config.seed), 3)
    label = None if game.classes is None else draws.labels(game, key, num, law=shares)
    members = every_member(game, state, key, num, label)
    mixture = sample(game, state, key, num, weights=weights, label=label)
    return {**{f"generator {i}": x for i, x in enumerate(members)}, "mixture": mixture}
