"""Truncation: latents drawn towards their mean, for samples that are more typical and less varied."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np

from ensgan.game.game import Game
from ensgan.types import InputError


def check_truncation(truncation: float) -> None:
    """Raises InputError unless it is above 0 and at most 1."""
    if not 0.0 < truncation <= 1.0:
        raise InputError(f"truncation is {truncation}; give a number above 0 and at most 1, where 1 changes nothing")


@lru_cache(maxsize=16)  # one game for one number, so that its programs are compiled once
def truncated(game: Game, truncation: float) -> Game:
    """The game whose generators take latents ψ·z in place of z, where ψ is the truncation.

    Both priors of the library have the mean 0, so this is the way of a latent to its mean, as StyleGAN goes it in its
    mapped latents (Karras et al. 2019, arXiv 1812.04948, appendix B). Normal latents of standard deviation σ become
    normal with ψσ, and uniform ones on [−σ, σ] uniform on [−ψσ, ψσ]. BigGAN's truncation, which draws numbers again
    that are too far out, is another one. A prior of your own is drawn towards 0, whatever its mean is.

    Args:
        game: what was played.
        truncation: ψ, above 0 and at most 1.

    Raises:
        InputError: another number.
    """
    check_truncation(truncation)
    if truncation == 1.0:
        return game
    scaled = [
        dataclasses.replace(group, latent=group.latent._replace(scale=np.asarray(group.latent.scale) * truncation))
        for group in game.groups_g
    ]
    return dataclasses.replace(game, generators=scaled)


def scales(game: Game) -> np.ndarray:
    """The scale of the latents of every generator, float32 `[M]`."""
    return np.concatenate([np.asarray(group.scales) for group in game.groups_g])
