"""The shipped configurations of ring and grid on many seeds, beside one pair that does the same work.

    python benchmarks/mixtures.py [--configs ring8 grid25] [--seeds 10] --out rows.jsonl

All seeds of a configuration are replicas in one program. The single pair has the same networks, batch, loss and
optimiser (its horizon is its own number of steps), and as many steps as make its discriminator look at as many samples.
One JSON row each: every seed's scores, with means and standard errors.
"""

import argparse
import json
import time
from pathlib import Path

import jax
from methods import best, samples_per_step, summary

from ensgan import Replicas, config, rundir
from ensgan.evaluation import evaluate_modes
from ensgan.training import TABLES, build, train

ROOT = Path(__file__).parent.parent
ONE = ("--generators.0.count", "1", "--discriminators.0.count", "1")


def main():
    """Trains and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", nargs="+", default=["ring8", "grid25"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--set", nargs="*", default=[], help="overrides, such as steps=2000")
    parser.add_argument("--out", help="append rows to this file as well")
    options = parser.parse_args()
    flags = [part for each in options.set for part in (f"--{each.partition('=')[0]}", each.partition("=")[2])]
    for name in options.configs:
        row, work = measure(name, flags, options.seeds)
        one = [*flags, *ONE]
        single, _ = measure(name, one, options.seeds, work=work)
        for each in (row, single):
            print(json.dumps(each), flush=True)
            if options.out:
                with open(options.out, "a") as file:
                    file.write(json.dumps(each) + "\n")


def measure(name, flags, seeds, work=None):
    """Trains one configuration on all seeds; with `work`, for as many steps as use it up."""
    tree = config.read(ROOT / "configs" / f"{name}.toml")
    settings, _ = config.parse(tree, TABLES, flags)
    steps = settings.steps
    if work is not None:
        game, _ = build(settings)
        steps = round(work / ((game.M * game.N + game.N) * game.batch_size))
        more = ["--steps", str(steps), "--optimizer.horizon", str(steps)]
        settings, _ = config.parse(tree, TABLES, [*flags, *more])
    game, source = build(settings)
    replicas = Replicas(game, seeds=range(seeds))
    begin = time.perf_counter()
    state, info = train(replicas, replicas.init(), source, steps=steps)
    jax.block_until_ready(state)
    seconds = time.perf_counter() - begin
    work = steps * samples_per_step(game, info)
    tables = [evaluate_modes(game, replicas.take(state, r), source, seed=r) for r in range(seeds)]
    mixture, single = [t.scores[game.M] for t in tables], best(game, replicas, state, source, range(seeds), tables)
    row = {"benchmark": "mixtures", "config": name, "flags": list(flags), "M": game.M, "N": game.N, "seeds": seeds}
    row |= {"steps": steps, "samples": work / 1e6, "seconds": seconds}
    row |= {"mixture": summary(mixture), "best_member": summary(single), "perfect": tables[0].scores[-1]._asdict()}
    row |= {"every_mixture": [list(score) for score in mixture], "every_best": [list(score) for score in single]}
    return row | rundir.versions(), work


if __name__ == "__main__":
    main()
