"""Evaluation of generators: modes or classes where the truth is known, and distances to held-out reals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from ensgan import metrics
from ensgan.data import Source
from ensgan.data.law import training_law
from ensgan.evaluation import comparison
from ensgan.evaluation.classifier import Classifier, classifiable, classify
from ensgan.evaluation.comparison import Comparison, Measure
from ensgan.evaluation.families import SHORT
from ensgan.evaluation.features import extract, identity
from ensgan.game.game import Game
from ensgan.game.state import State
from ensgan.metrics import ClassScores, Estimate, ModeScores, class_floor, class_scores, mode_scores
from ensgan.sampling.draws import labels
from ensgan.sampling.inference import every_member
from ensgan.sampling.sampler import sample
from ensgan.types import Array, InputError, unknown

FEWEST = 8  # samples, below which nothing is said of refinement


class ModeTable(NamedTuple):
    """Scores of every generator, of their mixture, and of a perfect sampler with as many samples."""

    names: list[str]
    scores: list[ModeScores]
    total: int  # modes there are
    num: int  # samples each
    perfect_error: ModeScores  # standard deviation of the perfect sampler's scores over repetitions


class ClassTable(NamedTuple):
    """Scores of every generator, of their mixture, of held-out reals, and what perfect samples get."""

    names: list[str]
    scores: list[ClassScores]
    certainty: list[float]  # mean probability of the class found; NaN where no sample was classified
    total: int  # classes there are
    num: int  # samples each, but for held-out reals
    classifier: Classifier


def evaluate_classes(
    game: Game,
    state: State,
    source: Source,
    classifier: Classifier,
    *,
    num: int | None = None,
    seed: int = 0,
    weights: Any = None,
    classes: Any = None,
) -> ClassTable:
    """Classes drawn and their KL to uniform, after Metz et al. 2017 (arXiv 1611.02163), and distances to the data.

    Args:
        game: what was played.
        state: where it stands; averaged generators are used.
        source: labelled images in memory, which may be stacked.
        classifier: finds the classes of the source; for stacked images, those of `source.single`.
        num: samples of each generator and of the mixture; by default 2,500, and 25.6 for each class if that is more:
            25,600 for 1000 classes, as published.
        seed: the seed of the samples.
        weights: the weights of the mixture, as in `sample`; None for that of `Game.mixture`.
        classes: the law of the labels of conditional generators, `[K]`; None for that of the training data.

    Raises:
        InputError: the source has no labels or is streamed, or the classifier takes other images.
    """
    if not classifiable(source):
        raise InputError(f"classes are counted for labelled images in memory, and {source.name!r} has none")
    law = training_law(source)
    assert law is not None
    num = num or max(2500, 256 * len(law) // 10)
    key = jax.random.fold_in(jax.random.key(seed), 1)
    label = _labels(game, source, key, num, classes)
    names, scores, certainty = [f"generator {i}" for i in range(game.M)] + ["mixture"], [], []

    def add(x: np.ndarray) -> None:
        found, probability = classify(classifier, x)
        scores.append(class_scores(found, law))
        certainty.append(float(probability.mean()))

    for each in [*np.eye(game.M), weights]:
        add(np.asarray(sample(game, state, key, num, weights=each, label=label)))
    reals = source.held_out("report", num)["x"]
    add(reals)
    names += [f"{len(reals)} reals", "perfect sampler"]
    scores.append(class_floor(law, num))
    certainty.append(float("nan"))
    return ClassTable(names, scores, certainty, len(law), num, classifier)


class DistanceTable(NamedTuple):
    """Generators and their mixture against held-out reals, beside other reals."""

    generators: dict[int, Comparison]  # by number
    mixture: Comparison


def distances(names: Iterable[str]) -> list[str]:
    """The names of metrics in comparisons, from their short names in configurations.

    Raises:
        InputError: an unknown name.
    """
    for name in names:
        if name not in SHORT:
            raise unknown("distance", name, SHORT)
    return [SHORT[name] for name in names]


def evaluate_distances(
    game: Game,
    state: State,
    source: Source,
    *,
    among: Iterable[int] | None = None,
    names: Iterable[str] | None = None,
    num: int = 1000,
    weights: Any = None,
    classes: Any = None,
    **how: Any,
) -> DistanceTable:
    """Distances to the report split, by default in the samples themselves, images at most 8 pixels wide and high.

    The floors are those of training reals, where the source can give them again; with features that know classes, of
    the select and calibrate splits, since a classifier may have been trained on the training reals; where there are too
    few of these, of halves of the report split.
    What cannot be measured (fewer than 4 reals, samples that are not finite or all equal) is noted as refused. A value
    depends on none of `among`, `names` and `repeats`.

    Args:
        game: what was played.
        state: where it stands; averaged generators are used.
        source: the data it was trained on.
        among: numbers of the generators that are measured, beside the mixture; all if not given.
        names: short names of metrics, those of `comparison.SHORT`; if not given all, with those of classes where
            features have them.
        num: largest number of reals; as many samples are drawn of every generator and of the mixture.
        weights: the weights of the mixture, as in `sample`; None for that of `Game.mixture`.
        classes: as in `evaluate_classes`.
        how: `features`, `seed`, `repeats` and `cache`, as in `comparison.Measure`.

    Raises:
        InputError: an unknown metric.
    """
    by = Measure(**how, strict=False)
    wanted = None if names is None else distances(names)
    every = distances(SHORT) if wanted is None else wanted
    reals = source.held_out("report", num)
    x = reals["x"]
    more = _others(source, len(x), unseen=by.features is not None and by.features.classes > 0)
    key, features = jax.random.fold_in(jax.random.key(by.seed), 2), by.features or identity(comparison.PIXELS)
    label = _labels(game, source, key, len(x), classes)
    members = np.asarray(every_member(game, state, key, len(x), label))
    # Features are taken once of everything, and what follows is given those.
    cache = by.cache
    rows = lambda samples: extract(features, np.asarray(samples), cache=cache)
    by = by._replace(features=features._replace(of=lambda taken: taken), names=wanted, cache=None)
    there, others = rows(x), None if more is None else rows(more)
    floor: dict[str, float] = {}  # the same for all, and so measured once

    def against(fake: Any) -> Comparison:
        try:
            found = comparison.compare(there, rows(fake), more=others, floor=floor, **by._asdict())
        except InputError as error:
            return Comparison({}, dict.fromkeys(every, str(error)), features.name, len(x), len(fake), 0)
        floor.update({name: row.floor for name, row in found.rows.items()})
        return found

    mixture = against(sample(game, state, key, len(x), weights=weights, label=label))
    return DistanceTable({i: against(members[i]) for i in (range(game.M) if among is None else among)}, mixture)


def _others(source: Source, num: int, unseen: bool) -> np.ndarray | None:
    """`num` reals besides those of the report split, `unseen` by a classifier; None where there are fewer."""
    splits = ("select", "calibrate") if unseen else ("train",) if source.resumable else ()
    parts = [source.held_out(split, num)["x"] for split in splits]
    found = np.concatenate(parts)[:num] if parts else np.zeros(0)
    return found if len(found) == num else None


class RefinementTable(NamedTuple):
    """How near samples are to held-out reals before and after refinement."""

    num: int  # samples of each kind
    mmd: tuple[Estimate, Estimate]  # squared MMD
    precision: tuple[float, float]  # share of samples that lie among reals
    coverage: tuple[float, float]  # share of reals that have a sample near them
    modes: tuple[ModeScores, ModeScores] | None = None  # where they are known

    @property
    def worse(self) -> bool:
        """Whether the squared MMD grew by more than two standard errors of the difference."""
        before, after = self.mmd
        return bool(after.value - before.value > 2.0 * np.hypot(before.error, after.error))


def evaluate_refinement(
    source: Source, before: Array, after: Array, label: int | None = None, num: int = 1000
) -> RefinementTable | None:
    """Samples as they come, and refined, against reals of the report split; None where there are fewer than 8.

    The MMD sees shares of the modes and hardly what is finer than its kernel; precision sees that.

    Args:
        source: the data.
        before: `[n, ...]`, draws of the sampler that was refined.
        after: `[n, ...]`, refined ones.
        label: the class of all samples, where it is one.
        num: the most reals, and samples of each kind.

    Raises:
        InputError: samples that are not finite, or all equal.
    """
    reals = source.held_out("report", num if label is None else 10 * num)
    x = reals["x"] if label is None else reals["x"][np.asarray(reals["label"]) == label]
    n = min(len(x), len(before), len(after), num)
    if n < FEWEST:
        return None
    flat = lambda a: np.asarray(a, np.float32)[:n].reshape(n, -1)
    real, kinds = flat(x), [flat(before), flat(after)]
    scale = metrics.bandwidth(real)
    distances = [metrics.mmd(real, fake, scale) for fake in kinds]
    near = [metrics.neighbours(real, fake) for fake in kinds]
    pair, modes = lambda of, items: (of(items[0]), of(items[1])), source.modes
    return RefinementTable(
        num=n,
        mmd=pair(lambda d: Estimate(float(d.value), float(d.error)), distances),
        precision=pair(lambda found: found.precision, near),
        coverage=pair(lambda found: found.coverage, near),
        modes=None if modes is None else pair(lambda x: mode_scores(x, modes.centers, modes.std), kinds),
    )


def evaluate_modes(
    game: Game,
    state: State,
    source: Source,
    *,
    num: int = 2500,
    seed: int = 0,
    repeats: int = 20,
    weights: Any = None,
    classes: Any = None,
) -> ModeTable:
    """Modes covered, high-quality share, KL to uniform and spread within modes, after PacGAN (arXiv 1712.04086).

    Args:
        game: what was played.
        state: where it stands; averaged generators are used.
        source: a Gaussian mixture.
        num: samples of each generator and of the mixture; PacGAN takes 2,500.
        seed: the seed of the samples.
        repeats: how often the perfect sampler is drawn; its mean and standard deviation are given.
        weights: the weights of the mixture, as in `sample`; None for that of `Game.mixture`.
        classes: as in `evaluate_classes`.

    Raises:
        InputError: the source is no Gaussian mixture.
    """
    if source.modes is None:
        raise InputError(f"modes are known for ring and grid only, not for {source.name}; use `ensgan select`")
    centers, std = np.asarray(source.modes.centers), source.modes.std
    key = jax.random.fold_in(jax.random.key(seed), 1)
    label = _labels(game, source, key, num, classes)
    members = np.asarray(every_member(game, state, key, num, label))
    scores = [mode_scores(x, centers, std) for x in members]
    scores.append(mode_scores(np.asarray(sample(game, state, key, num, weights=weights, label=label)), centers, std))

    rng = np.random.default_rng(seed)
    draw = lambda: centers[rng.integers(len(centers), size=num)] + std * rng.standard_normal((num, centers.shape[1]))
    perfect = np.array([mode_scores(draw(), centers, std) for _ in range(repeats)])
    scores.append(ModeScores(*perfect.mean(0)))
    names = [f"generator {i}" for i in range(game.M)] + ["mixture", "perfect sampler"]
    with np.errstate(invalid="ignore"):  # a mode that a perfect sampler missed is infinitely far, without a deviation
        deviation = ModeScores(*perfect.std(0))
    return ModeTable(names, scores, len(centers), num, deviation)


def _labels(game: Game, source: Source, key: Array, num: int, classes: Any) -> np.ndarray | None:
    """The labels of samples: by the law `classes` `[K]`, or that of the training data."""
    if game.classes is None:
        return None
    return labels(game, key, num, law=training_law(source) if classes is None else classes)
