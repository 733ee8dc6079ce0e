"""All losses of the table."""

import pytest

from ensgan import losses, testing
from ensgan.losses import NAMED, microbatch


@pytest.mark.parametrize("name", sorted(set(NAMED) - {"mixed", "microbatch"}))
def test_every_loss_keeps_the_contract(name):
    testing.check_loss(NAMED[name]())


def test_micro_batches_keep_the_contract():
    testing.check_loss(microbatch(losses.non_saturating, 0.3, 2, 4))
