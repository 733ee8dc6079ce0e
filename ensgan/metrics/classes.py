"""How samples spread over classes, from their labels or from the probabilities of a classifier."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import rel_entr

from ensgan.metrics.checks import as_numbers
from ensgan.metrics.measurement import Estimate
from ensgan.types import InputError


class ClassScores(NamedTuple):
    """How samples spread over K classes."""

    modes: float  # classes with at least one sample
    kl: float  # KL of the samples' shares to uniform, nats
    kl_law: float  # KL of the samples' shares to the law of the data, nats; infinite on a class without data
    tv: float  # total variation from the law of the data, in [0, 1]


def class_scores(label: np.ndarray, law: np.ndarray) -> ClassScores:
    """Modes counted and KL to uniform of Metz et al. 2017 (arXiv 1611.02163), and distances to the true law.

    None of them vanishes for a perfect sampler; `class_floor` is what that one gets.

    Args:
        label: the class of each sample, integers `[n]` in 0..K-1, as a classifier finds them.
        law: shares of the classes in the data, `[K]`, with sum 1.

    Raises:
        InputError: labels that are no such integers, or none.
    """
    law, _ = as_numbers(law, "law"), as_numbers(label, "label")
    label = np.asarray(label)
    if label.ndim != 1 or label.dtype.kind not in "iu" or not len(label) or law.ndim != 1:
        raise InputError(f"label is {label.dtype} {list(label.shape)}; expected integers [n], at least one")
    if label.min() < 0 or label.max() >= len(law):
        raise InputError(f"label holds {label.min()}..{label.max()}; expected 0..{len(law) - 1}, as law has {len(law)}")
    share = np.bincount(label, minlength=len(law)) / len(label)
    return ClassScores(float((share > 0).sum()), *_class_distances(share, law), 0.5 * float(np.abs(share - law).sum()))


def class_floor(law: np.ndarray, num: int) -> ClassScores:
    """The mean scores of `num` samples from the law itself.

    The KL of n samples' shares to their law is (K − 1)/(2n) on average, K counting classes with data: half a χ², to
    first order in 1/n (Wilks 1938). Where n is not well above K this is too low, and too high where n is far below K.
    KL to uniform has that of the law on top.
    Modes and total variation are exact, by the mean deviation of a binomial (de Moivre 1730).

    Args:
        law: shares of the classes in the data, `[K]`, with sum 1.
        num: n.

    Raises:
        InputError: shares that are no law, or `num` below 1.
    """
    from scipy.stats import binom

    law = as_numbers(law, "law")
    if law.ndim != 1 or not (law >= 0).all() or not np.isclose(law.sum(), 1.0, atol=1e-4):
        raise InputError(f"law is {list(law.shape)} with sum {law.sum():g}; expected shares [K] with sum 1")
    if num < 1:
        raise InputError(f"num is {num}; expected at least 1 sample")

    noise = (np.count_nonzero(law) - 1) / (2 * num)
    above = np.floor(num * law) + 1
    deviation = 2 * above * (1 - law) * binom.pmf(above, num, law) / num  # E|share − law|
    uniform, _ = _class_distances(law, law)
    return ClassScores(float((1 - (1 - law) ** num).sum()), uniform + noise, noise, 0.5 * float(deviation.sum()))


def _class_distances(share: np.ndarray, law: np.ndarray) -> tuple[float, float]:
    """KL to uniform and to the law, in nats."""
    uniform = np.full(len(law), 1 / len(law))
    return float(rel_entr(share, uniform).sum()), float(rel_entr(share, law).sum())


def inception_score(probability: np.ndarray, splits: int = 10) -> Estimate:
    """exp of the mean KL of p(class | x) to its mean over x (Salimans et al. 2016, arXiv 1606.03498, section 4).

    It is the Inception score where the classifier is Inception, and only there. In [1, K], larger is better.

    Args:
        probability: classes' probabilities of each sample, `[n, K]`, rows with sum 1.
        splits: parts of consecutive samples, each with a mean of its own; ten are usual. The score of few samples is
            too high by about (K − 1)/(2n) of itself, n those of one part.

    Returns:
        The mean over splits and their standard deviation.

    Raises:
        InputError: rows that are no probabilities, or fewer samples than splits.
    """
    p = as_numbers(probability, "probability")
    if p.ndim != 2 or not (p >= 0).all() or not np.allclose(p.sum(axis=1), 1.0, atol=1e-4):
        raise InputError(f"probability is {list(p.shape)}; expected [n, K], numbers ≥ 0 with sum 1 in every row")
    if not 1 <= splits <= len(p):
        raise InputError(f"splits is {splits} and there are {len(p)} samples; give 1 to {len(p)} splits")
    scores = [
        np.exp(rel_entr(part, part.mean(axis=0, keepdims=True)).sum(axis=1).mean())
        for part in (p[k * len(p) // splits : (k + 1) * len(p) // splits] for k in range(splits))
    ]
    return Estimate(float(np.mean(scores)), float(np.std(scores)))
