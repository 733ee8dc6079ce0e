"""A game of 8×8 on the ring in which one generator cannot train, against the same game without it.

    python benchmarks/healing.py --seeds 0 1 2 --out FILE
    python benchmarks/healing.py --table FILE

`bad` has a learning rate of 1e6 for generator 3; `8x8` has the usual one for all, and `7x7` has seven members a side.
Runs heal as `ensgan train` does. The uniform mixture of averaged generators is scored as in PacGAN, with 2,500 samples.
A row that the file already has is not made again.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from rows import emit, read, spread

from ensgan import metrics
from ensgan.metrics.seeds import difference
from ensgan.reporting import read_metrics
from ensgan.runs import config
from ensgan.runs import directory as rundir
from ensgan.runs import run as running
from ensgan.runs.build import TABLES
from ensgan.runs.parsing import parse
from ensgan.runs.restore import load_run, restore
from ensgan.sampling.sampler import sample

ROOT = Path(__file__).parent.parent
MODES = ("modes", "hq", "kl", "spread")
RATE, WILD = 1e-3, 1e6
GAMES = {"8x8": [RATE] * 8, "bad": [RATE] * 3 + [WILD] + [RATE] * 4, "7x7": [RATE] * 7}


def main():
    """Trains, scores and prints; or prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", nargs="+", default=list(GAMES), choices=list(GAMES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--out", help="append the rows to this file")
    parser.add_argument("--table", help="print the rows of this file as a table instead of training")
    options = parser.parse_args()
    if options.table:
        print(table(read(options.table)))
        return
    known = read(options.out) if options.out and Path(options.out).exists() else []
    done = {(row["game"], row["seed"], row["steps"]) for row in known}
    for seed in options.seeds:
        for name in options.games:
            if (name, seed, options.steps) not in done:
                emit(measured(name, seed, options.steps), options.out)


def measured(name, seed, steps):
    """One run, in a folder that is removed, and the scores of its mixture."""
    tree = config.read(ROOT / "configs" / "ring8.toml")
    tree |= {"name": name, "seed": seed, "steps": steps, "eval_every": 500, "checkpoint_every": steps, "distances": []}
    for side in ("generators", "discriminators"):
        tree[side][0] |= {"count": len(GAMES[name])}
    tree["generators"][0] |= {"optimizer": {**tree["optimizer"], "learning_rate": GAMES[name]}}
    settings = parse(tree, TABLES)[0]
    with tempfile.TemporaryDirectory() as folder:
        directory, begin = Path(folder) / "run", time.perf_counter()
        running.run(settings, directory)
        seconds = time.perf_counter() - begin
        game, source, state = restore(directory, load_run(directory))
        healings = [record for record in read_metrics(directory / "metrics.jsonl") if record["kind"] == "healing"]
    x = np.asarray(sample(game, state, jax.random.key(10_000 + seed), 2500, weights=np.ones(game.M)))
    found = metrics.mode_scores(x, *source.modes)._asdict()
    row = {"benchmark": "healing", "game": name, "seed": seed, "steps": steps, "healings": len(healings)}
    row |= {"rests": sum(each["rests"] for each in healings), "seconds": round(seconds, 1)}
    return row | {"scores": {key: found[key] for key in MODES}} | rundir.versions()


def table(rows):
    """Means and standard errors over seeds, and differences paired by seed with 95 % intervals, as Markdown tables."""
    lines = ["| game | seeds | healings | " + " | ".join(MODES) + " |", "|---" * (3 + len(MODES)) + "|"]
    for name in dict.fromkeys(row["game"] for row in rows):
        mine = [row for row in rows if row["game"] == name]
        cells = [spread([row["scores"][key] for row in mine]) for key in MODES]
        times = statistics.mean(row["healings"] for row in mine)
        lines.append(f"| {name} | {len(mine)} | {times:.1f} | {' | '.join(cells)} |")
    lines += ["", "| difference | seeds | " + " | ".join(MODES) + " |", "|---" * (2 + len(MODES)) + "|"]
    for other in ("8x8", "7x7"):
        each = [difference(by_seed(rows, "bad", key), by_seed(rows, other, key)).interval for key in MODES]
        lines.append(f"| bad − {other} | {each[0].num} | {' | '.join(map(str, each))} |")
    return "\n".join(lines)


def by_seed(rows, name, key):
    """A score of a game for each seed."""
    return {row["seed"]: row["scores"][key] for row in rows if row["game"] == name}


if __name__ == "__main__":
    main()
