"""Division: what a mesh must divide, whether it does, and the mesh that divides it best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ensgan.devices.mesh import Sizes
from ensgan.types import InputError


class ToDivide(NamedTuple):
    """What a mesh must divide.

    Attributes:
        groups: number of members of each group, by its name.
        samples: number of samples of a step, by its name.
        dealt: number of discriminators among which samples are dealt out; 1 if each sees all.
        pack: number of samples that discriminators judge together.
        whole: whether a network couples the samples of a batch, which must then stay on one device.
        heads: whether discriminators are heads on trunks, which all devices have; `member` then spreads reals as well.
        fixed: why members must stay on one device, or "" if they can be spread.
    """

    groups: Mapping[str, int]
    samples: Mapping[str, int]
    dealt: int = 1
    pack: int = 1
    whole: bool = False
    heads: bool = False
    fixed: str = ""

    def shares(self, name: str, sizes: Sizes) -> int:
        """The number of equal shares into which a mesh divides the samples of this name."""
        spread = sizes.devices if self.heads and name != "fakes" else sizes.data
        return self.dealt * self.pack * spread

    def fits(self, sizes: Sizes) -> bool:
        """Whether a mesh divides all of it."""
        members = all(count % sizes.member == 0 for count in self.groups.values())
        samples = all(count % self.shares(name, sizes) == 0 for name, count in self.samples.items())
        return members and samples and not (self.fixed and sizes.member > 1) and not (self.whole and sizes.data > 1)


def check_fits(sizes: Sizes, what: ToDivide) -> None:
    """Raises InputError if a mesh does not divide members or samples; the error names the nearest numbers that fit."""
    if what.fixed and sizes.member > 1:
        raise InputError(
            f"{what.fixed}, so members cannot be spread over member={sizes.member} devices; use member=1 and spread "
            "samples over data"
        )
    for name, count in what.groups.items():
        if count % sizes.member:
            raise InputError(
                f"{name} has {count} members, which a mesh with member={sizes.member} does not divide; give it "
                f"{_multiples(count, sizes.member)} members, or the mesh member={_divisors(what.groups.values())}"
            )
    for name, count in what.samples.items():
        if count % (shares := what.shares(name, sizes)):
            split = f", dealt out among {what.dealt} discriminators," if what.dealt > 1 else ""
            split = f"{split} in packs of {what.pack}" if what.pack > 1 else split
            along = f"data={sizes.data}"
            if shares > what.dealt * what.pack * sizes.data:
                along = f"member={sizes.member},{along}, which spreads the reals of heads over both,"
            raise InputError(
                f"{name} is {count}, which{split} a mesh with {along} does not divide; give {name}="
                f"{_multiples(count, shares)}, or the mesh {_fitting(sizes, what)}"
            )
    if what.whole and sizes.data > 1:
        raise InputError(
            f"a network couples the samples of a batch in a way that cannot be spread over data={sizes.data} devices; "
            "use data=1, or batch norm of flax.nnx through networks.from_nnx"
        )


def _fitting(sizes: Sizes, what: ToDivide) -> str:
    """The numbers of devices along `data` that fit beside those along `member`, or the sizes that need the fewest."""
    most = min(what.samples.values())
    fits = [str(d) for d in range(1, most + 1) if what.fits(Sizes(sizes.member, d))]
    return f"data={' or '.join(fits)}" if fits else str(choose(sizes.devices, what))


def _multiples(number: int, of: int) -> str:
    below = number // of * of
    return f"{below} or {below + of}" if below else f"{of}"


def _divisors(numbers: Iterable[int]) -> str:
    common = math.gcd(*numbers)
    return " or ".join(str(k) for k in range(1, common + 1) if common % k == 0)


def choose(devices: int, what: ToDivide) -> Sizes:
    """The sizes that use the most of `devices` devices; among equals, those that spread members the most.

    Spreading members also spreads the work and memory of their optimiser; spreading samples does not.
    """
    fits = [
        sizes
        for member in range(1, devices + 1)
        for data in range(1, devices // member + 1)
        if what.fits(sizes := Sizes(member, data))
    ]
    return max(fits, key=lambda sizes: (sizes.devices, sizes.member), default=Sizes())
