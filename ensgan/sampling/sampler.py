"""Samples from averaged generators: one member or a mixture, as they come or refined by a judge."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from ensgan import refine
from ensgan.game import population
from ensgan.game.game import Game
from ensgan.game.state import State
from ensgan.refine import Progress, Refined
from ensgan.sampling import draws
from ensgan.sampling.adapters import Latents, Mixture, OneMember, log_mean_ratio
from ensgan.sampling.draws import CHUNK, components, labels, power_of_two, probabilities, strata
from ensgan.sampling.inference import find, one_member
from ensgan.sampling.judge import Judge
from ensgan.types import Array, InputError, unknown


def sample(
    game: Game,
    state: State,
    key: Array,
    num: int,
    *,
    weights: Any = None,
    average: bool = True,
    label: Any = None,
    stratified: bool = False,
    refine: str | None = None,
    judge: Judge | None = None,
    budget: float | None = None,
) -> Array:
    """Draws samples from the ensemble, as they come or refined.

    Unrefined, sample b is a function of `key` and b alone, so more samples begin with the same ones.

    Args:
        game: what was played.
        state: the trained state.
        key: a key; nothing of the training key is reused.
        num: how many samples, at least 1.
        weights: probabilities of the M generators, for example `select(...).mixture`, a one-hot vector for one member,
            or None for that of `Game.mixture`: what the schedule or the pairing found, else uniform.
        average: whether to use the exponential averages (else the raw weights of the last step).
        label: the class of all samples, or of each, int32 `[num]`. None lets conditional generators draw each class
            with the same probability, whatever its share of the data; others need none.
        stratified: whether shares of generators are exact: each makes num · weight of the samples, rounded up or down
            at random, and their order is random. Which generator makes sample b then depends on `num`.
        refine: None, or how samples are refined: obrs, drs, mh, ddls, dot or collaborative (see `refined`).
        judge: by what: `combine.fit(game, state, source, weights=weights)`.
        budget: how much of it (see `refined`).

    Returns:
        float32 `[num, *sample_shape]`.

    Raises:
        InputError: `num` below 1, weights that are not M finite numbers ≥ 0 with a positive sum, or labels that are
            not `num` whole numbers below the number of classes. As in `refined`, with `refine`.
    """
    if refine is not None and stratified:
        raise InputError("stratified shares are of samples as they come, and refinement changes them; leave one out")
    if refine is not None:
        options: dict[str, Any] = {"weights": weights, "average": average, "label": label, "budget": budget}
        x = refined(game, state, key, num, judge=judge, method=refine, **options).x
        return x if game.classes is None else x[0]
    if judge is not None or budget is not None:
        raise InputError("judge and budget are for refinement; say how, such as refine='obrs', or leave them out")
    if num < 1:
        raise InputError(f"asked for {num} samples; give at least 1")
    p = probabilities(game, state, weights)
    if stratified:
        among = np.flatnonzero(p)
        member = among[np.asarray(strata(draws.keys(key)[0], tuple(p[among].tolist()), num))]
    else:
        member = np.asarray(components(key, jnp.asarray(p, jnp.float32), jnp.arange(num)))
    label = labels(game, key, num, label)

    out = np.zeros((num, *game.sample_shape), np.float32)
    for first, group, members in zip(population.offsets(game.groups_g), game.groups_g, state.generators, strict=True):
        for k in range(group.count):
            index = np.flatnonzero(member == first + k)
            for start in range(0, len(index), CHUNK):
                part = index[start : start + CHUNK]
                padded = np.resize(part, min(CHUNK, power_of_two(len(index))))
                tags = None if label is None else jnp.asarray(label[padded])
                fake = one_member(group, members, average, k, key, jnp.asarray(padded), tags)
                out[part] = np.asarray(fake)[: len(part)]
    return jnp.asarray(out)


def mean_output(
    game: Game,
    state: State,
    key: Array,
    num: int,
    *,
    weights: Any = None,
    average: bool = True,
    label: Any = None,
) -> Array:
    """The mean of the generators' outputs at the same noise, Σ_i w_i G_i(z): for completeness.

    Not a mixture: generators put the same noise in different places, so a mean of theirs is a point between, blurred in
    images and off the modes of points. It is sharp only where generators agree, as averages of one run's do. Of one
    generator it is what `sample` draws with the same key.

    Args:
        game: what was played.
        state: the trained state.
        key: a key.
        num: how many samples, at least 1.
        weights: of the M generators, as in `sample`.
        average: as in `sample`; it is weights of one network that are averaged there, and outputs here.
        label: as in `sample`.

    Returns:
        float32 `[num, *sample_shape]`.

    Raises:
        InputError: as in `sample`; or generators with latents of different shapes, which can have no noise in common.
    """
    if num < 1:
        raise InputError(f"asked for {num} samples; give at least 1")
    p = probabilities(game, state, weights)
    among = [find(game, state.generators, int(i)) for i in np.flatnonzero(p)]
    shapes = sorted({group.network.in_shape for group, _, _ in among})
    if len(shapes) > 1:
        raise InputError(f"generators have latents of shapes {shapes}; a mean at the same noise needs one shape")
    tags = labels(game, key, num, label)
    size, out = min(CHUNK, power_of_two(num)), []
    for start in range(0, num, size):
        index = np.arange(start, start + size) % num
        told = None if tags is None else jnp.asarray(tags[index])
        each = [one_member(group, members, average, m, key, jnp.asarray(index), told) for group, members, m in among]
        out.append(sum(w * x.astype(jnp.float32) for w, x in zip(p[p > 0].tolist(), each, strict=True)))
    return jnp.concatenate(out)[:num]


METHODS: dict[str, Callable[..., Refined]] = {
    "drs": refine.drs,
    "obrs": refine.obrs,
    "mh": refine.mh,
    "ddls": refine.ddls,
    "dot": refine.dot,
    "collaborative": refine.collaborative,
}
GRADIENT = ("ddls", "dot", "collaborative")


def refined(
    game: Game,
    state: State,
    key: Array,
    num: int,
    *,
    judge: Judge | None,
    method: str = "obrs",
    budget: float | None = None,
    weights: Any = None,
    average: bool = True,
    label: int | None = None,
    rate: float | None = None,
    start: Any = None,
    batch: int = 256,
    progress: Progress | None = None,
) -> Refined:
    """Samples of the ensemble, refined by a judge, and what they cost; methods are those of `ensgan.refine`.

    `obrs`, `drs`, `mh` and `collaborative` work on samples of the mixture. `ddls` and `dot` move latents, those of one
    generator after the other; as DDLS turns the law p_i of each into p_i · r/E_i[r], it takes generators with weights
    in proportion to w_i · E_i[r], so that the whole is right. `collaborative` shapes the judge at every step:
    stacking is fitted again on the samples of a batch as they are by then (`Judge.shape`), so that they come to rest
    where the N discriminators tell them from held-out reals no more. `dot` takes the judge for a Kantorovich potential,
    as critics of the Wasserstein loss are; with other losses it follows no law. Methods that follow gradients leave
    labels as they were drawn, each class with the same probability; the others weigh classes as well.

    Args:
        game: what was played.
        state: the trained state.
        key: a key.
        num: how many samples.
        judge: fitted against exactly this sampler: `combine.fit(game, state, source, weights=weights)`.
        method: drs, obrs, mh, ddls, dot or collaborative.
        budget: of `drs` and `obrs`, the share of proposals to accept, in (0, 1]; of the others, steps for each sample.
            None leaves the method's own.
        weights: as in `sample`.
        average: as in `sample`.
        label: in a conditional game, the class of all samples; None for each with the same probability.
        rate: of `ddls`, `dot` and `collaborative`, the size of a step; in proportion to the finest detail of the data
            for `collaborative`. None leaves the method's own, 0.01.
        start: of `mh`, reals on axis 0 that chains begin with; in a conditional game a pair (reals, labels).
        batch: samples in one compiled call, on which `collaborative` shapes the judge.
        progress: called with the number of samples so far.

    Returns:
        The samples `x` `[num, ...]`, in a conditional game a pair of them and their labels, acceptance and costs.

    Raises:
        InputError: no judge, or one of another sampler; an unknown method; one that follows gradients with a judge that
            has none; a budget out of range; latents that are not normal for `ddls`; or nothing is accepted.
    """
    options = {**effort(game, method, budget, rate), "batch": batch, "progress": progress}
    p = probabilities(game, state, weights)
    call = "ensgan.combine.fit(game, state, source, weights=weights)"
    if not isinstance(judge, Judge) or judge.law is None:
        seen = "there is no judge" if judge is None else "the judge was not calibrated against draws of this sampler"
        raise InputError(f"{seen}; give judge={call}")
    if judge.law.shape != p.shape or not np.allclose(judge.law, p, atol=1e-6):
        raise InputError(
            f"the judge was calibrated against generators with weights {np.round(judge.law, 4).tolist()}, and samples "
            f"are asked with {np.round(p, 4).tolist()}; give judge={call}"
        )
    if judge.average != average:
        kinds = {True: "averaged generators", False: "raw generators"}
        raise InputError(
            f"the judge was calibrated against {kinds[judge.average]}, and samples are asked of {kinds[average]}; give "
            f"judge={call[:-1]}, average={average})"
        )
    check_smooth(method, judge.smooth)
    if label is not None and (game.classes is None or np.ndim(label) or label not in range(game.classes)):
        raise InputError(f"label is {label}; refinement takes one class of all samples, and only in a conditional game")
    if method == "mh":
        options["start"] = start
    if method == "collaborative":
        options["shape"] = judge.shape
    if method in ("ddls", "dot"):
        return _by_member(game, state, key, num, judge, method, p, average, label, options)
    draw = Partial(Mixture(game, tuple(p.tolist()), average, label), state.generators)
    return METHODS[method](key, draw, judge.log_ratio, num, **options)


def effort(game: Game, method: str, budget: float | None, rate: float | None) -> dict[str, Any]:
    """What budget and rate are to a method: the share of proposals to accept, or a number of steps and their size.

    Raises:
        InputError: an unknown method, numbers out of range, or latents that are not normal for `ddls`.
    """
    if method not in METHODS:
        raise unknown("refinement", method, METHODS)
    if method == "ddls" and any(group.latent.draw is not jax.random.normal for group in game.groups_g):
        raise InputError("ddls needs the density of latents, and they are not normal here; use obrs or mh")
    options: dict[str, Any] = {}
    if rate is not None:
        if method not in GRADIENT:
            raise InputError(f"rate is {rate}, but {method} takes no steps along a gradient; leave it out")
        refine.check_rate(rate)
        options["rate"] = rate
    if budget is None:
        return options
    if method in ("drs", "obrs"):
        refine.check_budget(budget)
        return {"budget": budget}
    if budget != budget // 1:
        raise InputError(f"budget is {budget}; of {method} it is a whole number of steps for each sample")
    refine.check_steps(int(budget))
    return {**options, "steps": int(budget)}


def check_smooth(method: str, smooth: bool) -> None:
    """Raises InputError where a method follows the gradient of a judge that has none."""
    if method in GRADIENT and not smooth:
        raise InputError(
            f"{method} follows the gradient of the judge, which a forest and isotonic calibration do not have; fit the "
            "judge with rule='stacking' and calibrate='logistic', or use obrs"
        )


def _by_member(
    game: Game,
    state: State,
    key: Array,
    num: int,
    judge: Judge,
    method: str,
    p: np.ndarray,
    average: bool,
    label: int | None,
    options: dict[str, Any],
) -> Refined:
    """Refinement in the latent space of each generator, and samples of all of them in random order."""
    key_pick, key_run, key_order, key_mean = jax.random.split(key, 4)
    batch, progress = options.pop("batch"), options.pop("progress")
    draws, makes = [], []
    for group, members in zip(game.groups_g, state.generators, strict=True):
        scale = jnp.broadcast_to(jnp.asarray(group.latent.scale, jnp.float32), (group.count,))
        stacked = (members.average if average else members.params, members.state, scale)
        for k in range(group.count):
            draws.append(Partial(Latents(group, game.classes, label)))
            makes.append(Partial(OneMember(group), *jax.tree.map(lambda leaf, k=k: leaf[k], stacked)))
    spent = 0
    if method == "ddls" and (p > 0).sum() > 1:
        mean = np.full(game.M, -np.inf)
        for i in np.flatnonzero(p):
            mean[i] = log_mean_ratio(jax.random.fold_in(key_mean, i), draws[i], makes[i], judge.log_ratio)
            spent += CHUNK
        p = p * np.exp(mean - mean.max())
        p = p / p.sum()
    count = np.bincount(
        np.asarray(components(key_pick, jnp.asarray(p, jnp.float32), jnp.arange(num))), minlength=game.M
    )
    size = min(batch, power_of_two(int(count.max())))
    parts, total, done = [], np.zeros(3), 0
    for i in np.flatnonzero(count):
        asked = int(-(-count[i] // size) * size)  # whole batches, so that they are compiled once
        tell = None if progress is None else partial(_further, progress, done, int(count[i]))
        run = {**options, "generate": makes[i], "batch": size, "progress": tell}
        got = METHODS[method](jax.random.fold_in(key_run, i), draws[i], judge.log_ratio, asked, **run)
        parts.append(jax.tree.map(lambda leaf, i=i: leaf[: count[i]], got.x))
        total += [got.acceptance * count[i], got.generated * asked, got.judged * asked]
        done += int(count[i])
    order = jax.random.permutation(key_order, num)
    x = jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[order], *parts)
    acceptance, generated, judged = (float(value) for value in (total + np.array([0, spent, spent])) / num)
    return Refined(x, acceptance, generated, judged, float("nan"))


def _further(progress: Progress, done: int, most: int, now: int) -> None:
    progress(done + min(now, most))
