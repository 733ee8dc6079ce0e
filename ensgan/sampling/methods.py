"""The methods of `ensgan.refine` by name, and what each takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ensgan import refine
from ensgan.refine import Refined


class Method(NamedTuple):
    """A method of `ensgan.refine`, and what it takes.

    Attributes:
        call: the method.
        latents: whether it moves the latents of one generator after the other, and not samples of the mixture.
        gradient: whether it follows the gradient of the judge; it then takes a rate.
        share: whether its budget is the share of proposals to accept, and not a number of steps for each sample.
        start: whether its chains may begin at reals.
        shape: whether the judge is fitted again at every step (`Judge.shape`).
        normal: whether it needs the density of latents, which must be normal.
        reweighs: whether it changes how likely a generator's samples are, so that generators must be reweighted.
        critic: whether it assumes that the judge is a critic of the Wasserstein loss.
    """

    call: Callable[..., Refined]
    latents: bool = False
    gradient: bool = False
    share: bool = False
    start: bool = False
    shape: bool = False
    normal: bool = False
    reweighs: bool = False
    critic: bool = False


METHODS: dict[str, Method] = {
    "drs": Method(refine.drs, share=True),
    "obrs": Method(refine.obrs, share=True),
    "mh": Method(refine.mh, start=True),
    "ddls": Method(refine.ddls, latents=True, gradient=True, normal=True, reweighs=True),
    "dot": Method(refine.dot, latents=True, gradient=True, critic=True),
    "collaborative": Method(refine.collaborative, gradient=True, shape=True),
}
