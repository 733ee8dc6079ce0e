"""Better samples with a judge: rejection, Metropolis-Hastings chains, Langevin in latent space, and gradients.

Every method takes `log_ratio`, an estimate of log p_data/p_sampler, and the sampler `draw(key, n)` that it was
estimated against. `draw` gives n samples on axis 0 of an array, or of every leaf of a tree; `log_ratio` maps that to
`[n]`. The work is done in compiled portions of `batch` samples or chains, between which `progress(done)` is called on
the host. A ratio that is NaN counts as 0. Functions that are `jax.tree_util.Partial` of one hashable function are
compiled once, others whenever a new one comes.
"""

from ensgan.refine.chains import ddls, mh
from ensgan.refine.contract import (
    Draw,
    NothingAccepted,
    Progress,
    Ratio,
    Refined,
    check_budget,
    check_rate,
    check_steps,
)
from ensgan.refine.gradients import collaborative, dot
from ensgan.refine.rejection import drs, obrs

__all__ = [
    "Draw",
    "NothingAccepted",
    "Progress",
    "Ratio",
    "Refined",
    "check_budget",
    "check_rate",
    "check_steps",
    "collaborative",
    "ddls",
    "dot",
    "drs",
    "mh",
    "obrs",
]
