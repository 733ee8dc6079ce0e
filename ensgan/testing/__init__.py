"""Contract checks that users can run on their own plugs: each raises AssertionError with the promise that is broken.

They check what `ensgan.types` promises, not whether a plug is any good.
"""

from ensgan.testing.functions import check_augment, check_loss, check_network, check_penalty
from ensgan.testing.players import check_pairing, check_schedule

__all__ = ["check_augment", "check_loss", "check_network", "check_pairing", "check_penalty", "check_schedule"]
