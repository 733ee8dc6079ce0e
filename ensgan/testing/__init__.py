"""Contract checks for plugs: each raises AssertionError and names the promise of `ensgan.types` that a plug breaks.

Users can run them on their own plugs. They check the contract, not the quality of a plug.
"""

from ensgan.testing.functions import check_augment, check_loss, check_network, check_penalty
from ensgan.testing.players import check_pairing, check_schedule
from ensgan.testing.samples import check_judge, check_refinement, check_source

__all__ = [
    "check_augment",
    "check_judge",
    "check_loss",
    "check_network",
    "check_pairing",
    "check_penalty",
    "check_refinement",
    "check_schedule",
    "check_source",
]
