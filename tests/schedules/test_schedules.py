"""All schedules of the table: their contract, and games that they do not fit."""

import dataclasses

import pytest
import toys
from schedule_cases import CASES, RATES, SOURCE, TRAIN, made

from ensgan import losses, pairing, schedules, testing
from ensgan.types import InputError


def test_every_schedule_has_a_case():
    assert set(CASES) == set(schedules.SCHEDULES) - {"none"}


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_schedule_keeps_the_contract(name):
    game, schedule = made(name)
    testing.check_schedule(schedule, game, SOURCE)


def test_schedules_that_do_not_fit_are_refused():
    double = {"pairing": pairing.nash(4), "schedule": schedules.double_oracle(10)}
    with pytest.raises(InputError, match="give the pairing a number that divides 10"):
        toys.game(3, 3, **double)
    with pytest.raises(InputError, match="shared parts move for all members"):
        toys.game(2, 1, shared=("w1",), schedule=schedules.snapshots(5))
    with pytest.raises(InputError, match=r"0\.25 of 3 members is less than one member.* at least 4"):
        toys.game(3, 3, optimizer=RATES, schedule=schedules.population_based(10))
    boosted = schedules.adagan(10, samples=TRAIN)
    with pytest.raises(InputError, match="one logit, high for samples that look real"):
        toys.game(2, 2, loss=losses.mad(), heads=(3,), schedule=boosted)
    with pytest.raises(InputError, match="use another loss"):
        toys.game(2, 2, loss=losses.d2(), schedule=boosted)
    for side, loss, heads in (
        ("generators", losses.mad(), (5,)),
        ("generators", losses.mgan(), (5,)),
        ("generators", losses.microbatch(losses.hinge, 0.3, 4, 4), ()),
        ("discriminators", losses.by_discriminator([losses.hinge, losses.least_squares]), ()),
    ):
        with pytest.raises(InputError, match=f"copies {side}, but in this loss their number decides"):
            toys.game(4, 4, loss=loss, heads=heads, schedule=schedules.tournament(10))
    with pytest.raises(InputError, match="every is 0"):
        schedules.snapshots(0)
    with pytest.raises(InputError, match="split coverage deals batches out"):
        toys.game(2, 1, schedule=schedules.snapshots(5), coverage="split")
    with pytest.raises(InputError, match="leave no slots"):
        toys.game(1, 1, schedule=schedules.history(5))
    with pytest.raises(InputError, match="unknown fitness 'luck'; known: distance, score"):
        schedules.tournament(fitness="luck")
    with pytest.raises(InputError, match=r"share is 0\.7"):
        schedules.population_based(share=0.7)
    two = toys.game(2, 2)
    dataclasses.replace(
        two, discriminators=two.groups_d * 2, schedule=schedules.snapshots(5)
    )  # those stay what they are
    with pytest.raises(InputError, match="the generators have 2 networks"):
        dataclasses.replace(two, generators=two.groups_g * 2, schedule=schedules.snapshots(5))
