"""What a mesh must divide: shares by hand, the mesh that is chosen, and the nearest numbers that fit."""

import pytest

from ensgan.devices.division import ToDivide, check_fits, choose
from ensgan.devices.mesh import Sizes
from ensgan.types import InputError


def test_the_most_devices_are_chosen_and_members_are_spread_first():
    groups, B = {"generators.0": 4, "discriminators.0": 8}, {"reals": 64}
    heads = {"heads": True, "samples": {"reals": 64, "fakes": 2}}
    assert choose(8, ToDivide({"generators.0": 4}, **heads)) == Sizes(4, 2)
    assert choose(8, ToDivide({"generators.0": 8}, **heads)) == Sizes(8, 1)
    assert choose(8, ToDivide({"generators.0": 4}, **heads, fixed="they are one")) == Sizes(1, 2)
    assert choose(8, ToDivide(groups, B)) == Sizes(4, 2)
    assert choose(1, ToDivide(groups, B)) == Sizes(1, 1)
    assert choose(3, ToDivide(groups, B)) == Sizes(2, 1)  # 64 is no multiple of 3, so one device stays idle
    assert choose(8, ToDivide(groups, B, dealt=64)) == Sizes(4, 1)
    assert choose(6, ToDivide({"generators.0": 3}, B)) == Sizes(3, 2)


def test_samples_are_divided_among_all_that_see_them():
    what = ToDivide({"g": 4}, {"reals": 64, "fakes": 8}, dealt=2, pack=4)
    assert what.shares("reals", Sizes(4, 2)) == what.shares("fakes", Sizes(4, 2)) == 2 * 4 * 2
    heads = what._replace(heads=True)
    assert heads.shares("reals", Sizes(4, 2)) == 2 * 4 * 8  # spread over members as well
    assert heads.shares("fakes", Sizes(4, 2)) == 2 * 4 * 2


def test_what_fits_is_not_refused_and_what_is_refused_does_not_fit():
    cases = [
        ToDivide({"g": 4, "d": 6}, {"reals": 12}),
        ToDivide({"g": 4}, {"reals": 12}, dealt=3),
        ToDivide({"g": 4}, {"reals": 12}, whole=True),
        ToDivide({"g": 4}, {"reals": 12, "fakes": 4}, heads=True, pack=2),
        ToDivide({"g": 4}, {"reals": 12}, fixed="they are one"),
    ]
    seen = set()
    for what in cases:
        for member in range(1, 5):
            for data in range(1, 5):
                try:
                    check_fits(Sizes(member, data), what)
                    refused = False
                except InputError:
                    refused = True
                assert refused != what.fits(Sizes(member, data)), (what, member, data)
                seen.add(refused)
    assert seen == {True, False}


@pytest.mark.parametrize(
    ("what", "sizes", "text"),
    [
        (
            ToDivide({"g": 6, "d": 4}, {}),
            Sizes(4, 1),
            "g has 6 members, .* give it 4 or 8 members, or the mesh member=1 or 2",
        ),
        (ToDivide({"g": 3}, {}), Sizes(4, 1), "give it 4 members, or the mesh member=1 or 3"),
        (
            ToDivide({"g": 4}, {"reals": 8}),
            Sizes(1, 3),
            "reals is 8, which a mesh with data=3 .* give reals=6 or 9, or the mesh data=1 or 2 or 4 or 8",
        ),
        (
            ToDivide({"g": 4}, {"reals": 8}, dealt=4),
            Sizes(1, 4),
            "8, which, dealt out among 4 discriminators, a mesh .* give reals=16, or the mesh data=1 or 2",
        ),
        (ToDivide({"g": 4}, {"reals": 8}, pack=4), Sizes(1, 4), "8, which in packs of 4 a mesh with data=4"),
        (
            ToDivide({"g": 4}, {"reals": 6, "fakes": 2}, heads=True),
            Sizes(4, 1),
            "member=4,data=1, which spreads the reals of heads over both, .* or the mesh member=2,data=1",
        ),
        (
            ToDivide({"g": 4}, {"reals": 8}, whole=True),
            Sizes(1, 2),
            "couples the samples .* over data=2 devices; use data=1",
        ),
        (
            ToDivide({"g": 4}, {"reals": 8}, fixed="trunks are one"),
            Sizes(2, 1),
            "^trunks are one, so members cannot be spread over member=2",
        ),
    ],
)
def test_the_nearest_numbers_that_fit_are_named(what, sizes, text):
    with pytest.raises(InputError, match=text):
        check_fits(sizes, what)
