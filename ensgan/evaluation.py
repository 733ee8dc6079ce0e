"""Evaluation where the truth is known: modes, high-quality share, KL and spread beside a perfect sampler."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from ensgan.data import Source
from ensgan.game import Game, State
from ensgan.metrics import ModeScores, mode_scores
from ensgan.sampling import every_member, sample
from ensgan.types import InputError


class ModeTable(NamedTuple):
    """Scores of every generator, of their mixture, and of a perfect sampler with as many samples."""

    names: list[str]
    scores: list[ModeScores]
    total: int  # modes there are
    num: int  # samples each
    perfect_error: ModeScores  # standard deviation of the perfect sampler's scores over repetitions


def evaluate_modes(
    game: Game, state: State, source: Source, *, num: int = 2500, seed: int = 0, repeats: int = 20
) -> ModeTable:
    """Modes covered, high-quality share, KL to uniform and spread within modes, after PacGAN (arXiv 1712.04086).

    Args:
        game: what was played.
        state: where it stands; averaged generators are used.
        source: a Gaussian mixture.
        num: samples of each generator and of the mixture (that of `game.mixture`); PacGAN takes 2,500.
        seed: of the samples.
        repeats: how often the perfect sampler is drawn; its mean and standard deviation are given.

    Raises:
        InputError: the source is no Gaussian mixture.
    """
    if source.modes is None:
        raise InputError(f"modes are known for ring and grid only, not for {source.name}; use `ensgan select`")
    centers, std = np.asarray(source.modes.centers), source.modes.std
    key = jax.random.fold_in(jax.random.key(seed), 1)
    members = np.asarray(every_member(game, state, key, num))
    scores = [mode_scores(x, centers, std) for x in members]
    scores.append(mode_scores(np.asarray(sample(game, state, key, num)), centers, std))

    rng = np.random.default_rng(seed)
    draw = lambda: centers[rng.integers(len(centers), size=num)] + std * rng.standard_normal((num, centers.shape[1]))
    perfect = np.array([mode_scores(draw(), centers, std) for _ in range(repeats)])
    scores.append(ModeScores(*perfect.mean(0)))
    names = [f"generator {i}" for i in range(game.M)] + ["mixture", "perfect sampler"]
    return ModeTable(names, scores, len(centers), num, ModeScores(*perfect.std(0)))
