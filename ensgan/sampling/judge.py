"""The judge: all discriminators as one density ratio."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jax.tree_util import Partial

from ensgan.sampling.calibration import Quality
from ensgan.types import InputError


class Parts(NamedTuple):
    """What was fitted for a judge: arrays, without the discriminators, whose logits they take."""

    who: Any  # numbers of the N discriminators that judge, [N]
    scale: Any  # of their logits, [N]
    shift: Any  # likewise
    real_Nn: Any  # logits of reals, scaled and shifted
    label: Any  # their labels [n], or None
    head: tuple[Any, ...]  # the first arguments of the rule
    calibrator: tuple[Any, ...]  # those of the calibrator


class Judge(NamedTuple):
    """Discriminators as one: a score for each sample, what it means, and how far it can be trusted."""

    score: Partial  # of samples [n, ...], or of a pair (samples, labels) in a conditional game, [n]; high is real
    meaning: str  # `log_ratio`, `log_ratio_plus_constant` or `uncalibrated`, as in `types.Loss`
    rule: str  # how discriminators were combined
    smooth: bool  # whether its gradient says where more real samples lie
    law: np.ndarray | None = None  # [M] weights of the generators of the sampler it was calibrated against
    average: bool = True  # whether that sampler took averaged generators
    scales: np.ndarray | None = None  # [M] of the latents of that sampler's generators
    classes: np.ndarray | None = None  # [K] the law of its labels, in a conditional game
    shape: Partial | None = None  # of refined samples: their own log ratio, as `collaborative` takes it
    before: Quality | None = None  # of σ(score) without calibration, on samples that nothing was fitted on
    after: Quality | None = None  # of σ(score), on the same samples
    calibrate: str | None = None  # how it was calibrated
    parts: Parts | None = None  # what was fitted

    @property
    def calibrated(self) -> bool:
        """Whether it was calibrated against a sampler."""
        return self.law is not None

    @property
    def log_ratio(self) -> Partial:
        """The score as an estimate of log p_data/p_sampler.

        Raises:
            InputError: it is not one.
        """
        if self.meaning != "log_ratio":
            raise InputError(
                f"a logit of this loss is {self.meaning}, so the score is no density ratio; calibrate it with "
                f"ensgan.combine.fit(game, state, source, {self.rule!r})"
            )
        return self.score
