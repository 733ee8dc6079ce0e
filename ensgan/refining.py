"""Samples of an ensemble refined by a judge: what each method moves or rejects, and what that costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from ensgan import refine
from ensgan.draws import CHUNK, components, find, in_order, power_of_two, probabilities
from ensgan.game.game import Game
from ensgan.game.population import Group
from ensgan.game.state import State
from ensgan.refine import Judge, Progress, Refined
from ensgan.types import Array, InputError, unknown

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
            draws.append(Partial(_Latents(group, game.classes, label)))
            makes.append(Partial(_Member(group), *jax.tree.map(lambda leaf, k=k: leaf[k], stacked)))
    spent = 0
    if method == "ddls" and (p > 0).sum() > 1:
        mean = np.full(game.M, -np.inf)
        for i in np.flatnonzero(p):
            mean[i] = _log_mean_ratio(jax.random.fold_in(key_mean, i), draws[i], makes[i], judge.log_ratio)
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


@dataclass(frozen=True)
class Mixture:
    """Draws of a mixture inside a compiled program, stratified by member; equal for one game and its weights.

    Of n samples each member makes n · p, rounded up or down at random, so that every sample has the law of the mixture
    and the work is that of n samples, and not of M · n.
    """

    game: Game
    weights: tuple[float, ...]
    average: bool
    label: int | None

    def __call__(self, generators: Any, key: Array, n: int) -> Any:
        """`n` samples, or a pair of them and their labels."""
        who = [i for i, w in enumerate(self.weights) if w > 0]
        p = tuple(self.weights[i] for i in who)
        key_u, key_z, key_label, key_order = jax.random.split(key, 4)
        turn = in_order(key_u, p, n)
        first = jnp.searchsorted(turn, jnp.arange(len(who)))
        label = _given(self.game.classes, self.label, key_label, n)
        parts = []
        for k, i in enumerate(who):
            most = min(n, int(np.floor(n * p[k])) + 2)  # 1 more than can be, for rounding
            mine = jnp.minimum(first[k] + jnp.arange(most), n - 1)
            group, members, m = find(self.game, generators, i)
            z, scale = _noise(group, jax.random.fold_in(key_z, i), most), jnp.asarray(group.latent.scale, jnp.float32)
            scale = jnp.broadcast_to(scale, (group.count,))[m]
            params, state = jax.tree.map(
                lambda leaf, m=m: leaf[m], (members.average if self.average else members.params, members.state)
            )
            tags = None if label is None else label[mine]
            parts.append(group.apply(params, state, z * scale, label=tags, train=False, rng=None)[0])
        start = np.cumsum([0] + [len(part) for part in parts])[:-1]
        index = jnp.asarray(start)[turn] + jnp.arange(n) - first[turn]
        order = jax.random.permutation(key_order, n)
        x = jnp.concatenate(parts)[index][order]
        return x if label is None else (x, label[order])


@dataclass(frozen=True)
class _Latents:
    """Draws of the latents of a group's members, before they are scaled, with labels if there are classes."""

    group: Group
    classes: int | None
    label: int | None

    def __call__(self, key: Array, n: int) -> Any:
        key_z, key_label = jax.random.split(key)
        z, label = _noise(self.group, key_z, n), _given(self.classes, self.label, key_label, n)
        return z if label is None else (z, label)


@dataclass(frozen=True)
class _Member:
    """Samples of one member's latents."""

    group: Group

    def __call__(self, params: Any, state: Any, scale: Array, item: Any) -> Any:
        z, label = item if isinstance(item, tuple) else (item, None)
        x = self.group.apply(params, state, z * scale, label=label, train=False, rng=None)[0]
        return x if label is None else (x, label)


def _noise(group: Group, key: Array, n: int) -> Array:
    """Latents `[n, *in_shape]` before they are scaled."""
    return jax.vmap(lambda k: group.latent.draw(k, group.network.in_shape))(jax.random.split(key, n))


def _given(classes: int | None, label: int | None, key: Array, n: int) -> Array | None:
    """The class that was asked for, or each with the same probability; None where there are none."""
    if classes is None:
        return None
    return jax.random.randint(key, (n,), 0, classes, jnp.int32) if label is None else jnp.full(n, label, jnp.int32)


@jax.jit
def _log_mean_ratio(key: Array, draw: Any, generate: Any, log_ratio: Any) -> Array:
    """log E[r] over the samples of one member."""
    return jax.nn.logsumexp(log_ratio(generate(draw(key, CHUNK)))) - jnp.log(CHUNK)
