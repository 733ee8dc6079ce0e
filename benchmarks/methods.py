"""Every method on the ring of 8 and the grid of 25, with the same networks, seeds and number of discriminator samples.

    python benchmarks/methods.py [--data ring grid] [--methods mean softmax ...] [--replicas 5] --out rows.jsonl

Each method has its own configuration in `configs/methods`, and all its replicas train in one program. Compute is
counted as the number of samples that discriminators see (fakes of the pairs that are played, and reals), and is the
same for every method. Data, networks, optimiser and evaluation are also the same: PacGAN's mixtures, 2,500 samples,
high quality within three standard deviations. There is one JSON row for each method and data set, with means over
replicas, their standard errors, and a perfect sampler for comparison. `--table rows.jsonl` prints rows as a table.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from rows import emit, read

from ensgan import Replicas
from ensgan.cli.methods import METHODS
from ensgan.evaluation.tables import evaluate_modes
from ensgan.game.program import Program
from ensgan.runs import config
from ensgan.runs import directory as rundir
from ensgan.runs.build import TABLES, build
from ensgan.runs.parsing import parse
from ensgan.training import between, periods, stretches

STRETCH = 500  # number of steps between two counts of the samples
ROOT = Path(__file__).parent.parent


def main():
    """Trains and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["ring", "grid"], choices=["ring", "grid"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--replicas", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--budget", type=float, default=4.0, help="number of samples that discriminators see, in millions"
    )
    parser.add_argument("--out", help="also append the rows to this file")
    parser.add_argument("--table", help="print the rows of this file as a table instead of training")
    options = parser.parse_args()
    if options.table:
        print(table(read(options.table)))
        return
    for data in options.data:
        for name in options.methods:
            row = measure(name, data, options)
            emit(row, options.out)


def measure(name, data, options):
    """Trains the replicas of one method within the budget, and scores them."""
    seeds = range(options.first_seed, options.first_seed + options.replicas)
    tree, budget = config.read(ROOT / "configs" / "methods" / f"{name}.toml"), 1e6 * options.budget
    given = tree["data"] if isinstance(tree["data"], dict) else {}
    tree["data"] = {**given, "name": data}
    for group in tree["generators"] + tree["discriminators"]:
        if "classes" in group.get("network", {}):
            group["network"]["classes"] = {"ring": 8, "grid": 25}[data]
    game, source = build(parse(tree, TABLES)[0])
    stage = None
    if game.claims.weight is not None:  # stages fill the budget
        stage = tree["schedule"]["every"] = int(budget / (game.reals + game.fakes) / game.M)
        game, source = build(parse(tree, TABLES)[0])
    replicas = Replicas(game, seeds=seeds)
    program, state = Program(replicas, source), replicas.init()
    work, steps, each = 0.0, 0, None
    begin, first = time.perf_counter(), 0.0
    while work < budget:
        num = STRETCH if each is None else int(min(STRETCH, max(1, (budget - work) // each + 1)))
        num = (
            num if stage is None else min(num, stage - steps % stage)
        )  # a stretch ends with its stage, so that the pairs of one stage are counted
        state, samples = play(program, replicas, state, steps, num)
        first = first or time.perf_counter() - begin
        work, steps, each = work + samples, steps + num, samples / num
    seconds = time.perf_counter() - begin
    tables = [evaluate_modes(game, replicas.take(state, r), source, seed=seed) for r, seed in enumerate(seeds)]
    row = {"benchmark": "methods", "method": name, "data": data, "M": game.M, "N": game.N, "replicas": options.replicas}
    row |= {"steps": steps, "samples": work / 1e6, "seconds": seconds, "first_stretch_seconds": first}
    row |= {
        "mixture": summary([t.scores[game.M] for t in tables]),
        "best_member": summary(best(game, replicas, state, source, seeds, tables)),
    }
    row |= {"perfect": tables[0].scores[-1]._asdict(), "faults": faults(state)}
    return row | rundir.versions()


def best(game, replicas, state, source, seeds, tables):
    """Scores of each replica's best member, chosen on other samples."""
    scores = []
    for r, seed in enumerate(seeds):
        chosen = evaluate_modes(game, replicas.take(state, r), source, seed=1000 + seed, repeats=1).scores[: game.M]
        index = max(range(game.M), key=lambda i, chosen=chosen: (chosen[i].modes, chosen[i].hq))
        scores.append(tables[r].scores[index])
    return scores


def play(program, players, state, begin, num):
    """The state after `num` steps of replicas, and the number of samples that a replica's discriminators saw."""
    game, played = players.first, 0.0
    for start, end in stretches(begin, begin + num, periods(players)):
        state = between(players, state, program.source, start)
        state, (_, counts) = program.tally(state, end - start)
        played = played + np.asarray(counts.fool)  # [R, M, N]: the number of steps in which each pair was played
    fakes = played.sum(axis=(1, 2)).mean()
    reals = np.minimum(played.sum(axis=1), num).sum(axis=1).mean()  # one batch per step, for any number of opponents
    dealt = game.N if game.coverage == "split" else 1
    return state, float(fakes * game.fakes + reals * game.reals) / dealt * max(game.n_critic, 1)


def summary(scores):
    """Mean and standard error of each score over replicas; infinite if a replica's score is."""
    table = np.array([list(score) for score in scores])
    with np.errstate(invalid="ignore"):
        errors = table.std(axis=0, ddof=1) / len(scores) ** 0.5 if len(scores) > 1 else np.full(table.shape[1], np.nan)
    fields = zip(scores[0]._fields, table.mean(axis=0), errors, strict=True)
    return {field: [float(mean), float(error)] for field, mean, error in fields}


def faults(state):
    """The number of replicas that stopped being finite."""
    return int((np.asarray(state.fault)[:, 0] >= 0).sum())


def table(rows):
    """Rows as a Markdown table, one part for each data set."""
    lines = []
    for data in dict.fromkeys(row["data"] for row in rows):
        mine = [row for row in rows if row["data"] == data]
        perfect = mine[0]["perfect"]
        lines += [
            f"| {data} | M×N | modes | high quality, % | KL | spread | modes, best | high quality, best, % | steps | "
            "seconds |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        lines.append(
            f"| perfect sampler | | {perfect['modes']:.0f} | {100 * perfect['hq']:.1f} | {perfect['kl']:.4f} | "
            f"{perfect['spread']:.2f} | | | | |"
        )
        for row in mine:
            show = lambda part, key, scale=1.0, digits=1, row=row: " ± ".join(
                f"{scale * value:.{digits}f}" for value in row[part][key]
            )
            stopped = f" ({row['faults']} stopped)" if row["faults"] else ""
            lines.append(
                f"| {row['method']}{stopped} | {row['M']}×{row['N']} | {show('mixture', 'modes')} | "
                f"{show('mixture', 'hq', 100)} | {show('mixture', 'kl', 1, 3)} | {show('mixture', 'spread', 1, 2)} | "
                f"{show('best_member', 'modes')} | {show('best_member', 'hq', 100)} | {row['steps']} | "
                f"{row['seconds']:.0f} |"
            )
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
