"""Samples from averaged generators: one member or a mixture, as they come or refined by a judge; and their labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from ensgan import population, refine
from ensgan.data.checks import checked_labels
from ensgan.game import Game, State
from ensgan.population import Group, Latent, Members
from ensgan.refine import Judge, Progress, Refined
from ensgan.types import Array, InputError, Shape, unknown

METHODS: dict[str, Callable[..., Refined]] = {
    "drs": refine.drs,
    "obrs": refine.obrs,
    "mh": refine.mh,
    "ddls": refine.ddls,
    "dot": refine.dot,
    "collaborative": refine.collaborative,
}
GRADIENT = ("ddls", "dot", "collaborative")
CHUNK = 1024
SAMPLING, LABELS = 0x5A, 0x5B  # set these draws apart from those of a game that was started with the same key


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
        member = among[np.asarray(strata(_keys(key)[0], tuple(p[among].tolist()), num))]
    else:
        member = np.asarray(components(key, jnp.asarray(p, jnp.float32), jnp.arange(num)))
    label = labels(game, key, num, label)

    out = np.zeros((num, *game.sample_shape), np.float32)
    for first, group, members in zip(population.offsets(game.groups_g), game.groups_g, state.generators, strict=True):
        for k in range(group.count):
            index = np.flatnonzero(member == first + k)
            for start in range(0, len(index), CHUNK):
                part = index[start : start + CHUNK]
                padded = np.resize(part, min(CHUNK, _power_of_two(len(index))))
                tags = None if label is None else jnp.asarray(label[padded])
                fake = _one_member(group, members, average, k, key, jnp.asarray(padded), tags)
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
    among = [_find(game, state.generators, int(i)) for i in np.flatnonzero(p)]
    shapes = sorted({group.network.in_shape for group, _, _ in among})
    if len(shapes) > 1:
        raise InputError(f"generators have latents of shapes {shapes}; a mean at the same noise needs one shape")
    tags = labels(game, key, num, label)
    size, out = min(CHUNK, _power_of_two(num)), []
    for start in range(0, num, size):
        index = np.arange(start, start + size) % num
        told = None if tags is None else jnp.asarray(tags[index])
        each = [_one_member(group, members, average, m, key, jnp.asarray(index), told) for group, members, m in among]
        out.append(sum(w * x.astype(jnp.float32) for w, x in zip(p[p > 0].tolist(), each, strict=True)))
    return jnp.concatenate(out)[:num]


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
    stacking is fitted again on the samples as they are by then (`Judge.shape`), so that they come to rest where the N
    discriminators tell them from held-out reals no more. `dot` takes the judge for a Kantorovich potential, as critics
    of the Wasserstein loss are; with other losses it follows no law. Methods that follow gradients leave labels as they
    were drawn, each class with the same probability; the others weigh classes as well.

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
        batch: samples in one compiled call.
        progress: called with the number of samples so far.

    Returns:
        The samples `x` `[num, ...]`, in a conditional game a pair of them and their labels, acceptance and costs.

    Raises:
        InputError: no judge, or one of another sampler; an unknown method; one that follows gradients with a judge that
            has none; a budget out of range; latents that are not normal for `ddls`; or nothing is accepted.
    """
    options = {**effort(method, budget), "batch": batch, "progress": progress}
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
    if method in GRADIENT and not judge.smooth:
        raise InputError(
            f"{method} follows the gradient of the judge, which a forest and isotonic calibration do not have; fit the "
            "judge with rule='stacking' and calibrate='logistic', or use obrs"
        )
    if label is not None and (game.classes is None or np.ndim(label) or label not in range(game.classes)):
        raise InputError(f"label is {label}; refinement takes one class of all samples, and only in a conditional game")
    if rate is not None:
        if method not in GRADIENT:
            raise InputError(f"rate is {rate}, but {method} takes no steps along a gradient; leave it out")
        options["rate"] = rate
    if method == "mh":
        options["start"] = start
    if method == "collaborative":
        options["shape"] = judge.shape
    if method in ("ddls", "dot"):
        return _by_member(game, state, key, num, judge, method, p, average, label, options)
    draw = Partial(_Mixture(game, tuple(p.tolist()), average, label), state.generators)
    return METHODS[method](key, draw, judge.log_ratio, num, **options)


def effort(method: str, budget: float | None) -> dict[str, Any]:
    """What a budget means to a method of refinement: the share of proposals to accept, or a number of steps.

    Raises:
        InputError: an unknown method, or a budget out of range.
    """
    if method not in METHODS:
        raise unknown("refinement", method, METHODS)
    if budget is None:
        return {}
    if method in ("drs", "obrs"):
        refine.check_budget(budget)
        return {"budget": budget}
    if budget != budget // 1:
        raise InputError(f"budget is {budget}; of {method} it is a whole number of steps for each sample")
    refine.check_steps(int(budget))
    return {"steps": int(budget)}


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
        if method == "ddls" and group.latent.draw is not jax.random.normal:
            raise InputError("ddls needs the density of latents, and they are not normal here; use obrs or mh")
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
    size = min(batch, _power_of_two(int(count.max())))
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


def probabilities(game: Game, state: State, weights: Any = None) -> np.ndarray:
    """Weights of generators as `sample` takes them, `[M]`, that sum to 1.

    Raises:
        InputError: they are not M finite numbers ≥ 0 with a positive sum.
    """
    p = game.mixture(state) if weights is None else np.asarray(weights, np.float64)
    if p.shape != (game.M,) or not np.isfinite(p).all() or (p < 0).any() or p.sum() <= 0:
        raise InputError(
            f"weights are {p.tolist()}; give {game.M} numbers ≥ 0 that do not all vanish, one per generator"
        )
    return p / p.sum()


def labels(game: Game, key: Array, num: int, label: Any = None) -> np.ndarray | None:
    """The classes of `num` samples, int32 `[num]`, as `sample` takes them; None where there are none.

    Raises:
        InputError: as in `sample`.
    """
    if label is not None:
        label = np.asarray(label)
        return checked_labels(np.full(num, label) if label.ndim == 0 else label, num, "label", game.classes)
    return None if game.classes is None else np.asarray(classes(key, game.classes, jnp.arange(num)))


def every_member(game: Game, state: State, key: Array, num: int, label: Any = None, average: bool = True) -> Array:
    """`num` samples of every generator from common noise and labels, float32 `[M, num, *sample_shape]`.

    `label` is as in `sample`.
    """
    tags = labels(game, key, num, label)
    parts = [
        _all_members(group, members, average, key, num, None if tags is None else jnp.asarray(tags))
        for group, members in zip(game.groups_g, state.generators, strict=True)
    ]
    return jnp.concatenate(parts)


def _power_of_two(num: int) -> int:
    """Sizes that are compiled: few of them, and never much larger than what is asked."""
    return 1 << max(num - 1, 0).bit_length()


# What the samples of some numbers are made of; each is a function of the key that `sample` is given, and of its number.


@jax.jit
def components(key: Array, p_M: Array, number: Array) -> Array:
    """The generator of each of the samples `number` `[b]`, int32 `[b]`."""
    pick = lambda k: jax.random.categorical(k, jnp.log(p_M))
    return jax.vmap(pick)(population.member_keys(_keys(key)[0], number))


@partial(jax.jit, static_argnums=(1, 2))
def strata(key: Array, p: tuple[float, ...], n: int) -> Array:
    """Generators of n samples, int32 `[n]` in random order: shares p, none of them 0, rounded up or down at random."""
    key_u, key_order = jax.random.split(key)
    return jax.random.permutation(key_order, _in_order(key_u, p, n))


def _in_order(key: Array, p: tuple[float, ...], n: int) -> Array:
    """The same in the order of generators, by systematic sampling: points 1/n apart, and one offset for all."""
    point = (jnp.arange(n) + jax.random.uniform(key)) / n
    return jnp.searchsorted(jnp.asarray(np.cumsum(p)[:-1], jnp.float32), point, side="right")


@partial(jax.jit, static_argnums=1)
def classes(key: Array, count: int, number: Array) -> Array:
    """A class for each of the samples `number` `[b]`, int32 `[b]`, all of them with the same probability."""
    pick = lambda k: jax.random.randint(k, (), 0, count, jnp.int32)
    return jax.vmap(pick)(population.member_keys(jax.random.fold_in(key, LABELS), number))


def latents(latent: Latent, shape: Shape, key: Array, number: Array) -> Array:
    """Latents of the samples `number` `[b]` from a prior whose scale is one number, `[b, *shape]`."""
    draw = lambda k: latent.draw(k, shape)
    return jax.vmap(draw)(population.member_keys(_keys(key)[1], number)) * latent.scale


def _keys(key: Array) -> Array:
    """The key that picks members, and that of the latents."""
    return jax.random.split(jax.random.fold_in(key, SAMPLING))


@partial(jax.jit, static_argnums=(0, 2))
def _one_member(
    group: Group, members: Members, average: bool, k: int, key: Array, index: Array, label: Array | None
) -> Array:
    take = lambda tree: jax.tree.map(lambda leaf: leaf[k], tree)
    z = latents(group.prior(k), group.network.in_shape, key, index)
    params = take(members.average if average else members.params)
    return group.apply(params, take(members.state), z, label=label, train=False, rng=None)[0]


@partial(jax.jit, static_argnums=(0, 2, 4))
def _all_members(group: Group, members: Members, average: bool, key: Array, num: int, label: Array | None) -> Array:
    z = population.noise(group, key, 0, num, common=True)
    params = members.average if average else members.params

    def one(params: Any, state: Any, z: Array) -> Array:
        return group.apply(params, state, z, label=label, train=False, rng=None)[0]

    return population.over_members(one, group.how, group.count, (0, 0, 0))(params, members.state, z)


@dataclass(frozen=True)
class _Mixture:
    """Draws of a mixture inside a compiled program, stratified by member; equal for one game and its weights.

    Of n samples each member makes n · p, rounded up or down at random, so that every sample has the law of the mixture
    and the work is that of n samples, and not of M · n.
    """

    game: Game
    weights: tuple[float, ...]
    average: bool
    label: int | None

    def __call__(self, generators: Any, key: Array, n: int) -> Any:
        who = [i for i, w in enumerate(self.weights) if w > 0]
        p = tuple(self.weights[i] for i in who)
        key_u, key_z, key_label, key_order = jax.random.split(key, 4)
        turn = _in_order(key_u, p, n)
        first = jnp.searchsorted(turn, jnp.arange(len(who)))
        label = _given(self.game.classes, self.label, key_label, n)
        parts = []
        for k, i in enumerate(who):
            most = min(n, int(np.floor(n * p[k])) + 2)  # 1 more than can be, for rounding
            mine = jnp.minimum(first[k] + jnp.arange(most), n - 1)
            group, members, m = _find(self.game, generators, i)
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


def _find(game: Game, generators: Any, i: int) -> tuple[Group, Members, int]:
    """The group of generator i, its arrays, and the member's number in it."""
    places = list(zip(population.offsets(game.groups_g), game.groups_g, generators, strict=True))
    first, group, members = [place for place in places if place[0] <= i][-1]
    return group, members, i - first


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
