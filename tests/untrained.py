"""The folder of a small conditional run that was not trained yet."""

import toys

from ensgan.reporting.files import write_json
from ensgan.runs import config
from ensgan.runs import directory as rundir
from ensgan.runs.build import TABLES, build
from ensgan.runs.checkpoint import Checkpoints
from ensgan.runs.parsing import parse
from ensgan.runs.restore import restore

TREE = {
    "data": "ring",
    "generators": {
        "count": 2,
        "latent_scale": [1.0, 0.5],
        "network": {"name": "mlp", "latent": 2, "widths": [8], "classes": 8},
    },
    "discriminators": {"count": 2, "network": {"name": "mlp", "widths": [8], "classes": 8}},
}


def untrained(directory, tree=TREE):
    """Makes a run whose newest checkpoint is of step 0; its folder, game, source and state."""
    settings = parse(tree, TABLES)[0]
    game, _ = build(settings)
    rundir.make(directory)
    write_json(directory / "config.json", config.to_dict(settings))
    with Checkpoints(directory / "checkpoints") as checkpoints:
        checkpoints.save(0, toys.different(game))
    return directory, *restore(directory, settings)
