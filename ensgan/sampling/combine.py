"""N discriminators as one judge: rules over their logits, and what makes their sum a density ratio again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from ensgan.data import Source
from ensgan.data.law import training_law
from ensgan.data.source import LEAST, check_split
from ensgan.game.game import Game, check_source, meaning
from ensgan.game.state import State
from ensgan.metrics import metagame
from ensgan.sampling import calibration, draws
from ensgan.sampling.inference import logits, payoff
from ensgan.sampling.judge import Judge, Parts
from ensgan.sampling.refinement import Sampler
from ensgan.sampling.rules import FITTED, JUDGES, RULES, Scored, is_smooth, mean_logit, stacked
from ensgan.sampling.sampler import sample
from ensgan.sampling.truncation import scales
from ensgan.types import Array, InputError, unknown

# The slope of a fitted rule that tells nothing, or the contrary, on samples it has not seen. Its ratio is 1 then, but
# DOT goes by directions alone, and finds the rare bad samples that the slope over all of them does not show.
LEAST_SLOPE = 0.01
SEED = 20_190_226  # of the draws that judges are fitted on


def judges(game: Game, state: State) -> np.ndarray:
    """The numbers of the discriminators that judge: those that play (`Game.taking_part`)."""
    return np.flatnonzero(game.taking_part(state)[1])


def plain(game: Game, state: State, rule: str = "mean_logit") -> Judge:
    """Discriminators that take part combined as they are, by a rule of `RULES`.

    The score is a density ratio only where a logit of the loss is one, and then the ratio to the samples that the
    discriminators were trained on.

    Args:
        game: what was played.
        state: where it stands.
        rule: mean_logit, mean_probability, log_mean_ratio, minimum or median.

    Raises:
        InputError: another rule.
    """
    if rule in FITTED:
        raise InputError(f"the rule {rule} is fitted on held-out data; use combine.fit(game, state, source, {rule!r})")
    if rule not in RULES:
        raise unknown("rule", rule, RULES)
    who = jnp.asarray(judges(game, state))
    judging = state.discriminators, who, jnp.ones(len(who)), jnp.zeros(len(who))
    score = Partial(_Score(game), judging, Partial(RULES[rule]), Partial(_same))
    return Judge(score, meaning(game, state), rule, smooth=True)


class Draws(TypedDict, total=False):
    """The samples that a judge is fitted on.

    They are at most `num` reals (2,000) and as many draws, by the seed `seed` (0), with the law of labels `classes`
    (that of the training data).
    """

    num: int
    seed: int
    classes: Any


def fit(
    game: Game,
    state: State,
    source: Source,
    rule: str = "stacking",
    *,
    calibrate: str = "logistic",
    weights: Any = None,
    average: bool = True,
    **drawn: Unpack[Draws],
) -> Judge:
    """A judge that estimates log p_data/p_sampler for one sampler: a mixture of generators, or one of them.

    The discriminators that play judge. Held-out reals of the calibrate split and as many draws of exactly that sampler
    are cut in halves. On the first:

    1. where a logit is no log ratio (`game.meaning`), each discriminator's gets a scale and an offset by logistic
       regression, so that rules compare like with like;
    2. the rule. Besides those of `RULES` there are `weighted`, the mean logit with weights ∝ 2 S(D) − 1, how much
       better than chance each tells the sampler from the data; `nash`, with the discriminators' weights in the
       equilibrium of the held-out payoff matrix; `stacking`, logistic regression on the N logits; `forest`, a random
       forest on them;
    3. the calibrator, for a stacking and a forest on out-of-fold (out-of-bag) scores.

    The second half measures Brier score, calibration error and Z before and after.

    Args:
        game: what was played.
        state: where it stands.
        source: the data it was trained on.
        rule: one of those above.
        calibrate: temperature, logistic or isotonic.
        weights: the weights of the M generators, as in `sample`; None for the game's mixture.
        average: whether the sampler takes averaged generators.
        drawn: `num`, `seed` and `classes`; see `Draws`.

    Raises:
        InputError: an unknown rule or calibration, too few held-out reals, logits that are not finite, or a source that
            does not fit the game.
    """
    is_smooth(rule, calibrate)  # which checks their names
    check_source(game, source)
    law, who = draws.probabilities(game, state, weights), judges(game, state)
    shares = _shares(game, source, drawn.get("classes"))
    reals, logit_Nn = _held_out(game, state, source, Sampler(game, law, average, classes=shares), drawn)
    n = len(reals["x"])
    real = np.arange(2 * n) < n
    seed = drawn.get("seed", 0)
    half = np.random.default_rng(seed).permutation(n) < n // 2
    mine = np.concatenate([half, half])
    ratios = meaning(game, state) == "log_ratio"
    lines = [(np.ones(1), 0.0) if ratios else _line(row[mine], real[mine]) for row in logit_Nn]
    scale, shift = np.array([w[0] for w, _ in lines]), np.array([b for _, b in lines])
    even_Nn = logit_Nn * scale[:, None] + shift[:, None]

    first = {name: value[half] for name, value in reals.items()}
    scored = Scored(even_Nn[:, mine], real[mine], partial(_nash, game, state, first), seed)
    head, unseen = JUDGES[rule].fit(scored)
    score = np.asarray(JUDGES[rule].apply(*head, jnp.asarray(even_Nn, jnp.float32)))
    if unseen is None:
        calibrator = calibration.fit(calibrate, score[mine], real[mine])
    else:
        calibrator = calibration.fit(calibrate, unseen, real[mine], LEAST_SLOPE)

    naive = np.asarray(RULES.get(rule, mean_logit)(jnp.asarray(logit_Nn, jnp.float32)))
    line = jnp.asarray(scale, jnp.float32), jnp.asarray(shift, jnp.float32)
    reals_Nn = jnp.asarray(even_Nn[:, :n][:, half], jnp.float32)
    label = jnp.asarray(first["label"]) if "label" in first else None
    parts = Parts(jnp.asarray(who), line[0], line[1], reals_Nn, label, head, calibrator.args)
    return assembled(game, state, rule, calibrate, parts)._replace(
        law=law,
        average=average,
        scales=scales(game),
        classes=shares,
        before=calibration.quality(naive[~mine], real[~mine]),
        after=calibration.quality(calibrator(jnp.asarray(score[~mine])), real[~mine]),
    )


def _line(score: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, float]:
    return calibration.logistic_regression(score[:, None], real)


def assembled(game: Game, state: State, rule: str, calibrate: str, parts: Parts) -> Judge:
    """A judge from what was fitted for it, and the discriminators of a state."""
    judging = state.discriminators, parts.who, parts.scale, parts.shift
    head = Partial(JUDGES[rule].apply, *parts.head)
    calibrator = Partial(calibration.CALIBRATORS[calibrate].apply, *parts.calibrator)
    return Judge(
        score=Partial(_Score(game), judging, head, calibrator),
        meaning="log_ratio",
        rule=rule,
        smooth=is_smooth(rule, calibrate),
        shape=Partial(_Shape(game), judging, parts.real_Nn, parts.label),
        calibrate=calibrate,
        parts=parts,
    )


def _shares(game: Game, source: Source, classes: Any) -> np.ndarray | None:
    """The law of labels, `[K]`: that of the training data if none is given; None without classes."""
    if game.classes is None:
        return None
    return draws.class_shares(game, training_law(source) if classes is None else classes)


def _held_out(
    game: Game, state: State, source: Source, sampler: Sampler, drawn: Draws
) -> tuple[dict[str, Any], np.ndarray]:
    """Reals of the calibrate split, and the judging discriminators' logits `[N, 2n]` on them and on as many draws."""
    check_split(source, "calibrate")
    reals = source.held_out("calibrate", drawn.get("num", 2000))
    n = len(reals["x"])
    if n < 2 * LEAST:
        raise InputError(
            f"there are {n} reals of the calibrate split, and halves need at least {LEAST}; give more data, a larger "
            "share for the calibrate split (--data.fractions), or a larger num"
        )
    key = jax.random.fold_in(jax.random.key(SEED), drawn.get("seed", 0))
    label = draws.labels(game, key, n, law=sampler.classes)
    fakes = sample(game, state, key, n, weights=sampler.weights, average=sampler.average, label=label)
    x = jnp.concatenate([jnp.asarray(reals["x"]), fakes])
    tags = None if label is None else jnp.concatenate([jnp.asarray(reals["label"]), jnp.asarray(label)])
    who = judges(game, state)
    logit_Nn = np.asarray(logits(game, state.discriminators, x, tags), np.float64)[who]
    if not np.isfinite(logit_Nn).all():
        bad = who[~np.isfinite(logit_Nn).all(1)]
        raise InputError(f"discriminator {bad[0]} has logits that are not finite; the run cannot be judged")
    return reals, logit_Nn


@dataclass(frozen=True)
class _Score:
    """The score of samples; equal for one game, so that programs with it are compiled once."""

    game: Game

    def __call__(self, judging: Any, head: Any, calibrator: Any, item: Any) -> Array:
        return calibrator(head(_even(self.game, judging, item)))


@dataclass(frozen=True)
class _Shape:
    """The judge of refined samples: stacking, fitted again on their logits and those of held-out reals.

    Of reals, those of each class count as much as samples of that class, since refinement changes no label.
    """

    game: Game

    def __call__(self, judging: Any, real_Nn: Array, label: Array | None, item: Any) -> Partial:
        fake_Nb = _even(self.game, judging, item)
        share = jnp.ones(real_Nn.shape[1])
        if label is not None and self.game.classes is not None:
            count = lambda tags: jnp.bincount(tags, length=self.game.classes)
            share = (count(item[1]) / jnp.maximum(count(label), 1))[label]
        share = share * fake_Nb.shape[1] / jnp.maximum(share.sum(), 1e-6)
        head = Partial(stacked, *calibration.regression(fake_Nb, real_Nn, share))
        return Partial(_Score(self.game), judging, head, Partial(_same))


def _even(game: Game, judging: Any, item: Any) -> Array:
    """Logits `[N, n]` of samples, or of pairs (samples, labels), by the scales and offsets that make them alike.

    `judging` are all discriminators, the numbers of the N that judge, and their scales and offsets.
    """
    discriminators, who, scale, shift = judging
    x, label = item if isinstance(item, tuple) else (item, None)
    if game.classes is not None and label is None:
        raise InputError("the discriminators need classes; give pairs (samples, labels)")
    return logits(game, discriminators, x, label)[who] * scale[:, None] + shift[:, None]


def _same(score: Array) -> Array:
    return score


def _nash(game: Game, state: State, reals: dict[str, Any]) -> np.ndarray:
    rows, columns = game.taking_part(state)
    return metagame.linear_program(payoff(game, state, reals), rows, columns)[1][columns]
