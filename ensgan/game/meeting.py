"""Meetings: the reals that each fake is compared with, and the class that a conditional fake has.

Fake k of generator i has the number n = i·F + k. In the meeting `one` it is compared with real n modulo R; with fewer
fakes than reals it also meets the reals n + M·F, n + 2·M·F and so on. In `all` it is compared with every real. Both
estimate the same expectation over an independent real and fake; `all` has less variance. In both, a conditional fake
has the class of real n modulo R. Numbers count the samples that one discriminator sees, on all devices.
"""

from __future__ import annotations

import jax.numpy as jnp

from ensgan.devices.mesh import Place
from ensgan.game.scoring import Meeting, Reals, View
from ensgan.types import Array

COMPARE = ("one", "all")


def meet(compare: str, M: int, view: View, reals: int, place: Place) -> Meeting:
    """The comparisons of a round.

    Args:
        compare: `one` or `all`.
        M: the number of generators.
        view: the fakes, as discriminators see them.
        reals: the number of reals that a discriminator sees, on all devices.
        place: which samples are on this device.
    """
    F, R = view.size, reals
    if compare == "all":
        here = len(place.samples(F))
        tiled = lambda x: jnp.tile(place.all_samples(x, 1), (1, here) + (1,) * (x.ndim - 2))[None]
        return Meeting(lambda s: jnp.repeat(s, R, axis=2), tiled, F, R, 1 / F)
    if F == R:
        return Meeting(lambda s: s, lambda x: x[None], F, 1, 1.0)
    each = -(-R // (M * F))
    first = numbers(view.rows_KN, F, R, place)[..., None]
    index = (first + M * F * jnp.arange(each)[None, None, None]) % R  # [K, N or 1, F, each]
    index = index.reshape(*index.shape[:2], -1)
    found = lambda x: place.all_samples(x, 1)[jnp.arange(x.shape[0])[None, :, None], index]
    return Meeting(lambda s: jnp.repeat(s, each, axis=2), found, F, each, R / (F * each))


def numbers(rows_KN: Array, F: int, R: int, place: Place) -> Array:
    """The number of the real that each of this device's fakes meets, `[K, N or 1, F]`."""
    return (rows_KN[..., None] * F + place.samples(F)[None, None]) % R


def labels_of_fakes(view: View, reals: Reals, size: int, place: Place) -> Array | None:
    """The classes of the fakes that discriminators see, `[K, F]` or `[N, K, F]`; `size` counts the reals of each."""
    if (label := reals.label) is None:
        return None
    if view.size == size:  # fake k of every generator has the class of real k, which is on the same device
        index = jnp.broadcast_to(jnp.arange(label.shape[-1]), (*view.rows_KN.shape, label.shape[-1]))
    else:
        index, label = numbers(view.rows_KN, view.size, size, place), place.all_samples(label, label.ndim - 1)
    index = index.swapaxes(0, 1)  # [N or 1, K, F]
    if label.ndim == 2:
        return label[jnp.arange(label.shape[0])[:, None, None], index]
    return label[index] if view.own else label[index[0]]


def labels_to_generate(label: Array | None, rows_M: Array, F: int, R: int, hands: int, place: Place) -> Array | None:
    """The classes of this device's fakes, `[M, F]`.

    Args:
        label: the classes of this device's reals, `[R]`.
        rows_M: the numbers of this device's generators.
        F: fakes of each generator, on all devices.
        R: reals, on all devices.
        hands: the number of discriminators among which samples are dealt; 1 if each sees all.
        place: which samples are on this device.
    """
    if label is None or F == R:
        return None if label is None else jnp.broadcast_to(label, (len(rows_M), len(label)))
    k = place.samples(F)
    within = (rows_M[:, None] * (F // hands) + k[None] // hands) % (R // hands)
    return place.all_samples(label, 0)[k[None] % hands + hands * within]
