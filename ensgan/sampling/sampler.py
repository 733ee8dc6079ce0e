"""Samples from averaged generators: one member or a mixture, as they come or refined by a judge."""

from __future__ import annotations

from typing import Any, TypedDict, Unpack

import jax.numpy as jnp
import numpy as np

from ensgan.game.game import Game
from ensgan.game.state import State
from ensgan.sampling import draws
from ensgan.sampling.draws import CHUNK, class_shares, components, labels, power_of_two, probabilities, strata
from ensgan.sampling.inference import find, one_member
from ensgan.sampling.judge import Judge
from ensgan.sampling.refinement import Refinement, Sampler, refined
from ensgan.sampling.truncation import truncated
from ensgan.types import Array, InputError, unknown


class Options(TypedDict, total=False):
    """Further options of `sample`.

    Attributes:
        stratified: whether shares of generators are exact: each makes num · weight of the samples, rounded up or down
            at random, and their order is random. Which generator makes sample b then depends on `num`.
        classes: probabilities of the K classes of a conditional game, where `label` does not say them: those of the
            data are `data.training_law(source)`. By default all classes are alike; with a judge, the law that it was
            fitted with.
        refine: None, or how samples are refined: obrs, drs, mh, ddls, dot or collaborative, or a `Refinement`.
        judge: the judge that refines: `combine.fit(game, state, source, weights=weights)`.
        budget: the budget of the refinement (see `Refinement`).
        truncation: ψ in (0, 1]: latents are drawn towards their mean, ψ·z in place of z, which makes samples more
            typical and less varied. A judge must be fitted to such samples:
            `combine.fit(sampling.truncation.truncated(game, ψ), ...)`.
    """

    stratified: bool
    classes: Any
    refine: str | Refinement | None
    judge: Judge | None
    budget: float | None
    truncation: float


def sample(
    game: Game,
    state: State,
    key: Array,
    num: int,
    *,
    weights: Any = None,
    average: bool = True,
    label: Any = None,
    **options: Unpack[Options],
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
        label: the class of all samples, or of each, int32 `[num]`. None lets conditional generators draw classes
            with the probabilities `classes`; others need none.
        options: `stratified`, `classes`, `refine`, `judge`, `budget` and `truncation`; see `Options`.

    Returns:
        float32 `[num, *sample_shape]`.

    Raises:
        InputError: an unknown option, `num` below 1, weights that are not M finite numbers ≥ 0 with a positive sum, or
            labels that are not `num` whole numbers below the number of classes. With `refine` as in `refined`.
    """
    if extra := options.keys() - Options.__annotations__:
        raise unknown("option of sample", sorted(extra)[0], (*Options.__annotations__, "weights", "average", "label"))
    stratified, how = options.get("stratified", False), options.get("refine")
    judge, budget = options.get("judge"), options.get("budget")
    game = truncated(game, options.get("truncation", 1.0))
    if how is not None and stratified:
        raise InputError("stratified and refine cannot be combined, because refinement changes shares; leave one out")
    if how is not None:
        how = how if isinstance(how, Refinement) else Refinement(how, budget)
        x = refined(Sampler(game, weights, average, label, options.get("classes")), state, key, num, judge, how).x
        return x if game.classes is None else x[0]
    if judge is not None or budget is not None:
        raise InputError("judge and budget are for refinement; say how, such as refine='obrs', or leave them out")
    if num < 1:
        raise InputError(f"asked for {num} samples; give at least 1")
    if options.get("classes") is not None:
        class_shares(game, options["classes"])
    p = probabilities(game, state, weights)
    if stratified:
        among = np.flatnonzero(p)
        member = among[np.asarray(strata(draws.keys(key)[0], tuple(p[among].tolist()), num))]
    else:
        member = np.asarray(components(key, jnp.asarray(p, jnp.float32), jnp.arange(num)))
    label = labels(game, key, num, label, options.get("classes"))
    out = np.zeros((num, *game.sample_shape), np.float32)
    for i in np.flatnonzero(np.bincount(member)):
        group, members, k = find(game, state.generators, int(i))
        index = np.flatnonzero(member == i)
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
        weights: the weights of the M generators, as in `sample`.
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
