"""Augmentations of the discriminators' input: differentiable, per sample, with one draw for both players."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ensgan.decays import decay
from ensgan.types import Array, Augment, InputError, unknown

SHIFT = 1 / 8  # the largest translation, as a share of the image's side
HOLE = 1 / 2  # the side of a cutout, as a share of the image's side


def diff_augment(
    policy: tuple[str, ...] = ("color", "translation", "cutout"),
    *,
    strength: float = 1.0,
    start: float | None = None,
    horizon: int = 0,
) -> Augment:
    """Return DiffAugment (Zhao et al. 2020, arXiv 2006.10738) with a probability that is known beforehand.

    `color` changes brightness, saturation (of images with several channels) and contrast; `translation` shifts by up to
    an eighth of each side; `cutout` removes a square of half the side. Removed pixels and those shifted in are 0, the
    middle of the range [-1, 1] of images.

    Args:
        policy: any of `color`, `translation`, `cutout`, in the order in which they are applied.
        strength: probability in [0, 1] that a sample is changed; a changed sample gets the whole policy.
        start: the probability at step 0, from where a cosine leads to `strength`; None for `strength` throughout.
        horizon: number of steps until then.

    Raises:
        InputError: unknown names, a strength outside [0, 1], a start without a horizon or the reverse, or, when
            applied, samples that are not `[H, W, C]`.
    """
    return _known(_images(policy), strength, start, horizon)


def adaptive(
    policy: tuple[str, ...] = ("color", "translation", "cutout"),
    *,
    target: float = 0.6,
    ramp: float = 500_000.0,
) -> Augment:
    """Return DiffAugment with a probability that starts at 0 and follows overfitting.

    This is ADA (Karras et al. 2020, arXiv 2006.06676) with DiffAugment's transforms. The training step compares
    E sign(r − s) with `target` and moves the probability. The paper takes E sign(r), which says nothing where only
    differences of logits count, as in relativistic losses. E sign(r − s) is 2 AUC − 1, so its target of .6 is an AUC of
    .8 here.

    Args:
        policy: as in `diff_augment`.
        target: value in [0, 1] at which the overfitting signal is held.
        ramp: number of samples in which the probability can move from 0 to 1; positive.

    Raises:
        InputError: as in `diff_augment`, or a target or ramp out of range.
    """
    if not ramp > 0:
        raise InputError(f"ramp is {ramp}; expected a positive number of samples; try 500000")
    return Augment(_images(policy), 0.0, _probability("target", target), float(ramp))


def noise(std: float = 0.1, *, strength: float = 1.0, start: float | None = None, horizon: int = 0) -> Augment:
    """Return Gaussian noise on samples of any shape.

    Args:
        std: standard deviation, at least 0.
        strength: probability in [0, 1] that a sample is changed.
        start: as in `diff_augment`.
        horizon: as in `diff_augment`.

    Raises:
        InputError: a negative standard deviation, or as in `diff_augment`.
    """
    if not std >= 0:
        raise InputError(f"std is {std}; give a number, at least 0")
    change = lambda key, x: x + std * jax.random.normal(key, x.shape, x.dtype)
    return _known(_per_sample(change), strength, start, horizon)


def none() -> None:
    """Return no augmentation."""


AUGMENTS: dict[str, Callable[..., Augment | None]] = {
    "adaptive": adaptive,
    "diff_augment": diff_augment,
    "noise": noise,
    "none": none,
}


def color(key: Array, x: Array) -> Array:
    """Changes brightness, saturation and contrast of one image `[H, W, C]`."""
    brightness, saturation, contrast = jax.random.uniform(key, (3,), x.dtype)
    x = x + (brightness - 0.5)
    if x.shape[-1] > 1:
        grey = x.mean(-1, keepdims=True)
        x = grey + (x - grey) * (2 * saturation)
    mean = x.mean()
    return mean + (x - mean) * (contrast + 0.5)


def translation(key: Array, x: Array) -> Array:
    """Shifts one image `[H, W, C]` by whole pixels, up to an eighth of each side; zeros come in from outside."""
    for axis, k in enumerate(jax.random.split(key)):
        size = x.shape[axis]
        reach = round(size * SHIFT)
        x = shift(x, axis, jax.random.randint(k, (), -reach, reach + 1))
    return x


def cutout(key: Array, x: Array) -> Array:
    """Sets a square of half the side to 0 at a random place of one image `[H, W, C]`; it may overlap the border."""
    inside = []
    for size, k in zip(x.shape[:2], jax.random.split(key), strict=True):
        hole = round(size * HOLE)
        first = jax.random.randint(k, (), 0, size + 1 - hole % 2) - hole // 2
        place = jnp.arange(size)
        inside.append((place >= first) & (place < first + hole))
    return jnp.where(inside[0][:, None, None] & inside[1][None, :, None], 0, x)


def shift(x: Array, axis: int, by: Array) -> Array:
    """Shifts `x` along one axis by a traced number of places; zeros come in from outside."""
    x = jnp.moveaxis(x, axis, 0)
    # Negative indices must not wrap. The promises let the backward pass scatter without atomics.
    where = x.at[jnp.arange(x.shape[0]) - by]
    promise = {"wrap_negative_indices": False, "indices_are_sorted": True, "unique_indices": True}
    return jnp.moveaxis(where.get(mode="fill", fill_value=0, **promise), 0, axis)


TRANSFORMS: dict[str, Callable[[Array, Array], Array]] = {
    "color": color,
    "cutout": cutout,
    "translation": translation,
}


def _images(policy: tuple[str, ...]) -> Callable[[Array, Array, Array], Array]:
    if isinstance(policy, str):
        raise InputError(f"policy is {policy!r}; expected a tuple of names; write ({policy!r},)")
    for name in policy:
        if name not in TRANSFORMS:
            raise unknown("transform", name, TRANSFORMS)

    def change(key: Array, x: Array) -> Array:
        if x.ndim != 3:
            raise InputError(
                f"samples have the shape {list(x.shape)}; expected images [H, W, C]; reshape them, or use the "
                "augmentation noise or none"
            )
        for i, name in enumerate(policy):
            x = TRANSFORMS[name](jax.random.fold_in(key, i), x)
        return x

    return _per_sample(change)


def _per_sample(change: Callable[[Array, Array], Array]) -> Callable[[Array, Array, Array], Array]:
    def one(key: Array, x: Array, strength: Array) -> Array:
        whether, how = jax.random.split(key)
        return jnp.where(jax.random.uniform(whether) < strength, change(how, x), x)

    return jax.vmap(one, in_axes=(0, 0, None))


def _known(apply: Callable[..., Array], strength: float, start: float | None, horizon: int) -> Augment:
    """An augmentation whose strength is constant, or goes from `start` to `strength`."""
    strength = _probability("strength", strength)
    if (start is None) != (horizon == 0):
        raise InputError(f"augment.start is {start} and augment.horizon is {horizon}; give both, or leave both out")
    if start is None:
        return Augment(apply, strength)
    return Augment(apply, _probability("start", start), course=decay("cosine", start, strength, horizon))


def _probability(what: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise InputError(f"{what} is {value}; give a number in [0, 1]")
    return float(value)
