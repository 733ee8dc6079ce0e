"""ensgan: ensembles of GANs as one compiled JAX program.

M generators play N discriminators; one kernel computes the full M×N score matrix every step, and that matrix drives
training weights, ranking, selection and sampling.
"""

import ensgan.environment  # noqa: F401, first, since JAX reads environment variables while it is imported

# isort: split
from ensgan import augment, data, losses, metrics, networks, optim, pairing, penalties, refine, schedules
from ensgan.devices import mesh
from ensgan.evaluation import features, mixtures
from ensgan.evaluation.selection import Selection, select
from ensgan.evaluation.tables import evaluate_classes, evaluate_modes
from ensgan.game.adoption import Donor, adopt
from ensgan.game.game import Game
from ensgan.game.info import Info
from ensgan.game.latents import normal, uniform
from ensgan.game.population import Group
from ensgan.game.replicas import Replicas
from ensgan.game.state import State
from ensgan.metrics import metagame, ratings
from ensgan.sampling import calibration, combine
from ensgan.sampling.inference import Member, draw, member
from ensgan.sampling.sampler import sample
from ensgan.training import train
from ensgan.types import InputError

__version__ = "0.2.0"

__all__ = [
    "Donor",
    "Game",
    "Group",
    "Info",
    "InputError",
    "Member",
    "Replicas",
    "Selection",
    "State",
    "adopt",
    "augment",
    "calibration",
    "combine",
    "data",
    "draw",
    "evaluate_classes",
    "evaluate_modes",
    "features",
    "losses",
    "member",
    "mesh",
    "metagame",
    "metrics",
    "mixtures",
    "networks",
    "normal",
    "optim",
    "pairing",
    "penalties",
    "ratings",
    "refine",
    "sample",
    "schedules",
    "select",
    "train",
    "uniform",
]
