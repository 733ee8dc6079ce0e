"""Samples of an ensemble refined by a judge: what each method moves or rejects, and what that costs."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from ensgan import refine
from ensgan.game.game import Game
from ensgan.game.population import params_of, take, whole
from ensgan.game.state import State
from ensgan.refine import Progress, Refined
from ensgan.sampling.adapters import Latents, Mixture, OneMember, log_mean_ratio
from ensgan.sampling.draws import CHUNK, components, labels, power_of_two, probabilities
from ensgan.sampling.judge import Judge
from ensgan.sampling.methods import METHODS, Method
from ensgan.sampling.truncation import scales
from ensgan.types import Array, InputError, unknown


class Sampler(NamedTuple):
    """The law of samples.

    Attributes:
        game: what was played.
        weights: probabilities of the M generators; None for those of `Game.mixture`.
        average: whether generators are their exponential averages (else their raw weights).
        label: in a conditional game, the class of all samples; None for classes by their law.
        classes: that law, probabilities of the K classes; None for the one that the judge was fitted with.
    """

    game: Game
    weights: Any = None
    average: bool = True
    label: int | None = None
    classes: Any = None


class Refinement(NamedTuple):
    """How samples are refined.

    Attributes:
        method: one of METHODS.
        budget: for `drs` and `obrs` the share of proposals to accept, in (0, 1]; for the others the number of steps
            for each sample. None is the method's own.
        rate: the size of a step of `ddls`, `dot` and `collaborative`; for `collaborative` in proportion to the finest
            detail of the data. None is the method's own, 0.01.
        batch: samples in one compiled call, on which `collaborative` shapes the judge.
    """

    method: str = "obrs"
    budget: float | None = None
    rate: float | None = None
    batch: int = 256

    @property
    def kind(self) -> Method:
        """The method. Raises InputError for an unknown one."""
        if self.method not in METHODS:
            raise unknown("refinement", self.method, METHODS)
        return METHODS[self.method]


def refined(
    sampler: Sampler,
    state: State,
    key: Array,
    num: int,
    judge: Judge | None,
    how: Refinement = Refinement(),  # noqa: B008
    *,
    start: Any = None,
    progress: Progress | None = None,
) -> Refined:
    """Samples of the ensemble, refined by a judge, and what they cost; methods are those of `ensgan.refine`.

    `obrs`, `drs`, `mh` and `collaborative` work on samples of the mixture. `ddls` and `dot` move latents, those of one
    generator after the other. DDLS turns the law p_i of each into p_i · r/E_i[r], so it takes generators with weights
    in proportion to w_i · E_i[r], and the whole is right. `collaborative` shapes the judge at every step: stacking is
    fitted again on the samples of a batch as they are by then (`Judge.shape`), so that they stop where the N
    discriminators can no longer tell them from held-out reals. `dot` treats the judge as a Kantorovich potential, which
    critics of the Wasserstein loss approach; with other losses the result follows no known distribution. Classes
    keep their law: each is refined apart.

    Args:
        sampler: the law of the samples before refinement.
        state: the trained state.
        key: a key.
        num: how many samples.
        judge: fitted against exactly this sampler: `combine.fit(game, state, source, weights=weights)`.
        how: the method and its settings.
        start: for `mh`, reals on axis 0 at which chains begin; in a conditional game a pair (reals, labels).
        progress: called with the number of samples so far.

    Returns:
        The samples `x` `[num, ...]`, in a conditional game a pair of them and their labels, acceptance and costs.

    Raises:
        InputError: no judge, or one of another sampler; an unknown method; one that follows gradients with a judge that
            has none; a budget out of range; latents that are not normal for `ddls`; or nothing is accepted.
    """
    game, kind = sampler.game, how.kind
    options = {**effort(game, how), "batch": how.batch, "progress": progress}
    p = probabilities(game, state, sampler.weights)
    judge = _fitted_for(judge, p, sampler)
    check_smooth(how.method, judge.smooth)
    if sampler.label is None and game.classes is not None:
        return _by_class(sampler, state, key, num, judge, how, start, progress)
    law = _one_class(game, sampler.label)
    if kind.start:
        options["start"] = start
    if kind.shape:
        options["shape"] = judge.shape
    if kind.latents:
        return _by_member(sampler._replace(weights=p, classes=law), state, key, num, judge, kind, options)
    draw = Partial(Mixture(game, tuple(p.tolist()), sampler.average), state.generators, law)
    return kind.call(key, draw, judge.log_ratio, num, **options)


def _one_class(game: Game, label: Any) -> Array | None:
    """The law that is 1 for a class, `[K]`, or None without classes. Raises InputError for a class that is none."""
    if label is None:
        return None
    if game.classes is None or np.ndim(label) or label not in range(game.classes):
        raise InputError(f"label is {label}; refinement takes one class of all samples, and only in a conditional game")
    return jnp.zeros(game.classes).at[label].set(1.0)


def _by_class(
    sampler: Sampler,
    state: State,
    key: Array,
    num: int,
    judge: Judge,
    how: Refinement,
    start: Any,
    progress: Progress | None,
) -> Refined:
    """Refinement of each class apart, so that classes keep their law; samples are in the order of drawn labels."""
    game = sampler.game
    label = labels(game, key, num, law=judge.classes if sampler.classes is None else sampler.classes)
    assert label is not None
    out, total, done = np.zeros((num, *game.sample_shape), np.float32), np.zeros(4), 0
    for k, count in enumerate(np.bincount(label).tolist()):
        if not count:
            continue
        tell = None if progress is None else partial(_further, progress, done, count)
        begin = None if start is None else jax.tree.map(lambda leaf, k=k: leaf[np.asarray(start[1]) == k], start)
        begin = begin if begin is not None and len(begin[1]) else None
        one, mine = sampler._replace(label=k), jax.random.fold_in(key, k)
        got = refined(one, state, mine, count, judge, how, start=begin, progress=tell)
        out[label == k] = np.asarray(got.x[0])
        total += count * np.array([got.acceptance, got.generated, got.judged, got.effective / count])
        done += count
    *means, effective = total
    acceptance, generated, judged = (float(value) for value in np.array(means) / num)
    return Refined((jnp.asarray(out), jnp.asarray(label)), acceptance, generated, judged, float(effective))


def _fitted_for(judge: Judge | None, p: np.ndarray, sampler: Sampler) -> Judge:
    """The judge. Raises InputError unless it was calibrated against this sampler, which has the weights `p` `[M]`."""
    average = sampler.average
    call = "ensgan.combine.fit(game, state, source, weights=weights)"
    if not isinstance(judge, Judge) or judge.law is None:
        seen = "there is no judge" if judge is None else "the judge was not calibrated against draws of this sampler"
        raise InputError(f"{seen}; give judge={call}")
    if judge.law.shape != p.shape or not np.allclose(judge.law, p, atol=1e-6):
        raise InputError(
            f"the judge was calibrated against generators with weights {np.round(judge.law, 4).tolist()}, but samples "
            f"are to be drawn with {np.round(p, 4).tolist()}; give judge={call}"
        )
    if judge.average != average:
        kinds = {True: "averaged generators", False: "raw generators"}
        raise InputError(
            f"the judge was calibrated against {kinds[judge.average]}, but samples are to be drawn from "
            f"{kinds[average]}; give judge={call[:-1]}, average={average})"
        )
    own = scales(sampler.game)
    if judge.scales is not None and not np.allclose(judge.scales, own, rtol=1e-6):
        raise InputError(
            f"the judge was calibrated against generators whose latents have the scales {judge.scales.tolist()}, but "
            f"here they are {own.tolist()}; truncation changes them: fit a judge with the game that "
            "ensgan.sampling.truncation.truncated(game, truncation) gives"
        )
    return judge


def effort(game: Game, how: Refinement) -> dict[str, Any]:
    """Budget and rate in the terms of a method: the share of proposals to accept, or a number of steps and their size.

    Raises:
        InputError: an unknown method, numbers out of range, or latents that are not normal for `ddls`.
    """
    method, budget, rate, kind = how.method, how.budget, how.rate, how.kind
    if kind.normal and any(group.latent.draw is not jax.random.normal for group in game.groups_g):
        raise InputError(f"{method} needs the density of normal latents, and these are not normal; use obrs or mh")
    options: dict[str, Any] = {}
    if rate is not None:
        if not kind.gradient:
            raise InputError(f"rate is {rate}, but {method} takes no steps along a gradient; leave it out")
        refine.check_rate(rate)
        options["rate"] = rate
    if budget is None:
        return options
    if kind.share:
        refine.check_budget(budget)
        return {"budget": budget}
    if budget != budget // 1:
        raise InputError(f"budget is {budget}; for {method} it is a whole number of steps for each sample")
    refine.check_steps(int(budget))
    return {**options, "steps": int(budget)}


def check_smooth(method: str, smooth: bool) -> None:
    """Raises InputError where a method follows the gradient of a judge that has none."""
    if METHODS[method].gradient and not smooth:
        raise InputError(
            f"{method} follows the gradient of the judge, which a forest and isotonic calibration do not have; fit the "
            "judge with rule stacking and calibration logistic (--rule stacking --calibrate logistic), or use obrs"
        )


def _by_member(
    sampler: Sampler, state: State, key: Array, num: int, judge: Judge, kind: Method, options: dict[str, Any]
) -> Refined:
    """Refinement in the latent space of each generator, and samples of all of them in random order."""
    key_pick, key_run, key_order, key_mean = jax.random.split(key, 4)
    batch, progress, p = options.pop("batch"), options.pop("progress"), sampler.weights
    draws, makes = _members(sampler, state)
    spent = 0
    if kind.reweighs and (p > 0).sum() > 1:
        mean = np.full(len(p), -np.inf)
        for i in np.flatnonzero(p):
            mean[i] = log_mean_ratio(jax.random.fold_in(key_mean, i), draws[i], makes[i], judge.log_ratio)
            spent += CHUNK
        p = p * np.exp(mean - mean.max())
        p = p / p.sum()
    picked = components(key_pick, jnp.asarray(p, jnp.float32), jnp.arange(num))
    count = np.bincount(picked, minlength=len(p))
    size = min(batch, power_of_two(int(count.max())))
    parts, total, done = [], np.zeros(3), 0
    for i in np.flatnonzero(count):
        asked = int(-(-count[i] // size) * size)  # whole batches, so that they are compiled once
        tell = None if progress is None else partial(_further, progress, done, int(count[i]))
        run = {**options, "generate": makes[i], "batch": size, "progress": tell}
        got = kind.call(jax.random.fold_in(key_run, i), draws[i], judge.log_ratio, asked, **run)
        parts.append(jax.tree.map(lambda leaf, i=i: leaf[: count[i]], got.x))
        total += [got.acceptance * count[i], got.generated * asked, got.judged * asked]
        done += int(count[i])
    order = jax.random.permutation(key_order, num)
    x = jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[order], *parts)
    acceptance, generated, judged = (float(value) for value in (total + np.array([0, spent, spent])) / num)
    return Refined(x, acceptance, generated, judged, float("nan"))


def _members(sampler: Sampler, state: State) -> tuple[list[Partial], list[Partial]]:
    """For each generator, draws of its latents, and its samples of them."""
    game, draws, makes = sampler.game, [], []
    for group, members in zip(game.groups_g, state.generators, strict=True):
        members = whole(members)
        stacked = params_of(members, sampler.average), members.state, group.scales
        for k in range(group.count):
            draws.append(Partial(Latents(group), sampler.classes))
            makes.append(Partial(OneMember(group), *take(stacked, k)))
    return draws, makes


def _further(progress: Progress, done: int, most: int, now: int) -> None:
    progress(done + min(now, most))
